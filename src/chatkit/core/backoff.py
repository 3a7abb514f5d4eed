"""How long to wait before the next attempt: full jitter under a growing cap."""

from __future__ import annotations

from typing import Final

BASE: Final = 0.5
CAP: Final = 30.0
BRIEF: Final = 0.2
"""Most seconds before an attempt that may be made at once: enough that a crowd does not come back as one."""


def delay(failures: int, chance: float, *, base: float = BASE, cap: float = CAP) -> float:
    """Return the seconds to wait after a failure.

    Args:
        failures: How many came before it in a row.
        chance: A random number from 0.0 to 1.0.
        base: Upper bound of the first wait; doubles with each failure.
        cap: Upper bound of all waits.
    """
    return chance * min(cap, base * 2.0 ** min(failures, 30))


def brief(failures: int, chance: float) -> float:
    """Return the wait where the provider asked to come back at once: brief at first, then as any other."""
    return chance * BRIEF if failures == 0 else delay(failures, chance)
