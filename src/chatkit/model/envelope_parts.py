"""What an envelope is made of: its parts, and the types of its fields with their rules on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from chatkit.model import ijson
from chatkit.model.ids import CLOCK, DEVICE, MESSAGE_ID
from chatkit.model.names import EVERYONE, MAX_USER_BYTES, MAX_WIRE_NAME, channel_problem, user_problem
from chatkit.model.values import format_time

MAX_MENTIONS: Final = 50
MAX_META_BYTES: Final = 1_000
MAX_TTL_MS: Final = 60_000

# Hour 24 and second 60 are left out: not every language and version reads them.
_INSTANT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"
_is_instant = re.compile(_INSTANT[1:-1]).fullmatch


def _user(user: str) -> str:
    problem = user_problem(user)
    if problem is not None:
        raise ValueError(problem)
    return user


def _channel(name: str) -> str:
    problem = channel_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


def _instant(text: object) -> datetime:
    if isinstance(text, str) and _is_instant(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # there is no such day
    raise ValueError("is not a time in UTC like 2026-11-23T10:00:00.000Z")


# The next two go by hand, because pydantic would list every fault of a stranger's megabyte.


def _mentions(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("is not a list")  # pydantic collects no TypeError
    users = cast("list[object]", value)
    if len(users) > MAX_MENTIONS:
        raise ValueError(f"names more than {MAX_MENTIONS} users")
    for index, user in enumerate(users):
        problem = user_problem(user) if isinstance(user, str) else "is not text"
        if problem is not None and user != EVERYONE:
            raise ijson.field_error(f"mentions.{index}", problem)
    return tuple(cast("list[str]", users))


def _meta(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        raise ValueError("is not an object")  # pydantic collects no TypeError
    if len(ijson.dumps(value, "meta")) > MAX_META_BYTES:
        raise ValueError(f"takes more than {MAX_META_BYTES} bytes")
    labels = cast("dict[str, object]", value)
    for key, label in labels.items():
        if not isinstance(label, str):
            raise ijson.field_error(ijson.join("meta", key), "is not text")
    return cast("dict[str, str]", labels) or None


Natural: TypeAlias = Annotated[int, Field(ge=0, le=ijson.MAX_INT)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=ijson.MAX_INT)]
LowestVersion: TypeAlias = Annotated[Positive, WithJsonSchema({"type": ["integer", "null"], "minimum": 1})]
MessageId: TypeAlias = Annotated[str, Field(pattern=MESSAGE_ID)]
Kind: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$", max_length=128)]
ChannelName: TypeAlias = Annotated[
    str,
    AfterValidator(_channel),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_WIRE_NAME}),
]
UserId: TypeAlias = Annotated[
    str,
    AfterValidator(_user),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_USER_BYTES}),
]
Device: TypeAlias = Annotated[str, Field(pattern=DEVICE)]
Clock: TypeAlias = Annotated[str, Field(pattern=CLOCK)]
Instant: TypeAlias = Annotated[
    datetime, PlainValidator(_instant), WithJsonSchema({"type": "string", "pattern": _INSTANT})
]
Serial: TypeAlias = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=128)]
PreviousSerial: TypeAlias = Annotated[str, Field(pattern=r"^[!-~]*$", max_length=128)]
Topic: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
Flag: TypeAlias = Annotated[bool, WithJsonSchema({"type": ["boolean", "null"]})]
Ttl: TypeAlias = Annotated[int, Field(ge=1, le=MAX_TTL_MS)]
Mentions: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_mentions),
    WithJsonSchema({"type": ["array", "null"], "items": {"type": "string"}, "maxItems": MAX_MENTIONS}),
]
Meta: TypeAlias = Annotated[
    dict[str, str],
    PlainValidator(_meta),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
Body: TypeAlias = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"type": "string", "minLength": 1, "maxLength": 64},
                "fallback": {"type": ["string", "null"]},
            },
        }
    ),
]


class Part(BaseModel):
    """Frozen, exact about types; keeps what it does not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as they travel: in the order of the table, absent ones left out."""
        found: dict[str, Any] = {}
        fields: dict[str, object] = vars(self)
        for name, value in fields.items():
            if value is not None and value is not False and value != ():
                write = _WRITERS.get(type(value))
                found[name] = value if write is None else write(value)
        found.update((name, value) for name, value in self.unknown.items() if value is not None)
        return found

    @property
    def unknown(self) -> dict[str, Any]:
        """The fields that this version has no meaning for, in the order they came."""
        return cast("dict[str, Any]", self.__pydantic_extra__)  # a dict where extra="allow"

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Show what names an envelope and nothing of what it says (I16)."""
        return [
            (name, self.__dict__[name]) for name in ("kind", "channel", "id", "user") if name in self.__dict__
        ]


class Sender(Part):
    """Who sent it, as the sender says."""

    user: UserId
    device: Device


class Root(Part):
    """The message at the head of a thread."""

    id: MessageId
    user: UserId


class Ref(Root):
    """The message that a change is for, or that a create quotes."""

    base: Positive | None = None
    """The version edited from: `expected_version`."""


class Stamp(Part):
    """What a sequencer added outside the sender's bytes; believed only from unforgeable paths."""

    epoch: Positive
    log: Serial | None = None
    serial: Serial
    prev: PreviousSerial | None = None
    """The serial before it, where the sequencer tells; "" for the first."""
    at: Instant
    user: UserId
    """The attested sender."""


# Exact types: asking a pydantic class whether something is its instance costs more than the rest together.
_WRITERS: Final[dict[type[Any], Callable[[Any], Any]]] = {
    datetime: format_time,
    tuple: list,
    Sender: Part.to_dict,
    Root: Part.to_dict,
    Ref: Part.to_dict,
    Stamp: Part.to_dict,
}
