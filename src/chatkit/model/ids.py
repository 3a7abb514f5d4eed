"""Identifiers: of messages and devices, and the shape of each on the wire (D1, D14, D4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, Protocol

from chatkit.errors import InvalidMessage

MESSAGE_ID: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
"""A lower-case UUID of any version: pages on a provider's own client make theirs too."""
DEVICE: Final = r"^[a-z0-9]{6,16}$"
CLOCK: Final = r"^[0-9a-f]{12}-[0-9a-f]{4}$"
"""A reading of the hybrid clock: milliseconds since 1970, and a counter."""

_DEVICE_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_DEVICE_LENGTH = 10


class RandomBits(Protocol):
    """The source of chance; `random.SystemRandom` in earnest, a seeded `random.Random` in tests."""

    def getrandbits(self, k: int, /) -> int:
        """Return an integer of `k` random bits."""
        ...


def new_message_id(now_ms: int, random: RandomBits) -> str:
    """Return a fresh UUID v7: the time, then 74 bits nobody can guess (D1).

    Args:
        now_ms: Milliseconds since 1970; a clock out of range wraps and still gives an id.
        random: Asked once for 74 bits.
    """
    chance = random.getrandbits(74)
    return _uuid(7, (now_ms & _48_BITS) << 80 | (chance >> 62) << 64 | chance & _62_BITS)


def keyed_message_id(secret: bytes, user: str, channel: str, key: str) -> str:
    """Return the one id that an app's own `key` has, for ever: a UUID v8 (D14).

    HMAC-SHA256 of user, channel and key, each as UTF-8 behind its length in four bytes, so that no two
    triples read alike.

    Args:
        secret: Kept in the store; without it nobody can tell the id of a key.
        user: In normal form C, as is `channel`.
        channel: The app's name of it.
        key: Any text, taken byte for byte.

    Raises:
        InvalidMessage: The key holds a lone surrogate.
    """
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    try:
        for field in (user.encode(), channel.encode(), key.encode()):
            digest.update(len(field).to_bytes(4, "big") + field)
    except UnicodeEncodeError:
        raise InvalidMessage("key: holds a lone surrogate", hint="Use a key of valid Unicode text.") from None
    return _uuid(8, int.from_bytes(digest.digest()[:16], "big"))


def derived_message_id(*parts: str) -> str:
    """Return the one id that some texts have for whoever makes it: a UUID v8.

    For what a provider tells and no sender named: whoever hears of it must call it the same.
    """
    return _uuid(8, int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:16], "big"))


def new_device(random: RandomBits) -> str:
    """Return the name of a new device: ten letters and digits.

    Args:
        random: Asked once for 128 bits, so that the remainder is even enough.
    """
    number = random.getrandbits(128)
    letters: list[str] = []
    for _ in range(_DEVICE_LENGTH):
        number, letter = divmod(number, len(_DEVICE_LETTERS))
        letters.append(_DEVICE_LETTERS[letter])
    return "".join(letters)


def is_message_id(text: str) -> bool:
    """Say whether text is a lower-case UUID of 36 characters (D1)."""
    return _is_message_id(text) is not None


def _uuid(version: int, bits: int) -> str:
    """Write 128 bits as a UUID, with version and variant in their places (RFC 9562)."""
    bits = bits & ~(0xF << 76 | 0x3 << 62) | version << 76 | 0x2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_48_BITS = (1 << 48) - 1
_62_BITS = (1 << 62) - 1
_is_message_id = re.compile(MESSAGE_ID[1:-1]).fullmatch
