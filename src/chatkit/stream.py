"""`Stream`: what `events()` and `watch()` return. Registered at once; a cancelled read loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from chatkit.errors import ChatkitError, StateError, WaitTimeout

if TYPE_CHECKING:
    from chatkit.engine.holding import Hold

T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")


class Puller(Protocol[T_co]):
    """Where a stream takes its items from."""

    @property
    def gaps(self) -> int:
        """Discontinuities passed."""
        ...

    async def get(self) -> T_co:
        """Wait for the next item; `StopAsyncIteration` at the end."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class Stream(AsyncIterator[T_co]):
    """One reader's items, in order. Not a generator: a read that times out or is cancelled leaves it whole.

    Ends when it is closed or its client is; raises what made it fail for good.
    """

    def __init__(self, puller: Puller[T_co]) -> None:
        self._puller = puller

    @property
    def gaps(self) -> int:
        """Discontinuities passed, filtered out or not."""
        return self._puller.gaps

    async def next(self, *, timeout: float | None = None) -> T_co:
        """Wait for the next item.

        Args:
            timeout: Seconds; `None` waits for ever.

        Raises:
            WaitTimeout: Nothing came; the stream goes on.
            StopAsyncIteration: The stream was closed.
        """
        return await within(timeout, self._puller.get, "nothing came from the stream")

    async def aclose(self) -> None:
        """End the stream; idempotent."""
        self._puller.close()

    async def __anext__(self) -> T_co:
        return await self._puller.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._puller.close()


class Watched(Generic[V]):
    """A present value that readers can follow; a slow one skips to the newest.

    Args:
        view: Returns the value as it is now.
    """

    def __init__(self, view: Callable[[], V]) -> None:
        self.view = view
        self._readers: set[_Follower[V]] = set()
        self._end: BaseException | None = None

    @property
    def followed(self) -> bool:
        """Whether anybody follows it."""
        return bool(self._readers)

    def changed(self) -> None:
        """The value is another one now."""
        for reader in list(self._readers):  # a collection of garbage meanwhile may end one
            reader.wake()

    def watch(self, view: Callable[[], V] | None = None) -> Stream[V]:
        """Return a stream of the present value and then the newest after each change.

        Args:
            view: Used in place of the common one, where each reader sees its own.
        """
        follower = _Follower(view or self.view, self._readers.discard)
        if self._end is None:
            self._readers.add(follower)
        else:
            follower.end(self._end)
        return Stream(follower)

    def finish(self) -> None:
        """End the streams there are, each with its last value; further ones may be opened."""
        self._end_all(StopAsyncIteration())

    def close(self, error: BaseException | None = None) -> None:
        """End all streams: each gives its last value first."""
        self._end = error or StopAsyncIteration()
        self._end_all(self._end)

    def _end_all(self, end: BaseException) -> None:
        for reader in list(self._readers):
            reader.end(end)
        self._readers.clear()


class _Follower(Generic[V]):
    """One reader of a watched value; what ends it comes after the value that it has not seen."""

    gaps = 0

    def __init__(self, view: Callable[[], V], forget: Callable[[_Follower[V]], None]) -> None:
        self._view = view
        self._forget = forget
        self._news = asyncio.Event()
        self._news.set()
        self._unseen = True
        self._reading = False
        self._end: BaseException | None = None

    def wake(self) -> None:
        self._unseen = True
        self._news.set()

    def end(self, error: BaseException) -> None:
        self._end = error
        self._news.set()

    async def get(self) -> V:
        if self._reading:
            raise StateError("this stream has a reader already", hint="Open a stream for each reader.")
        self._reading = True
        try:
            await self._news.wait()
        finally:
            self._reading = False
        if self._unseen:
            self._unseen = False
            if self._end is None:
                self._news.clear()
            return self._view()
        raise self._end or StopAsyncIteration

    def close(self) -> None:
        self._forget(self)
        self._unseen = False
        self.end(StopAsyncIteration())


async def within(
    timeout: float | None,
    wait: Callable[[], Awaitable[V]],
    what: str,
    *,
    channel: str | None = None,
    message_id: str | None = None,
    why: Callable[[], Hold] | None = None,
) -> V:
    """Await `wait()` for at most `timeout` seconds; `why` tells what held up what was waited for.

    Raises:
        WaitTimeout: The time is over; nothing is undone.
    """
    try:
        async with asyncio.timeout(timeout):
            return await wait()
    except TimeoutError as error:
        if isinstance(error, ChatkitError):
            raise
        text, hold = f"{what} within {timeout:g} s", None if why is None else why()
        if hold is None:
            raise WaitTimeout(text, channel=channel, message_id=message_id) from None
        hint = None if hold.cause is None else hold.cause.hint or None
        text = f"{text}: {hold.why}"
        raise WaitTimeout(text, hint=hint, channel=channel, message_id=message_id) from hold.cause
