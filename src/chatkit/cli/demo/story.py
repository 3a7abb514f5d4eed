"""The story: clients talk, the network fails them, one dies and comes back; then the judge speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, cast

from chatkit.cli.demo.actor import Actor, Stage
from chatkit.cli.demo.corpus import Line
from chatkit.cli.demo.figures import Figures, measure
from chatkit.cli.demo.judge import Verdict, judge
from chatkit.cli.demo.place import place
from chatkit.cli.demo.record import Logged
from chatkit.engine.system import SystemClock
from chatkit.errors import ChatkitError

if TYPE_CHECKING:
    from chatkit.ports import Clock

NAMES: Final = (
    *("ada", "bob", "cleo", "dan", "eve", "finn", "gus", "hana", "ivo", "jo"),
    *("kim", "leo", "mia", "ned", "olga", "pia", "quin", "rosa", "sam", "tess"),
)
DOWN: Final = 1.0
"""Seconds that the killed client is dead."""
PATIENCE: Final = 30.0
"""Seconds without any progress after which what is missing counts as queued or lost."""
LINGER: Final = 1.0
"""Seconds of listening on once all is heard, so that what comes twice comes: 0.5 s later at most."""
TICK: Final = 0.2
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen."""

    lines: Sequence[Line]
    clients: int
    seed: int
    faults: str
    """`none`, `mild` or `wild`; with any, one client is killed in the middle."""
    source: str = ""
    """What the lines are, in a heading."""
    log: str | None = None
    """URL of a log to use in place of the provider's own; that then only announces."""
    url: str | None = None
    """Of a provider to meet at, as it is; `None`: a hub inside the process, whose network misbehaves."""


@dataclass(frozen=True, slots=True)
class Look:
    """One client as it is now."""

    user: str
    state: str
    depth: int
    ended: Mapping[str, int]
    said: int
    lines: int
    heard: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Progress:
    """All of it as it is now."""

    seconds: float
    lines: int
    clients: tuple[Look, ...]


