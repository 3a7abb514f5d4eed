"""One message that grows while its text is being made: paced edits, the last of which makes it whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from chatkit.errors import ChatkitError, ConfigError, InvalidMessage
from chatkit.given import is_async_iterable, is_number, is_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from chatkit.delivery import Delivery

_END: Final = object()
"""The chunks are over."""
_LATER: Final = object()
"""The next one is still to come."""


class Write(Protocol):
    """Keeps the text so far: creates the message, or changes the one that there is."""

    def __call__(self, text: str, delivery: Delivery | None, /, *, incomplete: bool) -> Awaitable[Delivery]:
        """Return the delivery of the creation."""
        ...


async def grow(chunks: AsyncIterable[str], write: Write, *, every: float, channel: str) -> Delivery:
    """Write what `chunks` give, at most every so many seconds; what comes meanwhile goes with the next.

    Where the chunks, the caller or a write end it early, what there is by then is written, and the message
    stays `incomplete`.

    Returns:
        The delivery of the creation, when the whole text is safe.

    Raises:
        ConfigError: `chunks` cannot be iterated by `async for`, or `every` is no number of seconds above 0.
        InvalidMessage: The chunks gave no text, or something else than text.
        Exception: Whatever the chunks raise, or a write.
    """
    if not is_number(every) or not every > 0:
        raise ConfigError("every is a number of seconds above 0", channel=channel)
    if not is_async_iterable(chunks):
        raise ConfigError("a stream of text is something to iterate by `async for`", channel=channel)
    source = _Source(chunks)
    text = written = ""
    delivery: Delivery | None = None
    due = 0.0
    now = asyncio.get_running_loop().time
    try:
        while True:
            pending = text != written and bool(text.strip())
            chunk = await source.next(max(0.0, due - now()) if pending else None)
            if chunk is _END:
                break
            if chunk is not _LATER:
                if not is_text(chunk):
                    raise InvalidMessage("the stream gave something else than text", channel=channel)
                text += chunk
            if text != written and text.strip() and now() >= due:
                delivery, written = await write(text, delivery, incomplete=True), text
                due = now() + every
    except BaseException:
        if delivery is not None and text != written:
            with suppress(ChatkitError):  # why it ended is what the caller is to hear
                _ = await write(text, delivery, incomplete=True)
        raise
    finally:
        await source.aclose()
    if not text.strip():
        raise InvalidMessage("the stream gave no text; nothing was queued", channel=channel)
    return await write(text, delivery, incomplete=False)


class _Source:
    """Chunks, waited for with a limit that takes nothing from them."""

    def __init__(self, chunks: AsyncIterable[str]) -> None:
        self._chunks: AsyncIterator[Any] = aiter(chunks)
        self._next: asyncio.Task[Any] | None = None

    async def next(self, timeout: float | None) -> Any:
        """Return the next chunk, `_END`, or `_LATER`: the time is over."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._pull())
        done, _ = await asyncio.wait({self._next}, timeout=timeout)
        if not done:
            return _LATER
        task, self._next = self._next, None
        return task.result()

    async def _pull(self) -> Any:
        return await anext(self._chunks, _END)

    async def aclose(self) -> None:
        """Ask for no more, and let a generator end where it stands."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
