"""The memory adapter behaves as its profile says, capability by capability."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import inf
from random import Random
from typing import Any, get_args

import pytest

from chatkit.adapters.memory import MemoryAdapter, MemoryConfig, MemorySession, factory
from chatkit.adapters.memory import session as session_module
from chatkit.adapters.memory import windows as windows_module
from chatkit.errors import (
    CapabilityError,
    ConfigError,
    MessageTooLarge,
    NotAllowed,
    RateLimited,
    Rejected,
)
from chatkit.logs.memory import MemoryLog
from chatkit.model.capabilities import Capabilities
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Publisher, Received
from chatkit.ports.log import Log, LogFeature
from chatkit.ports.outgoing import Ack, Batch, Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.parts import parts
from chatkit.testing.wishes import batch, change, text_of, wish
from tests.adapters.world import World, attached, received

LIKES = ("memory", "supabase", "ably", "pusher")


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:020d}")


def texts(frames: Sequence[Received]) -> list[str | None]:
    return [text_of(frame.data) for frame in frames]


async def publish(publisher: Publisher, *entries: Outgoing, batch_id: str = "b") -> list[Ack]:
    return list(await publisher.publish(batch(*entries, batch_id=batch_id), [None] * len(entries)))


def log_of(adapter: MemoryAdapter) -> Log:
    assert adapter.log is not None
    return adapter.log


async def send(adapter: MemoryAdapter, session: MemorySession, entry: Outgoing) -> Ack:
    """Send one entry over whichever path the provider has."""
    if adapter.capabilities.announce == "transactional":
        return (await log_of(adapter).append("support", [entry])).acks[0]
    return (await publish(adapter.publisher or session, entry))[0]


# -- what they declare


@pytest.mark.parametrize(
    ("like", "said"),
    [
        ("memory", ("stored", "stream", "log", "erased", 0, None, 100, inf, True)),
        ("supabase", ("stored", "transactional", "log", "erased", 0, None, 100, inf, True)),
        ("ably", ("stored", "stream", "provider", "tombstone", 120, 120, 100, 120, False)),
        ("pusher", ("accepted", "stream", "clock", "none", 0, 0, 10, 0, False)),
    ],
)
def test_what_each_profile_declares(world: World, like: str, said: tuple[object, ...]) -> None:
    """The table of docs/providers/memory.md."""
    found = world.adapter(like=like).capabilities

    assert said == (
        found.ack,
        found.announce,
        found.order,
        found.erase,
        found.resume_window,
        found.history,
        found.batch,
        found.duplicate_window,
        found.contiguous,
    )


@pytest.mark.parametrize(
    ("like", "history", "order", "resume", "edit"),
    [
        ("memory", "native", "native", "emulated", "native"),
        ("supabase", "native", "native", "emulated", "native"),
        ("ably", "native", "native", "native", "emulated"),
        ("pusher", "none", "emulated", "none", "emulated"),
    ],
)
def test_what_each_profile_supports(
    world: World, like: str, history: str, order: str, resume: str, edit: str
) -> None:
    """Native is the provider's own, emulated is supplied by chatkit; what is to come is none."""
    found = world.adapter(like=like).capabilities

    assert [found.support(name) for name in ("history", "order", "resume", "edit", "react")] == [
        history,
        order,
        resume,
        edit,
        edit,
    ]
    assert found.support("as_user") == "native"
    assert found.support("search") == ("native" if edit == "native" else "none")  # the hub's own log searches
    assert found.support("durable") == "none"
    assert found.support("direct") == "emulated"
    assert found.support("presence") == ("emulated" if like == "pusher" else "native")


def test_features_can_be_set(world: World) -> None:
    """Overriding one leaves the others."""
    found = world.adapter(capabilities={"features": {"edit": "none"}}).capabilities

    assert (found.support("edit"), found.support("history")) == ("none", "native")


def test_resuming_makes_resume_native(world: World) -> None:
    """The switch is the capability."""
    found = world.adapter(resume=60).capabilities

    assert (found.resume_window, found.support("resume")) == (60, "native")


