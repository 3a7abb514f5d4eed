"""Calls by HTTP: whatever a server answers, it takes no more memory than it may (I10)."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import httpx
import pytest
import respx

from chatkit.transport.calling import LONGEST, http_client, pause_of

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

URL = "https://api.example/events"
MOST = 1_000


class Long(httpx.AsyncByteStream):
    """A hundred times what may be taken; counts what was."""

    taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(MOST):
            self.taken += 100
            yield b"x" * 100


async def asked(**answer: object) -> httpx.Response:
    with respx.mock:
        respx.get(URL).mock(httpx.Response(200, **answer))  # type: ignore[arg-type]
        async with http_client(verify=True, local=True, most=MOST) as client:
            return await client.get(URL)


async def test_an_answer_up_to_the_bound_is_read(clock: VirtualClock) -> None:
    """All of it."""
    assert (await asked(content=b"x" * MOST)).content == b"x" * MOST


async def test_a_longer_answer_is_not_read(clock: VirtualClock) -> None:
    """Not beyond what shows that it is too long, however long it is."""
    stream = Long()
    with pytest.raises(httpx.ReadError, match="too long"):
        _ = await asked(stream=stream)
    assert stream.taken == MOST + 100


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"content-encoding": "br, gzip"}])
async def test_a_compressed_answer_is_not_unpacked(clock: VirtualClock, headers: Mapping[str, str]) -> None:
    """Nobody asked for one, and what is small here may be anything there."""
    with pytest.raises(httpx.ReadError, match="compressed"):
        _ = await asked(headers=headers, content=gzip.compress(b"x" * 10_000_000))


async def test_answers_are_asked_for_as_they_are(clock: VirtualClock) -> None:
    """With one encoding alone."""
    with respx.mock:
        route = respx.get(URL).mock(httpx.Response(200))
        async with http_client(verify=True, local=True, most=MOST) as client:
            _ = await client.get(URL)
    assert route.calls.last.request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("-inf", 0.0),
        ("86400", LONGEST),
        ("1e400", LONGEST),
        ("inf", LONGEST),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("Sat, 28 Nov 2026 09:00:00 GMT", None),
        (None, None),
    ],
)
def test_a_pause_is_read_in_seconds_and_has_an_end(header: str | None, seconds: float | None) -> None:
    """A server that says "for ever" does not silence a client."""
    assert pause_of(header) == seconds
