"""Who is typing in one channel, or thread: heard, timed out, cleared by the message (D25)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from chatkit.core.typists import Typists
from chatkit.model.events import TypingChanged
from chatkit.model.ids import new_message_id
from chatkit.model.values import EMPTY

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reading import Passing

LASTS: Final = 6_000
"""Milliseconds that a word holds which does not say for how long."""


class Listener(Protocol):
    """Shows who types."""

    def changed(self) -> None:
        """They are others now."""
        ...


class TypingFeed:
    """What a channel's readers are told of those who type there.

    Args:
        parts: Of the channel.
    """

    def __init__(self, parts: ChannelParts) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._thread = parts.thread
        self._dispatcher = parts.dispatcher
        self._screen = parts.presenter.screen
        self._typists = Typists()
        self._told: frozenset[str] = frozenset()
        self.listeners: WeakSet[Listener] = WeakSet()
        """Told when somebody began or ended."""

    @property
    def users(self) -> frozenset[str]:
        """Who types, without the user of this client and those who are hidden."""
        users = self._typists.users
        return users - self._screen.hidden(users)

    def hear(self, passing: Passing) -> None:
        """Take a word of somebody."""
        envelope, user = passing.envelope, passing.user
        if user == self._context.user:
            return
        if (envelope.body or EMPTY).get("active") is False:
            changed = self._typists.drop(user)
        else:
            until = self._context.clock.monotonic() + (envelope.ttl or LASTS) / 1000
            changed = self._typists.note(user, until)
        self._tell(changed=changed)

    def spoke(self, user: str) -> None:
        """A message came of somebody: that is what was being typed."""
        if self._typists:
            self._tell(changed=self._typists.drop(user))

    def left(self) -> None:
        """The channel is not received any more: nobody can say who types."""
        self._tell(changed=self._typists.clear())

    def moderated(self) -> None:
        """Others may be hidden now."""
        self._tell(changed=True)

    def wait(self, now: float) -> float | None:
        """Return the seconds until `look` has something to do, or `None`."""
        return self._typists.wait(now)

    def look(self, now: float) -> None:
        """Forget those of whom nothing was heard any more."""
        if self._typists:
            self._tell(changed=self._typists.expire(now))

    def _tell(self, *, changed: bool) -> None:
        users = self.users if changed else self._told
        if users == self._told:
            return
        self._told = users
        context = self._context
        self._dispatcher.tell(
            TypingChanged(
                event_id=new_message_id(context.server_time.now_ms(), context.random),
                channel=self._channel,
                at=context.server_time.now(),
                users=users,
            ),
            thread=self._thread,
        )
        for listener in self.listeners:
            listener.changed()
