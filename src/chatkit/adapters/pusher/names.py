"""How channels are called at Pusher: a prefix that says what they can do, then the name of every wire.

A wire name (`model.names.wire_name`) has at most 140 characters of `A-Z a-z 0-9 _ - .`, the longest prefix
24: together the 164 that Pusher takes. Nothing is cut, so a name leads back to its channel.

Source: the Pusher protocol sheet, section 4.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.errors import InvalidMessage
from chatkit.model.names import DIRECT, PERSONAL, channel_problem, unescape, wire_name

Kind: TypeAlias = Literal["presence", "private", "encrypted"]
"""Which channels carry messages; one for all clients of an app, or they do not meet."""

LONGEST: Final = 164
"""Characters that a name may have, its prefix included."""
_PREFIXES: Final[dict[Kind, str]] = {
    "presence": "presence-",
    "private": "private-",
    "encrypted": "private-encrypted-",
}
_CACHE: Final = "cache-"
_LONGEST_FIRST: Final[tuple[Kind, ...]] = ("encrypted", "private", "presence")
_MEANT: Final = ("cache", "encrypted")
"""First words of an app's own name that would mean something behind a prefix; `=` stands for their hyphen."""


class Name(NamedTuple):
    """A name, taken apart."""

    kind: Kind
    cache: bool
    channel: str


def name_of(channel: str, kind: Kind, *, cache: bool = False) -> str:
    """Return what a channel is called at Pusher.

    Raises:
        InvalidMessage: It is no name of a channel.
    """
    problem = channel_problem(channel)
    if problem is not None:
        raise InvalidMessage(f"channel: {problem}", channel=channel)
    rest = wire_name(channel)
    for word in _MEANT:
        if rest.startswith(f"{word}-"):
            rest = f"{word}={rest[len(word) + 1 :]}"
    return f"{_PREFIXES[kind]}{_CACHE if cache else ''}{rest}"


def channel_of(name: str) -> Name | None:
    """Return which channel a name stands for; `None`: none of ours."""
    for kind in _LONGEST_FIRST:
        if name.startswith(_PREFIXES[kind]):
            rest = name.removeprefix(_PREFIXES[kind])
            cache = rest.startswith(_CACHE)
            channel = _channel(rest.removeprefix(_CACHE))
            if channel is None or name_of(channel, kind, cache=cache) != name:
                return None
            return Name(kind, cache, channel)
    return None


def _channel(rest: str) -> str | None:
    for word in _MEANT:
        if rest.startswith(f"{word}="):
            rest = f"{word}-{rest[len(word) + 1 :]}"
    try:
        derived = rest.startswith((DIRECT, PERSONAL))
        channel = rest if derived else ".".join(unescape(part) for part in rest.split("."))
    except InvalidMessage:
        return None
    return channel if channel_problem(channel) is None else None
