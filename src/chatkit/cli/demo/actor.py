"""One client of the story: speaks its lines, listens to everybody's, dies and comes back on its file."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chatkit.cli.demo.corpus import Line
from chatkit.cli.demo.place import TAG, Place
from chatkit.cli.demo.record import Heard, Said, Visit
from chatkit.connecting import connect
from chatkit.errors import EventOverflow
from chatkit.model.cursor import START, Cursor, decode_cursor
from chatkit.model.events import ConnectionChanged, DeliveryChanged, Discontinuity, MessageCreated
from chatkit.model.order import OrderKey
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.model.message import Message
    from chatkit.ports import Clock
    from chatkit.stream import Stream

AHEAD: Final = 50
"""Most messages that wait in one outbox before its client speaks on."""
STALENESS: Final = 4.0
"""Seconds after which a quiet channel is compared with its log: the last frame may be the lost one."""
ATTACH: Final = 60.0
"""Seconds that a client has to attach at the beginning."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all clients have in common."""

    place: Place
    """Where they meet."""
    seed: Callable[[], int]
    """Returns another one for each life."""
    now: Callable[[], float]
    """Monotonic seconds."""
    clock: Clock | None
    """`None`: the system's. With another one nothing is real, and no store waits for its disk."""


class Actor:
    """One client.

    Args:
        user: Who it is.
        stage: Where it is.
        store: Its file.
        lines: What it will say, in order.
    """

    def __init__(self, user: str, stage: Stage, store: Path, lines: Sequence[Line]) -> None:
        self.user = user
        self.lines = lines
        self.said: dict[str, Said] = {}
        self.visits: list[Visit] = []
        self.heard: set[str] = set()
        """Lines that it was given at least once."""
        self.gaps: Counter[str] = Counter()
        """Discontinuities, by reason."""
        self.ended: Counter[str] = Counter()
        """Deliveries by their final status."""
        self.connects = 0
        self.spared = 0
        """Duplicates that came and that no handler was given."""
        self.replies = 0
        self.halfway = asyncio.Event()
        self.spoken = asyncio.Event()
        self._stage = stage
        self._store = store
        self._chat: Chat | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._cursor: Cursor | None = None
        self._known: dict[str, Message] = {}
        self._answered = {other for line in lines for other in line.answers}

    @property
    def state(self) -> str:
        """Of its connection; `killed` while it is dead."""
        return "killed" if self._chat is None else self._chat.connection.state

    @property
    def depth(self) -> int:
        """Messages in its outbox."""
        return 0 if self._chat is None else self._chat.outbox.depth

    # -- living and dying -------------------------------------------------------------------------------

    async def wake(self, group: asyncio.TaskGroup) -> None:
        """Open the client on its file, and listen: from now on, or from the place kept before."""
        stage = self._stage
        chat = connect(
            stage.place.source,
            user=self.user,
            log=stage.place.log_of(self.user),
            store=self._store,
            durability="power" if stage.clock is None else "process",
            staleness=STALENESS,
            seed=stage.seed(),
            clock=stage.clock,
        )
        self._chat = await chat
        channel = chat.channel(stage.place.channel)
        changes = chat.events(DeliveryChanged, ConnectionChanged, overflow="gap")
        self._tasks = (
            group.create_task(self._listen(channel, self._enter(channel)), name=f"demo:{self.user}:listen"),
            group.create_task(self._follow(changes), name=f"demo:{self.user}:follow"),
        )

    async def attach(self) -> None:
        """Wait until it hears the others."""
        if self._chat is not None:
            await self._chat.channel(self._stage.place.channel).attach(timeout=ATTACH)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Say what is not said yet."""
        if self._chat is not None:
            self._tasks += (group.create_task(self._speak(self._chat), name=f"demo:{self.user}:speak"),)

    async def die(self) -> None:
        """Drop everything where it stands, as the death of its process would."""
        chat, self._chat = self._chat, None
        if chat is not None:
            self._note_spared(chat)
            await kill(chat, *self._tasks)

    def hurry(self) -> None:
        """Try at once instead of waiting out a backoff, as an app does whose system has a network again."""
        if self._chat is not None and self._chat.connection.state in ("disconnected", "suspended"):
            self._chat.connection.retry_now()

    def rest(self) -> None:
        """Say and hear no more."""
        for task in self._tasks:
            task.cancel()

    async def leave(self) -> frozenset[str]:
        """Close the client; returns the ids of what is still in its outbox."""
        chat, self._chat = self._chat, None
        if chat is None:
            return frozenset()
        self._note_spared(chat)
        try:
            left = await chat.outbox.entries(limit=2 * AHEAD)
            return frozenset(delivery.message_id for delivery in left if not delivery.done)
        finally:
            await chat.aclose(drain=0)

    def _note_spared(self, chat: Chat) -> None:
        self.spared += chat.health().checks["counters"].get("duplicate", 0)

    # -- speaking ---------------------------------------------------------------------------------------

    async def _speak(self, chat: Chat) -> None:
        channel = chat.channel(self._stage.place.channel)
        for number, line in enumerate(self.lines, 1):
            said = self.said.get(line.id)
            if said is None:
                said = self.said[line.id] = Said(line.id, self.user, self._stage.now())
            if said.message_id is None:
                await self._room(chat)
                # Where the call died with an earlier life, the same key makes it the same message (D14).
                answered = next((self._known[other] for other in line.answers if other in self._known), None)
                delivery = await channel.send(line.text, key=line.id, reply_to=answered, meta={TAG: line.id})
                said.message_id = delivery.message_id
                self.replies += answered is not None
            if 2 * number >= len(self.lines):
                self.halfway.set()
        self.spoken.set()

    async def _room(self, chat: Chat) -> None:
        if chat.outbox.depth >= AHEAD:
            async for view in chat.outbox.watch():
                if view.depth < AHEAD:
                    return

    # -- listening --------------------------------------------------------------------------------------

    def _enter(self, channel: Channel) -> Stream[MessageCreated | Discontinuity]:
        """Open a stream: at first from now on; later from the place kept with what was handled."""
        since = (self._cursor or START) if self.visits else None
        self.visits.append(Visit(self.user, None if since is None else _place(since)))
        return channel.events(MessageCreated, Discontinuity, since=since)

    async def _listen(self, channel: Channel, stream: Stream[MessageCreated | Discontinuity]) -> None:
        while True:
            async with stream:
                await self._attend(stream)
            stream = self._enter(channel)

    async def _attend(self, stream: Stream[MessageCreated | Discontinuity]) -> None:
        """Handle events until something may be missing: the log knows, and gives it to who comes back."""
        visit = self.visits[-1]
        try:
            async for event in stream:
                if isinstance(event, Discontinuity):
                    self.gaps[event.reason] += 1
                    return
                line = str(event.message.meta.get(TAG))
                visit.heard.append(Heard(line, event.message.message_id, event.late, self._stage.now()))
                self.heard.add(line)
                self._cursor = event.cursor
                if line in self._answered:
                    self._known[line] = event.message
        except EventOverflow:
            self.gaps["overflow"] += 1

    async def _follow(self, changes: Stream[DeliveryChanged | ConnectionChanged]) -> None:
        async for change in changes:
            if isinstance(change, ConnectionChanged):
                self.connects += change.view.state == "connected"
            elif change.status not in ("queued", "sending"):
                self.ended[change.status] += 1


def _place(cursor: Cursor) -> OrderKey:
    return OrderKey(0, "") if cursor == START else decode_cursor(cursor).key
