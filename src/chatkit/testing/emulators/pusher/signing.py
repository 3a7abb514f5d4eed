"""Signatures as the service checks them: over the text that was received, never over what it means."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


def digest(secret: str, text: str) -> str:
    """HMAC-SHA256 in lower-case hexadecimal."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def channel_text(socket_id: str, channel: str, channel_data: str | None) -> str:
    """What is signed for a subscription."""
    return ":".join([socket_id, channel, *([] if channel_data is None else [channel_data])])


def user_text(socket_id: str, user_data: str) -> str:
    """What is signed for a sign-in."""
    return f"{socket_id}::user::{user_data}"


def call_text(method: str, path: str, query: Iterable[tuple[str, str]]) -> str:
    """What is signed for a call: all its parameters but the signature itself, unescaped."""
    pairs = sorted((name.lower(), value) for name, value in query if name.lower() != "auth_signature")
    return f"{method}\n{path}\n" + "&".join(f"{name}={value}" for name, value in pairs)
