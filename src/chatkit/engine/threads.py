"""`Threads`: the threads of one channel that somebody looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chatkit.core.timeline import Timeline
from chatkit.core.timeline_view import ViewFeed
from chatkit.engine.reach import Reach
from chatkit.engine.thread import ThreadFeed

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reading import Passing
    from chatkit.model.order import Ident

IDLE: Final = 20
"""Threads kept that nobody holds any more."""


class Threads:
    """Opens threads, and hands on to them what the channel gets; those that nobody holds go in time (I10).

    Args:
        host: The channel.
        parts: Of the channel.
        keep: Messages kept of a thread.
        reach: The way to the others.
    """

    def __init__(
        self,
        host: ChannelEngine,
        parts: ChannelParts,
        *,
        keep: int,
        reach: Reach,
    ) -> None:
        self._host = host
        self._parts = parts
        self._keep = keep
        self._reach = reach
        self.feeds: dict[Ident, ThreadFeed] = {}
        """Those that are open."""

    def open(self, root: Ident, holder: object) -> ThreadFeed:
        """Return the thread of a message; it stays as long as the holder is there."""
        feed = self.feeds.get(root)
        if feed is None:
            self._tidy()
            context, whole = self._parts.context, self._host.timeline
            timeline = Timeline(
                self._parts.name, context.user, origin=context.origin, rights=whole.rights, keep=self._keep
            )
            screen = self._parts.presenter.screen.message
            view = ViewFeed(timeline, self._parts.overlay, thread=root, screen=screen)
            feed = self.feeds[root] = ThreadFeed(
                self._host,
                replace(self._parts, timeline=timeline, view=view, thread=root),
                root,
                reach=self._reach,
            )
        feed.holders.add(holder)
        return feed

    def all(self) -> tuple[ThreadFeed, ...]:
        """Return those that are open."""
        return tuple(self.feeds.values())

    @property
    def dirty(self) -> bool:
        """Whether a view of one may look different."""
        return any(feed.timeline.dirty for feed in self.feeds.values())

    def fold(self, fact: Fact) -> None:
        """Fold in a fact that the channel folded just now."""
        for feed in self.feeds.values():
            feed.fold(fact)

    def hear(self, passing: Passing) -> None:
        """Hand on what passes by in a thread, if somebody looks at it."""
        feed = self.feeds.get(passing.envelope.root) if passing.envelope.root else None
        if feed is not None:
            feed.hear(passing)

    def attached(self) -> None:
        """Live begins."""
        for feed in self.all():
            feed.attached()

    def left(self) -> None:
        """The channel is not received any more."""
        for feed in self.all():
            feed.left()

    def skipped(self) -> None:
        """The channel skipped a range, or its log is another one."""
        for feed in self.feeds.values():
            feed.lost()

    def look(self) -> None:
        """The channel has caught up: what is to be read can be."""
        for feed in self.all():
            feed.look()

    def redrawn(self) -> None:
        """Views may look different."""
        for feed in self.all():
            feed.redrawn()

    def moderated(self) -> None:
        """Moderators answer otherwise now."""
        for feed in self.all():
            feed.moderated()

    def connected(self) -> None:
        """There is a connection again."""
        for feed in self.feeds.values():
            feed.marks.connected()

    def wait(self, now: float) -> float | None:
        """Return the seconds until `expire` has something to do, or `None`."""
        waits = (feed.typing.wait(now) for feed in self.feeds.values())
        return min((wait for wait in waits if wait is not None), default=None)

    def expire(self, now: float) -> None:
        """Forget who typed in them and was not heard of any more."""
        for feed in self.feeds.values():
            feed.typing.look(now)

    def _tidy(self) -> None:
        idle = [root for root, feed in self.feeds.items() if not feed.holders]
        for root in idle[: max(0, len(idle) - IDLE + 1)]:
            if self.feeds[root].retire():
                del self.feeds[root]
