"""The soak: people chat over a bad network in real time, and every so often all rest and are measured."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from filelock import FileLock

import chatkit
from chatkit.adapters.memory import MILD, NONE, WILD, Faults, MemoryConfig, new_hub
from chatkit.core import timeline_replies, timeline_view
from chatkit.core.held import Held
from chatkit.engine import folding, threads, track
from chatkit.engine.system import SystemClock
from chatkit.logs import open_log
from chatkit.testing.distant import distant
from tests.soak.judge import LEAST, Sample
from tests.soak.measure import beyond, kinds, sample, whereabouts
from tests.soak.people import CHANNELS, Person

if TYPE_CHECKING:
    from chatkit import Chat
    from chatkit.ports import Log

TIMEOUT: Final = 1.5
"""Seconds after which a lost request is given up."""
REST: Final = 60.0
"""Seconds for everybody to come to rest: a half-open socket is noticed late."""
QUIET: Final = 2.5
"""Seconds of silence before a sample: timers of the last deeds have passed."""
FEW: Final = 20
"""What is kept of each kind that chatkit bounds by thousands."""
OPEN: Final = 3
"""Threads that stay open while nobody holds them."""
ACTS: Final = 200
"""Things done in a round, by all together."""
BLOW: Final = 7
"""Things done from one blow of chance to the next."""
USERS: Final = ("ada", "bob", "cleo", "dan")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen: rounds of as much work each, however long a machine takes for them."""

    folder: Path
    """Where stores and log lie."""
    rounds: int = LEAST
    """At the least."""
    minutes: float = 0.0
    """Further rounds begin until so much time has passed."""
    acts: int = ACTS
    """Things done in a round."""
    seed: int = 1
    faults: Faults = MILD
    quiet: float = QUIET
    """Seconds of silence before a sample."""
    plant: Callable[[Chat], object] = lambda _: None
    """Called with each client that is opened: a test's own leak."""


@dataclass(slots=True)
class Result:
    """What happened."""

    samples: list[Sample] = field(default_factory=list[Sample])
    done: Counter[str] = field(default_factory=Counter[str])
    left: list[str] = field(default_factory=list[str])
    """What stands after all is closed; empty: nothing."""
    broken: list[str] = field(default_factory=list[str])
    """What else should not have happened: a defect in a client, a message lost or doubled."""


@contextmanager
def low_bounds() -> Iterator[None]:
    """Lower the bounds of caches that take hours to fill: they are full before the first sample counts.

    What then still grows has no bound.
    """
    with ExitStack() as stack:
        for place, name in (
            (timeline_replies, "MAX_ROOTS"),
            (timeline_replies, "MAX_KNOWN"),
            (timeline_view, "MAX_FEED"),
            (folding, "KNOWN"),
            (track, "RECENT"),
            (track, "PASSED"),
        ):
            stack.enter_context(patch.object(place, name, FEW))
        stack.enter_context(patch.object(threads, "IDLE", OPEN))
        stack.enter_context(patch.dict(Held.__init__.__kwdefaults__, targets=FEW))
        yield


async def soak(plan: Plan, show: Callable[[Sample], None] = lambda _: None) -> Result:
    """Let it happen, on a plain event loop."""
    result = Result()
    with low_bounds(), traced():
        before, stood = sample(0.0, 0), kinds()
        town = Town(plan, result, show)
        try:
            await town.live()
        finally:
            await town.close()
        del town
        gc.collect()
        result.left += await _left(before)
    stays = kinds() - stood  # what an earlier test of this process left in a traceback is none of ours
    result.left += [f"a {name} object" for name in stays.elements() if name in LASTING]
    result.left += [f"lock {path.name}" for path in sorted(plan.folder.glob("*.lock")) if not _is_free(path)]
    return result


