"""`PresenceWords`: what devices say of themselves where a provider shows who is there and no more (D32).

On such a provider whoever receives a channel is a member, without data. A device says beside it what it is,
in an ephemeral envelope; one that says nothing is online. Who comes later learns of it as it is said again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.said import DEFAULT, Said
from chatkit.engine.context import foreign
from chatkit.engine.emitting import passing_envelope
from chatkit.engine.syncing import HAIR

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.presence_wishes import PresenceWishes
    from chatkit.errors import ChatkitError
    from chatkit.ports import Session

STATUS: Final = "presence.status"
ASK: Final = "presence.ask"
SPREAD: Final = 3.0
"""Seconds over which answers to somebody who came are spread, and least between two of them."""
PAUSE: Final = 1.0
"""Least seconds between two words of a device that changes."""
FEW: Final = 30
"""Members up to which a word is repeated unasked."""
AGAIN: Final = 10.0
"""Seconds until a word that could not be written is tried again."""


class PresenceWords:
    """This device's words.

    Args:
        parts: Of the channel.
        wishes: What it is to say of its user.
        device: Returns this device's name.
        emit: Writes an ephemeral envelope; says whether there was a connection for it.
    """

    def __init__(
        self,
        parts: ChannelParts,
        wishes: PresenceWishes,
        *,
        device: Callable[[], str],
        emit: Callable[[str, bytes], Awaitable[bool]],
    ) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._wishes = wishes
        self._device = device
        self._emit = emit
        self._said: Said | None = None
        """The last word since the channel is received."""
        self._said_at = float("-inf")
        self._due: float | None = None
        """When the next word is due."""
        self._looks = self._asked = False
        self.denied: dict[str, ChatkitError] = {}
        """Nobody is: who receives is in."""

    def look_at(self, _user: str, /) -> None:
        """The user, who is the client's own, may be to be shown otherwise."""
        if self.word != (self._said or DEFAULT):
            self._by(self._said_at + PAUSE)

    def leave(self, user: str) -> None:
        """Have the user be there no longer, although the provider shows them."""
        self._wishes.put(user, Said("offline"))

    def left(self) -> None:
        """Somebody left: nothing becomes possible by it."""

    def look(self) -> None:
        """Somebody looks: what devices said before this one came is asked for."""
        self._looks = True

    def attached(self) -> None:
        """Nobody knows anything of this device yet."""
        self._due = None
        self.renew()

    def renew(self) -> None:
        """Others may have forgotten, and this device may have missed words."""
        self._said, self._asked = None, False
        self.look_at(self._context.user)

    def came(self, members: int) -> None:
        """Somebody came, of so many."""
        if members <= FEW:
            self.answer()

    def answer(self, *, always: bool = False) -> None:
        """Say again soon what this device is, if nobody could guess it; `always`: even so."""
        if always or self.word != DEFAULT or self._said is not None:
            soon = self._context.clock.monotonic() + SPREAD * self._context.random.random()
            self._by(max(soon, self._said_at + SPREAD))

    @property
    def word(self) -> Said:
        """What this device is."""
        return self._wishes.target(self._context.user) or DEFAULT

    @property
    def pending(self) -> bool:
        """Whether there is something to say."""
        return self._due is not None

    @property
    def silent(self) -> bool:
        """Whether it said nothing since the channel is received."""
        return self._said is None

    async def work(self, _: Session, /) -> float | None:
        """Say what is due; returns the seconds until there is more to say."""
        now = self._context.clock.monotonic()
        if self._due is not None and self._due <= now + HAIR:
            word, self._due = self.word, None
            if await self._write(STATUS, word.fields()):
                self._said, self._said_at = word, now
            else:
                self._by(now + AGAIN)
        if self._looks and not self._asked:
            self._asked = await self._write(ASK, {})
            if not self._asked:
                return AGAIN
        return None if self._due is None else max(0.0, self._due - now)

    def _by(self, at: float) -> None:
        self._due = at if self._due is None else min(self._due, at)

    async def _write(self, kind: str, fields: dict[str, Any]) -> bool:
        context, user = self._context, self._context.user
        body = {"type": "presence"} | fields
        try:
            data = passing_envelope(context, self._channel, kind, body, user=user, device=self._device())
            return await self._emit(self._channel, data)
        except Exception as raised:  # noqa: BLE001  # whatever an adapter raises, it is said another time
            context.observer.point("presence.not_said", error=type(foreign(raised)).__name__)
            return False
