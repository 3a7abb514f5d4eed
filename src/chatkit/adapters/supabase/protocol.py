"""The protocol without I/O: frames in, what they mean out, in their order.

It knows the topics of one connection and which join each stands by, so that what comes late of an earlier one
is told apart. It sends nothing: frames to be written are what its methods return. One object serves one
connection.

Source: the Supabase sheet, sections 2 to 8.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chatkit.adapters.supabase.names import PREFIX
from chatkit.adapters.supabase.wire import Frame, Object, as_object, as_text, decode, encode
from chatkit.model.values import hide, packed

MOST: Final = 100
"""Topics of one connection: the service takes no more."""
PENDING: Final = 10_000
"""Messages that wait for an answer; of more the oldest are no longer waited for (I10)."""
READY: Final = "Replication connection established"
HEARTBEAT: Final = ("phoenix", "heartbeat")


class Joined(NamedTuple):
    """A topic was joined, as was asked for."""

    topic: str


class Refused(NamedTuple):
    """A join was refused; `reason`: in the service's words, which begin with a code."""

    topic: str
    reason: str


class Ended(NamedTuple):
    """A topic was left that nobody left: its channel was closed, or crashed."""

    topic: str
    reason: str | None
    """In the service's words; `None`: it gave none."""
    crashed: bool = False


class Ready(NamedTuple):
    """What the database commits from now on is broadcast on a topic."""

    topic: str


class Answered(NamedTuple):
    """A message has its answer, or a heartbeat its echo."""

    ref: str
    ok: bool
    response: Any

    def __repr__(self) -> str:
        return hide(self, "response")


class Told(NamedTuple):
    """Somebody broadcast something."""

    topic: str
    event: str
    payload: Any
    id: str | None
    """What the service calls it, if it has a name for it."""

    def __repr__(self) -> str:
        return hide(self, "payload")


class Present(NamedTuple):
    """Who is there: the whole set."""

    topic: str
    state: Object


class Moved(NamedTuple):
    """Who came and went."""

    topic: str
    joins: Object
    leaves: Object


class Strange(NamedTuple):
    """A frame that means nothing here."""

    topic: str | None
    event: str | None
    payload: Any
    reason: str

    def __repr__(self) -> str:
        return hide(self, "payload")


Meaning: TypeAlias = Joined | Refused | Ended | Ready | Answered | Told | Present | Moved | Strange


class _Topic:
    """One topic, by its present join."""

    def __init__(self, join_ref: str) -> None:
        self.join_ref = join_ref
        self.joined = False
        self.reason: str | None = None
        """Why it is about to be closed."""


