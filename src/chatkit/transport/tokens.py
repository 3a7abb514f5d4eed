"""Tokens that end: when, and how another one is there before they do (D32)."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol, cast

from chatkit.model.values import EMPTY

LATEST: Final = 253_402_300_799
"""Seconds since 1970 that a date reaches."""


class Ending(Protocol):
    """A credential that may end."""

    @property
    def expires_at(self) -> datetime | None:
        """When the present one ends; `None`: it does not, or nobody knows."""
        ...


async def keep_fresh(
    credential: Ending, now: Callable[[], float], lead: float, renew: Callable[[], Awaitable[None]]
) -> None:
    """Renew tokens before they end.

    Args:
        credential: Whose.
        now: The service's clock, in seconds since 1970.
        lead: Seconds before the end, or half of what is left where that is less.
        renew: Does it; raises nothing.
    """
    while (ends := credential.expires_at) is not None:
        left = ends.timestamp() - now()
        await asyncio.sleep(max(1.0, left - min(lead, left / 2)))
        if credential.expires_at == ends:
            await renew()


def claims_of(token: str) -> Mapping[str, Any]:
    """Return what a JWT says, by its word alone; of what is none, nothing."""
    parts = token.split(".")
    if len(parts) != 3:
        return EMPTY
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return EMPTY
    return cast("Mapping[str, Any]", claims) if isinstance(claims, dict) else EMPTY


def end_of_jwt(token: str) -> datetime | None:
    """Return when a token ends that says so itself."""
    ends = claims_of(token).get("exp")
    if isinstance(ends, bool) or not isinstance(ends, int | float) or not 0 <= ends <= LATEST:
        return None
    return datetime.fromtimestamp(ends, UTC)
