"""What everything is given: time, chance, an observer, middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from chatkit.model.events import Event
    from chatkit.model.options import Draft


class Clock(Protocol):
    """The only source of time. Waiting is asyncio's own: in tests the same virtual clock drives the loop."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back, may stand still while the machine sleeps."""
        ...

    def wall(self) -> datetime:
        """The time of day in UTC; may jump."""
        ...


class RandomSource(Protocol):
    """The part of `random.Random` that is used; seeded in tests, the system's own otherwise."""

    def random(self) -> float:
        """A number from 0.0 up to, not including, 1.0."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""
        ...


class Observer(Protocol):
    """Told synchronously at each labelled point; for logs, metrics, spans. No bodies or secrets (I16).

    A simulation may raise here: the program then dies at that point.
    """

    def point(self, name: str, /, **fields: str | float | None) -> None:
        """Note that `name` ("outbox.attempted", "session.closed") was reached."""
        ...


class Middleware(Protocol):
    """Sees what goes out in order of registration, what comes in in reverse order."""

    async def outgoing(self, draft: Draft) -> Draft:
        """Change a draft once, before it is queued; raise `NotAllowed` to refuse it."""
        ...

    async def incoming(self, event: Event) -> Event | None:
        """Change an event, or return `None` to hide it from handlers and views, never from the fold."""
        ...
