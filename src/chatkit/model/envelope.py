"""The envelope, version 1: what every provider carries for us (delivery.md, last part; docs/wire.md).

Reading is strict where a lie could hurt (identity, order, classes, sizes) and tolerant elsewhere: unknown
fields are kept and passed on, unknown kinds are stored and ignored, `null` is the same as absent.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, cast

from pydantic import ValidationError, model_validator

from chatkit.errors import InvalidMessage
from chatkit.model import ijson
from chatkit.model.envelope_parts import (
    Body,
    ChannelName,
    Clock,
    Flag,
    Instant,
    Kind,
    LowestVersion,
    Mentions,
    MessageId,
    Meta,
    Natural,
    Part,
    Positive,
    Ref,
    Root,
    Sender,
    Stamp,
    Topic,
    Ttl,
)
from chatkit.model.envelope_plain import read_plain, write_plain
from chatkit.model.names import emoji_key
from chatkit.model.order import Ident

VERSION: Final = 1
"""The newest version that this reader understands."""
MAX_BYTES: Final = 1_048_576
"""What `Envelope.parse` looks at unless told otherwise."""

_set: Final = object.__setattr__

Class: TypeAlias = Literal["log", "state", "ephemeral"]

_CLASSES: Final[dict[str, Class]] = {
    "state": "state",
    "typing": "ephemeral",
    "presence": "ephemeral",
    "x": "ephemeral",
}
# What each known kind must say. A create or an update may lack its body: an erased one does (D26).
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "message.create": ("at",),
    "message.update": ("at", "ref"),
    "message.delete": ("at", "ref"),
    "message.restore": ("at", "ref"),
    "reaction.add": ("at", "ref", "body"),
    "reaction.remove": ("at", "ref", "body"),
}
_REACTIONS: Final = ("reaction.add", "reaction.remove")
# What is believed of an envelope that asks for a newer reader: who, where, when, in which place.
_FRAME: Final = frozenset(
    ("v", "min", "id", "kind", "channel", "sender", "seq", "pred", "hlc", "epoch", "at", "stamp")
)
# Where pydantic's own words would speak of Python.
_REASONS: Final = {"missing": "is missing", "model_type": "is not an object", "dict_type": "is not an object"}


class Claim(NamedTuple):
    """A claim check: the body is too large for a frame and waits in the log."""

    bytes: int
    summary: str


class Envelope(Part):
    """One wish of one sender, frozen. Made by `parse` and `from_dict`, which name the field they refuse."""

    v: Positive
    """The writer's version."""
    min: LowestVersion = 1
    """The lowest version of a reader that may interpret it."""
    id: MessageId
    kind: Kind
    channel: ChannelName
    sender: Sender
    seq: Positive | None = None
    """The number of the wish in its lane: a hint, as is `pred` (D5)."""
    pred: Natural | None = None
    """The lane's last acknowledged or in-doubt `seq`."""
    hlc: Clock | None = None
    """The hybrid clock at the first attempt (D4); required where no sequencer stamps, as is `epoch`."""
    epoch: Positive | None = None
    at: Instant | None = None
    """When the user pressed send; for display only (D4). Known log kinds always have it."""
    ref: Ref | None = None
    """The target of a change, or the message that a create quotes."""
    thread: Root | None = None
    topic: Topic | None = None
    mentions: Mentions = ()
    """User ids; `*` means everyone."""
    also: Flag = False
    """A reply in a thread is shown in the channel too."""
    body: Body | None = None
    ttl: Ttl | None = None
    """Milliseconds that an ephemeral envelope lives."""
    meta: Meta | None = None
    """Trace context and labels; never interpreted for order or rights."""
    stamp: Stamp | None = None

    @classmethod
    def parse(cls, data: bytes, *, limit: int = MAX_BYTES) -> Self:
        """Read an envelope that anyone may have written.

        Args:
            data: UTF-8 JSON.
            limit: The most bytes to look at.

        Raises:
            InvalidMessage: It is none; the message names the first field that is wrong, never a value.
        """
        envelope = cls.parse_plain(data) if len(data) <= limit else None
        return cls.from_dict(ijson.loads(data, limit=limit)) if envelope is None else envelope

    @classmethod
    def parse_plain(cls, data: bytes) -> Self | None:
        """Read a message of plain text as `encode` writes it; `None`: `parse` says what else it is."""
        plain = read_plain(data)
        if plain is None:
            return None
        # As pydantic makes one, less the checks that the match stands for.
        envelope = cls.__new__(cls)
        _set(envelope, "__dict__", plain)
        _set(envelope, "__pydantic_fields_set__", _ALL)
        _set(envelope, "__pydantic_extra__", {})
        _set(envelope, "__pydantic_private__", None)
        return envelope

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """Make an envelope from its fields as JSON has them: times as text, parts as dicts.

        Raises:
            InvalidMessage: As `parse`; what is deep inside the body is checked by `encode`.
        """
        if None in fields.values():  # null = absent
            fields = {name: value for name, value in fields.items() if value is not None}
        lowest = fields.get("min", VERSION)
        later = isinstance(lowest, int) and lowest > VERSION
        try:
            envelope = cls.model_validate(
                {name: value for name, value in fields.items() if name in _FRAME} if later else fields
            )
        except ValidationError as error:
            raise _refusal(error) from None
        if later:
            # The rest has the shape of a version that is not ours: kept for `encode`, never looked at.
            envelope.unknown.update((name, value) for name, value in fields.items() if name not in _FRAME)
        return envelope

    def encode(self) -> bytes:
        """Write it as compact JSON: fields in the order of the table, then the unknown ones as they came.

        Raises:
            InvalidMessage: The body, or an unknown field, holds what I-JSON cannot say.
        """
        return ijson.dumps(self.to_dict())

    @classmethod
    def pack(cls, fields: dict[str, Any]) -> bytes:
        """Return what `from_dict(fields).encode()` would: the short way where that can be told.

        Raises:
            InvalidMessage: As those two.
        """
        plain = write_plain(fields)
        return cls.from_dict(fields).encode() if plain is None else plain

    @property
    def readable(self) -> bool:
        """Whether this reader may interpret it; else only who, where, when and `fallback` mean anything."""
        return self.min <= VERSION

    @property
    def klass(self) -> Class:
        """How it is kept, told by the prefix of its kind; an unknown prefix is kept as an entry (D25)."""
        return _CLASSES.get(self.kind.partition(".")[0], "log")

    @property
    def root(self) -> Ident | None:
        """What names the message whose thread it is in; `None`: it stands in the channel."""
        return None if self.thread is None else Ident(self.thread.user, self.thread.id)

    @property
    def claim(self) -> Claim | None:
        """The claim check that stands in place of the body, if one does."""
        if self.body is None or self.body["type"] != "claim":
            return None
        return Claim(self.body["bytes"], self.body.get("summary") or "")

    @property
    def emoji(self) -> str | None:
        """The emoji key of a reaction, else `None`."""
        return self.body["emoji"] if self.body is not None and self.kind in _REACTIONS else None

    @property
    def fallback(self) -> str | None:
        """The words to show where the body cannot be."""
        body = self.body if self.readable else self.unknown.get("body")
        words = cast("dict[str, Any]", body).get("fallback") if isinstance(body, dict) else None
        return words if isinstance(words, str) else None

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of version 1.

        Rules that a schema cannot say (normal form C, sizes in bytes, I-JSON) are in docs/wire.md.
        """
        passing = "|".join(prefix for prefix, klass in _CLASSES.items() if klass == "ephemeral")
        rules = [
            _rule({"const": kind}, {name: {"not": {"type": "null"}} for name in needs}, required=needs)
            for kind, needs in _NEEDS.items()
        ]
        rules.append(_rule({"const": "message.delete"}, {"body": {"type": "null"}}))
        rules.append(_rule({"not": {"pattern": rf"^({passing})(\.|$)"}}, {"ttl": {"type": "null"}}))
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **cls.model_json_schema(),
            "description": "One wish of one sender; see docs/wire.md.",
            "allOf": rules,
        }

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Check what fields demand of one another."""
        if self.min > VERSION:
            return self
        for name in _NEEDS.get(self.kind, ()):
            if getattr(self, name) is None:
                raise ijson.field_error(name, f"is missing, which {self.kind} needs")
        if self.ttl is not None and self.klass != "ephemeral":
            raise ijson.field_error("ttl", "is for ephemeral kinds only")
        if self.body is not None:
            if self.kind == "message.delete":
                raise ijson.field_error("body", "is absent on message.delete")
            _check_body(self.kind, self.body)
        return self