@contextmanager
def traced() -> Iterator[None]:
    """Note for each block of memory which line asked for it."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


async def _left(before: Sample) -> list[str]:
    """Name what stays; threads that are ending are given their time, which a busy machine may need."""
    until = monotonic() + REST
    while (left := beyond(sample(0.0, 0), before)) and monotonic() < until:
        await asyncio.sleep(0.2)
    return left


LASTING: Final = frozenset(
    {"chatkit.client.Chat", "chatkit.engine.engine.Engine", "tests.soak.people.Person"}
)
"""Types of which no object is to outlive a soak."""


class Town:
    """All of it.

    Args:
        plan: What is to happen.
        result: Where it is noted.
        show: Given each sample.
    """

    def __init__(self, plan: Plan, result: Result, show: Callable[[Sample], None]) -> None:
        self._plan = plan
        self._result = result
        self._show = show
        self._chance = Random(plan.seed)
        clock = SystemClock()
        self._hub = new_hub("soak", clock=clock, random=Random(plan.seed + 1), keep=100)
        self._hub.network.set_timeout(TIMEOUT)
        self._url = f"sqlite:///{plan.folder / 'log.db'}"
        self._log = open_log(self._url, clock=clock, random=Random(plan.seed + 2))
        self._gate = asyncio.Event()
        self._acts = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._people = [
            Person(
                user,
                MemoryConfig(hub=self._hub),
                # Half of them reach the log over the bad network, half open and close it with each life.
                (lambda: self._url) if number % 2 else self._far(user),
                plan.folder / f"{user}.db",
                Random(plan.seed + 10 + number),
                self._gate,
                self._did,
                plan.plant,
            )
            for number, user in enumerate(USERS)
        ]
        self._hurdle = ""
        """What rest waits for."""
        self._elder = self._people[0]
        """Lives as long as the soak."""

    def _far(self, user: str) -> Callable[[], Log]:
        return lambda: distant(self._log, self._hub.network.link(user))

    async def live(self) -> None:
        """Chat, rest, be measured, round by round."""
        began = monotonic()
        for person in self._people:
            await person.wake()
        samples = self._result.samples
        while len(samples) < self._plan.rounds or monotonic() - began < 60 * self._plan.minutes:
            await self._stir()
            try:
                async with asyncio.timeout(2 * REST):
                    await self._rest()
            except TimeoutError:
                self._result.broken.append(f"no rest within {2 * REST:g} s: {self._hurdle}")
                self._result.broken += sorted(map(whereabouts, asyncio.all_tasks()))
                return
            samples.append(sample(monotonic() - began, self._acts))
            self._show(samples[-1])
        await self._compare()

    async def close(self) -> None:
        """Close all that is open."""
        self._gate.clear()
        self._hub.network.set_faults(NONE)
        for person in self._people:
            self._hub.network.heal(person.user)
            await person.leave()
            self._result.broken += person.broken
        await self._log.aclose()
        self._result.done = self._done()

    # -- inside -----------------------------------------------------------------------------------------

    def _done(self) -> Counter[str]:
        return sum((person.done for person in self._people), Counter[str]())

    def _did(self) -> None:
        """Count what somebody has done."""
        self._acts += 1
        if self._acts >= self._goal:
            self._reached.set()

    async def _stir(self) -> None:
        """Let everybody chat for a round of things done, and chance strike."""
        network = self._hub.network
        network.set_faults(self._plan.faults)
        self._gate.set()
        end = self._acts + self._plan.acts
        while self._acts < end:
            self._goal = min(end, self._acts + BLOW)
            self._reached.clear()
            await self._reached.wait()
            person = self._chance.choice(self._people)
            ends = ("close", "kill") if person is not self._elder else ()
            blow = self._chance.choice(("cut", "half-open", "kick", "ack", "wild", "retry", *ends))
            await self._strike(person, blow)
            self._result.done[blow] += 1

    async def _strike(self, person: Person, blow: str) -> None:
        network = self._hub.network
        match blow:
            case "cut" | "half-open":
                network.cut(person.user, half_open=blow == "half-open")
                await asyncio.sleep(0.3 * self._chance.random())
                network.heal(person.user)
            case "kick":
                self._hub.kick(person.user)
            case "ack":
                network.lose_ack(person.user)
            case "wild":
                network.set_faults(WILD, person.user)
            case "close":
                self._look(person)
                await person.leave()
                await person.wake()
            case "kill":
                self._look(person)
                await person.die()
                await person.wake()
            case _ if person.chat is not None:
                person.chat.connection.retry_now()
            case _:
                pass

    async def _rest(self) -> None:
        """Stop chance, heal the network, and wait until all is sent and quiet.

        All but the elder begin anew, so that each rest finds the others equally young: what grows over lives
        shows in what they leave, what grows in a life in the elder.
        """
        self._gate.clear()
        network = self._hub.network
        network.set_faults(NONE)
        for person in self._people:
            network.heal(person.user)
            if person.chat is not None:
                person.chat.connection.retry_now()
        for person in self._people:
            self._hurdle = f"{person.user} goes on"
            await person.idle.wait()
            self._hurdle = f"{person.user} does not settle"
            await person.settle(REST)
            self._look(person)
            if person is not self._elder:
                self._hurdle = f"{person.user} does not begin anew"
                await person.leave()
                await person.wake()
                await person.settle(REST)
        await asyncio.sleep(self._plan.quiet)

    def _look(self, person: Person) -> None:
        """Note what broke in a client."""
        if person.chat is not None:
            defects = person.chat.health().checks["defects"]
            self._result.broken += [f"{person.user}: a defect in {name}" for name in defects]

    async def _compare(self) -> None:
        """Hold the log beside what was asked for and accepted: nothing lost, nothing doubled."""
        created: set[tuple[str, str]] = set()
        count = 0
        with suppress(chatkit.MessageNotFound):
            for name in CHANNELS:
                after = None
                while True:
                    page = await self._log.entries(name, after=after, limit=1_000)
                    for entry in page.items:
                        if b'"kind":"message.create"' in entry.data:
                            count += 1
                            created.add((entry.stamp.user, str(entry.data[:120])))
                        after = entry.stamp.key
                    if not page.more:
                        break
        done = self._done()
        if not done["accepted"] <= count <= done["asked"]:
            self._result.broken.append(
                f"{done['accepted']} messages were accepted, of {done['asked']} asked for; the log has {count}"
            )
        if len(created) != count:
            self._result.broken.append(f"{count - len(created)} messages are in the log twice")


def _is_free(path: Path) -> bool:
    lock = FileLock(path)
    with suppress(TimeoutError):
        lock.acquire(timeout=0)
        lock.release()
        return True
    return False
