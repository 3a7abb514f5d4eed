"""The send path as a whole, over a hub whose network, provider and process misbehave."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.adapters.memory import Faults
from chatkit.core.delivery import State
from chatkit.errors import AuthenticationError, NotAllowed, ProviderError, RateLimited, StoreError
from chatkit.model.envelope import Envelope
from chatkit.model.ids import keyed_message_id
from chatkit.model.order import Ident
from chatkit.ports import Received
from chatkit.testing.clock import VirtualLoop, settle
from tests.engine.sending_kit import Client, FaultyStore, Watcher, World, keep_file, keep_memory, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

LIKES = ["memory", "supabase", "ably"]
"""Providers that number, and know a duplicate when they see one."""
MANY = [f"{number}" for number in range(30)]


Spoken: TypeAlias = "tuple[Client, str, list[str]]"
"""Who wrote what where, in order."""


def the_clock() -> VirtualClock:
    """Return the clock of the running loop, for a test that Hypothesis runs many times."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock


# -- bad networks


@pytest.mark.parametrize("like", LIKES)
async def test_a_lost_request_is_sent_again(clock: VirtualClock, like: str) -> None:
    """It never arrived; nobody can know, and the repeat makes it right (D10, I1)."""
    world = World(clock)
    async with world.client(like=like) as ada:
        await ada.connected()
        world.network.set_faults(Faults(lose_request=1.0))
        entry = await ada.send("1")
        await asyncio.sleep(30)
        assert (entry.state, world.texts()) == (State.IN_DOUBT, [])
        world.network.set_faults(Faults())
        await ada.drained()

        assert world.texts() == ["1"]


@pytest.mark.parametrize("like", LIKES)
async def test_a_lost_answer_makes_no_second_copy(clock: VirtualClock, like: str) -> None:
    """It arrived and the answer did not: the repeat is a duplicate, and proves it (D9, D10)."""
    world = World(clock)
    async with world.client(like=like) as ada:
        await ada.connected()
        world.network.lose_ack("ada", 2)
        entries = await ada.send_all("123")
        await ada.drained()

        assert world.texts() == ["1", "2", "3"]
        assert [(entry.state, entry.row.certain) for entry in entries] == [(State.SENT, True)] * 3


@pytest.mark.parametrize("like", LIKES)
async def test_a_request_that_arrives_after_its_successor_is_void(clock: VirtualClock, like: str) -> None:
    """A delay of twice the time-out: the server finishes what the client gave up (D9)."""
    world = World(clock)
    async with world.client(like=like) as ada:
        await ada.connected()
        world.network.set_faults(Faults(delay=(20.0, 20.0)))
        await ada.send("1")
        await asyncio.sleep(15)
        world.network.set_faults(Faults())
        await ada.send("2")
        await ada.drained()
        await asyncio.sleep(60)

        assert world.texts() == ["1", "2"]


@pytest.mark.parametrize("like", LIKES)
async def test_cuts_lose_and_shuffle_nothing(clock: VirtualClock, like: str) -> None:
    """Again and again in the middle of a conversation (I1, I4)."""
    world = World(clock)
    async with world.client(like=like, echo=True) as ada:
        world.network.set_faults(Faults(delay=(0.05, 0.3)))
        for text in MANY:
            await ada.send(text)
            await asyncio.sleep(0.2)
            if int(text) % 4 == 0:
                world.network.cut("ada", half_open=int(text) % 8 == 0)
                await asyncio.sleep(0.7)
                world.network.heal("ada")
        await ada.drained()

        assert world.texts() == MANY


faults = st.builds(
    Faults,
    delay=st.tuples(st.floats(0, 0.2), st.floats(0.2, 22.0)),
    drop=st.floats(0, 0.3),
    duplicate=st.floats(0, 0.3),
    reorder=st.floats(0, 0.3),
    lose_request=st.floats(0, 0.4),
    lose_ack=st.floats(0, 0.4),
    cut=st.tuples(st.floats(0, 0.1), st.tuples(st.floats(0.1, 1.0), st.floats(1.0, 20.0))),
)


