"""Versions: what Ably tells of a message that was updated or deleted there, as envelopes would say it.

A version stands in history in place of the message, and comes live under the message's serial. Its data is
the creation with the body that the message has now, so that whoever looks at Ably alone sees what is said;
the envelope of the change goes without its body in the version's metadata. Other clients know nothing of
that: what they write is taken for an edit or a delete of the message's author, since Ably has checked the
right to it. An update also says that the message is there, whatever deletes were before it.

Source: the Ably sheet, sections 6 and 11; decision 25.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

from chatkit.adapters.ably.envelopes import OVERHEAD
from chatkit.adapters.ably.places import key_of, moment, time_of, version_key
from chatkit.adapters.ably.wire import Frame, as_frame, as_int, as_text, text_of
from chatkit.errors import InvalidMessage
from chatkit.model import ijson
from chatkit.model.entry import Entry, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.ids import derived_message_id
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import format_time, hide
from chatkit.ports.adapter import Received

CREATE: Final = 0
UPDATE: Final = 1
DELETE: Final = 2
METADATA: Final = "chatkit"
"""Where the envelope of a change stands in a version's metadata."""
DEVICE: Final = "ablyclient"
"""The device of whoever changed a message without chatkit."""
LONGEST: Final = 131_072
"""Bytes of an envelope that is read out of a version."""
_KINDS: Final = {UPDATE: "message.update", DELETE: "message.delete"}


class Version(NamedTuple):
    """A version of a message that is not its first."""

    serial: str
    """Of the message."""
    number: str
    """Of the version."""
    action: int
    user: str
    """Who made the message."""
    editor: str | None
    """Who made the version."""
    text: str | None
    """Its data."""
    said: str | None
    """The envelope of the change, where chatkit made it."""

    def __repr__(self) -> str:
        return hide(self, "text", "said")

    @property
    def key(self) -> OrderKey:
        """Its place among all that happened."""
        return version_key(self.number)

    def creation(self, channel: str) -> Envelope | None:
        """Return the message's creation with the body of this version; `None`: this is no envelope."""
        return None if self.text is None else _parsed(self.text, channel, self.user)

    def creation_from(self, first: Envelope) -> Envelope:
        """Return the same where the version is no envelope: from what the message was at first."""
        return first.model_copy(update={"body": _body(self.text)})

    def as_entry(self, now: Envelope) -> Entry:
        """Return the creation as history has it; of a deleted message without its body (D26)."""
        shown = now.model_copy(update={"body": None}) if self.action == DELETE else now
        at = moment(time_of(self.serial) or 0)
        return Entry(shown.encode(), Stamp(key_of(self.serial), None, None, self.user, at), revised=True)

    def changes(self, now: Envelope) -> tuple[Entry, ...]:
        """Return what it changes, in order.

        Args:
            now: The message's creation with the body of this version.
        """
        at = moment(time_of(self.number) or 0)
        stamp = Stamp(self.key, None, None, self.user, at)
        told = self._told(now)
        if self.action == DELETE:
            return (Entry(told or self._made("message.delete", now, at), stamp),)
        there = self._made("message.restore", now, at)
        return (
            Entry(there, stamp),
            Entry(told or self._made("message.update", now, at, body=now.body), stamp),
        )

    def is_of(self, id: str) -> bool:
        """Say whether it is what the change of an id made."""
        return self.said is not None and _fields(self.said).get("id") == id

    def _told(self, now: Envelope) -> bytes | None:
        """Return the envelope of the change; `None`: chatkit did not make it, or not about this."""
        fields = _fields(self.said)
        if self.action == UPDATE and now.body is not None:
            fields["body"] = now.body
        try:
            told = Envelope.from_dict(fields)
            target = None if told.ref is None else Ident(told.ref.user, told.ref.id)
            right = told.kind == _KINDS[self.action] and target == Ident(self.user, now.id)
            same = told.channel == now.channel and told.sender.user == self.user == self.editor
            return told.encode() if right and same else None
        except InvalidMessage:
            return None

    def _made(self, kind: str, now: Envelope, at: datetime, *, body: dict[str, Any] | None = None) -> bytes:
        fields = {
            "v": 1,
            "id": derived_message_id(self.number, kind),
            "kind": kind,
            "channel": now.channel,
            "sender": {"user": self.user, "device": DEVICE},
            "at": format_time(at),
            "ref": {"id": now.id, "user": self.user},
            "thread": None if now.thread is None else {"id": now.thread.id, "user": now.thread.user},
            "body": body,
        }
        return Envelope.from_dict(fields).encode()


