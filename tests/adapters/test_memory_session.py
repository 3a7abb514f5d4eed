"""Sessions of the memory adapter: the port's promises, whatever the provider is like."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.adapters.memory import Faults
from chatkit.adapters.memory import session as session_module
from chatkit.errors import NotAllowed, RateLimited, StateError
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Alive, Attachment, Foreign, Lost, Received, SessionClosed, Shed
from chatkit.testing.clock import VirtualClock, settle
from chatkit.testing.wishes import batch, text_of, wish
from tests.adapters.world import World, attached, end_of, heard, received


def serial(number: int) -> str:
    return f"{number:020d}"


def texts(frames: list[Received]) -> list[str | None]:
    return [text_of(frame.data) for frame in frames]


async def test_every_member_hears_what_is_published(world: World) -> None:
    """The sender too: the echo confirms."""
    ada, bob = await world.session("ada", "support"), await world.session("bob", "support")

    await ada.publish(batch(wish(1)), [None])

    assert texts(await received(ada)) == texts(await received(bob)) == ["text 1"]


async def test_channels_are_apart(world: World) -> None:
    """Who is not attached hears nothing."""
    bob = await world.session("bob", "sales")

    await (await world.session("ada")).publish(batch(wish(1)), [None])

    assert await received(bob) == []


async def test_announcements_come_in_commit_order(world: World) -> None:
    """Whoever publishes, each session sees the order of the log (D17)."""
    sessions = [await world.session(user, "support") for user in ("ada", "bob", "carol")]
    async with asyncio.TaskGroup() as tasks:
        for lane, session in enumerate(sessions):
            for number in range(1, 11):
                entry = wish(lane * 100 + number, user=str(session.user), seq=None)
                tasks.create_task(session.publish(batch(entry), [None]))

    for session in sessions:
        frames = await received(session)
        assert [frame.stamp.key.serial for frame in frames if frame.stamp] == [
            serial(n) for n in range(1, 31)
        ]


async def test_live_begins_where_the_attachment_says(world: World) -> None:
    """Nothing from before comes, everything after does, and `start` is the line between (D17)."""
    ada, bob = await world.session("ada"), await world.session("bob")
    empty = await bob.attach("support", None, presence=False)
    await bob.detach("support")
    await ada.publish(batch(wish(1)), [None])

    found = await bob.attach("support", None, presence=False)
    await ada.publish(batch(wish(2)), [None])

    assert empty == Attachment("support", resumed=False, start=OrderKey(1, ""), may_publish=True)
    assert found == Attachment("support", resumed=False, start=OrderKey(1, serial(1)), may_publish=True)
    assert texts(await received(bob)) == ["text 2"]


async def test_frames_published_while_an_attach_is_under_way(world: World) -> None:
    """Each is before its start and never comes, or after it and comes behind the answer."""
    ada, bob = await world.session("ada"), await world.session("bob")
    world.network.set_faults(Faults(delay=(0.5, 2)), "bob")
    attaching = asyncio.create_task(bob.attach("support", None, presence=False))
    for number in range(1, 41):
        await ada.publish(batch(wish(number)), [None])
        await asyncio.sleep(0.1)
    start = (await attaching).start
    await asyncio.sleep(5)

    keys = [frame.stamp.key for frame in await received(bob) if frame.stamp]

    assert start is not None
    first = int(start.serial or 0) + 1
    assert 1 < first < 40
    assert keys == [OrderKey(1, serial(number)) for number in range(first, 41)]


async def test_after_a_detach_nothing_follows(world: World) -> None:
    """Neither what waits unread nor what is still under way."""
    ada, bob = await world.session("ada", "sales"), await world.session("bob", "support", "sales")
    await ada.publish(batch(wish(1)), [None])
    await ada.publish(batch(wish(2, channel="sales"), channel="sales"), [None])
    world.network.set_faults(Faults(duplicate=1), "bob")
    await ada.publish(batch(wish(3)), [None])

    await bob.detach("support")
    await asyncio.sleep(5)
    await ada.publish(batch(wish(4)), [None])

    assert texts(await received(bob)) == ["text 2"]


async def test_a_second_attachment_hears_nothing_of_the_first(world: World) -> None:
    """A frame that was held up on its way does not cross over."""
    ada, bob = await world.session("ada"), await world.session("bob", "support")
    world.network.set_faults(Faults(reorder=1), "bob")
    await ada.publish(batch(wish(1)), [None])

    await bob.detach("support")
    await bob.attach("support", None, presence=False)
    await asyncio.sleep(5)

    assert await received(bob) == []


async def test_answers_are_signs_of_life(world: World, clock: VirtualClock) -> None:
    """Every frame gives at least one signal; several answers in a row say no more than the last."""
    session = await world.session("ada")
    await session.probe()
    clock.advance(5)
    await session.reauthenticate()

    assert await heard(session) == [Alive(5)]


async def test_a_probe_takes_the_way_to_the_hub_and_back(world: World, clock: VirtualClock) -> None:
    """It tests the link, not the object."""
    session = await world.session("ada")
    world.network.set_faults(Faults(delay=(1, 1)))

    await session.probe()

    assert clock.monotonic() == 2


async def test_emitted_envelopes_reach_the_others(world: World) -> None:
    """Unnumbered, from a path that members can write to, and never back to the sender (D25)."""
    ada, bob = await world.session("ada", "support"), await world.session("bob", "support")

    await ada.emit("support", b"wave")

    assert await received(ada) == []
    assert await received(bob) == [
        Received("support", b"wave", "ada", "provider", stamp=None, unforgeable=False)
    ]


# -- how it ends


async def test_a_session_has_one_reader(world: World) -> None:
    """Two would share the frames out between them."""
    session = await world.session("ada")
    session.signals()

    with pytest.raises(StateError):
        session.signals()


async def test_a_reader_waits_and_is_woken(world: World) -> None:
    """It takes no turn while there is nothing to read, and cancelling it loses nothing."""
    session = await world.session("ada", "support")
    signals = session.signals()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await anext(signals)
    reading = asyncio.ensure_future(anext(aiter(signals)))
    await settle()

    await (await world.session("bob")).publish(batch(wish(1, user="bob")), [None])

    assert isinstance(await reading, Received)


async def test_a_reader_gets_what_came_and_then_the_end(world: World) -> None:
    """Frames that arrived before the loss are not lost with it."""
    session = await world.session("ada", "support")
    await (await world.session("bob")).publish(batch(wish(1, user="bob")), [None])
    world.network.cut("ada")

    signals = session.signals()
    first = await anext(signals)
    with pytest.raises(SessionClosed) as caught:
        await anext(signals)

    assert isinstance(first, Received)
    assert caught.value.again == "now"


async def test_closing_wakes_the_reader(world: World) -> None:
    """A clean end asks for no new connection; closing again does nothing."""
    session = await world.session("ada")
    reading = asyncio.create_task(end_of(session))
    await settle()

    await session.aclose()
    await session.aclose()

    assert (await reading).again == "never"
    assert world.hub.sessions == 0


async def test_a_dead_session_refuses_every_call(world: World) -> None:
    """It dies once."""
    session = await world.session("ada", "support")
    await session.aclose()

    for call in (
        session.publish(batch(wish(1)), [None]),
        session.attach("support", None, presence=False),
        session.detach("support"),
        session.emit("support", b"{}"),
        session.probe(),
        session.reauthenticate(),
    ):
        with pytest.raises(SessionClosed):
            await call


async def test_the_provider_closes_a_connection(world: World) -> None:
    """With what to do next, for one device or all of a user's."""
    ada, phone = await world.session("ada"), await world.session("ada", link="phone")
    bob = await world.session("bob")
    error = NotAllowed("app disabled")

    world.hub.kick("ada/phone", again="never", error=error)

    ended = await end_of(phone)
    assert (ended.again, ended.__cause__) == ("never", error)
    await ada.probe()
    world.hub.kick("ada", after=30)
    ended = await end_of(ada)
    assert (ended.again, ended.after) == ("later", 30)
    await bob.probe()


