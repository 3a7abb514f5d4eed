"""One run: a world, some steps of life and danger, calm, and the checker's word."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chatkit.errors import ChatkitError
from chatkit.testing.checker import Breach, check
from chatkit.testing.clock import run, settle
from chatkit.testing.history import Accepted
from chatkit.testing.simulation.dangers import Dangers
from chatkit.testing.simulation.fuse import Died
from chatkit.testing.simulation.player import CHANNELS, Player
from chatkit.testing.simulation.profiles import PROFILES
from chatkit.testing.simulation.stage import Stage

if TYPE_CHECKING:
    from chatkit.channel import Channel

STEPS: Final = 200
DANGER: Final = 0.2
"""Share of the steps in which something goes wrong."""
CANCELLED: Final = 0.04
"""Share of the calls whose caller is cancelled at one of its awaits."""
LOOK: Final = 20
"""Steps from one look at everything that is shown to the next."""
CALM: Final = 180.0
"""Seconds of calm at the end: longer than any backoff, staleness and deadline of the story."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one run."""

    seed: int
    profile: str
    steps: int
    digest: str
    """Of the whole history: the same seed gives the same (I15)."""
    breaches: tuple[Breach, ...]
    records: int
    accepted: int
    """Messages and changes that the provider took."""
    seconds: float
    """Real ones."""
    points: Counter[str] = field(default_factory=Counter[str])
    """Labelled points passed."""
    story: tuple[str, ...] = ()
    """What was done, where it was asked for."""


def simulate(seed: int, *, steps: int = STEPS, profile: str | None = None, tell: bool = False) -> Outcome:
    """Run one seed.

    Args:
        seed: Of everything that happens.
        steps: Of the story, at least 1.
        profile: Which kind of world; `None`: the seed says.
        tell: Keep what was done, step by step.
    """
    name = profile or sorted(PROFILES)[seed % len(PROFILES)]
    began = time.perf_counter()
    run_ = _Run(seed, steps, name, tell=tell)
    run(run_.play(), clock=run_.stage.clock)
    return run_.outcome(time.perf_counter() - began)


class _Run:
    def __init__(self, seed: int, steps: int, profile: str, *, tell: bool) -> None:
        self.seed = seed
        self.steps = steps
        self.profile = profile
        self.stage = Stage(seed, PROFILES[profile])
        self.chance = Random(f"{seed} {profile}")  # noqa: S311  # seeded
        self.dangers = Dangers(self.stage, self.chance)
        # In the order of their beginning: a set has no order that is the same again.
        self.calls: dict[asyncio.Task[None], None] = {}
        self.points: Counter[str] = Counter()
        self.odd: list[Breach] = []
        self.story: list[str] | None = [] if tell else None
        self.breaches: tuple[Breach, ...] = ()

    async def play(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._complain)
        async with self.stage:
            await self._begin()
            for number in range(self.steps):
                self._step()
                if number % LOOK == 0:
                    self.stage.look()
                await asyncio.sleep(self._pause())
            await self._end()
        await self._leave_nothing()

    async def _begin(self) -> None:
        users = ["ada", "bob", "cleo"][: self.chance.choice((2, 2, 3))]
        for user in users:
            await self.stage.join(user, "")
        if self.chance.random() < 0.5:
            await self.stage.join("ada", "phone")

    def _pause(self) -> float:
        kind = self.chance.random()
        if kind < 0.4:
            return 0.0
        longest = 0.5 if kind < 0.8 else 5.0 if kind < 0.97 else 60.0
        return self.chance.uniform(0.0, longest)

    def _step(self) -> None:
        if self.chance.random() < DANGER:
            what, rest = self.dangers.strike()
            self._tell(what)
            if rest is not None:
                _ = self._call(what, rest)
            return
        player = self.chance.choice(self.stage.players)
        found = self._act(player)
        if found is None:
            return
        what, doing = found
        self._tell(f"{what} {player.name}")
        task = self._call(f"{what} {player.name}", doing)
        if self.chance.random() < CANCELLED:
            asyncio.get_running_loop().call_later(self.chance.choice((0.0, 0.0, 0.01, 1.0)), task.cancel)

    def _act(self, player: Player) -> tuple[str, Awaitable[Any]] | None:
        try:
            return player.act()
        except ChatkitError:
            self.stage.refusals += 1
            return None

    def _call(self, what: str, doing: Awaitable[Any]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._try(what, doing), name=f"sim:{what}")
        self.calls[task] = None
        task.add_done_callback(lambda done: self.calls.pop(done, None))
        return task

    async def _try(self, what: str, doing: Awaitable[Any]) -> None:
        try:
            await doing
        except ChatkitError:
            self.stage.refusals += 1
        except Died:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it is, it is none of ours
            self.odd.append(Breach("errors", what, f"raised {error!r}"))

    async def _end(self) -> None:
        self._tell("calm")
        await self._finish_calls()
        await self.stage.calm()
        await asyncio.sleep(CALM / 2)
        self.stage.look()
        await asyncio.sleep(CALM / 2)
        for player in self.stage.players:
            follower = player.place.follower
            if player.chat is None or follower is None:
                self.odd.append(Breach("I11", player.name, "is dead in the end"))
                continue
            await follower.look_at_ends()
            if self.stage.has_log:
                for name in CHANNELS:
                    await self._page(player, player.chat.channels[name])
        self.stage.look()
        terms = self.stage.terms(final=True)
        self.breaches = (*self.odd, *check(self.stage.history.records, terms, unread=self.stage.unread()))
        for player in self.stage.players:
            self.points.update(player.fuse.reached)

    async def _page(self, player: Player, channel: Channel) -> None:
        for backward in (False, True):
            try:
                await player.page(channel, backward=backward)
            except ChatkitError as error:  # all is whole
                self.odd.append(Breach("I14", f"{channel.name} {player.name}", f"no page: {error!r}"))

    async def _leave_nothing(self) -> None:
        """I12: whoever closed all clients has closed all that they ran."""
        await settle()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            self.breaches += (Breach("I12", "the world", f"{task.get_name()} runs on when all are closed"),)
            task.cancel()

    async def _finish_calls(self) -> None:
        for task in list(self.calls):
            task.cancel()
        for task in list(self.calls):
            with suppress(asyncio.CancelledError):
                await task

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Died):
            self.odd.append(Breach("errors", "the event loop", f"{context.get('message')}: {error!r}"))

    def _tell(self, what: str) -> None:
        if self.story is not None:
            self.story.append(f"{self.stage.now:10.3f}  {what}")

    def outcome(self, seconds: float) -> Outcome:
        history = self.stage.history
        return Outcome(
            seed=self.seed,
            profile=self.profile,
            steps=self.steps,
            digest=history.digest(),
            breaches=self.breaches,
            records=len(history.records),
            accepted=sum(isinstance(one, Accepted) for one in history.records),
            seconds=seconds,
            points=self.points,
            story=tuple(self.story or ()),
        )
