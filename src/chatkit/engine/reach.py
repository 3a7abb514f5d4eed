"""`Reach`: how the parts of a channel say what is never queued: marks, hints of changes (D25)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Reach(NamedTuple):
    """The way to the other members, from this device."""

    connected: Callable[[], bool]
    """Whether there is a connection."""
    device: Callable[[], str]
    """Returns this device's name."""
    emit: Callable[[str, bytes], Awaitable[bool]]
    """Writes an ephemeral envelope in a channel; says whether there was a connection for it."""
