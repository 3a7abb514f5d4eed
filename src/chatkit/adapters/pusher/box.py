"""Encrypted channels: NaCl's secretbox around the data of an event.

Source: the Pusher protocol sheet, section 5.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from chatkit.adapters.pusher import frames

_MAC: Final = 16
"""Bytes by which a text grows under lock."""
_AROUND: Final = len(frames.dumps({"nonce": "A" * 32, "ciphertext": ""}))


def lock(secret: bytes, text: str) -> str:
    """Return the data of an event that holds a text under lock, with a nonce of its own."""
    found = SecretBox(secret).encrypt(text.encode("utf-8", "surrogatepass"))
    sealed = {"nonce": b64encode(found.nonce).decode(), "ciphertext": b64encode(found.ciphertext).decode()}
    return frames.dumps(sealed)


def opened(secret: bytes, data: Any) -> str | None:
    """Return the text that the data of an event holds; `None`: not under this lock."""
    fields = frames.as_object(data)
    try:
        nonce, sealed = b64decode(fields["nonce"]), b64decode(fields["ciphertext"])
        return SecretBox(secret).decrypt(sealed, nonce).decode("utf-8", "surrogatepass")
    except (KeyError, TypeError, ValueError, CryptoError):
        return None


def locked_bytes(size: int) -> int:
    """Return the bytes that a text of a size takes under lock."""
    return _AROUND + 4 * ((size + _MAC + 2) // 3)
