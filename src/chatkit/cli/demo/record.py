"""What the story writes down: who said what, what the log holds, what each listener was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from chatkit.model.order import OrderKey


@dataclass(slots=True)
class Said:
    """One line that a client has called `send()` for."""

    line: str
    user: str
    """Of the client."""
    at: float
    """When `send()` was called first, monotonic seconds."""
    message_id: str | None = None
    """What `send()` returned; `None` until it has, or where it never did."""


class Logged(NamedTuple):
    """One entry of the hub's log."""

    line: str
    user: str
    message_id: str
    key: OrderKey


class Heard(NamedTuple):
    """One event that a handler was given."""

    line: str
    message_id: str
    late: bool
    """It was marked as standing below what had been given before (D21)."""
    at: float
    """Monotonic seconds."""


@dataclass(slots=True)
class Visit:
    """One stream of one listener, from its opening to its end; who comes back opens another."""

    listener: str
    since: OrderKey | None = None
    """The place it came back to; `None`: from now on."""
    heard: list[Heard] = field(default_factory=list[Heard])
