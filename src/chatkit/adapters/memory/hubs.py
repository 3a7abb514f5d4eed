"""The hubs of this process: one for each name, for as long as the process lives or until it is forgotten.

A hub stands for a provider's server, so it holds the log that a server would hold; this is the only place
where an adapter's package knows one.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from chatkit.adapters.memory.hub import Hub
from chatkit.logs.memory import MemoryLog
from chatkit.ports.context import Clock, RandomSource

_HUBS: Final[dict[str, Hub]] = {}
_LOCK: Final = Lock()


def new_hub(
    name: str = "hub",
    *,
    clock: Clock,
    random: RandomSource,
    keep: int = 100_000,
) -> Hub:
    """Make a hub that the process does not share: for `MemoryConfig(hub=...)`.

    Args:
        name: What it is called in realms and errors.
        clock: Its own time, which clients may ask for.
        random: The only source of chance, for its log's id and its network.
        keep: Most entries kept of one channel.
    """
    return Hub(name, log=MemoryLog(clock, random, keep=keep), clock=clock, random=random)


def shared_hub(name: str, *, clock: Clock, random: RandomSource) -> Hub:
    """Return the hub that this process shares under a name; the first call makes it."""
    with _LOCK:
        found = _HUBS.get(name)
        if found is None:
            found = _HUBS[name] = new_hub(name, clock=clock, random=random)
        return found


def forget_hub(name: str) -> None:
    """Let the next client of this name find an empty hub; clients of the old one keep it."""
    with _LOCK:
        _HUBS.pop(name, None)
