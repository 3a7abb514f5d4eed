"""The contract of adapters, over the embedded provider in the manner of each provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any, Final

import pytest

from chatkit.adapters.memory import Like, MemoryAdapter, MemoryConfig, factory
from chatkit.engine.system import SystemClock
from chatkit.errors import AuthenticationError, ChatkitError, NotAllowed, ProviderError, RateLimited
from chatkit.logs.memory import MemoryLog
from chatkit.ports.adapter import Lost, Received
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import AdapterContract, AdapterKit, Closing, Refusal
from chatkit.testing.parts import parts
from tests.adapters.world import World

CLOSINGS: Final = (
    Closing("disabled", "never"),
    Closing("restart", "now"),
    Closing("full", "later", 30.0),
    Closing("expired", "reauthenticate"),
)
REFUSALS: Final = {
    Refusal("slow down", "unsent", RateLimited, "connection", "later", 3.0): (
        RateLimited("slow down", retry_after=3.0),
        None,
    ),
    Refusal("slow mode", "unsent", RateLimited, "lane", "later", 2.0): (
        RateLimited("slow mode", retry_after=2.0),
        "lane",
    ),
    Refusal("expired", "unsent", AuthenticationError, "connection", "reauthenticate"): (
        AuthenticationError("expired"),
        None,
    ),
    Refusal("no right", "refused", NotAllowed, "entry", "never"): (NotAllowed("no right"), None),
    Refusal("failed", "unsent", ProviderError, "entry", "later"): (ProviderError("failed"), None),
}


class MemoryKit(AdapterKit):
    """A hub."""

    def __init__(
        self,
        clock: VirtualClock | SystemClock,
        like: Like = "memory",
        *,
        own_log: bool = False,
        quiet: float = 0.1,
        **config: Any,
    ) -> None:
        virtual = clock if isinstance(clock, VirtualClock) else None
        super().__init__(clock=clock, loop_clock=virtual, quiet=quiet, patience=5.0 if virtual else 2.0)
        self._world = World(clock)
        self._like = like
        self._config = config
        self._log = MemoryLog(clock, Random(9)) if own_log else None
        self._made = 0

    def adapter(self, user: str, *, trusted: bool = False) -> MemoryAdapter:
        self._made += 1
        config = MemoryConfig(
            hub=self._world.hub, like=self._like, trusted=trusted or self._like == "pusher", **self._config
        )
        return factory.build(config, parts(user, self._world.clock, log=self._log, random=Random(self._made)))

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def cut(self, user: str, *, half_open: bool = False) -> None:
        self._world.network.cut(user, half_open=half_open)

    def heal(self, user: str) -> None:
        self._world.network.heal(user)

    def lose_ack(self, user: str) -> None:
        self._world.network.lose_ack(user)

    def forbid(self, user: str) -> None:
        self._world.network.refuse(user, NotAllowed("not a member"), calls={"attach"})

    def revoke(self, user: str, channel: str) -> None:
        hub = self._world.hub
        hub.inject(channel, Lost(channel, NotAllowed("removed"), "never", None), link=user)
        for peer in hub._peers:
            if peer.caller.user == user:
                hub.detach(peer, channel)

    def inject(self, channel: str, data: bytes) -> None:
        self._world.hub.inject(channel, Received(channel, data, None, "none", None, unforgeable=False))

    def closings(self) -> Sequence[Closing]:
        return CLOSINGS

    def close(self, user: str, closing: Closing) -> None:
        error: ChatkitError = ProviderError(closing.name)
        self._world.hub.kick(user, again=closing.again, after=closing.after, error=error)

    def refusals(self) -> Sequence[Refusal]:
        return tuple(REFUSALS)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        error, scope = (None, None) if refusal is None else REFUSALS[refusal]
        self._world.network.refuse(user, error, calls={"publish"}, scope=scope)  # type: ignore[arg-type]


class TestMemory(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, capabilities={"frame_bytes": 20_000})  # a full one takes its time


class TestSupabaseLike(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, "supabase")


class TestAblyLike(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, "ably")


class TestPusherLike(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, "pusher")


@pytest.mark.long  # the same beside a log of the app's, by other profiles, and with less
class TestMemoryBesideALog(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, own_log=True)


@pytest.mark.long
class TestAblyLikeBesideALog(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, "ably", own_log=True)


@pytest.mark.long
class TestPusherLikeBesideALog(AdapterContract):
    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, "pusher", own_log=True)


@pytest.mark.long
class TestTight(AdapterContract):
    """Little of everything, and it resumes."""

    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        few = {"batch": 3, "channels_per_connection": 3, "presence_members": 3, "resume_window": 60.0}
        return MemoryKit(clock, capabilities=few)


@pytest.mark.long
class TestBare(AdapterContract):
    """Neither history nor presence."""

    @pytest.fixture
    def kit(self, clock: VirtualClock) -> AdapterKit:
        return MemoryKit(clock, capabilities={"history": 0, "features": {"presence": "none"}})


@pytest.mark.long  # it waits in earnest
class TestRealTime(AdapterContract):
    """Nothing of the contract rests on virtual time."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return MemoryKit(SystemClock(), quiet=0.03, capabilities={"frame_bytes": 20_000})
