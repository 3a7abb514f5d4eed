"""What reads what a stranger wrote, and what a test may give it: one target for each reader."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from chatkit.adapters.memory import factory
from chatkit.engine.system import SystemClock
from chatkit.errors import ChatkitError, InvalidMessage
from chatkit.logs import open_log
from chatkit.model import ijson, registers
from chatkit.model.bodies import body_text, decode_body
from chatkit.model.config import Config
from chatkit.model.cursor import decode_cursor
from chatkit.model.directs import may_hear, objection
from chatkit.model.envelope import Envelope
from chatkit.model.ids import is_message_id
from chatkit.model.names import (
    check_channel,
    check_user,
    direct,
    emoji_key,
    escape,
    personal,
    unescape,
    wire_name,
)
from chatkit.model.options import OutboxLimits
from chatkit.model.order import OrderKey
from chatkit.model.pins import pin_of
from chatkit.stores import open_store
from chatkit.testing.fuzz.mutate import LARGEST
from chatkit.testing.fuzz.samples import BODIES, CURSORS, ENVELOPES, LOCATIONS, LOG_URLS, NAMES, PLACES, URLS


class Target(NamedTuple):
    """A reader under test.

    Read what a third party's adapter is given with one of its own: `Target("frame", samples, protocol.read)`.
    """

    name: str
    samples: tuple[bytes, ...]
    """What it is meant to be given."""
    read: Callable[[bytes], object]
    """Reads one input. Raises nothing but errors of chatkit."""
    allowed: tuple[type[Exception], ...] = (ChatkitError,)
    largest: int = LARGEST
    """Bytes of the largest input: less for what only the app itself, or its owner's disk, gives."""


def _text(data: bytes) -> str:
    """Return text for readers of text: what is no UTF-8 becomes lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def read_envelope(data: bytes) -> None:
    """Read an envelope, and all that can be asked of it; what is written again reads alike."""
    envelope = Envelope.parse(data)
    _ = (envelope.readable, envelope.klass, envelope.root, envelope.claim, envelope.emoji, envelope.fallback)
    _ = (repr(envelope), str(envelope.sender), envelope.unknown)
    if isinstance(envelope.body, dict):
        body = decode_body(envelope.body)
        _ = (repr(body), body_text(body))
    again = Envelope.parse(envelope.encode(), limit=2 * len(data) + 1_000)
    assert again.to_dict() == envelope.to_dict(), "an envelope changes when it is written again"


def read_json(data: bytes) -> None:
    """Read I-JSON of any size; what is written again reads alike."""
    found = ijson.loads(data, limit=max(1, len(data)))
    assert ijson.loads(ijson.dumps(found), limit=6 * len(data) + 100) == found, (
        "JSON changes when written again"
    )


def read_body(data: bytes) -> None:
    """Read a body."""
    body = decode_body(ijson.loads(data, limit=_LIMIT))
    _ = (repr(body), body_text(body))


_LIMIT: Final = 1_048_576


def read_cursor(data: bytes) -> None:
    """Read a cursor."""
    _ = decode_cursor(_text(data))


def read_names(data: bytes) -> None:
    """Read names of channels, users, emoji and messages; each reader has its turn."""
    text = _text(data)
    _ = (is_message_id(text), may_hear(text, "ada"), objection(text, "ada", "message.create"))
    readers: tuple[Callable[[str], Any], ...] = (
        *(check_channel, check_user, emoji_key, escape, unescape, personal),
        lambda name: wire_name(check_channel(name)),
        lambda name: direct(name, "ada"),
    )
    for read in readers:
        with suppress(InvalidMessage):
            _ = read(text)
    with suppress(InvalidMessage):
        assert unescape(escape(text)) == text, "an escaped name comes back as another"


def read_places(data: bytes) -> None:
    """Read what registers say: places, pins, and whether a register can be one."""
    text = _text(data)
    _ = (pin_of(text), registers.place_of(text))
    for user, name in ((text, "read"), ("ada", text)):
        with suppress(InvalidMessage):
            registers.check(registers.Register("support", user, name, text, "newest", OrderKey(1, text)))


def read_url(data: bytes) -> None:
    """Read a provider's URL, by argument and by environment; with a memory URL, its options."""
    text = _text(data)
    if "\0" not in text:
        with patch.dict(os.environ, {"CHATKIT_URL": text, "CHATKIT_SECRET": text}), suppress(ChatkitError):
            _ = repr(Config.from_env())
    config = Config.from_url(text)
    _ = (repr(config), config.to_json())
    if config.scheme == "memory":
        _ = repr(factory.configure(config))


def read_log_url(data: bytes) -> None:
    """Read a log's URL; nothing is opened."""
    _ = repr(open_log(_text(data), clock=SystemClock(), random=Random(1)))  # noqa: S311  # nothing comes of it


def read_location(data: bytes) -> None:
    """Read where a store lies; nothing is opened."""
    _ = open_store(
        _text(data),
        durability="process",
        limits=OutboxLimits(),
        clock=SystemClock(),
        random=Random(1),  # noqa: S311  # likewise
        inline=True,
    )


PARSERS: Final[tuple[Target, ...]] = (
    Target("envelope", ENVELOPES, read_envelope),
    Target("json", ENVELOPES, read_json),
    Target("body", BODIES, read_body),
    Target("cursor", CURSORS, read_cursor),
    Target("names", NAMES, read_names, largest=50_000),
    Target("places", PLACES, read_places),
    Target("url", URLS, read_url),
    Target("log url", LOG_URLS, read_log_url),
    Target("store location", LOCATIONS, read_location),
)
"""All that reads without a client, whatever the provider."""