class Protocol:
    """One connection. Topics are named without their prefix."""

    def __init__(self) -> None:
        self._last = 0
        self._topics: dict[str, _Topic] = {}
        self._asked: dict[str, str] = {}
        """Messages that wait for an answer: to which topic."""

    @property
    def joined(self) -> list[str]:
        """The topics that are joined."""
        return [name for name, topic in self._topics.items() if topic.joined]

    def is_joined(self, topic: str) -> bool:
        """Say whether a topic is joined."""
        found = self._topics.get(topic)
        return found is not None and found.joined

    # -- what is said

    def join(self, topic: str, config: Object, token: str | None) -> str:
        """Return the frame that joins; whatever comes of an earlier join is passed over from now on.

        Raises:
            OverflowError: There are as many topics as the service takes.
        """
        if topic not in self._topics and len(self._topics) >= MOST:
            raise OverflowError(f"more than {MOST} topics")
        ref = self._ref()
        self._topics[topic] = _Topic(ref)
        payload: Object = {"config": config}
        if token is not None:
            payload["access_token"] = token
        return encode(Frame(ref, ref, PREFIX + topic, "phx_join", payload))

    def leave(self, topic: str) -> str | None:
        """Return the frame that leaves, or takes a join back; `None`: there is nothing to leave."""
        found = self._topics.pop(topic, None)
        if found is None:
            return None
        self._forget_of(topic)
        return encode(Frame(found.join_ref, self._ref(), PREFIX + topic, "phx_leave", {}))

    def push(self, topic: str, event: str, payload: Object) -> tuple[str, str]:
        """Return the ref and the frame of a message that is answered."""
        ref = self._ref()
        self._asked[ref] = topic
        if len(self._asked) > PENDING:
            del self._asked[next(iter(self._asked))]
        return ref, self._frame(topic, ref, event, payload)

    def say(self, topic: str, event: str, payload: Object) -> str:
        """Return the frame of a message whose answer, if there is one, says nothing."""
        return self._frame(topic, self._ref(), event, payload)

    def heartbeat(self) -> tuple[str, str]:
        """Return the ref and the frame of a heartbeat."""
        ref, (topic, event) = self._ref(), HEARTBEAT
        return ref, encode(Frame(None, ref, topic, event, {}))

    def forget(self, ref: str) -> None:
        """Wait for an answer no longer."""
        _ = self._asked.pop(ref, None)

    # -- what is heard

    def receive(self, raw: str | bytes) -> list[Meaning]:
        """Take a frame; returns what it means, nothing where it is known already or comes too late."""
        frame = decode(raw)
        if frame is None:
            return [Strange(None, None, raw, "unreadable")]
        if frame.topic == HEARTBEAT[0]:
            return self._answered(frame)
        name = frame.topic.removeprefix(PREFIX)
        topic = self._topics.get(name)
        if topic is None or name == frame.topic:
            return []  # of a topic that was left
        if frame.event == "phx_reply":
            return self._reply(name, topic, frame)
        if frame.event in ("phx_close", "phx_error"):
            return self._close(name, topic, frame)
        if frame.join_ref not in (None, topic.join_ref) or not topic.joined:
            return []  # of an earlier join
        return self._said(name, topic, frame)

    def _said(self, name: str, topic: _Topic, frame: Frame) -> list[Meaning]:
        payload = as_object(frame.payload)
        match frame.event:
            case "broadcast":
                event = as_text(payload.get("event"))
                if event is None:
                    return [Strange(name, None, frame.payload, "no_event")]
                id = as_text(as_object(payload.get("meta")).get("id"))
                return [packed(Told, (name, event, payload.get("payload"), id))]
            case "presence_state":
                return [Present(name, payload)]
            case "presence_diff":
                return [Moved(name, as_object(payload.get("joins")), as_object(payload.get("leaves")))]
            case "system":
                return self._system(name, topic, payload)
            case _:
                return [Strange(name, frame.event, frame.payload, "unknown_event")]

    def _system(self, name: str, topic: _Topic, payload: Object) -> list[Meaning]:
        text = as_text(payload.get("message")) or ""
        if payload.get("extension") != "system":
            return []  # of what was not asked for
        if payload.get("status") == "error":
            topic.reason = text  # `phx_close` follows
        return [Ready(name)] if payload.get("status") == "ok" and text == READY else []

    def _reply(self, name: str, topic: _Topic, frame: Frame) -> list[Meaning]:
        if frame.ref != topic.join_ref:
            return self._answered(frame)
        if topic.joined:
            return []
        payload = as_object(frame.payload)
        if payload.get("status") == "ok":
            topic.joined = True
            return [Joined(name)]
        del self._topics[name]
        return [Refused(name, as_text(as_object(payload.get("response")).get("reason")) or "")]

    def _answered(self, frame: Frame) -> list[Meaning]:
        ref = frame.ref
        if frame.event != "phx_reply" or ref is None:
            return []
        if frame.topic != HEARTBEAT[0] and self._asked.pop(ref, None) is None:
            return []  # to what nobody waits for
        payload = as_object(frame.payload)
        return [Answered(ref, payload.get("status") == "ok", payload.get("response"))]

    def _close(self, name: str, topic: _Topic, frame: Frame) -> list[Meaning]:
        if frame.ref != topic.join_ref:
            return []  # of an earlier join
        del self._topics[name]
        self._forget_of(name)
        if not topic.joined:
            return [Refused(name, topic.reason or "")]
        return [Ended(name, topic.reason, crashed=frame.event == "phx_error")]

    # -- inside

    def _frame(self, topic: str, ref: str, event: str, payload: Object) -> str:
        found = self._topics.get(topic)
        return encode(Frame(None if found is None else found.join_ref, ref, PREFIX + topic, event, payload))

    def _forget_of(self, topic: str) -> None:
        self._asked = {ref: of for ref, of in self._asked.items() if of != topic}

    def _ref(self) -> str:
        self._last += 1
        return str(self._last)
