"""What a message can say: the built-in bodies, the app's own, and how each travels.

On the wire a body is an object with `type` and an optional `fallback` text for readers that do not know
the type. A type that nobody registered arrives as `UnknownBody`, never as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import MISSING, field, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, TypeVar, cast

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model.values import EMPTY, Value, jsonable, maker, value

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)

Upgrade: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class Body(Value):
    """Base of the built-in bodies; `type` is its name on the wire."""

    __slots__ = ()
    type: ClassVar[str] = ""
    main: ClassVar[str] = ""
    """The field that says it in words: what `Message.text` and `fallback` show."""

    def to_dict(self) -> dict[str, Any]:
        """Return the body as it travels: `type` and the fields that are set."""
        found: dict[str, Any] = {"type": self.type}
        for f in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            item = getattr(self, f.name)
            if item is not None and item not in ("", EMPTY):
                found[f.name] = jsonable(item)
        return found


@value
class Text(Body):
    """Plain text."""

    type: ClassVar[str] = "text"
    main: ClassVar[str] = "text"
    text: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the body as it travels."""
        return {"type": "text", "text": self.text}


_text = maker(Text)


@value
class Media(Body):
    """Base of the next four. `source` is an address that readers can open."""

    main: ClassVar[str] = "caption"
    source: str = field(repr=False)
    name: str | None = field(default=None, repr=False)
    mime: str | None = None
    size: int | None = None
    sha256: str | None = None
    caption: str = field(default="", repr=False)


@value
class Image(Media):
    """A picture; width and height in pixels."""

    type: ClassVar[str] = "image"
    width: int | None = None
    height: int | None = None


@value
class File(Media):
    """Any file."""

    type: ClassVar[str] = "file"


@value
class Audio(Media):
    """A recording; duration in seconds."""

    type: ClassVar[str] = "audio"
    duration: float | None = None


@value
class Video(Media):
    """A film; width and height in pixels, duration in seconds."""

    type: ClassVar[str] = "video"
    width: int | None = None
    height: int | None = None
    duration: float | None = None


@value
class Card(Body):
    """A titled box with named fields."""

    type: ClassVar[str] = "card"
    main: ClassVar[str] = "title"
    title: str = field(repr=False)
    fields: Mapping[str, str] = field(default_factory=lambda: EMPTY, repr=False)
    text: str = field(default="", repr=False)
    image: str | None = field(default=None, repr=False)


@value
class Embed(Body):
    """A preview of a page."""

    type: ClassVar[str] = "embed"
    main: ClassVar[str] = "title"
    url: str = field(repr=False)
    title: str | None = field(default=None, repr=False)
    description: str | None = field(default=None, repr=False)
    image: str | None = field(default=None, repr=False)


@value
class UnknownBody(Value):
    """A body of a type that this program does not know; `data` is the object as received."""

    type: str
    data: Mapping[str, Any] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the body as it was received."""
        return dict(self.data)


@value
class UnavailableBody(Value):
    """A body that waits elsewhere: a claim check stands in its place.

    It was too large for a frame of the provider and is in the log: give `connect` that log with `log=`.
    """

    type: ClassVar[str] = "claim"
    reason: Literal["in_log"]
    """Where it is: in a log that this client does not read."""
    bytes: int
    """How large it is, as JSON."""
    summary: str = field(default="", repr=False)
    """How its words begin."""

    def to_dict(self) -> dict[str, Any]:
        """Return the claim check as it was received."""
        return {"type": self.type, "bytes": self.bytes, "summary": self.summary}


Content: TypeAlias = "str | Text | Image | File | Audio | Video | Card | Embed | BaseModel"
"""What a user may send."""
AnyBody: TypeAlias = (
    "Text | Image | File | Audio | Video | Card | Embed | UnavailableBody | UnknownBody | BaseModel"
)
"""What a user may receive."""

_BUILT_IN: Final[dict[str, type[Body]]] = {
    cls.type: cls for cls in (Text, Image, File, Audio, Video, Card, Embed)
}
_CUSTOM: Final[dict[str, tuple[type[BaseModel], Upgrade | None]]] = {}
_NAMES: Final[dict[type[Any], str]] = {}
_RESERVED: Final = frozenset({UnavailableBody.type, *_BUILT_IN})
_ON_THE_WIRE: Final = ("type", "fallback")
"""What a body may carry beside the fields of an app's model."""


def message_type(name: str, /, *, upgrade: Upgrade | None = None) -> Callable[[type[M]], type[M]]:
    """Register an app's own body: `@message_type("poll.v1")` on a pydantic model.

    The model may have a field `fallback`: the words for readers that do not know the type.

    Args:
        name: Its type on the wire, 1 to 64 characters; say the version in it.
        upgrade: Called with the received object where the model refuses it, to bring an older one up to date.

    Raises:
        ConfigError: The name or the model is taken, or it is no pydantic model, or has a field `type`.
    """
    _check_name(name)

    def register(cls: type[M]) -> type[M]:
        _check_name(name)  # the decorator may have been kept and used before
        model_fields: Mapping[str, Any] | None = getattr(cls, "model_fields", None)
        if model_fields is None or cls in _NAMES:
            raise ConfigError(
                f"{cls.__name__} is no pydantic model, or already a message type",
                hint="Put @message_type on a pydantic model of its own, once.",
            )
        if any("type" in (known, f.alias, f.serialization_alias) for known, f in model_fields.items()):
            raise ConfigError(
                f"{cls.__name__} has a field `type`, which names the message type on the wire",
                hint="Give the field another name.",
            )
        _CUSTOM[name] = (cls, upgrade)
        _NAMES[cls] = name
        return cls

    return register


