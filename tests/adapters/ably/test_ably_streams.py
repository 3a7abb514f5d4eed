"""Event streams: what a hostile server sends takes no more memory than it may (I10)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpx
import pytest
import respx

from chatkit.adapters.ably.streams import EVENT, opened
from chatkit.errors import TransportError
from chatkit.transport import http_client

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

URL = "https://realtime.ably.example"
CHUNK = 1 << 14


class Body(httpx.AsyncByteStream):
    """Pieces; counts the bytes that were taken."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._piece, self._times = piece, times
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._times):
            self.taken += len(self._piece)
            yield self._piece


async def heard(body: Body) -> tuple[int, int]:
    """Return how many messages came, and in how many pieces."""
    pieces = messages = 0

    def count() -> None:
        nonlocal pieces
        pieces += 1

    with respx.mock:
        answer = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=body)
        respx.get(url=re.compile(f"{URL}/sse.*")).mock(answer)
        async with (
            http_client(verify=True, local=True, most=None, connections=None) as client,
            opened(client, URL, "room", "Bearer x", count) as stream,
        ):
            async for _ in stream:
                messages += 1
    return messages, pieces


@pytest.mark.parametrize(
    "piece", [b"x" * CHUNK, b"data: " + b"x" * (CHUNK - 7) + b"\n"], ids=["line", "lines"]
)
async def test_an_event_without_an_end_is_given_up(clock: VirtualClock, piece: bytes) -> None:
    """Be it one line or many; the stream is opened again, and history read."""
    body = Body(piece, 100 * EVENT // CHUNK)

    with pytest.raises(TransportError, match="stream was lost"):
        _ = await heard(body)

    assert body.taken <= EVENT + CHUNK


async def test_a_long_stream_of_short_events_goes_on(clock: VirtualClock) -> None:
    """However much comes in all."""
    event = b'event: message\ndata: {"name": "x", "data": "' + b"x" * CHUNK + b'"}\n\n'
    times = 3 * EVENT // CHUNK

    assert await heard(Body(event, times)) == (times, times)
