"""`Entering`: who of this client's users is there, told in few words.

A connection says one thing a topic, so it says all its users at once; what is said already is not said again.
Of more words than the service takes in half a minute none is said: the engine asks again when there is room.

Source: the Supabase sheet, section 8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.members import USERS, pack
from chatkit.adapters.supabase.protocol import Answered
from chatkit.adapters.supabase.wire import Object, dumps
from chatkit.errors import CapabilityError, MessageTooLarge, NotAllowed, RateLimited
from chatkit.ports.adapter import Present
from chatkit.ports.context import Clock

_UNSURE: Final[Object] = {}
"""How a word without an answer was told: as nothing that is ever said."""


class Entering:
    """Of one connection.

    Args:
        user: As whom; `None`: as anybody.
        largest: Bytes that a broadcast holds.
        clock: For the pace.
        ask: Sends a message (topic, event, payload) and returns its answer.
    """

    def __init__(
        self,
        user: str | None,
        largest: int,
        clock: Clock,
        ask: Callable[[str, str, Object], Awaitable[Answered]],
    ) -> None:
        self._user = user
        self._largest = largest
        self._clock = clock
        self._ask = ask

    async def enter(self, one: Attached, member: Present) -> None:
        """Have a user be there, or say something else.

        Raises:
            NotAllowed: Not as this user, or not here.
            RateLimited: That would be too many words.
            TransportError, SessionClosed: No answer.
        """
        self._check(one, member)
        async with one.entering:
            if member.user not in one.users and len(one.users) >= USERS:
                raise CapabilityError(f"one client shows {USERS} users in a channel", channel=one.channel)
            await self._tell(one, {**one.users, member.user: member.data})

    async def leave(self, one: Attached, member: Present) -> None:
        """Have a user be there no longer; nothing where they are not. Raises as `enter`."""
        self._check(one, member)
        async with one.entering:
            users = {user: data for user, data in one.users.items() if user != member.user}
            await self._tell(one, users)

    async def again(self, one: Attached) -> None:
        """Tell of the users on a topic that was joined anew. Raises as `enter`."""
        async with one.entering:
            if one.users:
                await self._tell(one, one.users)

    async def _tell(self, one: Attached, users: Mapping[str, Mapping[str, Any]]) -> None:
        """Tell of these users; one call at a time, so that none takes back another's."""
        payload = pack(users) if users else None
        if payload == one.tracked:
            one.users = dict(users)
            return
        if payload is not None and len(dumps(payload).encode()) > self._largest:
            raise MessageTooLarge("presence data does not fit a broadcast", channel=one.channel)
        now = self._clock.monotonic()
        wait = one.calls.wait(now)
        if wait > 0:
            raise RateLimited("too many words on presence", retry_after=wait, channel=one.channel)
        one.calls.made(now)
        how: Object = {"event": "untrack"} if payload is None else {"event": "track", "payload": payload}
        one.tracked = _UNSURE
        answer = await self._ask(one.live, "presence", {"type": "presence", **how})
        if not answer.ok:
            one.tracked = None
            raise NotAllowed("the service lets nobody be present here", channel=one.channel)
        one.users, one.tracked = dict(users), payload

    def _check(self, one: Attached, member: Present) -> None:
        if self._user is not None and member.user != self._user:
            raise NotAllowed("this client speaks for its own user only", channel=one.channel)