def encode_body(content: Content) -> dict[str, Any]:
    """Return content as the object that travels.

    Raises:
        InvalidMessage: It is empty, has a field of the wrong type, or is of a type that cannot be sent.
    """
    if isinstance(content, str):
        return _encode_text(content)
    name = content.type if isinstance(content, Body) else _NAMES.get(type(content))
    if isinstance(content, Body) and name in _BUILT_IN:
        body = content.to_dict()
        problem = _problem(_BUILT_IN[name], body) or _infinite(content)
        if problem is not None:
            raise InvalidMessage(f"body.{problem}")
        return _encode_text(content.text) if isinstance(content, Text) else body
    if name is None or isinstance(content, Body):
        raise InvalidMessage(
            f"a body of type {type(content).__name__} cannot be sent",
            hint="Send text, a chatkit body, or a pydantic model registered with @message_type.",
        )
    try:
        return {**content.model_dump(mode="json", by_alias=True), "type": name}
    except Exception:  # noqa: BLE001  # serialisers of the app may raise anything, and quote what they were given (I16)
        raise InvalidMessage(f"a body of type {type(content).__name__} cannot be written as JSON") from None


def _encode_text(text: str) -> dict[str, Any]:
    if not text.strip():
        raise InvalidMessage("body.text: the message is empty")
    return {"type": "text", "text": text}


def decode_body(data: Mapping[str, Any]) -> AnyBody:
    """Return the body that an object stands for; `UnknownBody` where its type or shape is not known."""
    name = data.get("type")
    if not isinstance(name, str):
        return UnknownBody(type="", data=data)
    body: AnyBody | None = None
    if name == "text" and isinstance(text := data.get("text"), str):
        return _text(text)  # what most are
    if name in _BUILT_IN:
        body = _built_in(_BUILT_IN[name], data)
    elif name in _CUSTOM:
        body = _custom(*_CUSTOM[name], data)
    elif name == UnavailableBody.type:
        body = _claimed(data)
    return UnknownBody(type=name, data=data) if body is None else body


def body_text(body: AnyBody) -> str:
    """Return what a body says in words: its main field, `fallback`, or ``""``."""
    if isinstance(body, Body):
        return getattr(body, body.main) or ""
    if isinstance(body, UnavailableBody):
        return body.summary
    if isinstance(body, UnknownBody):
        return _first_text(body.data.get("fallback"), body.data.get("text"))
    return _first_text(getattr(body, "fallback", None), getattr(body, "text", None))


def _first_text(*found: object) -> str:
    return next((item for item in found if isinstance(item, str)), "")


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= 64 or name in _RESERVED or name in _CUSTOM:
        raise ConfigError(
            f"the message type {name!r} is taken or not 1 to 64 characters", hint="Choose another name."
        )


_KINDS: Final[dict[str, tuple[type[Any], ...]]] = {
    "size": (int,),
    "width": (int,),
    "height": (int,),
    "duration": (int, float),
    "fields": (Mapping,),
}
"""Fields of the built-in bodies that are not text."""


def _problem(cls: type[Body], data: Mapping[str, Any]) -> str | None:
    """Say what makes an object no body of a built-in type; `None`: nothing."""
    for f in fields(cls):  # type: ignore[arg-type]  # every subclass is a dataclass
        item = data.get(f.name)
        if item is None:
            if f.default is MISSING and f.default_factory is MISSING:
                return f"{f.name}: is missing"
        elif not isinstance(item, _KINDS.get(f.name, (str,))) or isinstance(item, bool):
            return f"{f.name}: is of the wrong type"
        elif f.name == "fields" and not all(isinstance(v, str) for v in item.values()):
            return "fields: holds something other than text"
    return None


def _infinite(body: Body) -> str | None:
    """Name a number that JSON cannot say; `to_dict` shows it as none."""
    for f in fields(body):  # type: ignore[arg-type]  # every subclass is a dataclass
        item = getattr(body, f.name)
        if isinstance(item, float) and not isfinite(item):
            return f"{f.name}: is not a finite number"
    return None


def _built_in(cls: type[Body], data: Mapping[str, Any]) -> AnyBody | None:
    """Build a body from hostile data, or return `None` where a field has the wrong type or is missing."""
    if _problem(cls, data) is not None:
        return None
    build: Callable[..., Any] = cls
    found = {f.name: data.get(f.name) for f in fields(cls)}  # type: ignore[arg-type]  # every subclass is a dataclass
    return cast("AnyBody", build(**{name: item for name, item in found.items() if item is not None}))


def _claimed(data: Mapping[str, Any]) -> UnavailableBody | None:
    """Build what stands for a body in the log from hostile data, or return `None` where it is none."""
    size, summary = data.get("bytes"), data.get("summary") or ""
    if not isinstance(size, int) or isinstance(size, bool) or not isinstance(summary, str):
        return None
    return UnavailableBody(reason="in_log", bytes=size, summary=summary)


def _custom(model: type[BaseModel], upgrade: Upgrade | None, data: Mapping[str, Any]) -> BaseModel | None:
    """Build an app's own body from hostile data, or return `None` where its model refuses it."""
    given = {k: v for k, v in data.items() if k not in _ON_THE_WIRE or k in model.model_fields}
    try:
        return model.model_validate(given)
    except Exception:  # noqa: BLE001  # the app's validators may raise anything; the data stays readable
        if upgrade is None:
            return None
    try:
        return model.model_validate(upgrade(deepcopy(given)))
    except Exception:  # noqa: BLE001  # likewise, and its upgrade
        return None
