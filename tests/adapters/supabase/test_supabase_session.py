"""One connection: heartbeats, joins, closings under a living socket, presence within its limits."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any, Final

import pytest

from chatkit.adapters.supabase import attaching, entering, session, topic_of
from chatkit.adapters.supabase.speaking import Publisher
from chatkit.errors import (
    CapabilityError,
    MessageTooLarge,
    NotAllowed,
    RateLimited,
    StateError,
    TransportError,
)
from chatkit.ports.adapter import Lost, Present, Received, Shed
from chatkit.testing.contract.adapter.stage import Client, stage
from chatkit.testing.emulators.faults import CallFault, FrameFault
from chatkit.testing.emulators.supabase import Aim, Fault
from tests.adapters.supabase.kit import SupabaseKit

pytestmark = pytest.mark.realtime

_NUMBERS: Final = count(1)


@pytest.fixture
def name() -> str:
    """A channel that nobody has used before."""
    return f"session-{next(_NUMBERS)}"


def lost(client: Client) -> list[Lost]:
    return [signal for signal in client.signals if isinstance(signal, Lost)]


async def test_a_heartbeat_without_an_answer_ends_the_connection(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered ones prove that it lives; the client comes again at once."""
    monkeypatch.setattr(session, "BEAT", 0.05)
    monkeypatch.setattr(session, "ECHO", 0.2)
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada", name)
        await asyncio.sleep(0.5)
        assert ada.ended is None

        supabase.add_fault(Fault(does="drop", event="heartbeat", times=1_000))

        end = await ada.end()
        assert (end.again, str(end.__cause__)) == ("now", "the service left a heartbeat without an answer")