@pytest.mark.parametrize(("like", "limit"), [("memory", 1_000_000), ("ably", 65_536), ("pusher", 10_240)])
def test_room_is_kept_for_the_stamp(world: World, like: str, limit: int) -> None:
    """A frame holds the envelope and 300 bytes more."""
    adapter = world.adapter(like=like)

    assert adapter.capabilities.frame_bytes == limit
    assert adapter.measure("support", b"x" * 1000) == 1300


async def test_the_hub_has_a_clock_of_its_own(clock: VirtualClock) -> None:
    """Server time is asked for over the network (D4)."""
    theirs = VirtualClock(clock.wall() + timedelta(hours=1))
    world = World(theirs)
    adapter = factory.build(MemoryConfig(hub=world.hub), parts("ada", clock))

    assert await adapter.server_time() == clock.wall() + timedelta(hours=1)


# -- memory


async def test_memory_numbers_and_announces_through_its_log(world: World, clock: VirtualClock) -> None:
    """The frame is the message, with the stamp of the log entry; the ack says where it is (D11, D17)."""
    adapter = world.adapter()
    session = await attached(adapter, "support")

    acks = await publish(session, wish(1), wish(2))

    frames = await received(session)
    entries = (await log_of(adapter).entries("support", after=None, limit=10)).items
    assert [frame.stamp for frame in frames] == [entry.stamp for entry in entries]
    assert [frame.data for frame in frames] == [entry.data for entry in entries]
    assert [stamp.prev for frame in frames if (stamp := frame.stamp)] == ["", key(1).serial]
    assert [(ack.outcome, ack.key, ack.sent_at) for ack in acks] == [
        ("new", key(1), clock.wall()),
        ("new", key(2), clock.wall()),
    ]
    assert {(frame.user, frame.attested, frame.unforgeable) for frame in frames} == {
        ("ada", "provider", True)
    }


async def test_memory_announces_what_is_new_alone(world: World) -> None:
    """A repeat is acknowledged and not announced again (D9)."""
    session = await world.session("ada", "support")
    await publish(session, wish(1))

    acks = await publish(session, wish(1), wish(2))

    assert [ack.outcome for ack in acks] == ["duplicate", "new"]
    assert texts(await received(session)) == ["text 1", "text 2"]


async def test_the_memory_log_answers_over_the_network(world: World) -> None:
    """Every reading call of the port; appending announces, too."""
    adapter = world.adapter()
    session = await attached(adapter, "support")
    log = log_of(adapter)
    (ack,) = (await log.append("support", [wish(1)])).acks

    assert texts(await received(session)) == ["text 1"]
    assert (await log.heads(["support"]))["support"].head == key(1).serial
    assert len((await log.messages("support", limit=10)).items) == 1
    assert len((await log.get("support", [wish(1).ident])).items) == 1
    assert (await log.find("support", [wish(1).ident])).items == {wish(1).ident: ack.key}
    assert log.capabilities == set(get_args(LogFeature))


async def test_memory_does_not_resume_unless_told_to(world: World) -> None:
    """A window of 0 is never (D17)."""
    adapter = world.adapter()
    await attached(adapter, "support")
    world.network.cut("ada")
    world.network.heal("ada")

    session = await adapter.open()

    assert not (await session.attach("support", OrderKey(1, ""), presence=False)).resumed


# -- resuming, told truthfully


async def broken_off(
    world: World, adapter: MemoryAdapter, seconds: float, *entries: Outgoing
) -> MemorySession:
    """Attach, lose the connection, let others publish meanwhile, and return a new session."""
    other = await world.adapter("bob", like=world.hub._like).open()
    await attached(adapter, "support")
    await publish(other, wish(1, user="bob"))
    world.network.cut("ada")
    for entry in entries:
        await publish(other, entry)
    await asyncio.sleep(seconds)
    world.network.heal("ada")
    return await adapter.open()


async def test_within_the_window_what_was_missed_is_replayed(world: World) -> None:
    """Resumed means that nothing is missing after `after`; live goes on behind it (I6)."""
    adapter = world.adapter(resume=60)
    session = await broken_off(world, adapter, 60, wish(2, user="bob"), wish(3, user="bob"))

    found = await session.attach("support", key(1), presence=False)
    await publish(session, wish(4))

    assert (found.resumed, found.start) == (True, key(1))
    frames = await received(session)
    assert texts(frames) == ["text 2", "text 3", "text 4"]
    assert [frame.stamp.prev for frame in frames if frame.stamp] == [key(n).serial for n in (1, 2, 3)]