_ALL: Final = set(Envelope.model_fields)  # shared: pydantic copies it before it changes a copy's


def _check_body(kind: str, body: dict[str, Any]) -> None:
    name = body.get("type")
    if not isinstance(name, str) or not 1 <= len(name) <= 64:
        raise ijson.field_error("body.type", "is not a name of 1 to 64 characters")
    if not isinstance(body.get("fallback"), str | None):
        raise ijson.field_error("body.fallback", "is not text")
    if name == "claim":
        size = body.get("bytes")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ijson.field_error("body.bytes", "is not a number of bytes")
        if not isinstance(body.get("summary"), str | None):
            raise ijson.field_error("body.summary", "is not text")
    if kind in _REACTIONS:
        emoji = body.get("emoji")
        if not isinstance(emoji, str) or not _is_emoji_key(emoji):
            raise ijson.field_error(
                "body.emoji", "is not an emoji key: normal form C, no variation selectors"
            )


def _is_emoji_key(text: str) -> bool:
    try:
        return emoji_key(text) == text
    except InvalidMessage:
        return False


def _refusal(error: ValidationError) -> InvalidMessage:
    """Return our error for the first fault that pydantic found, without the value that it saw."""
    first = error.errors(include_url=False, include_input=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidMessage):  # it names its field itself
        return cause
    reason = _REASONS.get(first["type"]) or str(cause or first["msg"])
    return ijson.field_error(ijson.join("", *map(str, first["loc"])), reason[0].lower() + reason[1:])


def _rule(kind: dict[str, Any], then: dict[str, Any], *, required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"if": {"properties": {"kind": kind}}, "then": {"properties": then, "required": list(required)}}
