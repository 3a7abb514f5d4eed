"""The protocol without I/O: frames in, what they mean out, in their order.

It knows the subscriptions of one connection and who is present in them, and whose answer a frame is. It sends
nothing: what is to be written it gives back as `Write`. One object serves one connection.

Source: the Pusher protocol sheet, sections 2 to 8.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias, cast

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.subscriptions import Effect, Input, State, Subscription

MOST: Final = 10_000
"""Subscriptions of one connection (I10)."""
SUBSCRIPTION_ERRORS: Final = (
    "Invalid signature",
    "Auth value for subscription",
    "Invalid key in subscription auth data",
    "Existing subscription",
    "Invalid channel",
)
"""How errors begin that are about subscriptions; most name the channel in their text, some do not."""
CLIENT_EVENT_ERRORS: Final = ("client event", "not a member of the specified channel")
"""What errors about client events say somewhere."""
RATE: Final = 4301


class Established(NamedTuple):
    """The connection may be used."""

    socket_id: str


class Subscribed(NamedTuple):
    """A subscription that was asked for is confirmed."""

    name: str


class Refused(NamedTuple):
    """A subscription that was asked for is refused."""

    name: str
    code: int | None
    text: str


class Ended(NamedTuple):
    """A subscription ended that nobody ended."""

    name: str
    code: int | None
    text: str


class Came(NamedTuple):
    """A user is present who was not."""

    name: str
    user: str


class Went(NamedTuple):
    """A user is present no longer."""

    name: str
    user: str


class Told(NamedTuple):
    """An event of an app came in a live channel. `data`: as its publisher gave it, text or not."""

    name: str
    event: str
    data: Any
    user: str | None
    """The sender of a client event, as attested in a presence channel."""


class Missed(NamedTuple):
    """A cache channel keeps no event."""

    name: str


class Answered(NamedTuple):
    """A ping has its answer."""


class ClientEventRefused(NamedTuple):
    """A client event was thrown away; which one is not said."""

    code: int | None
    text: str


class Closing(NamedTuple):
    """The server says why it is about to close the connection; the close itself may not tell."""

    code: int


class Write(NamedTuple):
    """A frame to be written."""

    frame: str


class Strange(NamedTuple):
    """A frame that means nothing here."""

    name: str | None
    event: str | None
    data: Any
    reason: str


Meaning: TypeAlias = (
    Established
    | Subscribed
    | Refused
    | Ended
    | Came
    | Went
    | Told
    | Missed
    | Answered
    | ClientEventRefused
    | Closing
    | Write
    | Strange
)


class Protocol:
    """One connection."""

    def __init__(self) -> None:
        self.socket_id = ""
        """Given by the server; empty until then, and nothing may be written before."""
        self._subscriptions: dict[str, Subscription] = {}

    # -- subscriptions ----------------------------------------------------------------------------------

    def subscription(self, name: str) -> Subscription:
        """Return the one of this name; one that is absent, if there is none."""
        return self._subscriptions.get(name) or Subscription(name)

    def subscribe(self, name: str, auth: str, channel_data: str | None) -> list[Write]:
        """Ask for a subscription; `auth` was signed for this connection. The answer comes as a meaning.

        Raises:
            OverflowError: There are too many.
        """
        found = self._subscriptions.get(name)
        if found is None:
            if len(self._subscriptions) >= MOST:
                raise OverflowError(f"more than {MOST:,} subscriptions")
            found = self._subscriptions[name] = Subscription(name)
        asks = Effect.SEND_SUBSCRIBE in found.feed(Input.SUBSCRIBE)
        return [Write(frames.subscribe(name, auth, channel_data))] if asks else []

    def want(self, name: str) -> bool:
        """Want a subscription that is asked for already; says whether it is."""
        found = self.subscription(name)
        if found.state not in (State.ASKED, State.LEAVING):
            return False
        _ = found.feed(Input.SUBSCRIBE)
        return True

    def end(self, name: str, given: Input = Input.UNSUBSCRIBE) -> list[Write]:
        """End a subscription, want it no longer (`UNSUBSCRIBE`), or give its answer up (`OVERDUE`)."""
        return [found for found in self._feed(name, given) if isinstance(found, Write)]

    def settle(self, name: str) -> None:
        """Nothing can come late any more of a subscription without an answer."""
        _ = self._feed(name, Input.SETTLED)

    # -- frames -----------------------------------------------------------------------------------------

    def receive(self, frame: str | bytes) -> list[Meaning]:
        """Take a frame; returns what it means, nothing where it is known already or comes too late."""
        told = frames.parse(frame)
        fields = frames.as_object(told)
        event, name = fields.get("event"), fields.get("channel")
        if not isinstance(event, str):
            return [Strange(None, None, frame, "no_event")]
        if name is not None and not isinstance(name, str):
            return [Strange(None, event, fields.get("data"), "no_channel")]
        data = fields.get("data")
        if not event.startswith(("pusher:", "pusher_internal:")):
            return self._event(event, name, data, fields.get("user_id"))
        if event == "pusher:ping":
            return [Write(frames.PONG)]
        if event == "pusher:pong":
            return [Answered()]
        if event == "pusher:error":
            return self._error(frames.as_object(data))
        if event == "pusher:connection_established":
            self.socket_id = str(frames.as_object(data).get("socket_id") or "")
            return [Established(self.socket_id)]
        return self._internal(event, name, data)

    def _event(self, event: str, name: str | None, data: Any, user: Any) -> list[Meaning]:
        if name is None:
            return [Strange(None, event, data, "no_channel")]
        found = self._subscriptions.get(name)
        if found is None or found.state is not State.LIVE:
            return []  # of an earlier subscription
        return [Told(name, event, data, user if isinstance(user, str) else None)]

    def _internal(self, event: str, name: str | None, data: Any) -> list[Meaning]:
        if name is None:
            return [Strange(None, event, data, "unknown_event")]
        fields = frames.as_object(data)
        match event:
            case "pusher_internal:subscription_succeeded":
                return self._confirm(name, fields)
            case "pusher:subscription_error":  # of some servers
                code = fields.get("status")
                text = f"{fields.get('type', '')}: {fields.get('error', '')}"
                return self._refuse(name, code if isinstance(code, int) else None, text)
            case "pusher_internal:member_added" | "pusher_internal:member_removed":
                return self._move(name, fields.get("user_id"), came=event.endswith("added"))
            case "pusher:cache_miss":
                return [Missed(name)] if self.subscription(name).state is State.LIVE else []
            case "pusher_internal:subscription_count":
                return []
            case _:
                return [Strange(name, event, data, "unknown_event")]

    def _confirm(self, name: str, fields: dict[str, Any]) -> list[Meaning]:
        found = self._feed(name, Input.CONFIRMED)
        subscription = self._subscriptions.get(name)
        if subscription is not None and subscription.state is State.LIVE:
            subscription.members = dict.fromkeys(_users(frames.as_object(fields.get("presence"))))
        return found

    def _move(self, name: str, user: Any, *, came: bool) -> list[Meaning]:
        found = self.subscription(name)
        who = _text(user)
        if found.state is not State.LIVE or not who or (who in found.members) == came:
            return []  # such news may repeat
        if came:
            found.members[who] = None
            return [Came(name, who)]
        del found.members[who]
        return [Went(name, who)]

    def _error(self, fields: dict[str, Any]) -> list[Meaning]:
        code, text = fields.get("code"), str(fields.get("message") or "")
        code = code if isinstance(code, int) else None
        if code is not None and 4000 <= code <= 4299:
            return [Closing(code)]
        if code == RATE or any(words in text.lower() for words in CLIENT_EVENT_ERRORS):
            return [ClientEventRefused(code, text)]
        asked = [
            name
            for name, found in self._subscriptions.items()
            if found.state in (State.ASKED, State.LEAVING, State.DOUBT)
        ]
        named = [name for name in asked if name in text]
        if named:
            return self._refuse(max(named, key=len), code, text)
        if asked and text.startswith(SUBSCRIPTION_ERRORS):
            return self._refuse(asked[0], code, text)  # answers come in the order of what was asked
        return [Strange(None, "pusher:error", fields, "error")]

    def _refuse(self, name: str, code: int | None, text: str) -> list[Meaning]:
        return self._feed(name, Input.REFUSED, code, text)

    def _feed(self, name: str, given: Input, code: int | None = None, text: str = "") -> list[Meaning]:
        subscription = self.subscription(name)
        found: list[Meaning] = []
        for effect in subscription.feed(given):
            match effect:
                case Effect.SEND_UNSUBSCRIBE:
                    found.append(Write(frames.unsubscribe(name)))
                case Effect.CONFIRM:
                    found.append(Subscribed(name))
                case Effect.REFUSE:
                    found.append(Refused(name, code, text))
                case Effect.LOSE:
                    found.append(Ended(name, code, text))
                case Effect.SEND_SUBSCRIBE:
                    raise AssertionError(f"{given} asks for nothing")
        if subscription.state is State.ABSENT:
            _ = self._subscriptions.pop(name, None)
        return found


def _users(presence: dict[str, Any]) -> list[str]:
    """Return who is present: `hash` is the truth, `ids` completes it where a server leaves members out."""
    ids = presence.get("ids")
    listed = [_text(user) for user in cast("list[object]", ids)] if isinstance(ids, list) else []
    return [user for user in (*frames.as_object(presence.get("hash")), *listed) if user]


def _text(user: Any) -> str:
    """Return a user id as text; numbers come as either."""
    return str(user) if isinstance(user, str | int) and not isinstance(user, bool) else ""