async def test_after_the_window_it_is_not_resumed(world: World) -> None:
    """The hub no longer knows where the client was, and says so."""
    session = await broken_off(world, world.adapter(resume=60), 60.001, wish(2, user="bob"))

    found = await session.attach("support", key(1), presence=False)

    assert (found.resumed, found.start) == (False, key(2))
    assert await received(session) == []


async def test_another_process_does_not_resume(world: World) -> None:
    """A place belongs to one adapter: a restart, another device or another user begin anew."""
    await broken_off(world, world.adapter(resume=60), 1)

    restarted = factory.build(
        MemoryConfig(hub=world.hub, resume=60), parts("ada", world.clock, random=Random(2))
    )
    for adapter in (restarted, world.adapter(resume=60, link="phone"), world.adapter("carol", resume=60)):
        session = await adapter.open()

        assert not (await session.attach("support", key(1), presence=False)).resumed


@pytest.mark.parametrize(
    "after", [None, OrderKey(2, key(1).serial), key(9)], ids=["none", "other-epoch", "future"]
)
async def test_a_place_the_hub_never_gave_is_not_resumed(world: World, after: OrderKey | None) -> None:
    """Nobody could say what is missing after it."""
    session = await broken_off(world, world.adapter(resume=60), 1)

    assert not (await session.attach("support", after, presence=False)).resumed


async def test_a_place_below_the_floor_is_not_resumed(clock: VirtualClock) -> None:
    """What was trimmed cannot be replayed (D18)."""
    world = World(clock, keep=2)
    entries = [wish(number, user="bob") for number in (2, 3, 4)]
    session = await broken_off(world, world.adapter(resume=60), 1, *entries)

    assert not (await session.attach("support", key(1), presence=False)).resumed


async def test_more_than_a_session_takes_is_not_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay must fit where frames wait (I10)."""
    monkeypatch.setattr(session_module, "ROOM", 2)
    entries = [wish(number, user="bob") for number in (2, 3, 4)]
    session = await broken_off(world, world.adapter(resume=60), 1, *entries)

    assert not (await session.attach("support", key(1), presence=False)).resumed


async def test_a_channel_that_was_left_is_not_resumed(world: World) -> None:
    """Only what was attached when the connection was lost can be."""
    adapter = world.adapter(resume=60)
    session = await attached(adapter, "support")
    await session.detach("support")
    await session.aclose()

    again = await adapter.open()

    assert not (await again.attach("support", OrderKey(1, ""), presence=False)).resumed


async def test_places_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: those clients are not resumed (I10)."""
    monkeypatch.setattr(windows_module, "KEPT", 1)
    adapter = world.adapter(resume=60)
    await (await attached(adapter, "support", "sales")).aclose()
    session = await adapter.open()

    assert not (await session.attach("support", OrderKey(1, ""), presence=False)).resumed
    assert (await session.attach("sales", OrderKey(1, ""), presence=False)).resumed


# -- supabase


async def test_supabase_is_published_to_by_its_log(world: World) -> None:
    """One request appends, and the announcement comes in the same transaction (D28)."""
    adapter = world.adapter(like="supabase")
    session = await attached(adapter, "support")

    appended = await log_of(adapter).append("support", [wish(1), wish(1), wish(2)])

    assert [ack.outcome for ack in appended.acks] == ["new", "duplicate", "new"]
    frames = await received(session)
    assert [(frame.stamp.key, frame.stamp.prev) for frame in frames if frame.stamp] == [
        (key(1), ""),
        (key(2), key(1).serial),
    ]
    assert {(frame.attested, frame.unforgeable) for frame in frames} == {("provider", True)}
    assert adapter.publisher is None
    with pytest.raises(CapabilityError):
        await publish(session, wish(3))


async def test_a_supabase_broadcast_names_nobody(world: World) -> None:
    """What is emitted comes without a sender (D2)."""
    ada = await world.session("ada", "support", like="supabase")
    bob = await world.session("bob", "support", like="supabase")

    await ada.emit("support", b"wave")

    assert await received(bob) == [Received("support", b"wave", None, "none", stamp=None, unforgeable=False)]