async def test_a_slow_join_is_no_reason_to_end_it(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service answers no heartbeat while it deals with one."""
    monkeypatch.setattr(session, "BEAT", 0.05)
    monkeypatch.setattr(session, "ECHO", 0.2)
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada")
        supabase.add_fault(Fault(does="delay", event="phx_join", seconds=1.5))

        _ = await ada.attach(channel=name)

        assert ada.ended is None


async def test_a_join_without_an_answer_is_given_up(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said of it later means nothing; the next one is answered."""
    monkeypatch.setattr("chatkit.adapters.supabase.joining.JOIN", 0.2)
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada")
        supabase.add_fault(Fault(does="drop", event="phx_join"))

        with pytest.raises(TransportError, match="no answer to a join"):
            _ = await ada.attach(channel=name)
        _ = await ada.attach(channel=name)


@pytest.mark.parametrize("mode", ["broadcast", "database"])
async def test_a_channel_closed_for_rate_waits_half_a_minute(database: str, name: str, mode: str) -> None:
    """The connection lives, and so do its other channels (D28)."""
    kit = SupabaseKit(database, mode=mode)
    async with kit.serving() as supabase, stage(kit) as on:
        other = f"{name}-other"
        ada, bob = await on.join("ada"), await on.join("bob", name, other)
        topic = topic_of(name, "log" if mode == "database" else "live")

        _ = await supabase.deeds.shut(Aim(topic=topic))

        await kit.until(lambda: len(lost(bob)) == 1, "the loss is told")
        (signal,) = lost(bob)
        assert (signal.channel, signal.again, signal.after) == (name, "later", 30.0)
        assert isinstance(signal.error, RateLimited)
        _ = await ada.say("elsewhere", channel=other)
        await bob.hears("elsewhere", channel=other)
        left = {topic for each in supabase.project.sessions.values() for topic in each.channels}
        assert not [each for each in left if each.endswith(name)]


async def test_a_live_topic_is_joined_again_apart(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often that is refused; whoever was there is there again, and no message is lost (D28)."""
    monkeypatch.setattr("chatkit.core.backoff.delay", lambda *_: 0.01)
    monkeypatch.setattr("chatkit.adapters.supabase.joining.JOIN", 0.3)
    kit = SupabaseKit(database, mode="database")
    async with kit.serving() as supabase, stage(kit) as on:
        ada, bob = await on.join("ada", name, presence=True), await on.join("bob", name, presence=True)
        await ada.session.enter(name, Present("ada", "", {"desk": 4}))
        await kit.until(lambda: len(bob.present(name)) == 1, "ada is there")
        supabase.add_fault(Fault(does="drop", event="phx_join", topic=topic_of(name, "live"), times=3))

        _ = await supabase.deeds.crash(Aim(topic=topic_of(name, "live")))
        _ = await ada.say("meanwhile", channel=name)

        await bob.hears("meanwhile", channel=name)
        room = supabase.project.topic((True, topic_of(name, "live")))
        await kit.until(lambda: len(room.presence.state()) == 1, "ada is there again")
        await kit.until(
            lambda: [dict(one.data) for one in bob.present(name).values()] == [{"desk": 4}], "and bob sees it"
        )
        assert lost(ada) == lost(bob) == []


async def test_a_live_topic_that_is_refused_for_good_is_left(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked for again and again; messages come all the same (D28)."""
    monkeypatch.setattr("chatkit.core.backoff.delay", lambda *_: 0.0)
    kit = SupabaseKit(database, mode="database")
    async with kit.serving() as supabase, stage(kit) as on:
        ada, bob = await on.join("ada", name), await on.join("bob", name)
        asked = 0

        async def refuse(*_: object, **_more: object) -> None:
            nonlocal asked
            asked += 1
            raise NotAllowed("not any more")

        monkeypatch.setattr(attaching.Attaching, "_join_live", refuse)
        _ = await supabase.deeds.crash(Aim(topic=topic_of(name, "live")))
        await kit.until(lambda: asked > 0, "it is asked for")

        said = [f"message {number}" for number in range(3)]
        for text in said:
            _ = await ada.say(text, channel=name)
        await bob.hears(*said, channel=name)
        assert asked == 2, "once by each of them"


async def test_older_servers_never_say_that_they_are_ready(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are waited for a while, and the log is looked at once more."""
    monkeypatch.setattr(attaching, "READY", 0.1)
    monkeypatch.setattr(attaching, "AGAIN", 0.2)
    kit = SupabaseKit(database, mode="database")
    async with kit.serving() as supabase, stage(kit) as on:
        supabase.faults.add(FrameFault(does="drop", only="system", times=1_000))
        ada = await on.join("ada")

        found = await ada.attach(channel=name)

        assert found.start is not None
        await kit.until(lambda: Shed(name, "replication") in ada.signals, "the log is to be looked at")


async def test_who_goes_on_without_waiting_looks_when_it_is_ready(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed meanwhile may have been announced to nobody."""
    monkeypatch.setattr(attaching, "READY", 0.1)
    kit = SupabaseKit(database, mode="database")
    async with kit.serving(replication_start=0.6) as _, stage(kit) as on:
        ada = await on.join("ada", name)
        assert Shed(name, "replication") not in ada.signals

        await kit.until(lambda: Shed(name, "replication") in ada.signals, "the log is to be looked at")


async def test_members_say_no_more_than_the_service_takes(database: str, name: str) -> None:
    """Five words in half a minute; what is said already is not said again, and a sixth has to wait."""
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada", name, presence=True)
        for number in range(5):
            for _ in range(3):
                await ada.session.enter(name, Present("ada", "", {"number": number}))

        with pytest.raises(RateLimited) as slow:
            await ada.session.enter(name, Present("ada", "", {"number": 5}))

        assert 25.0 < (slow.value.retry_after or 0.0) <= 31.0
        assert lost(ada) == []
        (seen,) = supabase.project.topic((False, topic_of(name, "live"))).presence.state().values()
        assert '"number":4' in seen["metas"][0]["chatkit"]


async def test_who_is_not_attached_enters_nothing(database: str, name: str) -> None:
    """Nor who attached without presence; what is too large is refused by name."""
    kit = SupabaseKit(database, payload=10)
    async with kit.serving() as _, stage(kit) as on:
        ada = await on.join("ada")
        with pytest.raises(StateError):
            await ada.session.enter(name, Present("ada", "", {}))
        _ = await ada.attach(channel=name)
        with pytest.raises(CapabilityError):
            await ada.session.enter(name, Present("ada", "", {}))
        _ = await ada.attach(channel=name, presence=True)

        with pytest.raises(MessageTooLarge):
            await ada.session.enter(name, Present("ada", "", {"text": "x" * 10_000}))
        with pytest.raises(MessageTooLarge):
            await ada.session.emit(name, b'"' + b"x" * 10_000 + b'"')


async def test_one_client_shows_so_many_users(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they say is one word of the service."""
    monkeypatch.setattr(entering, "USERS", 2)
    kit = SupabaseKit(database, mode="database", trusted=True)
    async with kit.serving() as _, stage(kit) as on:
        bot = await on.join("bot", name, presence=True)
        await bot.session.enter(name, Present("ada", "", {}))
        await bot.session.enter(name, Present("bob", "", {}))

        with pytest.raises(CapabilityError):
            await bot.session.enter(name, Present("eve", "", {}))


async def test_a_word_without_an_answer_is_said_again(database: str, name: str) -> None:
    """Whether the service heard it or not: whoever leaves then has left."""
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada, bob = await on.join("ada", name, presence=True), await on.join("bob", name, presence=True)
        supabase.add_fault(Fault(does="drop", event="presence", moment="after"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ada.session.enter(name, Present("ada", "", {})), 0.2)
        await kit.until(lambda: len(bob.present(name)) == 1, "it was heard")

        await ada.session.leave(name, Present("ada", "", {}))

        await kit.until(lambda: bob.present(name) == {}, "ada has left")


async def test_users_who_enter_at_once_are_all_there(database: str, name: str) -> None:
    """No word takes back another's; who left meanwhile has left."""
    kit = SupabaseKit(database, mode="database", trusted=True)
    async with kit.serving() as _, stage(kit) as on:
        bot = await on.join("bot", name, presence=True)
        users = [Present(user, "", {}) for user in ("ada", "bob", "eve")]

        await asyncio.gather(
            *(bot.session.enter(name, user) for user in users), bot.session.leave(name, users[0])
        )

        await kit.until(lambda: len(bot.present(name)) == 2, "two are there")
        assert {member.user for member in bot.present(name).values()} == {"bob", "eve"}


async def test_what_passes_by_goes_by_http_where_no_channel_is_attached(database: str, name: str) -> None:
    """And says when that was refused."""
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada, bob = await on.join("ada"), await on.join("bob", name)

        await ada.session.emit(name, ada.says("typing", kind="typing").data)
        await bob.hears("typing", channel=name)
        supabase.faults.add(CallFault(does="fail", status=429))

        with pytest.raises(TransportError):
            await ada.session.emit(name, ada.says("typing", kind="typing").data)


async def test_what_passes_by_is_dropped_when_it_is_too_much(database: str, name: str) -> None:
    """Eight a second; what would wait for more than five seconds is not sent."""
    kit = SupabaseKit(database)
    async with kit.serving() as _, stage(kit) as on:
        ada = await on.join("ada", name)
        data = ada.says("typing", kind="typing").data

        burst = [asyncio.create_task(ada.session.emit(name, data)) for _ in range(100)]
        done, waiting = await asyncio.wait(burst, timeout=0.3)

        assert 50 < len(done) < 70  # a few were sent, and those beyond five seconds dropped
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_broadcast_without_an_acknowledgement_is_in_doubt(
    database: str, name: str, monkeypatch: pytest.MonkeyPatch, moment: Any
) -> None:
    """It says what that may mean: who may not speak is told nothing."""
    monkeypatch.setattr("chatkit.adapters.supabase.speaking.ACK", 0.2)
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada", name)
        supabase.add_fault(Fault(does="drop", event="broadcast", moment=moment))

        with pytest.raises(TransportError, match="no acknowledgement") as doubt:
            _ = await ada.publish(ada.batch(ada.says("message", name), channel=name))

        assert "realtime.messages" in doubt.value.hint
        assert isinstance(ada.adapter.publisher, Publisher)


async def test_a_broadcast_that_its_channel_does_not_outlive_is_in_doubt(database: str, name: str) -> None:
    """At once, and not when time is over."""
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada", name)
        supabase.add_fault(Fault(does="crash", event="broadcast"))

        with pytest.raises(TransportError, match="closed before the answer"):
            _ = await ada.publish(ada.batch(ada.says("message", name), channel=name))


async def test_the_service_says_what_is_too_large(database: str, name: str) -> None:
    """Where its limit is another one than the client was told."""
    kit = SupabaseKit(database, payload=1_000)
    async with kit.serving(payload_kb=10) as _, stage(kit) as on:
        ada = await on.join("ada", name)

        (ack,) = await ada.publish(ada.batch(ada.says("x" * 20_000, name), channel=name))

        assert (ack.outcome, type(ack.error)) == ("refused", MessageTooLarge)


async def test_an_old_server_takes_no_single_broadcasts(database: str, name: str) -> None:
    """What is to be sent waits until the channel is attached."""
    kit = SupabaseKit(database)
    async with kit.serving() as supabase, stage(kit) as on:
        ada = await on.join("ada")
        supabase.faults.add(CallFault(does="fail", status=404, path="/events/"))

        (ack,) = await ada.publish(ada.batch(ada.says("message", name), channel=name))

        assert (ack.outcome, ack.scope, ack.again) == ("unsent", "lane", "later")


@pytest.mark.parametrize(
    ("key", "again"), [("sb_publishable_unknown", "reauthenticate"), ("no-key", "reauthenticate")]
)
async def test_a_wrong_key_is_refused(database: str, key: str, again: str) -> None:
    """By its status, and without showing it (I16)."""
    from chatkit.adapters.supabase import SupabaseConfig, factory
    from chatkit.ports.adapter import SessionClosed
    from chatkit.testing.parts import parts

    kit = SupabaseKit(database)
    async with kit.serving() as supabase:
        config = SupabaseConfig(
            credential=key, host="127.0.0.1", port=supabase.port, tls=False, mode="broadcast"
        )
        adapter = factory.build(config, parts("ada", kit.clock))

        with pytest.raises(SessionClosed) as refused:
            _ = await adapter.open()
        await adapter.aclose()

    assert refused.value.again == again
    assert key not in str(refused.value) + str(refused.value.__cause__)


async def test_keys_of_the_new_kind_are_taken(database: str, name: str) -> None:
    """A publishable one with a user's token, a secret one for anybody."""
    kit = SupabaseKit(database, mode="database")
    async with kit.serving() as supabase, stage(kit) as on:
        settings = supabase.settings
        from chatkit.adapters.supabase import SupabaseConfig, factory
        from chatkit.testing.parts import parts

        where: dict[str, Any] = {"place": "local", "host": "127.0.0.1", "port": supabase.port, "tls": False}
        bot = factory.build(SupabaseConfig(credential=settings.secret_key, **where), parts("bot", kit.clock))
        bob = await on.join("bob", name)

        speaker = Client(on, "bot", bot, await bot.open())
        _ = await speaker.say("by a secret key", channel=name)

        await bob.hears("by a secret key", channel=name)
        await bot.aclose()


async def test_large_entries_come_in_their_turn(database: str, name: str) -> None:
    """Each is read by whoever hears of it; what cannot be read prompts a look into the log."""
    kit = SupabaseKit(database, mode="database")
    async with kit.serving() as supabase, stage(kit) as on:
        ada, bob = await on.join("ada", name), await on.join("bob", name)
        large = ["x" * 300_000, "y" * 300_000]

        _ = await ada.say("one", large[0], "two", large[1], "three", channel=name)
        await bob.hears("one", large[0], "two", large[1], "three", channel=name)
        supabase.faults.add(CallFault(does="fail", status=503, path="chatkit_entries", times=2))
        _ = await ada.say(large[0], channel=name)

        await kit.until(lambda: Shed(name, "large") in bob.signals, "the log is to be looked at")
        _ = await ada.say("after", channel=name)
        await kit.until(lambda: "after" in bob.texts(name), "what follows comes")
        assert all(isinstance(signal, Received) for signal in bob.heard(name))
