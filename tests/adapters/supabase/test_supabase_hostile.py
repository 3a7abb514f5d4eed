"""A broken or hostile server, and hostile members: they take no more memory than they may, and nobody goes deaf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import pytest

from chatkit.adapters.supabase import reading
from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.hearing import Hearing
from chatkit.adapters.supabase.payload import Announced
from chatkit.adapters.supabase.protocol import Strange
from chatkit.adapters.supabase.reading import WAITING, Reading
from chatkit.adapters.supabase.rpc import ANSWER, Rpc
from chatkit.errors import TransportError
from chatkit.model.entry import Entry, Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Shed, Signal
from chatkit.ports.log import Entries, Log, LogState
from chatkit.testing.clock import VirtualClock
from chatkit.transport import http_client
from chatkit.transport.line import WAITING as ROOM

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Key:
    renewable = False

    async def headers(self) -> dict[str, str]:
        return {"apikey": "key"}

    def refused(self) -> None: ...


@pytest.mark.parametrize("codec", ["zlib", "bz2", "hex", "rot13", "undefined", "idna", "no-such"])
async def test_the_codec_of_a_refusal_is_not_the_servers_choice(codec: str) -> None:
    """Python has some that unpack, and some that raise whatever they like."""

    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": f"application/json; charset={codec}"}
        return httpx.Response(503, headers=headers, content=b'\xff{"code":"x"}')

    async with http_client(verify=True, local=True, most=ANSWER) as made:
        made._transport = httpx.MockTransport(answer)  # what else is there of it is ours
        with pytest.raises(TransportError, match="no answer from the database"):
            await Rpc("https://project.example", made, Key()).call("heads", names=[])


async def test_strange_frames_of_a_channel_wait_for_room(clock: VirtualClock) -> None:
    """A member may broadcast anything: it is no way to fill the others' memory (I10)."""
    hearing = Hearing(clock, lambda one, entries: None)
    hearing.begin(one := Attached("support", logged=True, presence=False))
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(2 * ROOM):
            await hearing.take(Strange(one.live, None, {"x": "x"}, "no_event"))
            sent += 1

    flooding = asyncio.get_running_loop().create_task(flood())
    for _ in range(3 * ROOM):
        await asyncio.sleep(0)
    assert sent == ROOM

    seen = 0
    while seen < 2 * ROOM:
        if hearing.line.next() is None:
            await asyncio.sleep(0)
        else:
            seen += 1
    await flooding


async def test_strange_frames_of_no_channel_are_few(clock: VirtualClock) -> None:
    """Nobody misses what nobody reads."""
    hearing = Hearing(clock, lambda one, entries: None)

    for _ in range(2 * ROOM):
        await hearing.take(Strange(None, None, "x", "unreadable"))

    count = 0
    while hearing.line.next() is not None:
        count += 1
    assert count == ROOM


class Stuck:
    """A log that does not answer, or whose answer comes byte by byte and never ends."""

    async def entries(self, channel: str, /, **_: Any) -> Any:
        del channel
        await asyncio.Event().wait()


class Another:
    """A log that answers with another entry than was asked for: the one asked for is gone, say."""

    async def entries(self, channel: str, /, *, after: OrderKey, limit: int) -> Entries:
        del channel
        key = OrderKey(1, f"{int(after.serial) + 2:020d}")
        stamp = Stamp(key, after.serial, "log", "bob", AT)
        return Entries(
            LogState("log", 1, key.serial, None, AT), (Entry(b"another", stamp),)[:limit], more=False
        )


class Slow:
    """What hears of it: takes signals one by one, when it may."""

    def __init__(self) -> None:
        self.told: list[Signal] = []
        self.may = asyncio.Event()

    async def put(self, _: Attached, signal: Signal) -> None:
        await self.may.wait()
        self.told.append(signal)


@asynccontextmanager
async def stuck(log: object = None) -> AsyncGenerator[tuple[Reading, Attached, Slow, Callable[[], Any]]]:
    hears = Slow()
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
        tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    one = Attached("support", logged=True, presence=False)
    try:
        made = Reading(cast("Log", log or Stuck()), spawn=spawn, put=hears.put)
        yield made, one, hears, lambda: asyncio.wait(tasks, timeout=10)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def entry(number: int, data: bytes | None) -> Announced:
    serial = f"{number:020d}"
    return Announced(Stamp(OrderKey(1, serial), f"{number - 1:020d}", "log", "ada", AT), data, "provider")


async def test_what_waits_for_a_large_entry_is_bounded() -> None:
    """However long it takes to be read, and however much is announced meanwhile (I10)."""
    async with stuck() as (large, one, _, _ended):
        large.take(one, [entry(1, None)])
        await asyncio.sleep(0)
        for start in range(2, 5_000, 50):
            large.take(one, [entry(number, b"x") for number in range(start, start + 50)])

        assert one.waiting is not None
        assert len(one.waiting) == WAITING + 2


async def test_another_entry_is_not_taken_for_the_one_that_was_announced() -> None:
    """What follows is read from the log as well: the engine looks into it itself."""
    async with stuck(Another()) as (large, one, hears, ended):
        hears.may.set()
        large.take(one, [entry(1, None), entry(2, b"x")])
        await ended()

        assert hears.told == [Shed("support", "large")]


async def test_what_was_too_much_is_looked_for_in_the_log() -> None:
    """Also where it came while nobody took what stood before it: nothing is lost in silence."""
    async with stuck() as (large, one, hears, ended):
        large.take(one, [entry(1, b"x")])
        await asyncio.sleep(0)
        for number in range(2, 500):
            large.take(one, [entry(number, b"x")])
        hears.may.set()
        await ended()

        assert hears.told[-1] == Shed("support", "large")
        assert one.waiting is None


async def test_a_large_entry_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the channel would be deaf: the engine looks into the log itself."""
    monkeypatch.setattr(reading, "PATIENCE", 0.02)
    async with stuck() as (large, one, hears, ended):
        hears.may.set()
        large.take(one, [entry(1, None), entry(2, b"x")])
        await ended()

        assert hears.told == [Shed("support", "large")]
        assert one.waiting is None
