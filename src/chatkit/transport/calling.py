"""Calls by HTTP: `http_client` makes the client, `pause_of` reads how long an answer asks to wait."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Final

import httpx

CONNECTIONS: Final = 20
"""Most connections to one provider's HTTP interface."""
LONGEST: Final = 3_600.0
"""Seconds that an answer makes us wait at most: one that says "for ever" would silence a client."""


def http_client(
    *, verify: bool, local: bool, most: int | None, connections: int | None = CONNECTIONS
) -> httpx.AsyncClient:
    """Return a client whose answers are bounded; the owner closes it.

    Answers are asked for uncompressed, since a few bytes of a compressed one may become any number.

    Args:
        verify: Whether the server must prove who it is.
        local: The server is on this machine: no proxy of the environment is used.
        most: Bytes of an answer; a longer one raises `httpx.ReadError`, and so does a compressed one. `None`:
            for streams, which have no end; whoever reads bounds what it keeps.
        connections: Most at once; `None`: as many as there are streams, and none is kept.
    """

    async def bound(answer: httpx.Response) -> None:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise httpx.ReadError("the answer is compressed, which was not asked for", request=answer.request)
        if most is not None and isinstance(answer.stream, httpx.AsyncByteStream):
            answer.stream = _Bounded(answer.stream, answer.request, most)

    return httpx.AsyncClient(
        verify=verify,
        trust_env=not local,
        headers={"Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections or 0),
        event_hooks={"response": [bound]},
    )


def pause_of(retry_after: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, an hour at most; `None`: it cannot be read.

    A date is not read: it counts by a clock that is not ours.
    """
    try:
        asked = float(retry_after or "nan")
    except ValueError:
        return None
    return None if math.isnan(asked) else min(max(0.0, asked), LONGEST)


class _Bounded(httpx.AsyncByteStream):
    """The bytes of an answer, up to a number of them."""

    def __init__(self, inner: httpx.AsyncByteStream, request: httpx.Request, most: int) -> None:
        self._inner = inner
        self._request = request
        self._left = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx.ReadError("the answer is too long", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
