"""`ThreadFeed`: one thread of a channel: its replies in a window of their own, typing, receipts (D24)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from chatkit.core import backoff
from chatkit.core.timeline_changes import target_of
from chatkit.engine.catchup import AGAIN, CAP
from chatkit.engine.reach import Reach
from chatkit.engine.receipt_sync import ReceiptSync
from chatkit.engine.receipts import ReceiptBook
from chatkit.engine.thread_pages import in_thread, thread_page
from chatkit.engine.typists import TypingFeed
from chatkit.errors import ChatkitError
from chatkit.model.events import DeliveryChanged, MessageEvent, ReactionChanged

if TYPE_CHECKING:
    from chatkit.core.attachment import State
    from chatkit.core.fact import Fact
    from chatkit.core.fold import MessageFold
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.progress import Hole
    from chatkit.engine.reading import Passing
    from chatkit.model.events import Event
    from chatkit.model.order import Ident, Place
    from chatkit.ports import Messages

FIRST: Final = 50
"""Replies that a thread shows when it is opened."""


class ThreadFeed:
    """One thread, as its readers need it: what `ChannelEngine` is to those of the channel.

    It shows at once what the channel has loaded of it, and reads its newest page from the log as soon as
    somebody wants it and the channel has caught up. From then on the facts of the channel keep it true, over
    reconnects too: what was missed is read into both. Where the channel skips a range, the page is read anew.

    Args:
        host: The channel.
        parts: The channel's, with the timeline, the view and the root of the thread.
        root: The message whose thread it is.
        reach: The way to the others.
    """

    def __init__(
        self,
        host: ChannelEngine,
        parts: ChannelParts,
        root: Ident,
        *,
        reach: Reach,
    ) -> None:
        self._host = host
        self._parts = parts
        self._context = parts.context
        self.name: Final = parts.name
        self.thread: Final = root
        self.timeline: Final = parts.timeline
        self.view: Final = parts.view
        self.overlay: Final = parts.overlay
        self.above: Final = host.receipts
        """The receipts of the channel."""
        self.progress: Final = parts.progress
        self.on_view: Callable[[], None] = lambda: None
        """Called when the view may look different."""
        self.holders: WeakSet[object] = WeakSet()
        """Who needs it; without any it may go."""
        self.typing = TypingFeed(parts)
        self.receipts = ReceiptBook(parts, lambda: self.caught_up)
        self.receipts.present = lambda: host.presence.present
        self.marks = ReceiptSync(
            parts,
            self.receipts,
            attached=lambda: host.attached,
            reach=reach,
        )
        self._wanted = self._fresh = self._loading = self._restored = False
        self._restoring = asyncio.Lock()
        self._error: ChatkitError | None = None
        parts.masks.show_in(self.view)
        self._seed()

    # -- as a channel has it ----------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Whether the channel is attached."""
        return self._host.state

    @property
    def error(self) -> ChatkitError | None:
        """Why the channel is not attached, or the thread cannot be read."""
        return self._host.error or self._error

    @property
    def ever_attached(self) -> bool:
        """Whether the channel was."""
        return self._host.ever_attached

    @property
    def caught_up(self) -> bool:
        """Whether the window shows all there is, as far as this client can know."""
        return self._host.attached and self._host.caught_up and (self._fresh or self._context.log is None)

    @property
    def holes(self) -> tuple[Hole, ...]:
        """None: its pages are of it alone, so that nothing is missing between its messages."""
        return ()

    def moderated(self) -> None:
        """Moderators answer otherwise now."""
        self.view.rest()
        self.typing.moderated()
        self.receipts.changed()
        self.on_view()

    def want(self) -> None:
        """Have the channel attached and the newest page read, from now on; returns at once."""
        self._wanted = True
        self._host.want()
        self.wake()
        self.look()

    def wake(self) -> None:
        """Have what the store holds shown; nothing is attached."""
        if not self._restored and not self._context.tasks.closing:
            self._context.tasks.spawn(self.restored(), f"thread:{self.name}")

    async def restored(self) -> None:
        """Wait until what the store holds is shown."""
        await self._host.restored()
        async with self._restoring:
            if self._restored:
                return
            await self.receipts.restore()
            self._restored = True
            self._seed()
        for user in self.receipts.modes:
            self.marks.joined(user)
        if self._host.attached:
            self.marks.began()
        self.redrawn()

    async def load_older(self, limit: int) -> int:
        """Load a page older than the oldest reply loaded; returns how many came in.

        Raises:
            CapabilityError: There is no log.
            TransportError: No answer; safe to repeat.
        """
        await self.restored()
        oldest = next(iter(self.timeline.window), None)
        page = await self._page(before=None if oldest is None else oldest.key, limit=limit)
        if next(iter(self.timeline.window), None) is not oldest:
            return 0  # another stretch shows by now
        return await self._put(page, has_newer=None)

    async def jump(self, place: Place | None) -> None:
        """Show the replies around a place; `None`: the newest.

        Raises:
            CapabilityError: There is no log.
            TransportError: No answer; safe to repeat.
        """
        await self.restored()
        await self._replace(await self._page(around=place, limit=FIRST))

    # -- told by the channel ----------------------------------------------------------------------------

    def look(self) -> None:
        """Read the newest page if somebody wants it, and nothing since the channel skipped something."""
        ready = self._host.attached and self._host.caught_up and self._context.log is not None
        if self._wanted and ready and not (self._fresh or self._loading):
            self._loading = True
            self._context.tasks.spawn(self._load(), f"thread:{self.name}")

    def lost(self) -> None:
        """The channel skipped a range, or its log is another one: what is loaded may not be true."""
        self._fresh = False

    def fold(self, fact: Fact) -> None:
        """Fold in a fact that the channel folded just now, if it is of this thread."""
        target = target_of(fact.envelope, fact.user)
        known = target in self._host.timeline
        if fact.envelope.kind == "message.create":
            if fact.envelope.root != self.thread:
                return
            self.typing.spoke(fact.user)
        elif known and target not in self.timeline:
            return  # of a message that stands elsewhere
        # What the channel has not loaded it tells its middleware nothing of.
        before = None if known else self.view.get(target)
        for applied in self.timeline.apply(fact):
            if applied.message is not None and applied.outcome != "created" and not known:
                self._parts.masks.review(applied.message, before)

    def hear(self, passing: Passing) -> None:
        """Take what passes by in the thread: who types, who has read."""
        if passing.envelope.kind == "typing":
            self.typing.hear(passing)
        else:
            self.marks.take_in(passing)

    def attached(self) -> None:
        """Live begins."""
        self.look()
        self.marks.began()

    def left(self) -> None:
        """The channel is not received any more."""
        self.typing.left()
        self.redrawn()

    def redrawn(self) -> None:
        """The view may look different."""
        self.on_view()
        self.marks.moved()

    def retire(self) -> bool:
        """End what it does, since nobody holds it; `False`: something is to be kept or said first."""
        return not self.holders and self.marks.retire()

    def belongs(self, event: Event) -> bool:
        """Whether an event of the channel is for those who hear the thread."""
        match event:
            case MessageEvent():
                return event.message.root == self.thread
            case ReactionChanged():
                return bool(self.timeline.window.named(event.message_id))
            case DeliveryChanged():
                target = event.delivery.target
                made = (wish.envelope for wish in self.overlay.of(target) if wish.creates)
                return target in self.timeline or any(envelope.root == self.thread for envelope in made)
            case _:
                return True

    # -- inside -----------------------------------------------------------------------------------------

    async def _load(self) -> None:
        """Read what shows, from the log, until that is done or nobody can or wants to know any more."""
        failures = 0
        try:
            await self.restored()
            while self._host.attached and self.holders and not self._fresh:
                window = tuple(self.timeline.window)
                elsewhere = window[len(window) // 2].key if self.timeline.window.has_newer else None
                self._fresh = True  # what the channel skips from now on says that it is not
                try:
                    page = await self._page(around=elsewhere, limit=max(FIRST, min(len(window), CAP)))
                except ChatkitError as error:
                    self._fresh = False
                    self._error = None if error.retryable else error
                    pause = backoff.delay(failures, self._context.random.random())
                    failures += 1
                    if self._error is not None:
                        break
                    await asyncio.sleep(max(AGAIN, pause))
                else:
                    self._error = None
                    await self._replace(page)
        finally:
            self._loading = False
            self.redrawn()

    async def _page(
        self, *, before: Place | None = None, around: Place | None = None, limit: int
    ) -> Messages:
        page = await thread_page(
            self._context, self.name, self.thread, before=before, around=around, limit=limit
        )
        return await self._parts.roles.admitted(page)

    async def _replace(self, page: Messages) -> None:
        """Show a page in place of what is loaded, with what came after it was read."""
        newest, last = page.after is None, page.as_of
        if last is None and page.items:
            last = page.items[-1].stamp.key
        since = [fold for fold in self.timeline.window if newest and (last is None or fold.key > last)]
        self.timeline.unload()
        self.timeline.adopt(since)
        if newest:
            self._seed()
        _ = await self._put(page, has_newer=not newest)

    async def _put(self, page: Messages, *, has_newer: bool | None) -> int:
        loaded = self.timeline.load(
            page.items,
            as_of=page.as_of,
            provisional=page.provisional,
            has_older=page.before is not None,
            has_newer=has_newer,
            extend=True,
        )
        found = (self.timeline.get(folded.ident) for folded in page.items)
        await self._parts.masks.page(message for message in found if message is not None)
        self.redrawn()
        return loaded.messages

    def _seed(self) -> None:
        """Show what the channel has loaded of it: the newest replies."""
        window = self._host.timeline.window
        if window.has_newer:
            return
        self.timeline.adopt(self._loaded(window))
        self.timeline.window.has_older = window.has_older

    def _loaded(self, window: Iterable[MessageFold]) -> Iterable[MessageFold]:
        return (fold for fold in window if in_thread(fold.data, self.thread))
