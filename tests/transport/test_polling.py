"""`Poller`: what is kept of channels, heard by looking again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from chatkit.errors import ChatkitError, NotAllowed, TransportError
from chatkit.logs.memory import MemoryLog
from chatkit.model.entry import Entry
from chatkit.model.order import OrderKey, Place
from chatkit.ports.adapter import SessionClosed
from chatkit.testing.clock import VirtualClock, settle
from chatkit.testing.wishes import wish
from chatkit.transport import Item, Poller
from chatkit.transport.polling import AT_ONCE, FAILURES, KNOWN, PATIENCE, RATE, RETRY

START = datetime(2026, 1, 1, tzinfo=UTC)


def item(serial: int, *, at: float | None = None) -> Item[str]:
    """Something that stands in a channel; its serial says when it was taken."""
    seconds = serial if at is None else at
    return Item(OrderKey(1, f"{serial:06d}"), START + timedelta(seconds=seconds), f"item {serial}")


class Kept:
    """Channels that can be read, and what a poller said of them."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.items: dict[str, list[Item[str]]] = {}
        self.reads: list[tuple[str, float]] = []
        self.failing: ChatkitError | None = None
        self.at_once = self.most_at_once = 0
        self.told: list[tuple[str, str]] = []
        self.refused: list[tuple[str, ChatkitError]] = []
        self.answers = 0
        self.takes = 0.01

    async def read(self, channel: str, after: Place, /) -> Sequence[Item[str]]:
        self.reads.append((channel, self.clock.monotonic()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.takes)
        self.at_once -= 1
        if self.failing is not None:
            raise self.failing
        found = sorted(self.items.get(channel, ()))
        if isinstance(after, datetime):
            return [one for one in found if one.at > after]
        return [one for one in found if one.key > after]

    async def tell(self, channel: str, one: Item[str]) -> None:
        self.told.append((channel, one.what))

    def alive(self) -> None:
        self.answers += 1

    def refuse(self, channel: str, error: ChatkitError) -> None:
        self.refused.append((channel, error))

    def put(self, *items: Item[str], channel: str = "support") -> None:
        self.items.setdefault(channel, []).extend(items)

    def poller(self, *, every: float = 2.0, margin: float = 30.0) -> Poller[str]:
        return Poller[str](
            self.read, self.tell, self.alive, self.refuse, every=every, margin=margin, clock=self.clock
        )

    async def follow(self, poller: Poller[str], channel: str = "support") -> OrderKey:
        head = max((one.key for one in self.items.get(channel, ())), default=OrderKey(1, ""))
        return await poller.follow(channel, head, self.clock.wall())


@pytest.fixture
def kept(clock: VirtualClock) -> Kept:
    clock.jump((START + timedelta(seconds=1_000) - clock.wall()).total_seconds())
    return Kept(clock)


@asynccontextmanager
async def running(poller: Poller[str]) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_each_item_is_told_once(kept: Kept) -> None:
    """Ascending, however often the margin is read again; what stood there before is not told (I2)."""
    kept.put(item(995), item(999))
    poller = kept.poller()
    async with running(poller):
        assert await kept.follow(poller) == OrderKey(1, "000999")
        await asyncio.sleep(5)
        kept.put(item(1_001), item(1_002))
        await asyncio.sleep(5)
        kept.put(item(1_010))
        await asyncio.sleep(60)

    assert [what for _, what in kept.told] == ["item 1001", "item 1002", "item 1010"]


async def test_a_lower_place_that_comes_after_a_higher_one_is_told(kept: Kept) -> None:
    """Within the margin, even below where live began (D17, D30)."""
    kept.put(item(999))
    poller = kept.poller()
    async with running(poller):
        await kept.follow(poller)
        kept.put(item(1_001))
        await asyncio.sleep(3)
        kept.put(item(998), item(1_000))
        await asyncio.sleep(3)

    assert [what for _, what in kept.told] == ["item 1001", "item 998", "item 1000"]


async def test_a_log_is_polled_without_a_margin(clock: VirtualClock) -> None:
    """Any log: what follows the last place, by `entries` (D24)."""
    log = MemoryLog(clock, Random(1))
    told: list[bytes] = []
    head = OrderKey((await log.heads(["support"]))["support"].epoch, "")

    async def read(channel: str, after: Place, /) -> list[Item[Entry]]:
        found = (await log.entries(channel, after=after, limit=100)).items
        return [Item(entry.stamp.key, entry.stamp.at, entry) for entry in found]

    async def tell(channel: str, one: Item[Entry]) -> None:
        assert channel == "support"
        told.append(one.what.data)

    poller = Poller[Entry](read, tell, lambda: None, lambda *_: None, every=1.0, margin=0.0, clock=clock)
    async with running(poller):  # type: ignore[arg-type]
        assert await poller.follow("support", head, clock.wall()) == head
        said = [
            wish(number, user="ada", device="device1", channel="support", seq=number) for number in (1, 2, 3)
        ]
        for each in said:
            await log.append("support", [each])
            await asyncio.sleep(0.7)
        await asyncio.sleep(2)

    assert told == [each.data for each in said]


async def test_what_came_by_another_way_is_not_told_again(kept: Kept) -> None:
    """And what a look told is no news to that other way."""
    poller = kept.poller()
    async with running(poller):
        await kept.follow(poller)
        kept.put(item(1_001), item(1_002))
        assert poller.is_news("support", item(1_001))
        await asyncio.sleep(3)

        assert [what for _, what in kept.told] == ["item 1002"]
        assert not poller.is_news("support", item(1_002))
        assert not poller.is_news("elsewhere", item(1_003))


async def test_a_prompt_ends_the_wait(kept: Kept) -> None:
    """Of that channel; one that is not followed is nothing."""
    poller = kept.poller(every=30)
    async with running(poller):
        await kept.follow(poller)
        kept.put(item(1_001))
        await asyncio.sleep(1)
        assert kept.told == []
        poller.prompt("support")
        poller.prompt("elsewhere")
        await asyncio.sleep(0.1)
        assert kept.told == [("support", "item 1001")]


async def test_a_look_can_be_waited_for(kept: Kept) -> None:
    """It returns when all is told; without an answer it says so."""
    poller = kept.poller(every=30)
    await kept.follow(poller)
    kept.put(item(1_001))
    kept.failing = TransportError("no answer")
    assert not await poller.look("support")
    kept.failing = None
    assert await poller.look("support")
    assert kept.told == [("support", "item 1001")]
    assert await poller.look("elsewhere")


async def test_who_leaves_hears_nothing(kept: Kept) -> None:
    """Not even of a look that is under way."""
    poller = kept.poller()
    async with running(poller):
        await kept.follow(poller)
        kept.put(item(1_001))
        poller.prompt("support")
        await asyncio.sleep(0.005)
        poller.leave("support")
        await asyncio.sleep(10)

    assert kept.told == []
    assert len(kept.reads) == 2


async def test_looks_are_paced(kept: Kept) -> None:
    """A few at once, and never more than so many a second: each waits for its turn (I10)."""
    poller = kept.poller(every=0.1)
    names = [f"room-{number}" for number in range(100)]
    async with running(poller):
        for name in names:
            await kept.follow(poller, name)
        before = len(kept.reads)
        await asyncio.sleep(20)

    looks = len(kept.reads) - before
    assert looks <= 20 * RATE + len(names)
    assert looks >= 10 * RATE
    assert 1 < kept.most_at_once <= AT_ONCE
    assert {name for name, _ in kept.reads[before:]} == set(names)


async def test_the_pace_can_be_changed(kept: Kept) -> None:
    """Faster at once, slower from the next look on."""
    poller = kept.poller(every=30)
    async with running(poller):
        await kept.follow(poller)
        poller.pace(0.5)
        await asyncio.sleep(5.1)
        assert len(kept.reads) == 11
        poller.pace(0.5)
        poller.pace(30)
        await asyncio.sleep(29)
        assert len(kept.reads) == 12


async def test_slow_answers_starve_nobody(kept: Kept) -> None:
    """Whoever waits longest comes first, though all are due all the time."""
    poller = kept.poller(every=0.1)
    names = [f"room-{number}" for number in range(20)]
    async with running(poller):
        for name in names:
            await kept.follow(poller, name)
        kept.takes, before = 1.0, len(kept.reads)
        await asyncio.sleep(20)

    looks = [name for name, _ in kept.reads[before:]]
    assert {looks.count(name) for name in names} <= {3, 4, 5}


async def test_a_look_without_an_answer_is_made_again(kept: Kept) -> None:
    """Nothing is missed by it; several in a row are the end of the connection (I11)."""
    poller = kept.poller()
    async with running(poller) as task:
        await kept.follow(poller)
        kept.put(item(1_001))
        kept.failing = TransportError("no answer")
        await asyncio.sleep(2.0 + RETRY * (FAILURES - 2) + 0.5)
        assert not task.done()
        kept.failing = None
        await asyncio.sleep(3)
        assert kept.told == [("support", "item 1001")]

        kept.failing = TransportError("no answer")
        await asyncio.sleep(2.0 + RETRY * FAILURES)
        assert isinstance(task.exception(), TransportError)


@pytest.mark.parametrize("slept", [True, False])
async def test_it_says_how_long_ago_a_channel_was_read(kept: Kept, *, slept: bool) -> None:
    """By the clock that counted more: one of them stands still while the machine sleeps (D32)."""
    poller = kept.poller()
    await kept.follow(poller)
    if slept:
        kept.clock.jump(50)
    else:
        await asyncio.sleep(50)
    assert poller.silent_for("support") == pytest.approx(50, abs=0.1)
    assert poller.silent_for("elsewhere") is None


async def test_a_refusal_ends_the_looks_into_a_channel(kept: Kept) -> None:
    """It is told, and others go on."""
    poller = kept.poller()
    async with running(poller):
        await kept.follow(poller)
        await kept.follow(poller, "sales")
        kept.failing = refusal = NotAllowed("no right")
        poller.prompt("support")
        await asyncio.sleep(0.1)
        kept.failing = None
        kept.put(item(1_001), channel="sales")
        await asyncio.sleep(5)

    assert kept.refused == [("support", refusal)]
    assert kept.told == [("sales", "item 1001")]


@pytest.mark.parametrize("slept", [True, False])
async def test_after_too_long_nobody_vouches(kept: Kept, *, slept: bool) -> None:
    """Be it that there was no answer, or that the machine slept: what came meanwhile may be gone (I6, D32)."""
    poller = kept.poller(every=1.0)
    async with running(poller) as task:
        await kept.follow(poller)
        await asyncio.sleep(3)
        if slept:
            kept.clock.jump(PATIENCE + 1)
        else:
            kept.clock.advance(PATIENCE + 1)
        await asyncio.sleep(3)

        ended = task.exception()
        assert isinstance(ended, SessionClosed)
        assert ended.again == "now"


async def test_little_is_remembered(kept: Kept) -> None:
    """What is older than the margin is forgotten, and a flood is bounded (I10)."""
    poller = kept.poller()
    await kept.follow(poller)
    for number in range(KNOWN + 100):
        assert poller.is_news("support", item(2_000 + number, at=2_000))
    assert len(poller._followed["support"]._known) == KNOWN
    assert poller.is_news("support", item(90_000, at=90_000))
    assert len(poller._followed["support"]._known) == 1


async def test_what_cannot_be_read_is_not_followed(kept: Kept) -> None:
    """Whoever asks is told why."""
    poller = kept.poller()
    kept.failing = NotAllowed("no right")
    with pytest.raises(NotAllowed):
        await kept.follow(poller)
    poller.prompt("support")
    await settle()
    assert len(kept.reads) == 1