async def test_an_adapter_closes_what_it_opened(world: World) -> None:
    """And only what is still open needs closing (I12)."""
    adapter = world.adapter()
    first, second = await adapter.open(), await adapter.open()
    await first.aclose()
    third = await adapter.open()

    await adapter.aclose()
    await adapter.aclose()

    assert first.closed
    assert second.closed
    assert third.closed
    assert world.hub.sessions == 0


async def test_offline_is_for_ever(clock: VirtualClock) -> None:
    """`offline=1` never opens, and asks to try later, as a dead network does."""
    world = World(clock)

    with pytest.raises(SessionClosed) as caught:
        await world.adapter(offline=True).open()

    assert caught.value.again == "later"


# -- what providers and members do to sessions


async def test_signals_are_injected(world: World) -> None:
    """What a member forged, or what a provider says unasked, to all or to one."""
    ada, bob = await world.session("ada", "support"), await world.session("bob", "support")
    lost = Lost("support", NotAllowed("removed"), "never", None)

    world.hub.inject("support", Foreign("support", "old-event", {}, "not ours"))
    world.hub.inject("support", lost, link="bob")

    assert await heard(ada) == [Foreign("support", "old-event", {}, "not ours")]
    assert await heard(bob) == [Foreign("support", "old-event", {}, "not ours"), lost]


