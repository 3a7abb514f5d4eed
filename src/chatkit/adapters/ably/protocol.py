"""`Protocol`: one connection as the service tells it, and the frames that it is told. No I/O.

Source: the Ably sheet, sections 3 to 9.
"""

from __future__ import annotations

from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from chatkit.adapters.ably.acks import Pending
from chatkit.adapters.ably.attachments import Answer, Attachment
from chatkit.adapters.ably.config import Form
from chatkit.adapters.ably.members import Member, Move
from chatkit.adapters.ably.wire import (
    Action,
    ErrorInfo,
    Flag,
    Frame,
    as_frame,
    as_int,
    as_list,
    as_text,
    decode,
    encode,
    error_of,
    items_of,
)

T = TypeVar("T")


class Resume(NamedTuple):
    """What a connection is gone on with by another transport."""

    key: str
    connection_id: str
    number: int
    """Of the next frame that is to be acknowledged."""

    def __repr__(self) -> str:
        return f"Resume(connection_id={self.connection_id!r})"


class Connected(NamedTuple):
    """The connection stands, or goes on with new credentials."""

    resumed: bool


class Settled(NamedTuple, Generic[T]):
    """What became of a frame that was to be acknowledged."""

    what: T
    serials: list[str | None]
    """Of its messages, of an ACK; `None` where there is no such message any more."""
    error: ErrorInfo | None
    """Of a NACK."""
    unknown: bool
    """Others were answered, this one was not."""


class Answered(NamedTuple):
    """A heartbeat of ours came back."""

    id: str


class Attached(NamedTuple):
    """A channel is attached."""

    name: str
    serial: str
    resumed: bool
    may_publish: bool
    asked: bool


class Detached(NamedTuple):
    """A channel is no longer attached, as was asked for."""

    name: str


class Refused(NamedTuple):
    """A channel was refused; `error`: `None`, the service did not say why."""

    name: str
    error: ErrorInfo | None


class Ended(NamedTuple):
    """A channel was taken away."""

    name: str
    error: ErrorInfo | None


class Came(NamedTuple):
    """Messages of one frame."""

    name: str
    serial: str | None
    """Of the frame."""
    items: list[Frame]


class Annotated(NamedTuple):
    """Annotations of one frame."""

    name: str
    serial: str | None
    """Of the frame."""
    items: list[Frame]


class Present(NamedTuple):
    """Who is in a channel: the whole set."""

    name: str
    members: list[Member]


class Moved(NamedTuple):
    """Who came, changed or went."""

    name: str
    moves: list[Move]


class AskedForToken(NamedTuple):
    """The service asks for a fresh token."""


class Closing(NamedTuple):
    """The service ends the connection; `fatal`: by ERROR, else it may be gone on with."""

    error: ErrorInfo | None
    fatal: bool


class Closed(NamedTuple):
    """It ended the connection as was asked for."""


class Write(NamedTuple):
    """A frame is to be sent."""

    frame: str | bytes


Meaning: TypeAlias = (
    Connected
    | Settled[Any]
    | Answered
    | Attached
    | Detached
    | Refused
    | Ended
    | Came
    | Annotated
    | Present
    | Moved
    | AskedForToken
    | Closing
    | Closed
    | Write
)

_MODES: Final = Flag.PUBLISH | Flag.SUBSCRIBE | Flag.PRESENCE
_ANNOTATIONS: Final = Flag.ANNOTATION_PUBLISH | Flag.ANNOTATION_SUBSCRIBE


