"""`Typists`: who is typing, by the receiver's own clock (D25)."""

from __future__ import annotations

from typing import Final

MOST: Final = 100
"""Users remembered at a time; beyond it whoever would be forgotten first goes (I10)."""


class Typists:
    """Users who said that they are typing, each until a moment of the monotonic clock."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._until)

    @property
    def users(self) -> frozenset[str]:
        """Who is typing."""
        return frozenset(self._until)

    def note(self, user: str, until: float) -> bool:
        """Take note that a user types; returns whether that is news."""
        news = user not in self._until
        self._until[user] = until
        if len(self._until) > MOST:
            del self._until[min(self._until, key=self._until.__getitem__)]
        return news

    def drop(self, user: str) -> bool:
        """Take note that a user has stopped; returns whether that is news."""
        return self._until.pop(user, None) is not None

    def expire(self, now: float) -> bool:
        """Forget those of whom nothing was heard any more; returns whether there were any."""
        over = [user for user, until in self._until.items() if until <= now]
        for user in over:
            del self._until[user]
        return bool(over)

    def clear(self) -> bool:
        """Forget all; returns whether there were any."""
        found = bool(self._until)
        self._until.clear()
        return found

    def wait(self, now: float) -> float | None:
        """Return the seconds until `expire` has something to do, or `None`."""
        return max(0.0, min(self._until.values()) - now) if self._until else None
