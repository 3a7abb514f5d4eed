"""What a message can say: the built-in bodies, the app's own, and how each travels.

On the wire a body is an object with `type` and an optional `fallback` text for readers that do not know
the type. A type that nobody registered arrives as `UnknownBody`, never as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model.values import EMPTY, Value, value

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
        found = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # every subclass is a dataclass
        return {
            "type": self.type,
            **{k: dict(v) if isinstance(v, Mapping) else v for k, v in found.items() if v not in (None, "", EMPTY)},
        }


@value
class Text(Body):
    """Plain text."""

    type: ClassVar[str] = "text"
    main: ClassVar[str] = "text"
    text: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the body as it travels."""
        return {"type": "text", "text": self.text}


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


Content: TypeAlias = "str | Text | Image | File | Audio | Video | Card | Embed | BaseModel"
"""What a user may send."""
AnyBody: TypeAlias = "Text | Image | File | Audio | Video | Card | Embed | UnknownBody | BaseModel"
"""What a user may receive."""

_BUILT_IN: dict[str, type[Body]] = {cls.type: cls for cls in (Text, Image, File, Audio, Video, Card, Embed)}
_CUSTOM: dict[str, tuple[type[BaseModel], Upgrade | None]] = {}
_NAMES: dict[type[Any], str] = {}


def message_type(name: str, /, *, upgrade: Upgrade | None = None) -> Callable[[type[M]], type[M]]:
    """Register an app's own body: `@message_type("poll.v1")` on a pydantic model.

    Args:
        name: Its type on the wire, 1 to 64 characters; say the version in it.
        upgrade: Called with the received object where the model refuses it, to bring an older shape up to date.

    Raises:
        ConfigError: The name is built in or taken.
    """
    if not 1 <= len(name) <= 64 or name in _BUILT_IN or name in _CUSTOM or name == "claim":
        raise ConfigError(f"the message type {name!r} is taken or not 1 to 64 characters", hint="Choose another name.")

    def register(cls: type[M]) -> type[M]:
        _CUSTOM[name] = (cls, upgrade)
        _NAMES[cls] = name
        return cls

    return register


def encode_body(content: Content) -> dict[str, Any]:
    """Return content as the object that travels.

    Raises:
        InvalidMessage: It is empty, or of a type that was never registered.
    """
    if isinstance(content, str):
        content = Text(text=content)
    if isinstance(content, Body):
        body = content.to_dict()
        if isinstance(content, Text) and not content.text.strip():
            raise InvalidMessage("the message is empty: body.text")
        return body
    name = _NAMES.get(type(content))
    if name is None:
        raise InvalidMessage(
            f"a body of type {type(content).__name__} cannot be sent",
            hint="Send text, a chatkit body, or a pydantic model registered with @message_type.",
        )
    return {**content.model_dump(mode="json"), "type": name}


def decode_body(data: Mapping[str, Any]) -> AnyBody:
    """Return the body that an object stands for; `UnknownBody` where its type or shape is not known."""
    name = str(data.get("type", ""))
    known = _BUILT_IN.get(name)
    if known is not None:
        return _built_in(known, data) or UnknownBody(type=name, data=data)
    custom = _CUSTOM.get(name)
    if custom is None:
        return UnknownBody(type=name, data=data)
    model, upgrade = custom
    given = {k: v for k, v in data.items() if k not in ("type", "fallback")}
    for attempt in (lambda: given, lambda: upgrade(dict(given)) if upgrade else given):
        try:
            return model.model_validate(attempt())
        except Exception:  # noqa: BLE001, S112  # the app's model and upgrade may raise anything; the data stays readable below
            continue
    return UnknownBody(type=name, data=data)


def body_text(body: AnyBody) -> str:
    """Return what a body says in words: its main field, `fallback`, or ``""``."""
    if isinstance(body, Text):
        return body.text
    if isinstance(body, Body):
        return getattr(body, body.main) or ""
    if isinstance(body, UnknownBody):
        return _text_or(body.data.get("fallback"), _text_or(body.data.get("text"), ""))
    return _text_or(getattr(body, "fallback", None), _text_or(getattr(body, "text", None), ""))


def _text_or(found: object, other: str) -> str:
    return found if isinstance(found, str) else other


_KINDS: dict[str, tuple[type[Any], ...]] = {
    "size": (int,),
    "width": (int,),
    "height": (int,),
    "duration": (int, float),
    "fields": (Mapping,),
}


def _built_in(cls: type[Body], data: Mapping[str, Any]) -> Any:
    """Build a body from hostile data, or return `None` where a field has the wrong type or is missing."""
    found: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]  # every subclass is a dataclass
        item = data.get(f.name)
        if item is None:
            continue
        if not isinstance(item, _KINDS.get(f.name, (str,))) or isinstance(item, bool):
            return None
        if f.name == "fields" and not all(isinstance(v, str) for v in item.values()):
            return None
        found[f.name] = item
    build: Callable[..., Any] = cls
    try:
        return build(**found)
    except TypeError:  # a required field is missing
        return None
