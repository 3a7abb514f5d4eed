"""`PresenceWishes`: as what this client's users want to be in a channel, whatever becomes of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatkit.core.said import Said
from chatkit.errors import CapabilityError

if TYPE_CHECKING:
    from chatkit.engine.context import Context

MOST: Final = 10_000
"""Users that one client may have in a channel (I10)."""


class PresenceWishes:
    """By user. The client's own user is away while the app asks nothing of it, if they wish to be online.

    Args:
        context: The client's parts.
        channel: The channel's name.
    """

    def __init__(self, context: Context, channel: str) -> None:
        self._channel = channel
        self._user = context.user
        self._activity = context.activity
        self._wishes: dict[str, Said] = {}

    @property
    def users(self) -> tuple[str, ...]:
        """Who has a wish."""
        return tuple(self._wishes)

    def get(self, user: str) -> Said | None:
        """Return what a user wishes to be; `None`: nothing was said."""
        return self._wishes.get(user)

    def put(self, user: str, said: Said) -> None:
        """Note what a user wishes to be.

        Raises:
            CapabilityError: There are too many.
        """
        if user not in self._wishes and len(self._wishes) >= MOST:
            raise CapabilityError(f"a client has at most {MOST:,} users in a channel", channel=self._channel)
        self._wishes[user] = said

    def drop(self, user: str) -> None:
        """Forget a wish."""
        _ = self._wishes.pop(user, None)

    def target(self, user: str) -> Said | None:
        """Return what others are to see of a user now; `None`: nothing."""
        wish = self._wishes.get(user)
        if wish is not None and wish.status == "online" and user == self._user and self._activity.idle:
            return wish._replace(status="away")
        return wish

    @property
    def changes_in(self) -> float | None:
        """Seconds until `target` is another one if the app goes on asking nothing, or `None`."""
        wish = self._wishes.get(self._user)
        if wish is None or wish.status != "online" or self._activity.idle:
            return None
        return self._activity.wait
