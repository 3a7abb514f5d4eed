"""Dangers: what goes wrong around the clients of a simulation."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from chatkit.adapters.memory.network import Call
from chatkit.errors import AuthenticationError, ProviderError, RateLimited
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports import Received
from chatkit.testing.simulation.player import CHANNELS
from chatkit.testing.simulation.profiles import SLOW, WEATHER

if TYPE_CHECKING:
    from chatkit.testing.simulation.player import Player
    from chatkit.testing.simulation.stage import Stage

COPIES: Final = 2
"""Most devices that a simulation makes of copied stores."""
REFUSED: Final[tuple[tuple[Call, ...], ...]] = (
    ("publish",),
    ("read",),
    ("open", "attach"),
    ("publish", "read", "write"),
)
UNAUTHORISED: Final[tuple[tuple[Call, ...], ...]] = (("publish",), ("open",), ("publish", "read"))
AFTER_APPEND: Final = "outbox.answered"
"""The point at which an entry is in the log and nobody was told of it."""


class Dangers:
    """Chooses a victim and lets something happen to it.

    Args:
        stage: Where.
        chance: The source of all choices.
    """

    def __init__(self, stage: Stage, chance: Random) -> None:
        self.stage = stage
        self.chance = chance
        self._backup: Any = None
        self._copies = 0

    def strike(self) -> tuple[str, Awaitable[Any] | None]:
        """Let one danger strike; returns its name and what is still to be awaited of it."""
        dangers = self.stage.profile.dangers
        name = self.chance.choices(tuple(dangers), tuple(dangers.values()))[0]
        player = self.chance.choice(self.stage.players)
        doing: Any = getattr(self, f"_{name}")
        return f"{name} {player.name}", doing(player)

    # -- networks ---------------------------------------------------------------------------------------

    def _cut(self, player: Player) -> None:
        self.stage.cut(player.name)

    def _half_open(self, player: Player) -> None:
        self.stage.cut(player.name, half_open=True)

    def _heal(self, player: Player) -> None:
        self.stage.heal(player.name)

    def _lose_ack(self, player: Player) -> None:
        self.stage.lose_ack(player.name, count=self.chance.randrange(1, 4))

    def _weather(self, player: Player) -> None:
        faults = self.chance.choice(WEATHER)
        if not self.stage.profile.quiet_loss:
            faults = replace(faults, drop=0.0)
        self.stage.hub.network.set_faults(faults, player.name)

    def _crawl(self, player: Player) -> None:
        self.stage.hub.network.set_faults(SLOW, player.name)

    def _refuse(self, player: Player) -> None:
        error: ProviderError = self.chance.choice(
            (
                RateLimited("slow down"),
                RateLimited("slow down", retry_after=self.chance.uniform(0.5, 10)),
                ProviderError("the provider failed", code="503"),
            )
        )
        calls = self.chance.choice(REFUSED)
        count = self.chance.randrange(1, 5)
        self.stage.hub.network.refuse(player.name, error, calls=calls, count=count)

    def _refuse_in_batch(self, _player: Player) -> None:
        self.stage.hub.refuse_one = True

    def _expire_token(self, player: Player) -> None:
        error = AuthenticationError("the token has expired", code="40142")
        calls = self.chance.choice(UNAUTHORISED)
        # The name of a user's first device is the user's, which strikes all of them.
        struck = (one for one in self.stage.players if player.name in (one.name, one.place.user))
        if any(one.chat is None or one.chat.connection.state != "connected" for one in struck):
            return  # a fresh token that is refused too ends a client for good, as it should
        self.stage.hub.network.refuse(player.name, error, calls=calls, count=1)

    def _kick(self, player: Player) -> None:
        after = self.chance.choice((None, 0.0, self.chance.uniform(0.5, 10)))
        self.stage.hub.kick(player.name, again=self.chance.choice(("now", "later")), after=after)

    # -- the provider -------------------------------------------------------------------------------------

    def _hold(self, _player: Player) -> None:
        self.stage.hub.hold()

    def _hold_lossy(self, _player: Player) -> None:
        self.stage.hub.hold(lose=True)

    def _release(self, _player: Player) -> None:
        self.stage.hub.release()

    def _lag(self, _player: Player) -> None:
        """Let a replica stand still, for less than the ten seconds that make it a restored log (D18)."""
        core = self.stage.core
        core.lag()
        asyncio.get_running_loop().call_later(self.chance.uniform(0.5, 8), core.catch_up)

    def _restore_log(self, _player: Player) -> None:
        core = self.stage.core
        if self._backup is None:
            self._backup = core.backup()
        else:
            self.stage.replaced = True
            core.restore(self._backup)
            self._backup = None

    def _forge(self, player: Player) -> None:
        """Let a member write what it has no right to: another's id, sender, or a stamp of its own."""
        channel = self.chance.choice(CHANNELS)
        truth = self.stage.accepted(channel)
        if not truth:
            return
        victim = self.chance.choice(truth[-20:])
        said = json.loads(victim.data)
        what = self.chance.choice(("stamp", "sender", "id", "edit", "bytes"))
        stamp = None
        if what == "stamp":
            serial = f"{10**18 + self.chance.randrange(10**6):020d}"
            # Whoever believes it takes all that the log numbers from now on for known (D17).
            log_id, now = self.stage.core.log_id, self.stage.clock.wall()
            stamp = Stamp(OrderKey(1, serial), victim.key.serial, log_id, "mallory", now)
        if what in ("stamp", "id", "edit"):
            said["sender"]["user"] = "mallory"
        if what == "edit":
            said |= {"kind": "message.update", "ref": {"user": victim.ident.user, "id": victim.ident.id}}
            said["id"] = said["id"][:-6] + f"{self.chance.randrange(16**6):06x}"
        if what != "id":
            said["body"] = {"type": "text", "text": "forged"}
        data = b"\x00\xff{" if what == "bytes" else json.dumps(said).encode()
        frame = Received(channel, data, "mallory", "provider", stamp, unforgeable=False)
        self.stage.hub.inject(channel, frame, link=player.name)

    # -- clocks -------------------------------------------------------------------------------------------

    def _jump(self, player: Player) -> None:
        player.place.clock.jump(self.chance.choice((-3600.0, 3600.0)))

    def _sleep(self, player: Player) -> None:
        player.place.clock.jump(self.chance.uniform(10, 3600))
        if self.chance.random() < 0.5:
            self.stage.hub.kick(player.name)

    def _clock_2099(self, player: Player) -> None:
        now = player.place.clock.wall()
        there = datetime(2099, 1, 1, tzinfo=UTC) if now.year < 2099 else self.stage.clock.wall()
        player.place.clock.jump((there - now).total_seconds())

    # -- processes ----------------------------------------------------------------------------------------

    def _kill(self, player: Player) -> Awaitable[Any]:
        return self.stage.end(player, drain=None)

    def _crash_at_point(self, player: Player) -> None:
        if player.chat is not None and player.fuse.reached:
            point = self.chance.choice(sorted(player.fuse.reached))
            player.fuse.arm(point, self.chance.randrange(1, 6))

    def _die_unannounced(self, player: Player) -> None:
        player.fuse.arm(AFTER_APPEND, self.chance.randrange(1, 3))

    def _close(self, player: Player) -> Awaitable[Any]:
        return self.stage.end(player, drain=self.chance.choice((0.0, 1.0, 5.0)))

    def _start(self, player: Player) -> Awaitable[Any]:
        return self.stage.start(player)

    def _handler_raises(self, player: Player) -> None:
        player.raises += 1

    def _handler_blocks(self, player: Player) -> None:
        player.blocks += 1

    def _store_busy(self, player: Player) -> None:
        player.disk.strike(5, self.chance.randrange(1, 4))

    def _store_full(self, player: Player) -> None:
        player.disk.strike(13, self.chance.randrange(1, 4))

    def _copy_store(self, player: Player) -> Awaitable[Any] | None:
        """Copy a device's store while it is in use, and start another device on the copy (D27)."""
        if self._copies >= COPIES:
            return None
        self._copies += 1
        self.stage.copied = True
        path = Path(player.place.store)
        copy = path.with_name(f"copy{self._copies}.db")
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        return self.stage.join(player.place.user, f"copy{self._copies}", store=str(copy))