@dataclass(frozen=True, slots=True)
class Death:
    """Who was killed, and which messages its outbox held that the log had not."""

    user: str
    queued: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What happened."""

    plan: Plan
    verdict: Verdict
    figures: Figures
    death: Death | None
    gaps: int
    replies: int
    reconnects: int
    spared: int
    seconds: float
    interrupted: bool


def run(plan: Plan, show: Callable[[Progress], None]) -> Result:
    """Tell the story in real time; Ctrl-C ends it early.

    Raises:
        ChatkitError: It could not go on: the disk is full, nobody could connect ...
        OSError: What is shown could not be written, or there is no folder for the stores.
        KeyboardInterrupt: A second Ctrl-C.
    """
    return asyncio.run(play(plan, show))


async def play(plan: Plan, show: Callable[[Progress], None], *, clock: Clock | None = None) -> Result:
    """Tell the story on this loop; cancelling ends it early, and it still returns.

    Args:
        plan: What is to happen.
        show: Given the state of things every now and then.
        clock: Time for all, in place of the system's.
    """
    with TemporaryDirectory(prefix="chatkit-demo-") as folder:
        story = Story(plan, Path(folder), show, clock)
        try:
            await story.tell()
        except asyncio.CancelledError:
            story.interrupted = True
            cast("asyncio.Task[Result]", asyncio.current_task()).uncancel()
        except BaseExceptionGroup as errors:
            ours = errors.subgroup((ChatkitError, OSError))
            raise errors if ours is None else _first(ours) from None
        finally:
            await story.close()
        return story.result()


class Story:
    """One telling.

    Args:
        plan: What is to happen.
        folder: Where the stores lie.
        show: Given the state of things every now and then.
        clock: Time for all; `None`: the system's.
    """

    def __init__(
        self, plan: Plan, folder: Path, show: Callable[[Progress], None], clock: Clock | None
    ) -> None:
        chance = Random(plan.seed)  # noqa: S311  # what fails is to be the same again
        self.interrupted = False
        self._now = (clock or SystemClock()).monotonic
        self.place = place(
            plan.url,
            plan.log,
            faults=plan.faults,
            lines=len(plan.lines),
            chance=Random(chance.getrandbits(64)),  # noqa: S311  # likewise
            clock=clock,
        )
        self.logged: list[Logged] = []
        stage = Stage(self.place, lambda: chance.getrandbits(64), self._now, clock)
        shares = share(plan.lines, plan.clients)
        names = NAMES[: plan.clients]
        self.actors = [
            Actor(user, stage, folder / f"{user}.db", lines)
            for user, lines in zip(names, shares, strict=True)
        ]
        mortal = [actor for actor in self.actors if len(actor.lines) > 1 and plan.faults != "none"]
        self._victim = chance.choice(mortal) if mortal else None
        self._plan = plan
        self._show = show
        self._death: Death | None = None
        self._queued: frozenset[str] = frozenset()
        self._began = self._now()

    async def tell(self) -> None:
        """Let it happen; ends when everybody has heard everything, or nothing moves any more."""
        async with asyncio.TaskGroup() as group:
            for actor in self.actors:
                await actor.wake(group)
            watching = group.create_task(self._watch(), name="demo:watch")
            for actor in self.actors:
                await actor.attach()
            for actor in self.actors:
                actor.begin(group)
            striking = group.create_task(self._strike(group), name="demo:strike")
            await self._settle(striking)
            striking.cancel()
            watching.cancel()
            for actor in self.actors:
                actor.rest()
        self._show(self.progress())

    async def close(self) -> None:
        """Close all clients, and note what their outboxes still hold."""
        left = await asyncio.gather(*(actor.leave() for actor in self.actors), return_exceptions=True)
        for found in left:
            if isinstance(found, BaseException):
                raise found
            self._queued |= found
        try:
            self.logged = await self.place.logged()
        finally:
            await self.place.close()

    def progress(self) -> Progress:
        """Return the state of things."""
        looks = tuple(
            Look(
                actor.user,
                actor.state,
                actor.depth,
                dict(actor.ended),
                len(actor.said),
                len(actor.lines),
                len(actor.heard),
                actor.gaps.total(),
            )
            for actor in self.actors
        )
        return Progress(self._now() - self._began, len(self._plan.lines), looks)

    def result(self) -> Result:
        """Let the judge speak."""
        said = {line: one for actor in self.actors for line, one in actor.said.items()}
        visits = {actor.user: actor.visits for actor in self.actors}
        verdict = judge(
            said.values(), self.logged, visits, queued=self._queued, finished=not self.interrupted
        )
        return Result(
            plan=self._plan,
            verdict=verdict,
            figures=measure(said, visits),
            death=self._death,
            gaps=sum(actor.gaps.total() for actor in self.actors),
            replies=sum(actor.replies for actor in self.actors),
            reconnects=sum(max(0, actor.connects - 1) for actor in self.actors),
            spared=sum(actor.spared for actor in self.actors),
            seconds=self._now() - self._began,
            interrupted=self.interrupted,
        )

    async def _watch(self) -> None:
        """Show how things are, and tell each client when its network is there."""
        while True:
            self._show(self.progress())
            for actor in self.actors:
                if self.place.reached_by(actor.user):
                    actor.hurry()
            await asyncio.sleep(TICK)

    async def _strike(self, group: asyncio.TaskGroup) -> None:
        """Kill a client in the middle of its part, and let it come back on the same file."""
        victim = self._victim
        if victim is None:
            return
        await victim.halfway.wait()
        there = {one.message_id for one in await self.place.logged()}
        queued = (one.message_id for one in victim.said.values() if one.message_id is not None)
        self._death = Death(victim.user, tuple(id for id in queued if id not in there))
        await victim.die()
        await asyncio.sleep(DOWN)
        await victim.wake(group)
        victim.begin(group)

    async def _settle(self, striking: asyncio.Task[None]) -> None:
        """Wait until all is said and heard, and a moment more; or until nothing moves any more."""
        moved, since = -1, self._now()
        while not (striking.done() and all(map(self._is_through, self.actors))):
            now, seen = self._now(), sum(len(actor.said) + len(actor.heard) for actor in self.actors)
            if seen != moved:
                moved, since = seen, now
            elif now - since >= PATIENCE:
                return
            await asyncio.sleep(TICK)
        await asyncio.sleep(LINGER)

    def _is_through(self, actor: Actor) -> bool:
        return actor.spoken.is_set() and len(actor.heard) >= len(self._plan.lines)


def share(lines: Sequence[Line], clients: int) -> list[list[Line]]:
    """Give each client the lines of its nicknames: the same ones in every run."""
    shares: list[list[Line]] = [[] for _ in range(clients)]
    for line in lines:
        digest = blake2b(line.user.encode(), digest_size=8).digest()
        shares[int.from_bytes(digest, "big") % clients].append(line)
    return shares


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    if isinstance(first, BaseExceptionGroup):
        return _first(cast("BaseExceptionGroup[BaseException]", first))
    return first