async def test_an_append_needs_no_session(world: World) -> None:
    """The publish path works while the socket does not (D15)."""
    adapter = world.adapter(like="supabase")

    (ack,) = (await log_of(adapter).append("support", [wish(1)])).acks

    assert ack.outcome == "new"


# -- ably


async def test_ably_numbers_in_its_own_way(world: World) -> None:
    """Opaque serials that sort, epoch 1, no predecessor, no log; the ack has the frame's place (D3, D30)."""
    session = await world.session("ada", "support", like="ably")

    acks = await publish(session, wish(1), wish(2))

    stamps = [frame.stamp for frame in await received(session)]
    assert [stamp.key for stamp in stamps if stamp] == [ack.key for ack in acks]
    serials = [ack.key.serial for ack in acks if ack.key]
    assert serials == sorted(serials)
    assert not any(text.isdigit() for text in serials)
    assert {(stamp.prev, stamp.log_id, stamp.key.epoch) for stamp in stamps if stamp} == {(None, None, 1)}


async def test_ably_drops_a_repeat_for_two_minutes(world: World) -> None:
    """It is answered as the first one was; later it is another message (D10)."""
    session = await world.session("ada", "support", like="ably")
    first = await publish(session, wish(1))
    await asyncio.sleep(120)

    again = await publish(session, wish(1))
    await asyncio.sleep(0.001)
    late = await publish(session, wish(1))

    assert again == first
    assert late[0].key != first[0].key
    assert texts(await received(session)) == ["text 1", "text 1"]


async def test_an_ably_group_is_one_key(world: World) -> None:
    """A group is known by its base, so other members under it count as the same publish (D10)."""
    session = await world.session("ada", "support", like="ably")
    first = await publish(session, wish(1), wish(2), batch_id="base")

    same = await publish(session, wish(1), wish(2), batch_id="base")
    split = await publish(session, wish(1), batch_id="base")

    assert same == first
    assert split[0].key not in {ack.key for ack in first}
    assert texts(await received(session)) == ["text 1", "text 2", "text 1"]


async def test_ably_checks_no_rights_and_reads_no_envelope(world: World) -> None:
    """What members publish is theirs; the receiver compares claimed and attested (D2)."""
    session = await world.session("bob", "support", like="ably")
    forged = wish(1)._replace(ident=wish(1, user="bob").ident)

    (ack,) = await publish(session, forged)

    assert ack.outcome == "new"
    (frame,) = await received(session)
    assert frame.user == "bob"
    assert frame.stamp is not None
    assert frame.stamp.user == "bob"


async def test_ably_history_is_a_window(world: World) -> None:
    """Two minutes of raw entries, in the notation of the frames; nothing is appended or found by name."""
    adapter = world.adapter(like="ably")
    session = await attached(adapter, "support")
    (old,) = await publish(session, wish(1))
    await asyncio.sleep(100)
    (new,) = await publish(session, wish(2))
    log = log_of(adapter)
    both = await log.entries("support", after=None, limit=10)
    await asyncio.sleep(21)

    page = await log.messages("support", limit=10)

    assert [entry.stamp.key for entry in both.items] == [old.key, new.key]
    assert [text_of(item.data) for item in page.items] == ["text 2"]
    assert page.state.floor == (old.key.serial if old.key else None)
    assert log.capabilities == frozenset()
    for call in (log.append("support", [wish(3)]), log.get("support", [wish(1).ident])):
        with pytest.raises(CapabilityError):
            await call


async def test_ably_history_reaches_as_far_as_it_is_told(world: World) -> None:
    """Persistence is an option in seconds, or for ever."""
    hour, ever = (
        world.adapter(like="ably", history=3600),
        world.adapter(like="ably", capabilities={"history": None}),
    )
    await publish(await hour.open(), wish(1))
    await asyncio.sleep(3601)

    assert (await log_of(hour).messages("support", limit=10)).items == ()
    assert len((await log_of(ever).messages("support", limit=10)).items) == 1


async def test_ably_resumes_by_serial(world: World) -> None:
    """Within two minutes, from the place that a frame or an ack showed (D17)."""
    adapter = world.adapter(like="ably")
    session = await attached(adapter, "support")
    (place,) = await publish(session, wish(1))
    world.network.cut("ada")
    await publish(await world.adapter("bob", like="ably").open(), wish(2, user="bob"))
    world.network.heal("ada")
    again = await adapter.open()

    found = await again.attach("support", place.key, presence=False)

    assert (found.resumed, found.start) == (True, place.key)
    frames = await received(again)
    assert texts(frames) == ["text 2"]
    assert [frame.stamp.prev for frame in frames if frame.stamp] == [None]


