"""`http_client`: the one way in which adapters make a client for calls by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx

CONNECTIONS: Final = 20
"""Most connections to one provider's HTTP interface."""


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
