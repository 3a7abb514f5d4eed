"""`Timeline`: the loaded part of a channel as a present value, own unsent messages included."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal
from weakref import WeakMethod

from chatkit.core.attachment import State as AttachState
from chatkit.core.fold import Voucher
from chatkit.core.message import build_pending, build_told
from chatkit.core.overlay import Wish
from chatkit.core.timeline_view import Reader
from chatkit.engine.outbox import OutboxEntry
from chatkit.errors import MessageNotFound
from chatkit.given import target_of
from chatkit.model.cursor import Cursor
from chatkit.model.message import Message
from chatkit.model.order import Ident, OrderKey
from chatkit.model.views import TimelineView
from chatkit.refs import Position, place_of
from chatkit.stream import Stream, Watched

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.engine import Engine
    from chatkit.engine.thread import ThreadFeed
    from chatkit.ports import Folded
    from chatkit.shared import Shared

MOST_AT_ONCE = 1_000


class Timeline:
    """Messages of a channel, or replies of a thread, oldest first, as `view` and as a stream of views.

    Args:
        engine: The client's machinery.
        feed: The channel's, or the thread's.
        owner: The life of the client.
    """

    def __init__(self, engine: Engine, feed: ChannelEngine | ThreadFeed, owner: Shared) -> None:
        self._engine = engine
        self._owner = owner
        self._name = feed.name
        self._channel = feed
        changed = WeakMethod(self.changed)

        def redraw() -> None:
            tell = changed()  # weak: a thread goes when nobody shows it any more
            if tell is not None:
                tell()

        feed.on_view = redraw
        self._mine = Reader()
        self._watched: Watched[TimelineView] = Watched(lambda: self._view(self._mine))

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._name

    @property
    def view(self) -> TimelineView:
        """The messages as they are now; `changes` is what changed since this was last asked."""
        return self._view(self._mine)

    def watch(self) -> Stream[TimelineView]:
        """Follow it: the present view first, then the newest after each change; attaches the channel.

        `changes` leads from this reader's last view to the new one; `None`: draw all.
        """
        self._owner.check_loop()
        self._channel.want()
        reader = Reader()
        return self._watched.watch(lambda: self._view(reader))

    async def load_older(self, limit: int = 50) -> int:
        """Load messages older than the oldest one shown, and fill holes on the way.

        Args:
            limit: Messages wanted, 1 to 1,000.

        Returns:
            How many came in; 0 at the beginning of the channel.

        Raises:
            CapabilityError: The provider keeps no history.
            TransportError: No answer; safe to repeat.
        """
        self._owner.check_use()
        return await self._channel.load_older(max(1, min(limit, MOST_AT_ONCE)))

    async def jump(self, to: Position | Literal["newest", "first_unread"]) -> None:
        """Show another stretch of the channel: around a place, or the newest messages again.

        Args:
            to: A place; `"newest"`; or `"first_unread"`: the oldest message that the user of this client has
                not read, and if there is none the newest. What is shown already stays as it is.

        Raises:
            CapabilityError: The provider keeps no history.
            TransportError: No answer; safe to repeat.
        """
        self._owner.check_use()
        if to == "first_unread":
            await self._channel.restored()
            first = await self._channel.marks.first_unread(self._engine.context.user)
            window = self._channel.timeline.window
            shown = not window.has_newer if first is None else window.covers(first)
            if not shown:
                await self._channel.jump(first)
            return
        await self._channel.jump(None if to == "newest" else place_of(to, self._name, self._engine))

    # -- for the library --------------------------------------------------------------------------------

    def find(self, message_id: str) -> Message | None:
        """Return a confirmed message by its id."""
        return self._channel.timeline.find(message_id)

    def lookup(self, ident: Ident) -> Message | None:
        """Return a message as it is shown, pending changes included."""
        return self._channel.view.get(ident)

    def told(self, folded: Folded, *, as_of: OrderKey | None, provisional: bool) -> Message:
        """Return a message of a page of the log."""
        return told(self._engine, folded, self._name, as_of=as_of, provisional=provisional)

    def show(self, entry: OutboxEntry) -> None:
        """Bring the overlay up to date with an entry of the outbox (D23)."""
        overlay, row = self._channel.overlay, entry.row
        status = entry.shown.status
        if row.entry_id in overlay:
            if status != "sent":  # the acknowledged fact drops it, in one step with the fold
                overlay.status(row.entry_id, status, entry.error)
        elif status not in ("sent", "discarded") and entry.readable:  # else its lane fails it
            overlay.add(row.entry_id, row.ident, target_of(row), row.data, status=status, error=entry.error)

    def changed(self) -> None:
        """Tell readers."""
        self._watched.changed()

    def close(self) -> None:
        """End what watches."""
        self._watched.close()

    def _view(self, reader: Reader) -> TimelineView:
        channel = self._channel
        shown = channel.view.read(reader)
        return TimelineView(
            messages=shown.messages,
            state=self._state(),
            error=channel.error,
            has_older=channel.timeline.window.has_older,
            has_newer=channel.timeline.window.has_newer,
            gaps=self._gaps(),
            changes=shown.changes,
        )

    def _state(self) -> Literal["local", "loading", "live", "stale", "failed"]:
        channel = self._channel
        if channel.state is AttachState.FAILED:
            return "failed"
        if channel.state is AttachState.ATTACHED:
            return "live" if channel.caught_up else "loading"
        return "stale" if channel.ever_attached else "local"

    def _gaps(self) -> tuple[Cursor, ...]:
        cursors = (self._channel.progress.cursor(below) for below, _ in self._channel.holes)
        return tuple(cursor for cursor in cursors if cursor is not None)


def told(
    engine: Engine, folded: Folded, channel: str, *, as_of: OrderKey | None, provisional: bool
) -> Message:
    """Return a message of a page that is not kept in a timeline."""
    context = engine.context
    voucher = Voucher("provider", folded.stamp.log_id or context.origin, stamped=True)
    return build_told(
        folded, voucher, channel=channel, viewer=context.user, as_of=as_of, provisional=provisional
    )


def message_of(engine: Engine, entry: OutboxEntry) -> Message:
    """Return the message that an entry makes or changes, as it is now.

    Raises:
        MessageNotFound: It changes a message that this client has not loaded.
    """
    row = entry.row
    ident = target_of(row)
    channel = engine.channels.get(row.channel)
    shown = None if channel is None else channel.view.get(ident)
    if shown is not None and (shown.key is not None or entry.shown.status != "sent"):
        return as_own(shown, row.ident.user)
    if row.kind != "create":
        raise MessageNotFound(
            "the changed message is not loaded here",
            hint="Read it with `await channel.get(message_id)`.",
            channel=row.channel,
            message_id=ident.id,
        )
    wish = Wish(row.entry_id, ident.id, ident, row.data, True, 0, entry.shown.status, entry.error)
    alone = build_pending((wish,), channel=row.channel, viewer=row.ident.user)
    return entry.placed(alone, engine.context.origin)


async def read_message(engine: Engine, name: str, ident: Ident, viewer: str) -> Message:
    """Return a message of a channel from the log, as a user sees it.

    Raises:
        MessageNotFound: The log has no such message, or middleware hides it.
        CapabilityError: There is no log.
        TransportError: No answer; safe to repeat.
    """
    log = engine.context.need_log(name)
    found = await engine.context.read(lambda: log.get(name, [ident]))
    shown: Message | None = None
    if found.items:
        message = told(engine, found.items[0], name, as_of=found.as_of, provisional=found.provisional)
        shown = await engine.presenter.show(message, message.message_id)
    if shown is None:
        raise MessageNotFound("there is no such message", channel=name, message_id=ident.id)
    return as_own(shown, viewer)


def as_own(message: Message, user: str) -> Message:
    """Return a message as a user sees it: `own` is about who asks."""
    mine = message.sender.user == user
    return message if message.own == mine else replace(message, own=mine)
