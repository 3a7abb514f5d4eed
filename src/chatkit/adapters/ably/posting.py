"""`Posts`: publishes as calls, for a session without a socket.

The engine has one publish of a lane in flight; its ids are those that a socket would carry, so that the
service knows a repeat again on whichever way it comes (D8, D10).

Source: the Ably sheet, sections 6 and 10.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Final, NamedTuple, NoReturn

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.protocol import Settled
from chatkit.adapters.ably.rest import Rest
from chatkit.adapters.ably.saying import Waiter
from chatkit.adapters.ably.wire import Frame
from chatkit.errors import CapabilityError

MINE: Final = 1_000
"""Ephemeral messages of one's own that are remembered until they come back (I10)."""


class Post(NamedTuple):
    """A publish that is to be made."""

    name: str
    messages: list[Frame]
    """Or annotations of one."""
    what: Waiter


class Posts:
    """What one session says. See `Sayer`.

    Args:
        rest: The calls.
        access: With which credentials.
        user: As whom, where they are not for everybody.
        trusted: They are.
        word: Begins the ids of ephemeral messages; nobody else's do.
    """

    def __init__(self, rest: Rest, access: Access, *, user: str, trusted: bool, word: str) -> None:
        self.client_id = "*" if trusted else user
        self._rest = rest
        self._access = access
        self._word = word
        self._numbers = count(1)
        self._mine: OrderedDict[str, None] = OrderedDict()

    def publish(self, name: str, messages: list[Frame], what: Waiter) -> Post:
        """Return the call that publishes messages; each says whose it is, for the service to check."""
        own: Frame = {} if self.client_id == "*" else {"clientId": self.client_id}
        return Post(name, [{**own, **self._marked(message)} for message in messages], what)

    def annotate(self, name: str, annotations: list[Frame], what: Waiter) -> Post:
        """Return the call that makes annotations of one message, or takes them back."""
        return self.publish(name, annotations, what)

    def present(self, name: str, member: Frame, what: Waiter) -> NoReturn:
        """Decline: there is no call by which a member enters."""
        del name, member, what
        raise CapabilityError(
            "nobody is present without a WebSocket", hint="See what `chat.connection.transport` says."
        )

    async def send(self, post: Post) -> None:
        """Make a call, and tell who waits what became of it.

        Raises:
            TransportError: The outcome is unknown.
            ChatkitError: There was no token to be had.
        """
        changed, annotated = (post.messages[0].get(name) for name in ("serial", "messageSerial"))
        if annotated is not None:
            posted = await self._rest.annotate(post.name, annotated, post.messages, self._access)
        elif changed is None:
            posted = await self._rest.publish(post.name, post.messages, self._access)
        else:
            posted = await self._rest.change(post.name, changed, post.messages[0], self._access)
        if not post.what.done():
            post.what.set_result(Settled(post.what, posted.serials, posted.error, unknown=False))

    def is_mine(self, item: Frame) -> bool:
        """Say whether an ephemeral message that came is one of this session."""
        return str(item.get("id")).removesuffix(":0") in self._mine

    def _marked(self, message: Frame) -> Frame:
        if not envelopes.is_passing(message):
            return message
        id = f"{self._word}{next(self._numbers)}"
        self._mine[id] = None
        if len(self._mine) > MINE:
            _ = self._mine.popitem(last=False)
        return {**message, "id": id}
