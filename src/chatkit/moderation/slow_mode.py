"""`SlowMode`: one message of a user in a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from chatkit.errors import ConfigError, RateLimited
from chatkit.given import is_number, is_text

if TYPE_CHECKING:
    from chatkit.model.events import Event
    from chatkit.model.options import Draft

LONGEST: Final = 86_400.0
"""Seconds: a day."""
MOST: Final = 100_000
"""Turns remembered at a time; beyond it the user goes first who would be free first (I10)."""


class SlowMode:
    """Lets each user send one new message per channel in so many seconds: `chat.use(SlowMode(30))`.

    A message that comes too early is refused before it is queued, with `RateLimited`: its `retry_after` is
    the wait. Edits, deletes and reactions are not paced, a growing message is one. A message that is refused
    further on, or cannot be queued, costs no turn. Each user of a backend (`as_user`) has turns of their own.
    It paces this program, offline too, and forgets with it; others keep to it as far as their programs do.

    Args:
        seconds: Between two messages, above 0 and at most a day.
        channels: Where it holds; `None`: everywhere.
        exempt: Users who need not wait, such as moderators.

    Raises:
        ConfigError: `seconds` is out of bounds, or a list is no list.
    """

    def __init__(
        self, seconds: float, *, channels: Iterable[str] | None = None, exempt: Iterable[str] = ()
    ) -> None:
        if not is_number(seconds) or not 0 < seconds <= LONGEST:
            raise ConfigError("slow mode takes seconds above 0 and at most 86,400")
        if is_text(channels) or is_text(exempt):
            raise ConfigError("channels and exempt are lists of names", hint='Write channels=["support"].')
        self._seconds = seconds
        self._channels = None if channels is None else frozenset(channels)
        self._exempt = frozenset(exempt)
        self._free_at: dict[tuple[str, str], float] = {}
        """By user and channel, in the order of their turns."""

    async def outgoing(self, draft: Draft) -> Draft:
        """Let a message pass, or refuse it.

        Raises:
            RateLimited: It comes `retry_after` seconds too early.
        """
        if (
            draft.kind != "create"
            or draft.user in self._exempt
            or (self._channels is not None and draft.channel not in self._channels)
        ):
            return draft
        turn, now = (draft.user, draft.channel), asyncio.get_running_loop().time()
        wait = self._free_at.get(turn, now) - now
        if wait > 0:
            raise RateLimited(
                f"slow mode: one message in {self._seconds:g} s; nothing was queued",
                retry_after=wait,
                hint=f"Send it again in {wait:.1f} s.",
                channel=draft.channel,
            )
        self._free_at.pop(turn, None)
        self._free_at[turn] = now + self._seconds
        self._forget(now)
        return draft

    async def incoming(self, event: Event) -> Event | None:
        """Let it pass."""
        return event

    def withdrawn(self, draft: Draft) -> None:
        """Give back the turn of a message that was not queued."""
        if draft.kind == "create":
            self._free_at.pop((draft.user, draft.channel), None)

    def _forget(self, now: float) -> None:
        oldest = next(iter(self._free_at))
        while self._free_at[oldest] <= now or len(self._free_at) > MOST:  # never the turn just taken
            del self._free_at[oldest]
            oldest = next(iter(self._free_at))
