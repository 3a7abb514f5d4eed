"""Hearing who has opened a direct channel with the user, on their personal channel (D31)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.engine.guarding import Guard
from chatkit.model.directs import INVITATION
from chatkit.model.events import DirectOpened
from chatkit.model.names import personal
from chatkit.model.registers import Register, place_of, place_text
from chatkit.model.values import format_time, parse_time
from chatkit.ports import Mark

if TYPE_CHECKING:
    from datetime import datetime

    from chatkit.core.fact import Fact
    from chatkit.engine.context import Context
    from chatkit.engine.engine import Engine
    from chatkit.engine.subscription import Subscription

OPENED: Final = "direct"
"""Register of the store: a user has opened a direct channel. Value: `told`, or what is to be told of it."""
MARK: Final = "directs"
"""Register of the store: up to where the personal channel was read. Value: log id and place."""
TOLD: Final = "told"
KNOWN: Final = 100_000
"""Users remembered in memory, those who wait to be told among them; the first told are forgotten first."""
AT_ONCE: Final = 100
"""Events told in a second, so that a flood of invitations overruns no reader."""
PAUSE: Final = 1.0
"""Seconds between two rounds of events, and before the store is asked again that could not do something."""


class Invitation(NamedTuple):
    """What is to be told of one."""

    id: str
    at: datetime


class Invitations:
    """Tells each invitation once, to whoever listens; one that nobody listens to waits, over restarts too.

    What is heard goes into the store in one transaction with the place up to which the channel was read, so
    that a crash loses none. It is told before the store knows that it was told: a crash between tells it
    again.

    Args:
        engine: Of the client.
    """

    def __init__(self, engine: Engine) -> None:
        self._context: Context = engine.context
        self._dispatcher = engine.dispatcher
        self._presenter = engine.presenter
        self._name = personal(engine.context.user)
        mine = frozenset({engine.context.user})
        engine.context.guards[self._name] = Guard(kinds=frozenset({INVITATION}), ears=mine)
        self._channel = engine.channel(self._name, keep=1)
        self._told: dict[str, None] = {}
        self._waiting: dict[str, Invitation] = {}
        self._unsaved: dict[str, str] = {}
        self._began = float("-inf")
        self._count = 0
        """How many were told in the second that began then."""
        self._wake = asyncio.Event()
        engine.dispatcher.on_add = self._wake.set
        engine.context.tasks.keep(self._run, "directs")

    def take(self, fact: Fact) -> None:
        """Take what came in the personal channel; what nobody vouches for says nothing (D2)."""
        user = fact.user
        if fact.attested == "none" or not fact.envelope.readable:
            self._context.counters["refused_invitation"] += 1
        elif user == self._context.user or user in self._told or user in self._waiting:
            self._context.counters["known_invitation"] += 1
        elif len(self._waiting) >= KNOWN:
            self._context.counters["dropped_invitation"] += 1
        else:
            at = fact.sent_at or self._context.server_time.now()
            self._waiting[user] = Invitation(fact.envelope.id, at)
            self._unsaved[user] = f"{fact.envelope.id} {format_time(at)}"
            self._wake.set()

    async def _run(self) -> None:
        restored = False
        while True:
            self._wake.clear()
            restored = restored or await self._restore()
            if restored and await self._work():
                await self._wake.wait()
            else:
                await asyncio.sleep(PAUSE)

    async def _work(self) -> bool:
        """Keep what was heard and tell it; returns whether nothing is left to be done for now."""
        saved = await self._save()
        if not self._waiting or not any(map(_listens, self._dispatcher.readers(self._name))):
            return saved
        await self._tell()
        return await self._save() and not self._waiting

    async def _tell(self) -> None:
        """Tell what waits, as much of it as is to be told by now and as middleware lets through."""
        now = self._context.clock.monotonic()
        if now >= self._began + PAUSE:
            self._began, self._count = now, 0
        due = list(self._waiting)[: AT_ONCE - self._count]
        self._count += len(due)
        for user in due:
            id, at = self._waiting.pop(user)
            self._remember(user)
            event = DirectOpened(event_id=id, channel=self._name, at=at, user=user)
            shown = await self._presenter.present(event)
            if shown is not None:
                self._dispatcher.tell(shown)
            self._unsaved[user] = TOLD

    def _remember(self, user: str) -> None:
        self._told[user] = None
        if len(self._told) > KNOWN:
            del self._told[next(iter(self._told))]

    # -- the store --------------------------------------------------------------------------------------

    async def _restore(self) -> bool:
        """Take up what an earlier life heard; returns whether the store could say."""
        try:
            cells = await self._context.store.registers(self._name)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, the client goes on
            self._failed(error)
            return False
        mark: Mark | None = None
        for cell in cells:
            if cell.name == MARK:
                log_id, _, place = cell.value.partition(" ")
                key = place_of(place)
                mark = None if key is None else Mark(key, log_id)
            elif cell.name == OPENED and cell.value == TOLD:
                self._remember(cell.user)
            elif cell.name == OPENED:
                id, _, at = cell.value.partition(" ")
                self._waiting[cell.user] = Invitation(id, parse_time(at))
        self._channel.read_whole(self.take, None if self._context.log is None else mark)
        self._channel.want()
        return True

    async def _save(self) -> bool:
        """Put what was heard and told into the store; what it cannot take it is given again."""
        unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return True
        registers = [self._register(user, OPENED, value) for user, value in unsaved.items()]
        complete, log_id = self._channel.progress.complete, self._channel.progress.log_id
        if complete is not None and log_id is not None:
            place = f"{log_id} {place_text(complete)}"
            registers.append(self._register(self._context.user, MARK, place))
        try:
            await self._context.store.put(registers)
        except Exception as error:  # noqa: BLE001  # likewise
            self._unsaved = unsaved | self._unsaved
            self._failed(error)
            return False
        return True

    def _register(self, user: str, name: str, value: str) -> Register:
        return Register(self._name, user, name, value, "newest", None)

    def _failed(self, error: Exception) -> None:
        self._context.counters["store_errors"] += 1
        self._context.observer.point("store.failed", error=type(error).__name__)


def _listens(reader: Subscription) -> bool:
    return reader.hears(DirectOpened)


async def opened(context: Context, user: str) -> tuple[str, ...]:
    """Return who has opened a direct channel with a user, as far as the store knows, sorted.

    Raises:
        StoreError: The store could not say.
    """
    cells = await context.store.registers(personal(user))
    return tuple(sorted(cell.user for cell in cells if cell.name == OPENED))
