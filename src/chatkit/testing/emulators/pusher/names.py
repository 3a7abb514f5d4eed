"""What the names of channels say, and which names there are."""

from __future__ import annotations

import re
from typing import Final

CHARACTERS: Final = re.compile(r"[A-Za-z0-9_\-=@,.;]+")
SOCKET_ID: Final = re.compile(r"\d+\.\d+")
TO_USER: Final = "#server-to-user-"
RESERVED: Final = ("pusher:", "pusher_internal:")


def is_channel(name: str, longest: int) -> bool:
    """Whether a channel may have this name."""
    return len(name) <= longest and CHARACTERS.fullmatch(name) is not None


def is_presence(name: str) -> bool:
    """Whether a channel tells who is there."""
    return name.startswith("presence-")


def is_encrypted(name: str) -> bool:
    """Whether the service cannot read what passes there."""
    return name.startswith("private-encrypted-")


def is_authorized(name: str) -> bool:
    """Whether a subscription needs a signature."""
    return name.startswith(("private-", "presence-"))


def is_cache(name: str) -> bool:
    """Whether the last event is kept for those who come later."""
    return name.startswith(("cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"))


def user_of(name: str) -> str | None:
    """The user whom a channel like `#server-to-user-42` reaches."""
    return name.removeprefix(TO_USER) if name.startswith(TO_USER) and name != TO_USER else None