class Protocol(Generic[T]):
    """One connection. `T` is what its user wants back with the answer to a frame.

    Args:
        form: How frames are written.
        resume: Of the connection that is to be gone on with.
        annotations: They are made, and heard one by one.
    """

    def __init__(self, form: Form, resume: Resume | None = None, *, annotations: bool = False) -> None:
        self.connection_id = ""
        self.client_id: str | None = None
        """Whom it speaks for: `*` for anybody, `None` for nobody."""
        self._form: Form = form
        self._modes = int(_MODES | _ANNOTATIONS if annotations else _MODES)
        self._resume = resume
        self._key = ""
        self._pending = Pending[T](0)
        self._attachments: dict[str, Attachment] = {}

    @property
    def resume(self) -> Resume | None:
        """What this connection is gone on with, once it stands."""
        return Resume(self._key, self.connection_id, self._pending.next) if self._key else None

    def unsettled(self) -> list[T]:
        """Return what was not answered, at the end."""
        return self._pending.clear()

    # -- what is said to the service

    def attach(self, name: str, *, presence: bool, behind: str | None) -> str | bytes:
        """Return the frame that attaches; `behind`: the channel serial from where to go on."""
        attachment = self._attachments.setdefault(name, Attachment())
        attachment.ask("attach")
        attachment.presence = presence
        flags = self._modes | (int(Flag.PRESENCE_SUBSCRIBE) if presence else 0)
        frame: Frame = {"action": int(Action.ATTACH), "channel": name, "flags": flags}
        if behind is not None:
            frame["channelSerial"] = behind
        return encode(frame, self._form)

    def detach(self, name: str) -> str | bytes | None:
        """Return the frame that detaches; `None`: there is nothing to detach."""
        attachment = self._attachments.get(name)
        if attachment is None:
            return None
        attachment.ask("detach")
        return self._frame(Action.DETACH, channel=name)

    def publish(self, name: str, messages: list[Frame], what: T) -> str | bytes:
        """Return the frame that publishes messages, all or none."""
        number = self._pending.add(what)
        return self._frame(Action.MESSAGE, channel=name, msgSerial=number, messages=messages)

    def annotate(self, name: str, annotations: list[Frame], what: T) -> str | bytes:
        """Return the frame that makes annotations of one message, or takes them back, all or none."""
        number = self._pending.add(what)
        return self._frame(Action.ANNOTATION, channel=name, msgSerial=number, annotations=annotations)

    def present(self, name: str, member: Frame, what: T) -> str | bytes:
        """Return the frame by which a member enters, changes or leaves."""
        number = self._pending.add(what)
        return self._frame(Action.PRESENCE, channel=name, msgSerial=number, presence=[member])

    def heartbeat(self, id: str) -> str | bytes:
        """Return the frame that is answered by the same id."""
        return self._frame(Action.HEARTBEAT, id=id)

    def authenticate(self, token: str) -> str | bytes:
        """Return the frame that presents a token; CONNECTED answers it."""
        return self._frame(Action.AUTH, auth={"accessToken": token})

    def close(self) -> str | bytes:
        """Return the frame that ends the connection for good."""
        return self._frame(Action.CLOSE)

    # -- what the service says

    def hears(self, name: str) -> bool:
        """Say whether what comes of a channel is for us."""
        found = self._attachments.get(name)
        return found is not None and found.hears

    def receive(self, raw: str | bytes) -> list[Meaning]:
        """Return what a frame means; nothing where it means no more than that the service lives."""
        frame = decode(raw, self._form)
        if frame is None:
            return []
        name = as_text(frame.get("channel")) or ""
        match as_int(frame.get("action")) or 0:
            case Action.MESSAGE:
                return self._messages(name, frame)
            case Action.ACK | Action.NACK as action:
                return self._settle(frame, refused=action == Action.NACK)
            case Action.HEARTBEAT:
                id = as_text(frame.get("id"))
                return [] if id is None else [Answered(id)]
            case Action.ANNOTATION if self.hears(name):
                return [Annotated(name, as_text(frame.get("channelSerial")), items_of(frame, "annotations"))]
            case Action.PRESENCE | Action.SYNC as action:
                return self._presence(name, frame, sync=action == Action.SYNC)
            case Action.ATTACHED:
                return self._attached(name, frame)
            case Action.DETACHED:
                return self._detached(name, frame)
            case Action.ERROR if name:
                return self._failed(name, frame)
            case action:
                return self._of_connection(action, frame)

    # -- inside

    def _of_connection(self, action: int, frame: Frame) -> list[Meaning]:
        match action:
            case Action.CONNECTED:
                return self._connected(frame)
            case Action.ERROR | Action.DISCONNECTED:
                return [Closing(error_of(frame), fatal=action == Action.ERROR)]
            case Action.CLOSED:
                return [Closed()]
            case Action.AUTH:
                return [AskedForToken()]
            case _:
                return []

    def _connected(self, frame: Frame) -> list[Meaning]:
        details = as_frame(frame.get("connectionDetails")) or {}
        connection = as_text(frame.get("connectionId")) or ""
        self._key = as_text(details.get("connectionKey")) or as_text(frame.get("connectionKey")) or self._key
        if self.connection_id:
            return [Connected(resumed=True)]  # with new credentials: all goes on
        resumed = self._resume is not None and self._resume.connection_id == connection
        if self._resume is not None and resumed:
            self._pending = Pending[T](self._resume.number)
        self.connection_id = connection
        self.client_id = as_text(details.get("clientId"))
        return [Connected(resumed)]

    def _settle(self, frame: Frame, *, refused: bool) -> list[Meaning]:
        first, count = as_int(frame.get("msgSerial")) or 0, as_int(frame.get("count")) or 1
        error = error_of(frame) or ErrorInfo(0, 400) if refused else None
        answer = self._pending.settle(first, count)
        found: list[Meaning] = [Settled(what, [], None, unknown=True) for what in answer.skipped]
        told = as_list(frame.get("res"))
        for index, what in enumerate(answer.settled, answer.known):
            one = as_frame(told[index]) if index < len(told) else None
            serials = [as_text(each) for each in as_list(one.get("serials"))] if one is not None else []
            found.append(Settled(what, serials, error, unknown=False))
        return found

    def _attached(self, name: str, frame: Frame) -> list[Meaning]:
        attachment = self._attachments.get(name)
        answer = Answer.STRANGE if attachment is None else attachment.answered("attach")
        if attachment is None or answer is Answer.STRANGE:
            # Not while a detach is under way, whose answer comes.
            wanted = attachment is not None and not attachment.idle
            return [] if wanted else [Write(self._frame(Action.DETACH, channel=name))]
        if answer is Answer.STALE:
            return []
        flags = as_int(frame.get("flags")) or 0
        resumed, serial = bool(flags & Flag.RESUMED), as_text(frame.get("channelSerial")) or ""
        found: list[Meaning] = [
            Attached(name, serial, resumed, bool(flags & Flag.PUBLISH), asked=answer is Answer.DONE)
        ]
        if attachment.presence and attachment.members.attached(has_presence=bool(flags & Flag.HAS_PRESENCE)):
            found.append(Present(name, []))
        return found

    def _detached(self, name: str, frame: Frame) -> list[Meaning]:
        attachment = self._attachments.get(name)
        if attachment is None or not attachment.detaching:
            return self._failed(name, frame)
        answer = attachment.answered("detach")
        self._forget(name, attachment)
        return [Detached(name)] if answer is Answer.DONE else []

    def _failed(self, name: str, frame: Frame) -> list[Meaning]:
        attachment = self._attachments.get(name)
        if attachment is None:
            return []
        detaching, answer = attachment.detaching, attachment.failed()
        self._forget(name, attachment)
        if answer is Answer.DONE:
            return [Detached(name)] if detaching else [Refused(name, error_of(frame))]
        return [Ended(name, error_of(frame))] if answer is Answer.UNASKED else []

    def _messages(self, name: str, frame: Frame) -> list[Meaning]:
        if not self.hears(name):
            return []
        return [Came(name, as_text(frame.get("channelSerial")), items_of(frame, "messages"))]

    def _presence(self, name: str, frame: Frame, *, sync: bool) -> list[Meaning]:
        attachment = self._attachments.get(name)
        if attachment is None or not attachment.hears or not attachment.presence:
            return []
        members, items = attachment.members, items_of(frame, "presence")
        if sync:
            whole = members.sync(as_text(frame.get("channelSerial")), items)
            return [Present(name, members.present)] if whole else []
        moves = members.apply(items)
        return [Moved(name, moves)] if moves else []

    def _forget(self, name: str, attachment: Attachment) -> None:
        if attachment.idle:
            _ = self._attachments.pop(name, None)

    def _frame(self, action: Action, **fields: Any) -> str | bytes:
        return encode({"action": int(action), **fields}, self._form)