async def converse(world: World, like: str, bad: Faults, **options: Any) -> list[Spoken]:
    """Let two users talk in two channels over a bad network; returns who wrote what where, in order."""
    world.network.set_faults(bad)
    clients = [world.client(user, like=like, echo=True, **options) for user in ("ada", "bob")]
    for client in clients:
        client.channels |= {"hall"}
        await client.open()
    lanes = [(client, channel) for client in clients for channel in ("room", "hall")]
    wrote: list[Spoken] = [(client, channel, []) for client, channel in lanes]
    for number in range(6):
        for client, channel, texts in wrote:
            texts.append(f"{client.user} {channel} {number}")
            await client.send(texts[-1], channel)
        await asyncio.sleep(world.clock.monotonic() % 3)
    await asyncio.sleep(90)
    world.network.set_faults(Faults())
    for client in clients:
        world.network.heal(client.user)
    for client in clients:
        await client.drained(within=3_000)
    await asyncio.sleep(60)  # whatever is on its way still arrives
    for client in clients:
        assert client.context.defects == {}
        assert await client.store.rows() == ()
        assert await client.aclose() == ()
    return wrote


@pytest.mark.parametrize("like", ["memory", "supabase"])
@given(seed=st.integers(0, 2**32), bad=faults)
@settings(max_examples=25)
async def test_each_lane_arrives_once_and_in_order(like: str, seed: int, bad: Faults) -> None:
    """Over any network a log shows each entry once, in the order of first attempts (I2, I4, D8, D9)."""
    world = World(the_clock(), seed=seed)

    for client, channel, texts in await converse(world, like, bad):
        mine = [envelope for envelope in world.log(channel) if envelope.sender.user == client.user]
        assert [text_of(envelope) for envelope in mine] == texts
        assert [envelope.seq for envelope in mine] == list(range(1, len(texts) + 1))


@given(seed=st.integers(0, 2**32), bad=faults)
@settings(max_examples=25)
async def test_without_a_fence_the_first_copies_are_in_order(seed: int, bad: Faults) -> None:
    """Where the provider forgets, history may hold a repeat; first copies are in order (D10)."""
    world = World(the_clock(), seed=seed)

    for client, channel, texts in await converse(world, "ably", bad):
        mine = [text for text in world.texts(channel) if text.startswith(f"{client.user} ")]
        assert list(dict.fromkeys(mine)) == texts


@given(seed=st.integers(0, 2**32), bad=faults)
@settings(max_examples=15)
async def test_a_window_loses_and_doubles_nothing(seed: int, bad: Faults) -> None:
    """`order="pipelined"` gives up order and nothing else (D8)."""
    world = World(the_clock(), seed=seed)

    for client, channel, texts in await converse(world, "memory", bad, window=8):
        mine = [envelope for envelope in world.log(channel) if envelope.sender.user == client.user]
        assert sorted(map(text_of, mine)) == sorted(texts)
        assert len({envelope.sender.device for envelope in mine}) == 1  # nothing was called superseded


async def test_where_the_provider_remembers_nothing_it_may_be_a_duplicate(clock: VirtualClock) -> None:
    """The same envelope twice on the wire: receivers keep the lower place (D10)."""
    world = World(clock)
    heard: list[Envelope] = []
    bob = world.client("bob", like="pusher", echo=True)
    bob.link._on_signal = lambda signal: (
        heard.append(Envelope.parse(signal.data)) if isinstance(signal, Received) else None
    )
    async with bob, world.client(like="pusher") as ada:
        await settle()
        world.network.lose_ack("ada")
        first = await ada.send("1")
        await ada.drained()
        second = await ada.send("2")
        await ada.drained()
        await settle()

        assert [text_of(envelope) for envelope in heard] == ["1", "1", "2"]
        assert heard[0] == heard[1]
        assert [first.maybe_duplicate, second.maybe_duplicate] == [True, False]
        assert second.row.stamp is not None
        assert first.row.stamp is not None
        assert first.row.stamp < second.row.stamp


async def test_past_the_providers_memory_history_is_asked_first(clock: VirtualClock) -> None:
    """Away for an hour with a message in doubt that had arrived: it is found, not doubled (D10)."""
    world = World(clock)
    async with world.client(like="ably", history=86_400) as ada:
        await ada.connected()
        world.network.lose_ack("ada")
        entry = await ada.send("1")
        await asyncio.sleep(1)
        world.network.cut("ada")
        await asyncio.sleep(3_600)
        world.network.heal("ada")
        await ada.drained()

        assert world.texts() == ["1"]
        assert (entry.state, entry.maybe_duplicate) == (State.SENT, False)


