"""Names: of channels and users, how they travel, and what an emoji is called (D31).

An app's own channel names and user ids are Unicode in normal form C, so that two ways to type one name are
one name. Providers take less: `escape` (ESC in D31) turns any text into `A-Z a-z 0-9 - _`, reversibly.
Direct and personal channels are derived from user ids and are in that form already.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final
from unicodedata import normalize

from chatkit.errors import InvalidMessage

EVERYONE: Final = "*"
"""Stands for all members where users are mentioned; no user has this id."""
MAX_CHANNEL_CHARACTERS: Final = 64
MAX_USER_BYTES: Final = 128
MAX_EMOJI_BYTES: Final = 64
MAX_WIRE_NAME: Final = 140
"""Bytes of an escaped channel name: the tightest provider takes 164, less its prefixes and ours."""

DIRECT: Final = "dm."
"""Begins the name of the channel between two users."""
PERSONAL: Final = "u."
"""Begins the name of the channel on which a user hears who has opened a direct channel."""

_CHANNEL_HINT = (
    "Use 1 to 64 characters, not starting with 'dm.' or 'u.'; each byte of UTF-8 outside A-Z a-z 0-9 - . "
    "counts three times towards 140."
)
_USER_HINT = "Use 1 to 128 bytes of text without control characters; '*' alone means everyone."
_EMOJI_HINT = "Use one emoji or a short name, at most 64 bytes."


def check_channel(name: str) -> str:
    """Return an app's own channel name in normal form C.

    Raises:
        InvalidMessage: It is no such name; the message says why, the hint what is.
    """
    normal = _normal(_as_text("channel", name, _CHANNEL_HINT), MAX_CHANNEL_CHARACTERS)
    problem = "is a reserved name" if _is_reserved(normal) else channel_problem(normal)
    if problem is not None:
        raise InvalidMessage(f"channel: {problem}", hint=_CHANNEL_HINT)
    return normal


def check_user(id: str) -> str:
    """Return a user id in normal form C.

    Raises:
        InvalidMessage: It is no such id; the message says why, the hint what is.
    """
    normal = _normal(_as_text("user", id, _USER_HINT), MAX_USER_BYTES)
    problem = user_problem(normal)
    if problem is not None:
        raise InvalidMessage(f"user: {problem}", hint=_USER_HINT)
    return normal


def emoji_key(text: str) -> str:
    """Return what reactions are counted under: normal form C without variation selectors.

    So a heart is one heart, whether or not its writer asked for the coloured one.

    Raises:
        InvalidMessage: Nothing is left, more than 64 bytes are, or it holds control characters.
    """
    # Selectors go first: one can stand between two characters that normal form C joins.
    key = _normal(_SELECTORS.sub("", _as_text("emoji", text, _EMOJI_HINT)), MAX_EMOJI_BYTES)
    problem = _text_problem(key, MAX_EMOJI_BYTES)
    if problem is not None:
        raise InvalidMessage(f"emoji: {problem}", hint=_EMOJI_HINT)
    return key


def channel_problem(name: str) -> str | None:
    """Say what is wrong with a channel name on the wire, an app's own or a derived one; `None`: nothing."""
    if _PLAIN_CHANNEL(name):
        return None
    if _is_reserved(name):
        return None if len(name) <= MAX_WIRE_NAME and _DERIVED(name) else "is a reserved name"
    if len(name) > MAX_CHANNEL_CHARACTERS:
        return f"has more than {MAX_CHANNEL_CHARACTERS} characters"
    problem = _text_problem(name, MAX_WIRE_NAME)
    if problem is None and len(wire_name(name)) > MAX_WIRE_NAME:
        return f"takes more than {MAX_WIRE_NAME} bytes when escaped"
    return problem


def user_problem(id: str) -> str | None:
    """Say what is wrong with a user id on the wire; `None`: nothing."""
    if _PLAIN_USER(id):
        return None
    if id == EVERYONE:
        return "is '*', which means everyone"
    return _text_problem(id, MAX_USER_BYTES)