async def test_announcements_can_be_late(world: World) -> None:
    """A pause of the replication: committed, acknowledged, and announced afterwards in order (D16)."""
    session = await world.session("ada", "support")
    world.hub.hold()

    (ack, _) = await session.publish(batch(wish(1), wish(2)), [None, None])
    during = await received(session)
    world.hub.release()

    assert (ack.outcome, during) == ("new", [])
    assert texts(await received(session)) == ["text 1", "text 2"]


async def test_announcements_can_be_lost(world: World) -> None:
    """A replication that broke: committed, and never announced (D16)."""
    session = await world.session("ada", "support")
    world.hub.hold()
    await session.publish(batch(wish(1)), [None])
    world.hub.hold(lose=True)

    await session.publish(batch(wish(2)), [None])
    world.hub.release()
    world.hub.release()
    await session.publish(batch(wish(3)), [None])

    assert texts(await received(session)) == ["text 1", "text 3"]


# -- slow readers


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions with room for three frames."""
    monkeypatch.setattr(session_module, "ROOM", 3)


@pytest.mark.usefixtures("narrow")
async def test_a_reader_too_slow_loses_the_connection(world: World) -> None:
    """What arrived is read, then the end with its reason; others lose nothing (I10)."""
    slow, other = await world.session("ada", "support"), await world.session("bob", "support")
    bob = await world.session("bob")

    for number in range(1, 5):
        await bob.publish(batch(wish(number, user="bob")), [None])
        assert len(await received(other)) == 1

    assert len(await received(slow)) == 3
    ended = await end_of(slow)
    assert ended.again == "later"
    assert isinstance(ended.__cause__, RateLimited)


@pytest.mark.usefixtures("narrow")
async def test_a_slow_reader_is_told_of_what_was_shed(world: World) -> None:
    """Where the provider sheds, the connection lives and says once where frames are missing (D30)."""
    slow = await world.session("ada", "support", like="ably")
    for number in range(1, 8):
        await slow.publish(batch(wish(number)), [None])

    found = [signal for signal in await heard(slow) if not isinstance(signal, Alive)]
    await slow.publish(batch(wish(8)), [None])

    assert [type(signal) for signal in found] == [Received, Received, Received, Shed]
    assert texts(await received(slow)) == ["text 8"]
    assert slow.room == 3


@pytest.mark.usefixtures("narrow")
async def test_a_signal_too_many_ends_the_session_even_where_frames_are_shed(world: World) -> None:
    """Only frames can be shed: a verdict on the channel must not be."""
    slow = await world.session("ada", "support", like="ably")

    for _ in range(4):
        world.hub.inject("support", Shed("support", "80020"))

    assert isinstance((await end_of(slow)).__cause__, RateLimited)


@pytest.mark.usefixtures("narrow")
async def test_dropped_frames_take_no_room(world: World) -> None:
    """Room is what waits, not what was sent."""
    session = await world.session("ada", "support")
    world.network.set_faults(Faults(drop=1))
    for number in range(1, 11):
        await session.publish(batch(wish(number)), [None])

    assert session.room == 3
    await session.detach("support")
    await session.probe()


@pytest.mark.usefixtures("narrow")
async def test_frames_of_an_earlier_attachment_take_no_room(world: World) -> None:
    """Neither purged ones nor those that come too late."""
    session = await world.session("ada", "support")
    await session.publish(batch(wish(1)), [None])
    world.network.set_faults(Faults(reorder=1))
    await session.publish(batch(wish(2)), [None])

    await session.detach("support")
    await asyncio.sleep(5)

    assert session.room == 3


async def test_a_session_whose_loop_is_gone_is_forgotten(world: World) -> None:
    """A client that died without a word costs the hub nothing (I10)."""
    adapter = world.adapter("bob")
    ada = await world.session("ada", "support")

    def lose_one() -> None:
        asyncio.run(attached(adapter, "support"))

    await asyncio.to_thread(lose_one)
    assert world.hub.sessions == 2
    await ada.publish(batch(wish(1)), [None])

    assert world.hub.sessions == 1


async def test_a_dead_loop_is_noticed_when_its_session_is_closed(world: World) -> None:
    """Kicking it is enough."""
    adapter = world.adapter("bob")
    await asyncio.to_thread(lambda: asyncio.run(attached(adapter, "support")))

    world.hub.kick("bob")

    assert world.hub.sessions == 0
