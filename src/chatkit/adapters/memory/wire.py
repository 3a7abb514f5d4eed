"""Packets under way: ordered streams, and a question with its answer, over one link.

A cut is heard at once by the client and by nothing else: what it had sent still arrives, what was on its way
to it does not. So a request may be carried out long after its sender gave up, as with a real server (D9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from chatkit.errors import ChatkitError, TransportError

if TYPE_CHECKING:
    from chatkit.adapters.memory.network import Call, Link

T = TypeVar("T")

AIR: Final = 10_000
"""Most packets under way in one stream; further ones are lost (I10)."""


def call_on(loop: asyncio.AbstractEventLoop, act: Callable[..., object], *args: Any) -> bool:
    """Call something on a loop: now if this is it, else soon. False: that loop is closed."""
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        act(*args)
        return True
    try:
        loop.call_soon_threadsafe(act, *args)
    except RuntimeError:
        return False
    return True


class Stream:
    """One direction of a connection: what leaves first lands first, each on the loop given."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._air: dict[int, asyncio.TimerHandle] = {}
        self._sent = 0
        self._in_order = 0
        self._latest = -inf
        self._closed = False

    def send(self, delay: float, land: Callable[[], None], *, late: float = 0.0) -> bool:
        """Let a packet land after `delay`, and behind all before it; `late` ones are overtaken.

        Returns:
            False: it is lost, since the stream is closed or full.
        """
        if self._closed or len(self._air) >= AIR:
            return False
        now = self._loop.time()
        due = now + delay + late
        ordered = not late
        if ordered and self._in_order:
            due = max(due, nextafter(self._latest, inf))  # equal times have no order in an event loop
        elif ordered and due <= now:
            land()
            return True
        if ordered:
            self._latest = due
            self._in_order += 1
        self._sent += 1
        self._air[self._sent] = self._loop.call_at(due, self._land, self._sent, ordered, land)
        return True

    def close(self) -> None:
        """Lose what is under way, and all that follows."""
        self._closed = True
        for handle in self._air.values():
            handle.cancel()
        self._air.clear()

    def _land(self, number: int, ordered: bool, land: Callable[[], None]) -> None:  # noqa: FBT001  # a timer's arguments come by position
        del self._air[number]
        self._in_order -= ordered
        land()


class Exchange(Generic[T]):
    """A question to the hub and its answer.

    Args:
        link: What it travels over.
        up: The stream it leaves in.
        down: The stream its answer comes in.
        act: What the hub does; called where the question lands, whether or not anybody still waits.
        call: What it is; a publish or a read may be lost by chance.
        impatient: It gives up after the link's `timeout`; otherwise only once it was lost by chance.
        landed: Called at the client where an answer lands, in the order of the stream.
    """

    def __init__(
        self,
        link: Link,
        up: Stream,
        down: Stream,
        act: Callable[[], T],
        *,
        call: Call | None = None,
        impatient: bool = False,
        landed: Callable[[T | ChatkitError], None] | None = None,
    ) -> None:
        self._link = link
        self._up = up
        self._down = down
        self._act = act
        self._call: Call | None = call
        self._impatient = impatient
        self._landed = landed
        self._timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self.loop.create_future()

    def send(self) -> None:
        """Let the question leave."""
        if self._impatient:
            self._give_up_later()
        now = self.loop.time()
        if self._link.stumbles(now) or self._link.state(now) == "half-open":
            return
        if self._link.loses_request(self._call) or not self._up.send(self._link.delay(), self._arrive):
            self._give_up_later()

    async def wait(self) -> T:
        """Return or raise the answer."""
        try:
            return await self.answer
        finally:
            self.answer.cancel()
            if self._timer is not None:
                self._timer.cancel()

    def fail(self, error: ChatkitError) -> None:
        """End the wait; what was sent may still arrive."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def broken(self, *, half_open: bool) -> None:
        """Note that the link was cut: no answer comes any more."""
        self._down.close()
        if not half_open:
            self.fail(TransportError("the network was cut before the answer came"))

    def _arrive(self) -> None:
        found: T | ChatkitError
        try:
            found = self._act()
        except ChatkitError as error:
            found = error
        if self._link.stumbles(self.loop.time()):
            return
        if self._link.loses_ack(self._call):
            self._give_up_later()
            return
        self._down.send(self._link.delay(), lambda: self._land(found))

    def _land(self, found: T | ChatkitError) -> None:
        if self._landed is not None:
            self._landed(found)
        if isinstance(found, ChatkitError):
            self.fail(found)
        elif not self.answer.done():
            self.answer.set_result(found)

    def _give_up_later(self) -> None:
        if self._timer is None and not self.answer.done():
            self._timer = self.loop.call_later(self._link.timeout, self._give_up)

    def _give_up(self) -> None:
        self.fail(TransportError(f"no answer within {self._link.timeout:g} s"))


async def request(link: Link, act: Callable[[], T], *, call: Call) -> T:
    """Ask the hub over a connection of its own, like HTTP: nothing keeps it in step with others.

    Raises:
        TransportError: The link is cut (at once), or no answer came within its `timeout`.
    """
    await asyncio.sleep(0)  # a caller that never waits would starve its loop
    loop = asyncio.get_running_loop()
    if link.state(loop.time()) == "cut":
        raise TransportError("there is no network")
    exchange = Exchange(link, Stream(loop), Stream(loop), act, call=call, impatient=True)
    link.join(exchange)
    try:
        exchange.send()
        return await exchange.wait()
    finally:
        link.quit(exchange)