async def test_ably_does_not_resume_from_a_strange_serial(world: World) -> None:
    """It looks into its own serials, and into no others."""
    adapter = world.adapter(like="ably")
    await (await attached(adapter, "support")).aclose()

    found = await (await adapter.open()).attach("support", key(0), presence=False)

    assert not found.resumed


async def test_ably_refuses_what_is_too_fast(world: World) -> None:
    """Fifty a second: more wait, and are told how long (D12)."""
    session = await world.session("ada", like="ably")
    answers = [(await publish(session, wish(number)))[0] for number in range(1, 52)]

    await asyncio.sleep(answers[-1].after or 0)

    assert [ack.outcome for ack in answers] == ["new"] * 50 + ["unsent"]
    assert isinstance(answers[-1].error, RateLimited)
    assert (answers[-1].scope, answers[-1].again, answers[-1].after) == ("connection", "later", 0.02)
    assert (await publish(session, wish(51)))[0].outcome == "new"


async def test_a_batch_larger_than_the_rate_passes_alone(world: World) -> None:
    """A full bucket lets it through, and the next one pays for it."""
    session = await world.session("ada", like="ably")
    entries = [wish(number) for number in range(1, 101)]

    assert {ack.outcome for ack in await publish(session, *entries)} == {"new"}
    (next_one,) = await publish(session, wish(101))

    assert next_one.after == pytest.approx(51 / 50)


# -- pusher


async def test_pusher_publishes_over_http(world: World) -> None:
    """It needs no session and gives no place; frames bear no number (D29)."""
    adapter = world.adapter(like="pusher")
    assert adapter.publisher is not None

    acks = await publish(adapter.publisher, wish(1))
    session = await adapter.open()
    found = await session.attach("support", key(1), presence=False)
    await publish(adapter.publisher, wish(2))

    assert [(ack.outcome, ack.key, ack.sent_at) for ack in acks] == [("new", None, world.clock.wall())]
    assert (found.resumed, found.start) == (False, None)
    (frame,) = await received(session)
    assert (text_of(frame.data), frame.stamp, frame.user) == ("text 2", None, "ada")
    assert (frame.attested, frame.unforgeable) == ("backend", True)
    with pytest.raises(CapabilityError):
        await publish(session, wish(3))


async def test_pusher_remembers_nothing(world: World) -> None:
    """No log, and a repeat is delivered again (D10)."""
    adapter = world.adapter(like="pusher")
    session = await attached(adapter, "support")
    assert adapter.publisher is not None

    await publish(adapter.publisher, wish(1))
    await publish(adapter.publisher, wish(1))

    assert adapter.log is None
    assert texts(await received(session)) == ["text 1", "text 1"]


async def test_pusher_takes_ten_at_once(world: World) -> None:
    """An eleventh refuses them all."""
    publisher = world.adapter(like="pusher").publisher
    assert publisher is not None

    ten = await publish(publisher, *(wish(number) for number in range(1, 11)))
    eleven = await publish(publisher, *(wish(number) for number in range(11, 22)))

    assert {ack.outcome for ack in ten} == {"new"}
    assert {(ack.outcome, type(ack.error)) for ack in eleven} == {("refused", Rejected)}


async def test_one_entry_too_large_stops_its_batch(world: World) -> None:
    """The others were not sent and may go at once: the batch is to be split (D10)."""
    adapter = world.adapter(like="pusher")
    session = await attached(adapter, "support")
    assert adapter.publisher is not None
    large = wish(2, body={"type": "text", "text": "x" * 10_240})

    acks = await publish(adapter.publisher, wish(1), large, wish(3))

    assert [(ack.outcome, ack.again) for ack in acks] == [
        ("unsent", "now"),
        ("refused", "never"),
        ("unsent", "now"),
    ]
    assert isinstance(acks[1].error, MessageTooLarge)
    assert await received(session) == []


# -- who speaks for whom