async def test_by_hand_what_had_arrived_after_all_is_not_doubled(clock: VirtualClock) -> None:
    """It expired in doubt; before it is sent again it is looked up (D7)."""
    world = World(clock)
    async with world.client(like="ably") as ada:
        await ada.connected()
        world.network.lose_ack("ada", 100)
        entry = await ada.send("1", expires_in=5.0)
        await asyncio.sleep(12)
        assert (entry.state, entry.row.certain) == (State.EXPIRED, False)
        world.network.lose_ack("ada", -97)
        await ada.outbox.retry(entry)
        await ada.drained()

        assert (entry.state, world.texts()) == (State.SENT, ["1"])


# -- what the provider says


async def test_a_log_refuses_what_comes_too_late(clock: VirtualClock) -> None:
    """The request arrived after its deadline: certainly not there, whoever's clock is wrong (D9, D13)."""
    world = World(clock)
    async with world.client() as ada:
        await ada.connected()
        world.network.set_faults(Faults(delay=(4.0, 4.0)))
        entry = await ada.send("1", expires_in=3.0)
        await asyncio.sleep(9)

        assert (entry.state, entry.row.certain, world.texts()) == (State.EXPIRED, True, [])


async def test_messages_keep_the_providers_rate(clock: VirtualClock) -> None:
    """Five hundred at fifty a second: none is refused for it (D12)."""
    world = World(clock)
    texts = [f"{number}" for number in range(500)]
    async with world.client(like="ably") as ada:
        await ada.send_all(texts)
        await ada.drained()

        assert world.texts() == texts
        assert "publishing.paused" not in ada.watcher.names
        assert 8.0 <= clock.monotonic() <= 12.0


async def test_a_quota_pauses_and_fails_nothing(clock: VirtualClock) -> None:
    """For as long as the provider says, then all goes out (D12)."""
    world = World(clock)
    async with world.client() as ada:
        world.network.refuse("ada", RateLimited("quota", retry_after=120.0), calls={"publish"}, count=1)
        await ada.send_all("123")
        await asyncio.sleep(60)
        paused = ada.publishing.paused
        await ada.drained()

        assert isinstance(paused, RateLimited)
        assert world.texts() == ["1", "2", "3"]
        assert clock.monotonic() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("like", [*LIKES, "pusher"])
async def test_a_refused_message_lets_its_lane_go_on(clock: VirtualClock, like: str) -> None:
    """In one batch with others: it fails, they arrive (D10, D12)."""
    world = World(clock)
    async with world.client(like=like, trusted=like == "pusher", capabilities={"frame_bytes": 1_200}) as ada:
        texts = ["1", "x" * 2_000, "2"]
        entries = await ada.send_all(texts)
        await ada.drained()

        assert [entry.state for entry in entries] == [State.SENT, State.FAILED, State.SENT]
        if like != "pusher":
            assert world.texts() == ["1", "2"]


async def test_a_batch_refused_as_one_is_tried_in_singles(clock: VirtualClock) -> None:
    """The provider named nobody: each has a verdict of its own (D10)."""
    world = World(clock)
    async with world.client(like="ably") as ada:
        await ada.connected()
        world.network.refuse("ada", NotAllowed("no"), calls={"publish"}, count=2)
        entries = await ada.send_all("123")
        await ada.drained()

        assert [entry.state for entry in entries] == [State.FAILED, State.SENT, State.SENT]
        assert world.texts() == ["2", "3"]


async def test_an_outage_of_the_provider_gives_up_nothing(clock: VirtualClock) -> None:
    """Half an hour of errors for everything: all of it arrives afterwards, in order (D12)."""
    world = World(clock)
    async with world.client() as ada:
        world.network.refuse("ada", ProviderError("503"), calls={"publish"})
        await ada.send_all(MANY)
        await asyncio.sleep(1_800)
        world.network.refuse("ada", None)
        await ada.drained()

        assert world.texts() == MANY


