"""Event streams: one channel heard by server-sent events.

The service does not say whether it could go on from the last event, so nobody relies on that: whoever opens
a stream again looks into history.

Source: the Ably sheet, last section; ably/docs api/sse.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx
from httpx_sse import EventSource, SSEError

from chatkit.adapters.ably.codes import refusal
from chatkit.adapters.ably.wire import ErrorInfo, Frame, as_frame, error_of
from chatkit.errors import ChatkitError, TransportError

SILENCE: Final = 25.0
"""Seconds without a byte after which a stream is dead: the service keeps it alive with comments."""
TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0, read=SILENCE, pool=None)
EVENT: Final = 1 << 20
"""Bytes that come without an event's end; an event holds one message."""
VERSION: Final = "1.2"
"""Of the interface, as its page names it: another count than the protocol's."""


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, url: str, name: str, authorization: str, heard: Callable[[], None]
) -> AsyncGenerator[AsyncGenerator[Frame]]:
    """Open a stream; gives the messages that come, until it ends.

    Args:
        client: Carries it.
        url: Of the host.
        name: Of the channel.
        authorization: The header.
        heard: Called with every piece that comes: comments are signs of life, too.

    Raises:
        TransportError: It cannot be opened, or was lost.
        ChatkitError: The service refused it, or ended it.
    """
    query = {"v": VERSION, "channels": name}
    headers = {"Authorization": authorization, "Accept": "text/event-stream", "Cache-Control": "no-store"}
    async with AsyncExitStack() as stack:
        try:
            answer = await stack.enter_async_context(
                client.stream("GET", f"{url}/sse", params=query, headers=headers, timeout=TIMEOUT)
            )
            if answer.status_code != 200:
                raise _refused(answer.status_code, await answer.aread())
            if "text/event-stream" not in answer.headers.get("Content-Type", ""):
                raise TransportError("there was an answer by HTTP, but no event stream")
        except httpx.HTTPError as error:
            raise TransportError(f"no event stream ({type(error).__name__})") from None
        answer.stream = _Overheard(answer, heard)
        yield _messages(EventSource(answer))


async def _messages(source: EventSource) -> AsyncGenerator[Frame]:
    try:
        async for event in source.aiter_sse():
            try:
                told = as_frame(json.loads(event.data)) if event.data else None
            except (ValueError, RecursionError):
                told = None
            if event.event == "error":
                raise refusal(error_of({"error": told or {}}))
            if event.event == "message" and told is not None:
                yield told
    except (httpx.HTTPError, SSEError) as error:
        raise TransportError(f"the event stream was lost ({type(error).__name__})") from None


def _refused(status: int, body: bytes) -> ChatkitError:
    """Return why there is no stream; an answer that is not the service's own says nothing."""
    try:
        told = error_of(as_frame(json.loads(body)) or {})
    except (ValueError, RecursionError):
        told = None
    if told is None:
        return TransportError(f"no event stream ({status})")
    return refusal(ErrorInfo(told.code, told.status or status))


class _Overheard(httpx.AsyncByteStream):
    """The bytes of an answer, each piece of which is told; one event has no more than `EVENT`."""

    def __init__(self, answer: httpx.Response, heard: Callable[[], None]) -> None:
        assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101  # of an asynchronous client
        self._stream = answer.stream
        self._heard = heard

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        unended = 0
        async for piece in self._stream:
            self._heard()
            end = max(piece.rfind(b"\n\n"), piece.rfind(b"\r\n\r\n"))
            unended = len(piece) - end if end >= 0 else unended + len(piece)
            if unended > EVENT:
                raise httpx.ReadError("an event has no end")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
