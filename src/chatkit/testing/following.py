"""`Follower`: notes in a history what one client promises, is told and shows, from its opening to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.delivery import State
from chatkit.engine.accepting import Acceptor
from chatkit.errors import ChatkitError
from chatkit.model.cursor import START, Cursor, decode_cursor
from chatkit.model.events import (
    DeliveryChanged,
    Discontinuity,
    Event,
    MessageCreated,
    MessageDeleted,
    MessageEvent,
    ReceiptAdvanced,
)
from chatkit.model.message import Message
from chatkit.model.order import OrderKey
from chatkit.testing.history import (
    Advanced,
    Counted,
    Ended,
    Gap,
    Heard,
    History,
    Line,
    Listening,
    Promised,
    Record,
    Reported,
    Settled,
    Shown,
    Silent,
    Stood,
)
from chatkit.testing.history import Opened as OpenedLife

if TYPE_CHECKING:
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.engine.outbox import Outbox, OutboxEntry
    from chatkit.model.events import HandlerError
    from chatkit.ports import Clock, Row
    from chatkit.stream import Stream

ROOM: Final = 100_000
"""Events that wait for the follower: it is never the one that falls behind."""
CLOSING: Final = 10.0
"""Seconds that a client may take to end what it runs, beside what it was given to drain (I12)."""


class Follower:
    """Follows one client. Made before it is opened; `begin` once it is.

    Args:
        history: Told.
        clock: The time of the world.
        user: Who the client speaks for.
        store: What its outbox outlives it in, or "".
    """

    def __init__(self, history: History, clock: Clock, user: str, store: str) -> None:
        self.history = history
        self.life = history.new_life()
        self.tasks: set[asyncio.Task[None]] = set()
        """Those that read for the history: they die with the client."""
        self._clock = clock
        self._user = user
        self._store = store
        self._chat: Chat | None = None
        self._ended = False

    @property
    def now(self) -> float:
        """Seconds of the world's time."""
        return self._clock.monotonic()

    def begin(self, chat: Chat) -> None:
        """Follow a client that was just opened."""
        self._chat = chat
        self._note(OpenedLife(self.now, self.life, self._user, self._store))
        outbox = chat.engine.outbox
        outbox.acceptor = _Witness(outbox, self._promised)
        told = chat.events(DeliveryChanged, ReceiptAdvanced, buffer=ROOM)
        self._read(told, self._note_state, "states")

    def reported(self, error: HandlerError) -> None:
        """Take note of what `on_error` was told."""
        self._note(Reported(self.now, self.life, error.handler, error.raised))

    # -- readers ----------------------------------------------------------------------------------------

    def listen(self, channel: Channel, since: Cursor | None = None) -> Stream[Any]:
        """Open a reader of a channel's message events and note what it is given; returns its stream."""
        stream = channel.events(MessageEvent, Discontinuity, since=since, overflow="gap")
        number = self.history.new_reader()
        place, origin = self._place(since)
        self._note(Listening(self.now, self.life, number, channel.name, place, origin))

        def note(event: Event) -> None:
            self._note_message(number, event)

        self._read(stream, note, f"reader:{number}", number)
        return stream

    def listen_everywhere(self) -> None:
        """Open a reader of all channels."""
        assert self._chat is not None
        number, known = self.history.new_reader(), set[str]()
        stream = self._chat.events(MessageEvent, Discontinuity, buffer=ROOM)

        def note(event: Event) -> None:
            if event.channel is not None and event.channel not in known:
                known.add(event.channel)
                self._note(Listening(self.now, self.life, number, event.channel, None, None))
            self._note_message(number, event)

        self._read(stream, note, f"reader:{number}", number)

    def _read(self, stream: Stream[Any], note: Any, name: str, reader: int | None = None) -> None:
        async def read() -> None:
            why = "closed"
            try:
                async for event in stream:
                    note(event)
            except ChatkitError as error:
                why = type(error).__name__
            if reader is not None:
                self._note(Silent(self.now, self.life, reader, why))

        task = asyncio.get_running_loop().create_task(read(), name=f"world:{self.life}:{name}")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _place(self, since: Cursor | None) -> tuple[OrderKey | None, str | None]:
        if since is None:
            return None, None
        if since == START:
            return OrderKey(0, ""), None
        spot = decode_cursor(since)
        return spot.key, spot.origin

    # -- what is told -----------------------------------------------------------------------------------

    def _promised(self, row: Row, entry: OutboxEntry) -> None:
        made = entry.row.entry_id == row.entry_id
        self._note(
            Promised(
                self.now,
                self.life,
                entry.row.entry_id,
                row.channel,
                entry.row.ident,
                row.kind,
                row.device,
                made,
                row.due_at is not None,
                row.depends_on is not None,
            )
        )

    def _note_state(self, event: Event) -> None:
        if isinstance(event, DeliveryChanged):
            self._note_fate(
                event.delivery, event.status, certain=event.certain, late=event.late, reason=event.reason
            )
        elif isinstance(event, ReceiptAdvanced):
            self._note(
                Advanced(self.now, self.life, event.channel or "", event.user, event.kind, event.message_id)
            )

    def _note_fate(
        self, delivery: Any, status: str, *, certain: bool, late: bool, reason: str | None
    ) -> None:
        row = delivery._entry.row  # noqa: SLF001  # the ident: `Delivery` shows its id alone
        self._note(
            Settled(self.now, self.life, row.entry_id, row.channel, row.ident, status, certain, late, reason)
        )

    def _note_message(self, reader: int, event: Event) -> None:
        channel = event.channel or ""
        if isinstance(event, Discontinuity):
            after, until = (
                None if mark is None else decode_cursor(mark).key for mark in (event.after, event.until)
            )
            self._note(Gap(self.now, self.life, reader, channel, event.reason, after, until, event.certain))
        elif isinstance(event, MessageEvent):
            created = isinstance(event, MessageCreated)
            deleted = isinstance(event, MessageDeleted)
            message = event.message
            self._note(
                Heard(
                    self.now,
                    self.life,
                    reader,
                    channel,
                    "created" if created else "deleted" if deleted else "updated",
                    message.ident,
                    message.key,
                    isinstance(event, MessageCreated) and event.late,
                    message.version,
                    message.deleted,
                )
            )

    # -- what is shown ----------------------------------------------------------------------------------

    def look(self, tasks: int, *, unreachable: float = 0.0) -> None:
        """Note what every timeline of the client shows now, and how the client stands.

        Args:
            tasks: How many there are in the world.
            unreachable: Seconds for which its network has been away.
        """
        chat = self._chat
        assert chat is not None
        for name, channel in sorted(chat.channels.items()):
            view = channel.timeline.view
            lines = tuple(map(_line, view.messages))
            self._note(
                Shown(self.now, self.life, name, view.state, lines, len(view.gaps), not view.has_newer)
            )
            unread = channel.receipts.unread
            self._note(Counted(self.now, self.life, name, self._user, unread.messages, unread.exact))
        outbox, context = chat.engine.outbox, chat.engine.context
        self._note(
            Stood(
                self.now,
                self.life,
                chat.connection.state,
                chat.health().status,
                outbox.depth,
                context.limits.entries,
                tuple(entry.row.entry_id for entry in outbox.unfinished),
                tasks,
                tuple(sorted(context.counters.items())),
                unreachable,
            )
        )

    async def look_at_ends(self) -> None:
        """Note what the store says of wishes whose end nobody was there to be told of."""
        chat = self._chat
        assert chat is not None
        for status in ("failed", "expired", "discarded", "sent"):
            for delivery in await chat.outbox.entries(status=status, limit=1000):
                self._note_fate(delivery, status, certain=delivery.certain, late=True, reason="kept")

    # -- the end ----------------------------------------------------------------------------------------

    async def close(self, drain: float) -> None:
        """Close the client as its app would, and note how that went; cancelling cuts the wait short."""
        chat = self._chat
        assert chat is not None
        began = self.now
        try:
            _ = await chat.aclose(drain=drain)
        finally:
            left = () if chat.report is None else chat.report.left
            took = self.now - began
            self._note(Ended(self.now, self.life, "closed", took, drain + CLOSING, left))
            self._ended = True
            await self._rest()

    def killed(self) -> None:
        """Note that the client is killed, before anything else can be told of it."""
        self._note(Ended(self.now, self.life, "killed"))
        self._ended = True

    def _note(self, record: Record) -> None:
        """Note what happened, unless the client has ended: what the dead say counts for nothing."""
        if not self._ended:
            self.history.note(record)

    async def _rest(self) -> None:
        if self.tasks:
            _, pending = await asyncio.wait(self.tasks, timeout=1.0)
            for task in pending:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


class _Witness(Acceptor):
    """Accepts wishes, and tells what it has promised just before the caller is told."""

    def __init__(self, outbox: Outbox, tell: Any) -> None:
        super().__init__(outbox)
        self._tell = tell

    async def accept_together(self, *rows: Row) -> list[OutboxEntry]:
        entries = await super().accept_together(*rows)
        for row, entry in zip(rows, entries, strict=True):
            if entry.state is not State.DISCARDED:
                self._tell(row, entry)
        return entries


def _line(message: Message) -> Line:
    return Line(
        message.ident,
        message.key,
        message.status,
        message.version,
        message.deleted,
        message.edited,
        message.text,
        tuple(sorted((emoji, tuple(sorted(users))) for emoji, users in message.reactions.items())),
        "provisional" in message.flags,
        "orphaned" in message.flags,
    )