@pytest.mark.parametrize("like", LIKES)
async def test_a_backend_speaks_for_others(world: World, like: str) -> None:
    """The sender is whom it speaks for (D2)."""
    adapter = world.adapter("backend", like=like)
    session = await attached(adapter, "support")

    ack = await send(adapter, session, wish(1, user="ada"))

    assert adapter.trusted
    assert ack.outcome == "new"
    assert [frame.user for frame in await received(session)] == ["ada"]


@pytest.mark.parametrize("like", ["memory", "supabase", "ably"])
async def test_a_user_speaks_for_nobody_else(world: World, like: str) -> None:
    """Refused before it is numbered (D2)."""
    adapter = world.adapter("bob", like=like, trusted=False)
    session = await attached(adapter, "support")

    refused = await send(adapter, session, wish(1, user="ada"))
    own = await send(adapter, session, wish(1, user="bob"))

    assert not adapter.trusted
    assert adapter.capabilities.support("as_user") == "none"
    assert refused.outcome == "refused"
    assert isinstance(refused.error, NotAllowed)
    assert own.outcome == "new"


async def test_a_refused_row_leaves_the_others_in_place(world: World) -> None:
    """With a log the good rows of a batch are kept, each answer in its row (D9)."""
    session = await world.session("bob", trusted=False)
    large = wish(3, user="bob", body={"type": "text", "text": "x" * 1_000_000})

    acks = await publish(session, wish(1, user="bob"), wish(2, user="ada"), large, wish(4, user="bob"))

    assert [ack.outcome for ack in acks] == ["new", "refused", "refused", "new"]
    assert [ack.key for ack in acks] == [key(1), None, None, key(2)]


# -- switched off one by one


async def test_without_contiguity_frames_name_no_predecessor(world: World) -> None:
    """A hole then shows in no frame (D17)."""
    session = await world.session("ada", "support", capabilities={"contiguous": False})
    await publish(session, wish(1), wish(2))

    stamps = [frame.stamp for frame in await received(session)]

    assert [(stamp.key, stamp.prev) for stamp in stamps if stamp] == [(key(1), None), (key(2), None)]


async def test_without_history_there_is_no_log(world: World) -> None:
    """Numbers remain: a gap is seen and cannot be filled."""
    adapter = world.adapter(history=0)

    assert adapter.log is None
    assert adapter.capabilities.support("history") == "none"
    assert adapter.capabilities.support("resume") == "none"


async def test_a_window_of_history_is_raw(world: World) -> None:
    """Some seconds of entries, in the log's own numbers."""
    adapter = world.adapter(history=60)
    session = await attached(adapter, "support")
    await publish(session, wish(1))

    found = await log_of(adapter).entries("support", after=OrderKey(1, ""), limit=10)

    assert [entry.stamp.key for entry in found.items] == [key(1)]
    assert log_of(adapter).capabilities == frozenset()


async def test_a_smaller_batch_is_a_limit(world: World) -> None:
    """More at once is refused."""
    session = await world.session("ada", capabilities={"batch": 1})

    assert [ack.outcome for ack in await publish(session, wish(1))] == ["new"]
    assert {ack.outcome for ack in await publish(session, wish(2), wish(3))} == {"refused"}


async def test_channels_of_a_connection_are_limited(world: World) -> None:
    """One more is refused, attaching again is not, and detaching makes room."""
    session = await world.session("ada", "support", "sales", capabilities={"channels_per_connection": 2})

    with pytest.raises(RateLimited):
        await session.attach("news", None, presence=False)
    await session.attach("sales", None, presence=False)
    await session.detach("support")
    await session.attach("news", None, presence=False)


async def test_a_publisher_over_http_can_suppress_repeats(world: World) -> None:
    """The window is a capability of its own (D10)."""
    adapter = world.adapter(like="pusher", capabilities={"duplicate_window": 60.0})
    session = await attached(adapter, "support")
    assert adapter.publisher is not None

    for _ in range(2):
        await publish(adapter.publisher, wish(1))

    assert texts(await received(session)) == ["text 1"]


# -- with a log of the app's own


@pytest.fixture
def own(clock: VirtualClock) -> MemoryLog:
    """A log that the app brought."""
    return MemoryLog(clock, Random(9))


