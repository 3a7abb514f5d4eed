"""Channel names: what is refused, what a qualifier in brackets means, and the parameters of an attach."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.wire import Flag

LONGEST: Final = 2_048
REWIND_MOST: Final = 100
KNOWN_QUALIFIERS: Final = frozenset({"meta"})

MODES: Final = {
    "presence": Flag.PRESENCE,
    "publish": Flag.PUBLISH,
    "subscribe": Flag.SUBSCRIBE,
    "presence_subscribe": Flag.PRESENCE_SUBSCRIBE,
    "annotation_publish": Flag.ANNOTATION_PUBLISH,
    "annotation_subscribe": Flag.ANNOTATION_SUBSCRIBE,
}


@dataclass(frozen=True, slots=True)
class Name:
    """A channel as a client writes it.

    Attributes:
        base: The channel that is meant.
        params: What the qualifier asks for.
    """

    base: str
    params: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewind:
    """How far back an attach begins: a number of messages, or seconds."""

    messages: int = REWIND_MOST
    seconds: float | None = None


def parse_name(text: object) -> Name:
    """Split a name from its qualifier.

    Raises:
        AblyError: 40010, the name is empty, too long, begins with `:` or a space, holds a line end, or has an
            unknown qualifier.
    """
    if not isinstance(text, str):
        raise AblyError(40010, "a channel name is a text")
    base, params = text, {}
    if text.startswith("["):
        qualifier, closed, rest = text[1:].partition("]")
        known, _, query = qualifier.partition("?")
        if not closed or (known and known not in KNOWN_QUALIFIERS):
            raise AblyError(40010, "the channel name has an unknown qualifier")
        params = dict(parse_qsl(query))
        base = f"[{known}]{rest}" if known else rest
    if (
        not base
        or len(base) > LONGEST
        or base[0] in ":*"
        or base != base.strip()
        or "\n" in base
        or "\r" in base
    ):
        raise AblyError(40010)
    return Name(base, params)


def parse_modes(text: str) -> Flag:
    """Read the parameter `modes`.

    Raises:
        AblyError: 40003, a mode is unknown.
    """
    modes = Flag(0)
    for word in text.split(","):
        mode = MODES.get(word.strip().lower().replace("-", "_"))
        if mode is None:
            raise AblyError(40003, f"unknown channel mode {word!r}")
        modes |= mode
    return modes


def parse_rewind(text: str) -> Rewind:
    """Read the parameter `rewind`: `N` messages, `Ns` or `Nm`.

    Raises:
        AblyError: 40003, it is neither.
    """
    found = re.fullmatch(r"(\d{1,6})([sm]?)", text.strip())
    if found is None:
        raise AblyError(40003, "rewind is a number of messages, or a time like 15s or 2m")
    amount = int(found[1])
    if not found[2]:
        return Rewind(messages=min(amount, REWIND_MOST))
    return Rewind(seconds=amount * (60 if found[2] == "m" else 1))
