"""`Entering`: has the provider show this client's users as they wish, again when it may have forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.core.said import Said
from chatkit.engine.context import bounded, foreign
from chatkit.errors import CapabilityError, ChatkitError, RateLimited
from chatkit.model.values import EMPTY
from chatkit.ports import Present, SessionClosed

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.presence_wishes import PresenceWishes
    from chatkit.ports import Session

CALL: Final = 10.0
"""Seconds for one call to the provider, and until it is made again after a failure."""
_UNSURE: Final = Said("offline")
"""What the provider shows after a call without an answer: equal to nothing that is wished for."""


class Entering:
    """Where members enter and leave by themselves, with what they say.

    Args:
        parts: Of the channel.
        wishes: What is to be shown.
        changed: Called when a user is refused, or no longer.
    """

    def __init__(self, parts: ChannelParts, wishes: PresenceWishes, *, changed: Callable[[], None]) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._wishes = wishes
        self._changed = changed
        self.denied: dict[str, ChatkitError] = {}
        """Why users are not let in."""
        self._shown: dict[str, Said] = {}
        self._due: dict[str, None] = {}
        """Users of whom the provider may show something else than it should."""
        self._again_at = 0.0

    def look_at(self, user: str) -> None:
        """A user may be to be shown otherwise."""
        if self._shown.get(user) == self._wishes.target(user):
            _ = self._due.pop(user, None)
        else:
            self._due[user] = None

    def leave(self, user: str) -> None:
        """Have a user be there no longer."""
        _ = self.denied.pop(user, None)
        self._wishes.drop(user)

    def attached(self) -> None:
        """The provider knows nothing of this client yet."""
        self._shown.clear()
        self.denied.clear()
        self._due = dict.fromkeys(self._wishes.users)
        self._again_at = 0.0

    def renew(self) -> None:
        """The provider may have forgotten whom it was told of."""
        for user in self._wishes.users:
            _ = self._shown.pop(user, None)
            self._due[user] = None

    def left(self) -> None:
        """Somebody left: there may be room for those for whom there was none."""
        for user, error in self.denied.items():
            if isinstance(error, CapabilityError):
                _ = self._shown.pop(user, None)
                self._due[user] = None

    async def work(self, session: Session) -> float | None:
        """Tell the provider what it is to be told; returns the seconds until it is to be tried again."""
        wait = self._again_at - self._context.clock.monotonic()
        if wait > 0:
            return wait
        while self._due:
            user = next(iter(self._due))
            pause = await self._show(session, user, self._wishes.target(user))
            self.look_at(user)  # they may wish something else by now
            if pause is not None:
                self._again_at = self._context.clock.monotonic() + pause
                return pause
        return None

    async def _show(self, session: Session, user: str, target: Said | None) -> float | None:
        """Have the provider show a user so; returns the seconds after which repeating may help."""
        channel = self._channel
        member = Present(user, "", EMPTY if target is None else target.fields())
        try:
            if target is None:
                await bounded(lambda: session.leave(channel, member), CALL)
            else:
                await bounded(lambda: session.enter(channel, member), CALL)
        except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, the wish stays
            error = foreign(raised)
            if isinstance(error, RateLimited):
                return error.retry_after or CALL
            if isinstance(error, SessionClosed) or error.retryable:
                self._shown[user] = _UNSURE
                return CALL
            error.channel = channel
            if target is not None:
                self.denied[user] = error
                self._changed()
        else:
            if self.denied.pop(user, None) is not None:
                self._changed()
        if target is None:
            _ = self._shown.pop(user, None)
        else:
            self._shown[user] = target
        return None
