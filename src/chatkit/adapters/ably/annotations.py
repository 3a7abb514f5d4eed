"""Annotations: reactions as Ably has them, as envelopes would say it.

The envelope of a reaction is the annotation's data, so that it comes back under its own id; the name is the
emoji. Other clients put nothing there: what they annotate is a reaction of theirs all the same, since Ably
has checked who they are. Both stand in the order by the annotation's own serial, as reactions that are
messages of their own do, so that the later one counts (I5).

Summaries say what stands, not since when: they only tell that there is something to be listed.

Source: the Ably sheet, section 11; decision 27.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from chatkit.adapters.ably.places import annotation_key, moment, time_of
from chatkit.adapters.ably.versions import DEVICE
from chatkit.adapters.ably.wire import Frame, as_frame, as_int, as_list, as_text, text_of
from chatkit.errors import InvalidMessage
from chatkit.model.entry import Entry, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.ids import derived_message_id
from chatkit.model.names import emoji_key
from chatkit.model.order import Ident
from chatkit.model.values import format_time, hide

TYPE: Final = "reaction:distinct.v1"
"""Several emojis a user, each once; Ably's own examples use it."""
SUMMARY: Final = 4
"""The action of a message that says what its annotations sum up to."""
_CREATE: Final = 0
_DELETE: Final = 1
KINDS: Final = {True: "reaction.add", False: "reaction.remove"}
"""The kind of a reaction's envelope, by whether it is given."""

Register: TypeAlias = tuple[str, str]
"""One reaction: emoji and user."""


class Reaction(NamedTuple):
    """What an annotation says, once it is known of which message."""

    register: Register
    given: bool
    id: str
    """Of its envelope."""
    entry: Entry

    def __repr__(self) -> str:
        return hide(self, "entry")


class Annotation(NamedTuple):
    """An annotation of our type."""

    message: str
    """The serial of the message."""
    number: str
    """Its own."""
    given: bool
    user: str
    name: str
    said: str | None
    """The envelope, where chatkit made it."""

    def __repr__(self) -> str:
        return hide(self, "said")

    @property
    def emoji(self) -> str | None:
        """Under what it counts; `None`: no reaction is called so."""
        return _emoji(self.name)

    def reaction(self, channel: str, target: Ident) -> Reaction | None:
        """Return what it says of a message of ours; `None`: nothing that a reaction can be."""
        emoji = self.emoji
        if emoji is None:
            return None
        at = moment(time_of(self.number) or 0)
        try:
            told = self._told(channel, target, emoji) or self._made(channel, target, emoji, format_time(at))
        except InvalidMessage:
            return None
        stamp = Stamp(annotation_key(self.number), None, None, self.user, at)
        return Reaction((emoji, self.user), self.given, told.id, Entry(told.encode(), stamp))

    def is_of(self, id: str, user: str) -> bool:
        """Say whether it is what a user's reaction of an id made."""
        told = self._parsed()
        return told is not None and told.id == id and self.user == user

    def _parsed(self) -> Envelope | None:
        try:
            return None if self.said is None else Envelope.parse(self.said.encode("utf-8", "surrogateescape"))
        except InvalidMessage:
            return None

    def _told(self, channel: str, target: Ident, emoji: str) -> Envelope | None:
        """Return its envelope; `None`: chatkit did not make it, or about something else (D2)."""
        told = self._parsed()
        if told is None or told.kind != KINDS[self.given] or not told.readable or told.ref is None:
            return None
        about = Ident(told.ref.user, told.ref.id), told.channel, told.sender.user, told.emoji
        return told if about == (target, channel, self.user, emoji) else None

    def _made(self, channel: str, target: Ident, emoji: str, at: str) -> Envelope:
        kind = KINDS[self.given]
        return Envelope.from_dict(
            {
                "v": 1,
                "id": derived_message_id(self.number, kind),
                "kind": kind,
                "channel": channel,
                "sender": {"user": self.user, "device": DEVICE},
                "at": at,
                "ref": {"id": target.id, "user": target.user},
                "body": {"type": "reaction", "emoji": emoji},
            }
        )


def annotation_of(item: Frame) -> Annotation | None:
    """Return an annotation as a reaction; `None`: it is of another type, or nobody vouches for its sender."""
    action = as_int(item.get("action")) or _CREATE
    message, number = as_text(item.get("messageSerial")), as_text(item.get("serial"))
    user, name = as_text(item.get("clientId")), as_text(item.get("name"))
    if item.get("type") != TYPE or action not in (_CREATE, _DELETE):
        return None
    if message is None or number is None or user is None or name is None:
        return None
    return Annotation(message, number, action == _CREATE, user, name, text_of(item))


def reactions_of(channel: str, target: Ident, told: Iterable[Annotation]) -> list[Reaction]:
    """Return what annotations of a message say, by their places; what one id said first stands (D1)."""
    found: dict[Ident, Reaction] = {}
    for annotation in sorted(told, key=lambda one: one.number):
        reaction = annotation.reaction(channel, target)
        if reaction is not None:
            _ = found.setdefault(Ident(annotation.user, reaction.id), reaction)
    return list(found.values())


def pack(serial: str, change: Envelope, names: Sequence[str], *, user: str | None) -> list[Frame]:
    """Return the annotations that make a reaction, or take it back.

    Args:
        serial: Of the message.
        change: The reaction.
        names: What it is called at Ably: each of them is taken back.
        user: Whose it is, where the connection does not say it.
    """
    frame: Frame = {
        "action": _CREATE if change.kind == KINDS[True] else _DELETE,
        "messageSerial": serial,
        "type": TYPE,
        "data": change.encode().decode(),
    }
    if user is not None:
        frame["clientId"] = user
    return [{**frame, "id": f"{change.id}:{index}", "name": name} for index, name in enumerate(names)]


def summary_of(item: Frame) -> frozenset[Register] | None:
    """Return the reactions that stand, as a message says; `None`: nobody ever reacted by an annotation.

    Of an emoji whose users are too many to be named it has none but "".
    """
    told = as_frame((as_frame(item.get("annotations")) or {}).get("summary")) or {}
    if TYPE not in told:
        return None
    found = set[Register]()
    for name, one in (as_frame(told[TYPE]) or {}).items():
        emoji, given = _emoji(name), as_frame(one) or {}
        if emoji is None:
            continue
        if given.get("clipped") is True:
            found.add((emoji, ""))
        else:
            found.update((emoji, user) for each in as_list(given.get("clientIds")) if (user := as_text(each)))
    return frozenset(found)


def _emoji(name: str) -> str | None:
    try:
        return emoji_key(name)
    except InvalidMessage:
        return None