def version_of(item: Frame) -> Version | None:
    """Return a message as a version; `None`: it is its first, or somebody's whom nobody knows."""
    action = as_int(item.get("action")) or CREATE
    if action not in _KINDS:
        return None
    told = as_frame(item.get("version")) or {}
    serial, number = as_text(item.get("serial")), as_text(told.get("serial"))
    user = as_text(item.get("clientId"))
    if serial is None or number is None or user is None:
        return None
    said = as_text((as_frame(told.get("metadata")) or {}).get(METADATA))
    return Version(serial, number, action, user, as_text(told.get("clientId")), text_of(item), said)


def received(channel: str, entry: Entry) -> Received:
    """Return what a version tells as a signal."""
    return Received(channel, entry.data, entry.stamp.user, "provider", entry.stamp, unforgeable=True)


def first_of(item: Frame, channel: str) -> Envelope | None:
    """Return what a message was at first, of its first version; `None`: it is none of ours."""
    user, text = as_text(item.get("clientId")), text_of(item)
    return None if user is None or text is None else _parsed(text, channel, user)


def number_of(item: Frame) -> str:
    """Return what sorts the versions of a message: the serial of one; of the first that of the message."""
    told = as_frame(item.get("version")) or {}
    return as_text(told.get("serial")) or as_text(item.get("serial")) or ""


def size_of(frame: Frame) -> int:
    """Return the bytes that a change takes, its metadata included."""
    metadata: Frame = frame["version"]["metadata"]
    return OVERHEAD + len(frame["data"].encode()) + len(metadata[METADATA].encode())


def pack(serial: str, change: Envelope, now: Envelope, *, user: str | None) -> Frame:
    """Return the message that changes another one.

    Args:
        serial: Of the message.
        change: The envelope of the change.
        now: The message's creation.
        user: Who changes it, where the connection does not say it.
    """
    shown = now.model_copy(update={"body": change.body}).encode()
    said = change.model_copy(update={"body": None}).encode().decode()
    version: Frame = {"metadata": {METADATA: said}}
    if user is not None:
        version["clientId"] = user
    action = UPDATE if change.kind == "message.update" else DELETE
    return {"action": action, "serial": serial, "data": shown.decode(), "version": version}


def _parsed(text: str, channel: str, user: str) -> Envelope | None:
    try:
        found = Envelope.parse(text.encode("utf-8", "surrogateescape"), limit=LONGEST)
    except (InvalidMessage, UnicodeError):
        return None
    fits = found.kind == "message.create" and found.channel == channel and found.sender.user == user
    return found if fits and found.readable else None


def _body(text: str | None) -> dict[str, Any]:
    """Return what another client wrote as a body: its text, or that of an object such as Ably Chat's."""
    words: object = None
    with suppress(ValueError, RecursionError):
        words = (as_frame(json.loads(text or "null")) or {}).get("text")
    body = {"type": "text", "text": words if isinstance(words, str) else text or ""}
    try:
        ijson.check(body)
    except InvalidMessage:
        return {"type": "text", "text": ""}
    return body


def _fields(said: str | None) -> dict[str, Any]:
    try:
        return ijson.loads((said or "{}").encode("utf-8", "surrogateescape"), limit=LONGEST)
    except (InvalidMessage, UnicodeError):
        return {}