async def test_an_expired_token_costs_one_refresh(clock: VirtualClock) -> None:
    """In the middle of sending (D12, D32)."""
    world = World(clock)
    async with world.client() as ada:
        await ada.send("1")
        await ada.drained()
        world.network.refuse("ada", AuthenticationError("expired"), calls={"publish"}, count=1)
        await ada.send_all("23")
        await ada.drained()

        assert (world.texts(), ada.refreshes) == (["1", "2", "3"], 1)


# -- crashes


POINTS = ["outbox.added", "outbox.attempted", "outbox.answered", "outbox.settled"]


async def live_until(client: Client, point: str, count: int, texts: Iterator[str]) -> None:
    """Send until the process dies, the `count`-th time that it comes by a point."""
    dead = asyncio.Event()
    left = count

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            dead.set()
            client.die()
            raise asyncio.CancelledError

    client.watcher.at[point] = step
    await client.open()
    with suppress(asyncio.CancelledError, StopIteration):
        while not dead.is_set():
            await client.send(next(texts))
            await client.send(next(texts))
            await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        await dead.wait()
    await client.bury()


@pytest.mark.parametrize("like", LIKES)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_crash_loses_and_doubles_nothing(
    clock: VirtualClock, tmp_path: Path, like: str, point: str, count: int
) -> None:
    """Wherever the process dies, a later one on the same file finishes the work (I1, I2, I3, I4)."""
    world = World(clock)
    written: list[str] = []

    def texts() -> Iterator[str]:
        for number in range(100):
            written.append(f"{number}")
            yield f"{number}"

    source = texts()
    for _ in range(2):
        await live_until(
            world.client(store=keep_file(tmp_path / "a.db", clock), like=like), point, count, source
        )
    async with world.client(store=keep_file(tmp_path / "a.db", clock), like=like) as ada:
        await ada.send("last")
        await ada.drained()
        await settle()

        assert await ada.store.rows() == ()
    assert world.texts() == [*written, "last"]


@given(seed=st.integers(0, 2**32), lives=st.lists(st.floats(0.01, 8.0), min_size=1, max_size=5), bad=faults)
@settings(max_examples=25)
async def test_crashes_on_a_bad_network_lose_and_double_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lives: list[float], bad: Faults
) -> None:
    """At any moment, as often as it likes (I1, I2, I4)."""
    clock = the_clock()
    world = World(clock, seed=seed)
    world.network.set_faults(bad)
    path = tmp_path_factory.mktemp("lives") / "a.db"
    written: list[str] = []
    for life in lives:
        client = world.client(store=keep_file(path, clock))
        await client.open()
        for _ in range(4):
            written.append(f"{len(written)}")
            await client.send(written[-1])
            await asyncio.sleep(life / 4)
        client.die()
        await client.bury()
    world.network.set_faults(Faults())
    async with world.client(store=keep_file(path, clock)) as ada:
        await ada.drained(within=3_000)
        await asyncio.sleep(60)
        assert ada.context.defects == {}

    assert world.texts() == written


async def test_a_record_that_was_lost_makes_a_duplicate_and_no_double(clock: VirtualClock) -> None:
    """The store failed when the message was sent: the next life sends it again, the log has it once (D6)."""
    world, store = World(clock), FaultyStore(clock)
    first = world.client(store=store)
    await first.open()
    store.failing["settle"] = 100
    await first.send_all("12")
    await first.drained()
    await first.context.tasks.aclose(1.0)
    await first.link.aclose()
    store.failing["settle"] = 0

    second = world.client(store=store)
    await second.outbox.load(first.outbox.device)
    entries = second.outbox.of_channel("room")
    assert [entry.state for entry in entries] == [State.IN_DOUBT] * 2
    second.link.start()
    await second.drained()
    await settle()

    assert world.texts() == ["1", "2"]
    assert await store.rows() == ()
    await second.context.tasks.aclose(1.0)
    await second.link.aclose()


async def test_a_store_that_fails_for_a_while_loses_nothing(clock: VirtualClock) -> None:
    """At attempts and settlings alike (D6)."""
    world, store = World(clock), FaultyStore(clock)
    async with world.client(store=store) as ada:
        store.failing |= {"attempt": 5, "settle": 5}
        await ada.send_all(MANY)
        await ada.drained()

        assert world.texts() == MANY
        assert ada.context.counters["store_errors"] >= 5
        assert ada.context.defects == {}