def escape(text: str) -> str:
    """Return text in `A-Z a-z 0-9 - _`: each other byte of its UTF-8 becomes `_` and two hex digits (D31).

    Raises:
        InvalidMessage: It holds a lone surrogate.
    """
    try:
        return _OTHERS.sub(lambda found: "".join(f"_{byte:02x}" for byte in found[0].encode()), text)
    except UnicodeEncodeError:
        raise InvalidMessage("name: holds a lone surrogate") from None


def unescape(text: str) -> str:
    """Return what `escape` was given.

    Raises:
        InvalidMessage: `escape` never wrote this.
    """
    raw = _ESCAPES.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1", "replace")
    original = raw.decode(errors="replace")
    if escape(original) != text:
        raise InvalidMessage("name: is not an escaped name")
    return original


def wire_name(channel: str) -> str:
    """Return the name a channel has at a provider: escaped, with `.` kept; derived names stay as they are."""
    if _is_reserved(channel):
        return channel
    return ".".join(escape(part) for part in channel.split("."))


def direct(a: str, b: str) -> str:
    """Return the name of the channel between two users, the same from either side (D31).

    Raises:
        InvalidMessage: One of them is no user id.
    """
    # Code points sort as their UTF-8 bytes do; JavaScript's UTF-16 units do not.
    first, second = sorted((check_user(a), check_user(b)))
    return _bounded(DIRECT, f"{escape(first)}.{escape(second)}")


def personal(user: str) -> str:
    """Return the name of the channel on which a user hears of first direct messages (D31).

    Raises:
        InvalidMessage: It is no user id.
    """
    return _bounded(PERSONAL, escape(check_user(user)))


def _bounded(prefix: str, rest: str) -> str:
    name = prefix + rest
    # A user whose id looks like a hash would else own the personal channel of whoever it is the hash of.
    if len(name) > MAX_WIRE_NAME or _HASH(rest):
        return prefix + sha256(name.encode()).hexdigest()
    return name


def _is_reserved(name: str) -> bool:
    return name.startswith((DIRECT, PERSONAL))


def _as_text(field: str, text: object, hint: str) -> str:
    if not isinstance(text, str):
        raise InvalidMessage(f"{field}: is not text", hint=hint)
    return text


def _normal(text: str, limit: int) -> str:
    """Return text in normal form C; as it is where it is too long in any form.

    Putting combining marks in order takes quadratic time, and a character takes at most four of what it is
    composed of.
    """
    return text if len(text) > 4 * limit else normalize("NFC", text)


def _text_problem(text: str, limit: int) -> str | None:
    if not text:
        return "is empty"
    # First by characters, so that a stranger's megabyte is never encoded or normalised.
    if len(text) > limit or len(text.encode(errors="replace")) > limit:
        return f"is longer than {limit} bytes"
    if _CONTROL(text):
        return "holds a control character or a lone surrogate"
    if normalize("NFC", text) != text:
        return "is not in Unicode normal form C"
    return None


_PLAIN_CHANNEL = re.compile(r"(?!dm\.|u\.)[A-Za-z0-9.-]{1,64}").fullmatch
_PLAIN_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}").fullmatch
_DERIVED = re.compile(
    r"dm\.(?:[0-9a-f]{64}|(?:[A-Za-z0-9-]|_[0-9a-f]{2})+\.(?:[A-Za-z0-9-]|_[0-9a-f]{2})+)"
    r"|u\.(?:[A-Za-z0-9-]|_[0-9a-f]{2})+"
).fullmatch
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_OTHERS = re.compile(r"[^A-Za-z0-9-]+")
_ESCAPES = re.compile(r"_([0-9a-f]{2})")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search
# The code points with the Unicode property Variation_Selector.
_SELECTORS = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
