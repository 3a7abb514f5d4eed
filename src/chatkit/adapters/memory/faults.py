"""`Faults`: how badly a link behaves.

Where each one stands in real life: `delay`, `cut` and a lost request or answer happen to everybody. `drop`
is a provider that sheds frames (Pusher, Supabase broadcast; Ably says so in the channel). An ordered socket
never reorders or doubles by itself: `duplicate` and `reorder` are what a provider replays.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, TypeAlias

from chatkit.errors import ConfigError
from chatkit.model.values import Value, value

Range: TypeAlias = "tuple[float, float]"
"""Seconds, from the least to the most."""

REPLAY: Final[Range] = (0.05, 0.5)
"""How much later a doubled or reordered frame comes: inside the 30 s by which order may be late (D17)."""


@value
class Faults(Value):
    """Chances are 0 to 1 for each frame or request, times are seconds."""

    delay: Range = (0.0, 0.0)
    """How long each packet takes, either way."""
    drop: float = 0.0
    """A frame to the client is not delivered."""
    duplicate: float = 0.0
    """A frame to the client comes again a little later."""
    reorder: float = 0.0
    """A frame to the client is overtaken by those that follow."""
    lose_request: float = 0.0
    """A request is lost before the hub hears it."""
    lose_ack: float = 0.0
    """A request is carried out and its answer is lost."""
    cut: tuple[float, Range] = (0.0, (0.0, 0.0))
    """The link breaks at a packet, and stays down this long."""

    def __post_init__(self) -> None:
        rate, down = self.cut
        for name in ("drop", "duplicate", "reorder", "lose_request", "lose_ack"):
            _check_chance(name, getattr(self, name))
        _check_chance("cut", rate)
        _check_range("delay", self.delay)
        _check_range("cut", down)


def _check_chance(name: str, chance: float) -> None:
    if not 0 <= chance <= 1:
        raise ConfigError(f"faults: {name} is a chance from 0 to 1", hint="Correct the number.")


def _check_range(name: str, found: Range) -> None:
    least, most = found
    if not (0 <= least <= most and isfinite(most)):
        raise ConfigError(f"faults: {name} is (least, most) in seconds", hint="Put the smaller number first.")


NONE: Final = Faults()
"""Nothing happens to anything."""
MILD: Final = Faults(
    delay=(0.002, 0.05),
    drop=0.005,
    duplicate=0.01,
    reorder=0.01,
    lose_request=0.005,
    lose_ack=0.01,
    cut=(0.001, (0.2, 1.0)),
)
"""A phone on the train."""
STORM: Final = Faults(
    delay=(0.0, 0.3),
    drop=0.03,
    duplicate=0.05,
    reorder=0.05,
    lose_request=0.03,
    lose_ack=0.05,
    cut=(0.003, (0.2, 5.0)),
)
"""Between the two: bad enough, and most of what people begin they still end, so that a long story goes on."""
WILD: Final = Faults(
    delay=(0.005, 0.4),
    drop=0.05,
    duplicate=0.1,
    reorder=0.1,
    lose_request=0.05,
    lose_ack=0.1,
    cut=(0.01, (0.5, 5.0)),
)
"""Everything goes wrong all the time."""
