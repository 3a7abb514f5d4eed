"""Small values that callers hand in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from chatkit.errors import ConfigError
from chatkit.model.bodies import Content
from chatkit.model.values import EMPTY, Value, jsonable, value


@value
class OutboxLimits(Value):
    """How much may wait: entries, bytes of envelopes, and seconds until an entry expires (I10)."""

    entries: int = 10_000
    size: int = 64_000_000
    age: float = 604_800.0

    def __post_init__(self) -> None:
        if self.entries < 1 or self.size < 1 or not 0 < self.age <= 31_536_000:
            raise ConfigError("limits: entries and size are at least 1, age is above 0 and at most a year")


@value
class Token(Value):
    """A credential and, where known, when it ends."""

    value: str = field(repr=False)
    expires_at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the value with its secret masked (I16)."""
        return {"value": "***", "expires_at": jsonable(self.expires_at)}


@value
class AuthRequest(Value):
    """What a token provider is asked for; `params` as the provider names them (`socket_id`, ...)."""

    user: str
    channel: str | None = None
    params: Mapping[str, str] = field(default_factory=lambda: EMPTY, repr=False)


@value
class Draft(Value):
    """A message on its way out, as middleware sees it before anything is queued.

    Middleware changes `content` and `meta`; the others stay as they are, whatever it gives back.
    """

    channel: str
    content: Content = field(repr=False)
    meta: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)
    user: str = ""
    """Who sends it."""
    kind: Literal["create", "update"] = "create"
    """A new message, or a new text for one."""
