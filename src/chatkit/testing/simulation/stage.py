"""`Stage`: the world of one simulation, its players, and the beginning and end of their lives."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chatkit.adapters.memory.faults import NONE
from chatkit.errors import ChatkitError
from chatkit.model.options import OutboxLimits
from chatkit.testing.checker import Terms
from chatkit.testing.checker.case import Case
from chatkit.testing.checker.truth import unread
from chatkit.testing.clock import DeviceClock
from chatkit.testing.death import kill
from chatkit.testing.history import Accepted
from chatkit.testing.places import Place
from chatkit.testing.simulation.fuse import Died, Fuse
from chatkit.testing.simulation.player import CHANNELS, Player
from chatkit.testing.world import World

if TYPE_CHECKING:
    from chatkit.adapters.memory.config import MemoryConfig
    from chatkit.client import Chat
    from chatkit.testing.following import Follower
    from chatkit.testing.simulation.profiles import Profile

LIMITS: Final = OutboxLimits(entries=60)
"""Few enough that outboxes fill up now and then."""
ACKS: Final = 3
"""Answers of each device that are still lost in the calm: few enough that all ends in it."""


class Stage(World):
    """A world whose devices have bad disks, wrong clocks, and processes that die at any point.

    Args:
        seed: Of everything.
        profile: What it is like.
    """

    def __init__(self, seed: int, profile: Profile) -> None:
        super().__init__(seed=seed, like=profile.like, log=profile.log)
        self.profile: Final = profile
        self.players: list[Player] = []
        self.replaced = False
        """A log was put back to an older state."""
        self.copied = False
        """A store was copied while it was in use."""
        self.refusals = 0
        """Calls that ended in an error of ours."""
        self._dying: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.monotonic()

    @property
    def has_log(self) -> bool:
        """Whether what was missed can be read."""
        return self.profile.log or self.like != "pusher"

    def accepted(self, channel: str) -> list[Accepted]:
        """Return the messages of a channel that were taken so far."""
        return [one for one in self.history.records if isinstance(one, Accepted) and one.channel == channel]

    # -- players ------------------------------------------------------------------------------------------

    async def join(self, user: str, device: str, *, store: str | None = None) -> None:
        """Let another device take part."""
        name = f"{user}/{device}" if device else user
        path = store or str(self._path() / f"{len(self.places)}.db")
        place = Place(user, device, store=path, clock=DeviceClock(self.clock))
        self.places[name] = place
        player = Player(self, Random(self.random.getrandbits(64)), place)  # noqa: S311  # seeded
        place.start = player.started
        self.players.append(player)
        await self.start(player)

    async def start(self, player: Player) -> None:
        """Start the device's program, unless it runs."""
        place = player.place
        async with player.turn:
            if place.chat is not None:
                return
            player.fuse = Fuse(lambda _point: self._died(player))
            place.options = {"observer": player.fuse, "limits": LIMITS}
            try:
                _ = await self._open(place)
            except ChatkitError:  # its disk is full just now
                self.refusals += 1

    async def end(self, player: Player, *, drain: float | None) -> None:
        """Close the device's program, or (`drain=None`) kill it."""
        async with player.turn:
            if drain is None:
                player.fuse.arm("", 0)
                await self.kill(player.name)
            else:
                with suppress(Died):  # it may be armed to die while it closes
                    await self.close(player.name, drain=drain)

    def _died(self, player: Player) -> None:
        """Note a death at a point, at the point: from here on nothing is written, told or noted any more."""
        place = player.place
        chat, follower, place.chat = place.chat, place.follower, None
        if chat is None or follower is None:
            return
        follower.killed()
        chat.engine.context.store.abandon()  # type: ignore[attr-defined]  # every store of ours can
        burying = asyncio.get_running_loop().create_task(
            self._bury(player, chat, follower), name=f"sim:bury:{place.name}"
        )
        self._dying.add(burying)
        burying.add_done_callback(self._dying.discard)

    async def _bury(self, player: Player, chat: Chat, follower: Follower) -> None:
        """Clear up what a process leaves no trace of."""
        async with player.turn:
            await kill(chat, *follower.tasks)

    async def buried(self) -> None:
        """Wait for those that died."""
        while self._dying:
            await asyncio.wait(self._dying)

    # -- the end ------------------------------------------------------------------------------------------

    async def calm(self) -> None:
        """End every fault but for some answers that are lost, and bring everybody back."""
        network = self.hub.network
        network.set_faults(NONE)
        self.hub.release()
        self.hub.refuse_one = False
        self.core.catch_up()
        for player in self.players:
            self.heal(player.name)
            network.refuse(player.name, None)
            network.spare_acks(player.name, ACKS)
            network.set_faults(NONE, player.name)
            player.disk.left = player.raises = player.blocks = 0
            player.fuse.arm("", 0)
        await self.buried()
        for player in self.players:
            await self.start(player)
            player.fuse.arm("", 0)
            if player.chat is None:
                continue
            for name in CHANNELS:
                follower = player.place.follower
                if follower is not None and self.has_log:
                    player.streams.append(follower.listen(player.chat.channel(name, keep=200)))

    def terms(self, *, final: bool) -> Terms:
        """Return what this profile promises."""
        return super().terms(final=final)._replace(replaced=self.replaced, copied=self.copied)

    def unread(self) -> dict[tuple[str, str], int]:
        """Return how many messages of each channel each user has not read, where a log keeps the marks."""
        terms = self.terms(final=True)
        if not terms.fenced or terms.replaced:
            return {}
        truth, users = Case(self.history.records, terms).truth, {player.place.user for player in self.players}
        return {
            (channel, user): unread(messages.values(), user, *self.core.marks(channel, user))
            for channel, messages in truth.items()
            for user in users
        }

    def _config(self, device: str) -> MemoryConfig:
        return replace(
            super()._config(device), trusted=self.profile.trusted, capabilities=self.profile.capabilities
        )

    def _follow(self, follower: Follower) -> None:
        """Readers are opened by the players."""

    def _store_of(self, place: Place) -> Any:
        player = next(one for one in self.players if one.place is place)
        return player.disk.store(
            place.store,
            limits=LIMITS,
            clock=place.clock,
            random=Random(self.random.getrandbits(64)),  # noqa: S311  # seeded
            observer=player.fuse,
        )
