"""What a part of one channel hangs on, as far as a machine needs it: time, events, counters, a timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

from chatkit.core.hlc import HybridClock
from chatkit.core.timeline import Timeline
from chatkit.engine.screening import Screen
from chatkit.model.events import Event
from chatkit.model.registers import Register
from chatkit.ports.context import Unobserved
from chatkit.testing.clock import VirtualClock
from tests.core.folding import CHANNEL, LOG, timeline


@dataclass
class Told:
    """A dispatcher that keeps what it is given."""

    events: list[Any] = field(default_factory=list[Any])

    def hears(self, _channel: str, _kind: type[Event], /) -> bool:
        """Say that somebody listens."""
        return True

    def tell(self, event: Event, **_: Any) -> None:
        """Take an event."""
        self.events.append(event)

    def taken(self) -> list[Any]:
        """Return what came since the last time."""
        events, self.events = self.events, []
        return events


@dataclass
class Hider:
    """A moderator who hides users."""

    users: set[str] = field(default_factory=set[str])

    @property
    def active(self) -> bool:
        """Whether anybody is hidden."""
        return bool(self.users)

    def hides(self, user: str) -> bool:
        """Whether a user is."""
        return user in self.users

    def silences(self, _channel: str, _user: str, /, *, mentioned: bool) -> bool:  # the protocol's
        """Nobody is silent."""
        return False


@dataclass
class Kept:
    """A store of registers that answers at once."""

    registers_put: list[Register] = field(default_factory=list[Register])

    async def put(self, registers: Sequence[Register], /) -> None:
        """Take them."""
        self.registers_put += registers

    async def registers(self, _channel: str, /) -> Sequence[Register]:
        """Return nothing: an empty store."""
        return ()


def parts(
    user: str,
    clock: VirtualClock,
    told: Told,
    hider: Hider,
    *,
    hlc: HybridClock,
    room: Timeline | None = None,
) -> Any:
    """Return the parts of a channel of one client, whose log keeps registers."""
    now_ms = lambda: int(clock.wall().timestamp() * 1000)  # noqa: E731
    moderators: list[Any] = [hider]  # as much of a moderator as the screen asks
    context = SimpleNamespace(
        user=user,
        origin="realm",
        log=SimpleNamespace(capabilities={"registers"}),
        clock=clock,
        observer=Unobserved(),
        random=Random(1),
        counters=Counter(),
        store=Kept(),
        hlc=hlc,
        server_time=SimpleNamespace(now=clock.wall, now_ms=now_ms),
    )
    return SimpleNamespace(
        context=context,
        name=CHANNEL,
        timeline=timeline(viewer=user) if room is None else room,
        progress=SimpleNamespace(log_id=LOG, floor=None, holes=()),
        dispatcher=told,
        presenter=SimpleNamespace(screen=Screen(moderators, user)),
        thread=None,
    )