async def test_without_room_on_the_disk_nothing_is_promised(clock: VirtualClock) -> None:
    """`send` raises, and what it raised for is not sent (I3)."""
    world, store = World(clock), FaultyStore(clock)
    async with world.client(store=store) as ada:
        store.failing["add"] = 1
        with pytest.raises(StoreError):
            await ada.send("1")
        await ada.send("2")
        await ada.drained()

        assert world.texts() == ["2"]


# -- copies and directories


async def test_a_copied_store_goes_on_as_another_device(clock: VirtualClock, tmp_path: Path) -> None:
    """Both copies send under the same numbers: the log takes each message once, waiting ones too (D27)."""
    world = World(clock)
    async with world.client(store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send("0")
        await ada.drained()
        device = ada.outbox.device
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    original = world.client(store=keep_file(tmp_path / "a.db", clock))
    copy = world.client(store=keep_file(tmp_path / "b.db", clock))
    async with original, copy:
        await original.send_all(["a1", "a2", "a3"])
        await original.drained()
        await copy.send_all(["b1", "b2", "b3"])
        await copy.drained()
        await copy.send("b4")
        await original.send("a4")
        await asyncio.gather(copy.drained(), original.drained())

        assert (original.outbox.device, copy.outbox.device != device) == (device, True)
    by: dict[str, list[str]] = {device: [], copy.outbox.device: []}
    for envelope in world.log():
        by[envelope.sender.device].append(text_of(envelope))
    assert by == {device: ["0", "a1", "a2", "a3", "a4"], copy.outbox.device: ["b1", "b2", "b3", "b4"]}
    async with world.client(store=keep_file(tmp_path / "b.db", clock)) as again:
        assert again.outbox.device == copy.outbox.device


async def test_one_key_in_two_processes_is_one_message(clock: VirtualClock, tmp_path: Path) -> None:
    """Each had queued it, one died, the other sends both: the log knows the second for the first (D14)."""
    world, path = World(clock), f"{tmp_path}/outbox/"
    clients = [world.client(store=keep_file(path, clock, seed=seed), offline=True) for seed in (1, 2)]
    for client in clients:
        await client.open()
    dead, heir = clients
    message_id = keyed_message_id(b"shared", "ada", "room", "k")
    for client in clients:
        row = client.row("1", key="k")
        envelope = Envelope.parse(row.data).model_copy(update={"id": message_id})
        await client.outbox.acceptor.add(row._replace(ident=Ident("ada", message_id), data=envelope.encode()))
    dead.die()
    await dead.bury()
    await heir.outbox.adopt()
    assert heir.outbox.depth == 2
    heir.link.start()
    await heir.drained()

    assert (world.texts(), heir.outbox.totals) == (["1"], {"sent": 2})
    await heir.aclose()


# -- together


async def test_a_day_offline_ends_in_order(clock: VirtualClock, tmp_path: Path) -> None:
    """Written in a tunnel, in two lives, over many hours (I1, I4)."""
    world = World(clock)
    world.network.cut("ada")
    for texts in (MANY[:10], MANY[10:20]):
        async with world.client(store=keep_file(tmp_path / "a.db", clock), offline=True) as ada:
            for text in texts:
                await ada.send(text)
                await asyncio.sleep(1_800)
    async with world.client(store=keep_file(tmp_path / "a.db", clock)) as ada:
        await ada.send_all(MANY[20:])
        await asyncio.sleep(600)
        assert ada.link.view.state == "suspended"
        world.network.heal("ada")
        await ada.drained()

    assert world.texts() == MANY


async def test_a_kill_and_a_bad_network_leave_no_timer(clock: VirtualClock) -> None:
    """Closing in the middle of everything ends everything (I12)."""
    world = World(clock)
    world.network.set_faults(Faults(lose_ack=0.5, lose_request=0.5))
    ada = world.client(like="ably", echo=True, store=keep_memory(clock), watcher=Watcher())
    await ada.open()
    await ada.send_all(MANY)
    await ada.send("later", send_in=1_000.0)
    await asyncio.sleep(3)
    assert await ada.aclose() == ()
    await settle()

    loop: Any = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
