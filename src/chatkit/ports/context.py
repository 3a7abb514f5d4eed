"""What everything is given: time, chance, an observer, middleware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable
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

    Points of stores and logs (`store.committed`) come from the thread that does their work, all others from
    the client's loop. A simulation may raise here, a `BaseException`: the program then dies at that point.
    `chatkit.testing.crash_points` lists them, with what must hold afterwards.
    """

    def point(self, name: str, /, **fields: str | float | None) -> None:
        """Note that `name` ("outbox.attempted", "session.closed") was reached."""
        ...


class Unobserved:
    """The `Observer` of a store or log that is opened by itself: there is nobody to tell."""

    def point(self, name: str, /, **fields: str | float | None) -> None:
        """Pass over it."""


class Middleware(Protocol):
    """Sees what goes out in order of registration, what comes in in reverse order."""

    async def outgoing(self, draft: Draft) -> Draft:
        """Change a draft once, before it is queued; raise `NotAllowed` to refuse it."""
        ...

    async def incoming(self, event: Event) -> Event | None:
        """Change an event, or return `None` to hide it from handlers and views, never from the fold."""
        ...


@runtime_checkable
class Moderator(Middleware, Protocol):
    """Middleware that also says, of users and channels, what is shown and told.

    Timelines, typing, reactions and counts are state, drawn without waiting: so it is asked synchronously,
    for each message that is drawn or counted and each event that is told. It answers from memory.
    """

    @property
    def active(self) -> bool:
        """Whether it hides or silences anybody now; else it is not asked."""
        ...

    def hides(self, user: str) -> bool:
        """Whether nothing of a user is to be shown, told or counted as unread."""
        ...

    def silences(self, channel: str, user: str, *, mentioned: bool) -> bool:
        """Whether a message or reaction of a user is shown, but told as `silent` and not counted as unread.

        Args:
            channel: Where it is.
            user: Whose it is.
            mentioned: It mentions the one who reads by name.
        """
        ...

    def follow(self, changed: Callable[[], None]) -> None:
        """Take what is to be called on the client's loop whenever an answer may be another one."""
        ...


@runtime_checkable
class Pacer(Middleware, Protocol):
    """Middleware that counts what it lets out."""

    def withdrawn(self, draft: Draft) -> None:
        """Take note that a draft which it let pass was not queued after all: it was refused further on."""
        ...
