"""Profiles: what a simulated world is like, and what goes wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from chatkit.adapters.memory.config import Like
from chatkit.adapters.memory.faults import NONE, STORM, Faults
from chatkit.model.values import EMPTY

USUAL: Final[Mapping[str, float]] = {
    "cut": 3,
    "half_open": 2,
    "heal": 6,
    "lose_ack": 2,
    "weather": 3,
    "refuse": 2,
    "kick": 1,
    "expire_token": 1,
    "jump": 1,
    "sleep": 1,
    "store_busy": 1,
    "store_full": 1,
    "kill": 1,
    "crash_at_point": 3,
    "close": 1,
    "start": 5,
    "handler_raises": 1,
    "handler_blocks": 0.3,
}
"""How often each danger strikes, beside the others."""

SLOW: Final = Faults(delay=(0.5, 20.0), lose_ack=0.02, duplicate=0.02)
"""Delays to twice the time-out: requests finish after their senders have given up."""
WEATHER: Final = (NONE, Faults(delay=(0.0, 0.1)), STORM, SLOW)
"""What the network of one device can be like."""


class Profile(NamedTuple):
    """One kind of world."""

    like: Like
    log: bool = False
    """The app brings a log of its own."""
    dangers: Mapping[str, float] = USUAL
    quiet_loss: bool = True
    """The provider may drop frames of a living connection: without a log nobody can know (I6)."""
    capabilities: Mapping[str, object] = EMPTY
    trusted: bool = True


PROFILES: Final[Mapping[str, Profile]] = {
    # -- like each provider
    "memory": Profile("memory"),
    "supabase": Profile("supabase"),
    "ably": Profile("ably", capabilities={"history": None}),
    "pusher": Profile("pusher", quiet_loss=False),
    "pusher-log": Profile("pusher", log=True),
    "ably-log": Profile("ably", log=True),
    # -- the ugly ones
    "death-before-announce": Profile("pusher", log=True, dangers={**USUAL, "die_unannounced": 8}),
    "replication-pause": Profile("supabase", dangers={**USUAL, "hold": 4, "hold_lossy": 2, "release": 4}),
    "lagging-replica": Profile("supabase", dangers={**USUAL, "lag": 5}),
    "late-finish": Profile("memory", dangers={**USUAL, "crawl": 8}),
    "copied-store": Profile("memory", dangers={**USUAL, "copy_store": 3}),
    "restored-log": Profile("supabase", dangers={**USUAL, "restore_log": 1.5}),
    "forged": Profile("memory", dangers={**USUAL, "forge": 10}, trusted=False),
    "clock-2099": Profile("pusher", dangers={**USUAL, "clock_2099": 2}, quiet_loss=False),
    "batch-refused": Profile("supabase", dangers={**USUAL, "refuse_in_batch": 8}),
}