async def announce(
    to: Publisher, own: MemoryLog, *entries: Outgoing, batch_id: str = "batch"
) -> Sequence[Ack]:
    """Do what the engine does: append, then publish what is new with the places it got."""
    appended = await own.append("support", entries)
    stamps = [
        Stamp(ack.key, ack.prev, appended.state.log_id, ack.ident.user, ack.sent_at)
        for ack in appended.acks
        if ack.key is not None and ack.sent_at is not None
    ]
    return await to.publish(Batch(batch_id, "support", entries), stamps)


@pytest.mark.parametrize("like", LIKES)
async def test_a_log_of_the_app_numbers_and_the_hub_announces(
    world: World, own: MemoryLog, like: str
) -> None:
    """Whatever the provider is like, frames bear the stamps of that log (D16)."""
    adapter = world.adapter(like=like, log=own)
    session = await adapter.open()
    await own.append("support", [wish(1)])
    found = await session.attach("support", None, presence=False)

    acks = await announce(adapter.publisher or session, own, wish(2), wish(3))

    assert adapter.log is own
    assert found.start == key(1)
    assert [(ack.outcome, ack.key) for ack in acks] == [("new", key(2)), ("new", key(3))]
    stamps = [frame.stamp for frame in await received(session)]
    kept = (await own.entries("support", after=key(1), limit=10)).items
    assert stamps == [entry.stamp for entry in kept]
    capabilities = adapter.capabilities
    assert (capabilities.order, capabilities.ack, capabilities.announce) == ("log", "stored", "after")
    assert capabilities.support("history") == "emulated"


async def test_the_hub_keeps_nothing_of_what_it_announces(world: World, own: MemoryLog) -> None:
    """With a log of the app's own the hub has no memory, not even of repeats: receivers know them (D16)."""
    adapter = world.adapter(log=own)
    session = await attached(adapter, "support")

    for _ in range(2):
        await announce(session, own, wish(1))

    assert texts(await received(session)) == ["text 1", "text 1"]
    assert world.hub.log.core.newest("support") is None


async def test_an_announcement_for_another_user_is_refused(world: World, own: MemoryLog) -> None:
    """Of an untrusted client; what it may announce of the same batch it does."""
    adapter = world.adapter("bob", log=own, trusted=False)
    session = await attached(adapter, "support")

    acks = await announce(session, own, wish(2, user="ada"), wish(3, user="bob"))

    assert [ack.outcome for ack in acks] == ["refused", "new"]
    assert texts(await received(session)) == ["text 3"]


def test_with_a_log_of_the_app_the_hub_only_announces(world: World, own: MemoryLog) -> None:
    """It does not know the places, so it cannot resume or append."""
    for wrong in (
        {"resume_window": 60},
        {"announce": "transactional"},
        {"announce": "stream"},
        {"order": "provider", "contiguous": False},
    ):
        with pytest.raises(ConfigError, match="only announces"):
            world.adapter(log=own, capabilities=wrong)


# -- all of them


@pytest.mark.parametrize("like", LIKES)
async def test_every_profile_carries_a_conversation(world: World, like: str) -> None:
    """A message, an edit and a reaction go out and arrive, in order, with their sender."""
    ada, bob = world.adapter("ada", like=like), world.adapter("bob", like=like)
    sending, hearing = await attached(ada, "support"), await attached(bob, "support")
    created = wish(1)
    for entry in (created, change(2, "message.update", created), change(3, "reaction.add", created)):
        assert (await send(ada, sending, entry)).outcome == "new"

    frames = await received(hearing)

    assert [frame.user for frame in frames] == ["ada"] * 3
    keys = [frame.stamp.key for frame in frames if frame.stamp]
    assert keys == sorted(keys)
    if bob.log is not None:
        (found,) = (await bob.log.messages("support", limit=10)).items
        assert (found.version, found.reactions) == (2, {"👍": ("ada",)})


@pytest.mark.parametrize("like", LIKES)
def test_capabilities_never_change(world: World, like: str) -> None:
    """They are a frozen value, the same for every client of one configuration."""
    first, second = world.adapter(like=like), world.adapter("bob", like=like)
    changed: dict[str, Any] = {"batch": 1}

    assert first.capabilities == second.capabilities
    assert isinstance(first.capabilities, Capabilities)
    assert replace(first.capabilities, **changed) != first.capabilities
