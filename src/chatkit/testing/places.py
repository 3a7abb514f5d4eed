"""`Place`: one device of a world, which outlives its clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from chatkit.model.values import EMPTY

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.testing.clock import DeviceClock
    from chatkit.testing.following import Follower

Start: TypeAlias = "Callable[[Chat], Awaitable[None] | None]"
"""What a program does with its client when it starts: registers handlers, enters channels."""


class Place:
    """One device of a user: what outlives its clients.

    Args:
        user: Whose.
        device: Its name among the user's devices; "" for the only one.
        store: Its file, or ``":memory:"``.
        clock: Its clock.
        start: What each of its clients does first.
        options: Of `connect`.
    """

    def __init__(
        self,
        user: str,
        device: str,
        *,
        store: str,
        clock: DeviceClock,
        start: Start | None = None,
        options: Mapping[str, Any] = EMPTY,
    ) -> None:
        self.user = user
        self.name = f"{user}/{device}" if device else user
        self.device = device
        self.store = store
        self.clock = clock
        self.start = start
        self.options = options
        self.chat: Chat | None = None
        self.follower: Follower | None = None
        self.cut_since: float | None = None
        self.heals = 0
        """How often its network had been whole again when it was cut."""
