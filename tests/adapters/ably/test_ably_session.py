"""What the contract does not ask of a session and its adapter, over the emulator in real time."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatkit.adapters.ably import AblyConfig, factory
from chatkit.adapters.ably.adapter import AblyAdapter
from chatkit.engine.system import SystemClock
from chatkit.errors import AuthenticationError, NotAllowed, StateError, TransportError
from chatkit.model.order import Ident
from chatkit.ports.adapter import Attachment, Lost, Received, SessionClosed
from chatkit.testing.contract.adapter.stage import Stage, stage
from chatkit.testing.emulators.ably import Aim, ErrorInfo, Fault
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.emulators.faults import CallFault
from chatkit.testing.parts import parts
from tests.adapters.ably.kit import AblyKit
from tests.adapters.ably.tokens import KEY, SECRET, Tokens, jwt

pytestmark = pytest.mark.long


def run(story: Callable[[AblyKit, Stage], Awaitable[None]], **config: Any) -> None:
    """Run a story over an emulator."""
    kit = AblyKit(**config)

    async def main() -> None:
        async with stage(kit) as on:
            await story(kit, on)

    kit.run(main())


def publish(kit: AblyKit, channel: str, user: str | None, **message: Any) -> None:
    """Publish as somebody without chatkit, by REST."""
    app = kit.emulator.app
    access = app.authority.by_key(f"{KEY}:{SECRET}")
    origin = Origin(access=access, client_id=user, connection_id=None, base=fresh_id())
    app.publish(app.channel(channel), [message], origin)


def test_a_member_that_writes_nonsense_is_attested_all_the_same() -> None:
    """It has a place; what it says is for the engine to judge, and what follows is heard (D2)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        bob, ada = await on.join("bob", on.channel), await on.join("ada")
        publish(kit, on.channel, "eve", name="chatkit", data='{"v":1')
        publish(kit, on.channel, "eve", name="other", data={"a": 1})
        await ada.say("unharmed")

        await kit.until(lambda: len(bob.heard()) == 2, "what follows is heard")
        assert [frame.user for frame in bob.heard()] == ["eve", "ada"]
        found = await bob.log.entries(on.channel, after=None, limit=10)
        assert [entry.stamp.user for entry in found.items] == ["eve", "ada"]

    run(story)


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_either_format_hears_the_other(form: str) -> None:
    """To the byte, whatever the text."""

    async def story(kit: AblyKit, on: Stage) -> None:
        bob = await on.join("bob", on.channel)
        kit._config["format"] = "json" if form == "msgpack" else "msgpack"
        ada = await on.join("ada", on.channel)
        await ada.say("\u00fc \U0001f600 \u2028 \\")
        await bob.say('"\u0001')

        assert [f.data for f in await ada.hears("\u00fc \U0001f600 \u2028 \\", '"\u0001')] == [
            f.data for f in bob.heard()
        ]

    run(story, format=form)


def test_the_same_connection_goes_on_after_a_cut() -> None:
    """With its members, and numbers that count on."""

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter = on.adapter("ada")
        ada = await on.open("ada", adapter, on.channel)
        await ada.say("before")
        (before,) = kit.connections("ada")
        kit.cut("ada")
        await ada.end()
        kit.heal("ada")

        ada = await on.open("ada", adapter)
        await ada.say("after")

        assert kit.connections("ada") == [before]

    run(story)


def test_after_a_clean_end_a_connection_is_a_new_one() -> None:
    """Ably forgets it at once."""

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter = on.adapter("ada")
        ada = await on.open("ada", adapter)
        (before,) = kit.connections("ada")
        await ada.session.aclose()

        await on.open("ada", adapter)

        assert kit.connections("ada") != [before]
        assert before not in kit.emulator.app.connections

    run(story)


def test_channels_of_several_connections_are_gone_on_with() -> None:
    """On whichever new one: members that were entered on the old ones leave with them."""

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter, bob = on.adapter("ada"), await on.join("bob")
        one, two = await on.open("ada", adapter, on.channel), await on.open("ada", adapter, "sales")
        before = kit.connections("ada")
        places = [(await bob.say("before", channel=name))[0].key for name in (on.channel, "sales")]
        await one.hears("before")
        await two.hears("before", channel="sales")
        kit.cut("ada")
        await one.end()
        await two.end()
        for name in (on.channel, "sales"):
            await bob.say("missed", channel=name)
        kit.heal("ada")

        one, two = await on.open("ada", adapter), await on.open("ada", adapter)

        assert (await two.attach(places[0])).resumed
        assert (await one.attach(places[1], channel="sales")).resumed
        await two.hears("missed")
        await one.hears("missed", channel="sales")
        assert set(before).isdisjoint(kit.connections("ada"))

    run(story)


def test_what_a_resume_lost_before_its_replay_comes_with_the_next() -> None:
    """Cut again behind ATTACHED: nothing between is missed."""

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter, bob = on.adapter("ada"), await on.join("bob")
        ada = await on.open("ada", adapter, on.channel)
        (last,) = await bob.say("before")
        await ada.hears("before")
        kit.cut("ada")
        await ada.end()
        await bob.say("missed")
        kit.heal("ada")
        again = await on.open("ada", adapter)
        (connection,) = kit.connections("ada")
        kit.emulator.add_fault(Fault(does="drop", way="out", action="MESSAGE", connection=connection))
        assert (await again.attach(last.key)).resumed
        kit.cut("ada")
        await again.end()
        kit.heal("ada")

        third = await on.open("ada", adapter)
        assert (await third.attach(last.key)).resumed

        await third.hears("missed")

    run(story)


def test_a_channel_that_lost_continuity_says_so() -> None:
    """Ably's ATTACHED unasked is an `Attachment` that nobody vouches for (80020, D30)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        bob, ada = await on.join("bob", on.channel), await on.join("ada")
        (before,) = await ada.say("before")
        await bob.hears("before")

        _ = kit.emulator.deeds.attached(Aim(channel=on.channel, error=ErrorInfo(code=80020)))

        await kit.until(lambda: any(isinstance(s, Attachment) for s in bob.signals), "it is told")
        (told,) = (signal for signal in bob.signals if isinstance(signal, Attachment))
        assert not told.resumed
        assert told.start is not None
        assert before.key is not None
        assert before.key < told.start

    run(story)


def test_a_channel_that_ably_detaches_is_to_be_attached_again_at_once() -> None:
    """Unless it says that it may not be."""

    async def story(kit: AblyKit, on: Stage) -> None:
        bob = await on.join("bob", on.channel, "sales")
        _ = kit.emulator.deeds.detach(Aim(channel=on.channel))
        _ = kit.emulator.deeds.fail_channel(Aim(channel="sales", error=ErrorInfo(code=40160)))

        await kit.until(lambda: sum(isinstance(s, Lost) for s in bob.signals) == 2, "both are told")
        lost = [signal for signal in bob.signals if isinstance(signal, Lost)]
        assert [(one.channel, one.again) for one in lost] == [(on.channel, "now"), ("sales", "never")]
        assert isinstance(lost[1].error, NotAllowed)

    run(story)


def test_an_acknowledgement_without_a_serial_is_sent_without_a_place() -> None:
    """It counts, and is counted (D30)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        ack = {"action": 1, "msgSerial": 0, "count": 1, "res": [{"serials": [None]}]}
        kit.emulator.add_fault(Fault(does="replace", way="out", action="ACK", frame=ack))

        (found,) = await ada.publish(ada.batch(ada.says("conflated")))

        assert (found.outcome, found.key, found.sent_at) == ("new", None, None)

    run(story)


def test_a_member_speaks_for_itself_alone() -> None:
    """What is another's is refused before it goes out, with its name (D2)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        del kit
        eve = await on.join("eve")
        theirs = eve.says("as ada", user="ada")

        acks = await eve.publish(eve.batch(theirs, eve.says("as myself")))

        assert [ack.outcome for ack in acks] == ["refused", "new"]
        assert isinstance(acks[0].error, NotAllowed)
        assert acks[0].error.message_id == theirs.ident.id

    run(story)


def test_signals_have_one_reader() -> None:
    """A second one is misuse."""

    async def story(kit: AblyKit, on: Stage) -> None:
        del kit
        ada = await on.join("ada")
        await ada.session.probe()
        with pytest.raises(StateError):
            _ = ada.session.signals()

    run(story)


def test_a_publish_that_is_passed_over_is_in_doubt() -> None:
    """Later ones were answered: nobody knows what became of it (D11)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        kit.emulator.add_fault(Fault(does="drop", way="out", action="ACK", client="ada"))
        lost = asyncio.create_task(ada.publish(ada.batch(ada.says("lost"))))
        await kit.settle()

        await ada.say("answered")

        with pytest.raises(TransportError):
            await lost

    run(story)


async def _adapter(kit: AblyKit, tokens: Any, **config: Any) -> AblyAdapter:
    emulator = kit.emulator
    made = AblyConfig(credential=KEY, host=emulator.host, port=emulator.port, tls=False, **config)
    return factory.build(made, parts("ada", SystemClock(), credentials=tokens))


@pytest.mark.parametrize(
    ("token", "again"),
    [
        (jwt("eve"), "never"),
        (jwt(None), "never"),
        ("nonsense", "reauthenticate"),
        (jwt("ada", seconds=-5), "reauthenticate"),
    ],
)
def test_a_token_that_is_not_the_users_opens_nothing(token: str, again: str) -> None:
    """Another's, nobody's, none, an old one: by what helps (D2)."""

    class Wrong(Tokens):
        async def get(self, **_: Any) -> Any:
            return {"token": token}

    async def story(kit: AblyKit, on: Stage) -> None:
        del on
        adapter = await _adapter(kit, Wrong("ada"))
        with pytest.raises(SessionClosed) as refused:
            _ = await adapter.open()
        assert refused.value.again == again
        assert isinstance(refused.value.__cause__, AuthenticationError)
        await adapter.aclose()

    run(story)


def test_a_token_request_is_exchanged() -> None:
    """As Ably's own clients would: the app signs, Ably gives the token."""

    class Requests(Tokens):
        async def get(self, **_: Any) -> Any:
            fields = {"keyName": KEY, "ttl": 60_000, "capability": '{"*":["*"]}', "clientId": "ada"}
            fields |= {"timestamp": int(time.time() * 1_000), "nonce": "n" * 16}
            order = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
            text = "".join(f"{fields[name]}\n" for name in order)
            mac = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
            return {**fields, "mac": b64encode(mac).decode()}

    async def story(kit: AblyKit, on: Stage) -> None:
        del on
        adapter = await _adapter(kit, Requests("ada"))
        session = await adapter.open()
        assert session.user == "ada"
        await adapter.aclose()

    run(story)


def test_history_is_read_with_a_fresh_token_where_one_is_refused() -> None:
    """Once; another refusal is an error."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        await ada.say("kept")
        app = kit.emulator.app
        app.authority.end(next(iter(app.connections.values())).access)
        before = kit.tokens["ada"].fetched

        found = await ada.log.entries(on.channel, after=None, limit=10)

        assert len(found.items) == 1
        assert kit.tokens["ada"].fetched == before + 1
        refused = '{"error":{"code":40142,"statusCode":401}}'
        kit.emulator.faults.add(CallFault(does="fail", status=401, body=refused, times=2, path="/channels"))
        with pytest.raises(AuthenticationError):
            _ = await ada.log.entries(on.channel, after=None, limit=10)

    run(story)


@pytest.mark.parametrize("status", [200, 302])
def test_what_a_proxy_answers_is_no_history(status: int) -> None:
    """A page to log in at is not an empty channel: that would be a silent loss (I6)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        await ada.say("kept")
        kit.emulator.faults.add(CallFault(does="fail", status=status, body="<html>Log in</html>"))

        with pytest.raises(TransportError, match="none of Ably's"):
            _ = await ada.log.entries(on.channel, after=None, limit=10)

    run(story)


def test_history_is_read_across_pages_and_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ascending, without a hole or a double, from any place (D24)."""
    monkeypatch.setattr("chatkit.adapters.ably.walking.PAGE", 3)

    async def story(kit: AblyKit, on: Stage) -> None:
        del kit
        ada = await on.join("ada")
        acks = [(await ada.say(f"message {number}"))[0] for number in range(10)]
        keys = [ack.key for ack in acks]
        log = ada.log

        assert [e.stamp.key for e in (await log.entries(on.channel, after=None, limit=100)).items] == keys
        some = await log.entries(on.channel, after=keys[1], limit=4)
        assert ([e.stamp.key for e in some.items], some.more) == (keys[2:6], True)
        rest = await log.entries(on.channel, after=keys[5], limit=4)
        assert ([e.stamp.key for e in rest.items], rest.more) == (keys[6:], False)

        async def page(**places: Any) -> tuple[list[Any], bool, bool, bool]:
            found = await log.messages(on.channel, limit=4, **places)
            around = (found.before is not None, found.after is not None)
            return [one.stamp.key for one in found.items], *around, found.provisional

        assert await page() == (keys[6:], True, False, False)
        assert await page(before=keys[6]) == (keys[2:6], True, True, True)
        assert await page(before=keys[2]) == (keys[:2], False, True, True)
        assert await page(after=keys[1]) == (keys[2:6], True, True, True)
        assert await page(after=keys[7]) == (keys[8:], True, False, False)
        assert await page(around=keys[5]) == (keys[3:7], True, True, True)
        assert await page(after=acks[3].sent_at) == (keys[4:8], True, True, True)
        heads = await log.heads([on.channel, "nowhere"])
        assert heads[on.channel].head == str(keys[-1] and keys[-1].serial)
        assert heads["nowhere"].head == heads["nowhere"].floor

    run(story)


def test_the_first_read_after_a_loss_begins_before_the_mark() -> None:
    """A lower serial may have come after a higher one: it is not taken for known (D17, D30)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada, bob = await on.join("ada"), await on.join("bob")
        keys = [(await ada.say(f"message {number}"))[0].key for number in range(6)]

        async def read(limit: int = 100) -> tuple[list[Any], bool]:
            found = await bob.log.entries(on.channel, after=keys[3], limit=limit)
            return [entry.stamp.key for entry in found.items], found.more

        assert await read() == (keys[4:], False)
        await bob.attach()
        assert await read(limit=1) == ([*keys[:3], keys[4]], True)
        assert await read() == (keys[4:], False)

        _ = kit.emulator.deeds.attached(Aim())
        await kit.until(lambda: any(isinstance(s, Attachment) for s in bob.signals), "the loss is told")
        assert await read() == ([*keys[:3], *keys[4:]], False)

    run(story)


@pytest.mark.parametrize("kept", [True, False])
def test_an_account_that_keeps_less_than_is_said_is_found_out(kept: bool) -> None:  # a parameter
    """A message that must be there is not: what lay between may be lost, and the floor says so (D18, I6)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        (before,) = await ada.say("before")
        assert before.key is not None
        kit.emulator.clock.advance(600)
        _ = await ada.adapter.server_time()
        (after,) = await ada.say("after")

        found = await ada.log.entries(on.channel, after=before.key, limit=10)

        assert [entry.stamp.key for entry in found.items] == [after.key]
        assert found.state.floor is not None
        assert (found.state.floor < before.key.serial) == kept
        read = await ada.log.find(on.channel, [Ident("ada", "unknown")])
        assert read.reaches is not None
        reaches = (kit.clock.wall() - read.reaches).total_seconds() + 600
        assert (reaches > 3_600) == kept

    run(story, trusted=True, history=72 * 3_600.0, namespace="persisted" if kept else "")


def test_what_came_live_is_not_missed_when_history_has_passed() -> None:
    """A read of a channel that was silent for long announces no gap while Ably vouches for it (D17, D18)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter, bob = on.adapter("ada"), await on.join("bob")
        ada = await on.open("ada", adapter)
        start = (await ada.attach()).start
        assert start is not None
        kit.emulator.clock.advance(600)
        _ = await adapter.server_time()

        async def missed() -> bool:
            found = await ada.log.entries(on.channel, after=start, limit=10)
            assert found.state.floor is not None
            return found.state.floor > start.serial

        assert not await missed()
        await bob.say("something")
        assert not await missed()
        await ada.session.detach(on.channel)
        assert await missed()
        assert not (await ada.attach(start)).resumed
        assert await missed()

    run(story)


def test_what_was_sent_is_found_again() -> None:
    """As far back as is kept (D10)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        one, two = ada.says("one"), ada.says("two")
        (ack,) = await ada.publish(ada.batch(one))

        found = await ada.log.find(on.channel, [one.ident, two.ident, Ident("eve", one.ident.id)])

        assert found.items == {one.ident: ack.key}
        assert found.reaches is not None
        assert 110 < (kit.clock.wall() - found.reaches).total_seconds() < 130

    run(story)


def test_no_secret_and_no_body_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is switched on, and whatever goes wrong (I16)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada", on.channel)
        await ada.say("whispered")
        _ = await ada.log.entries(on.channel, after=None, limit=10)
        for closing in kit.closings():
            client = await on.join("ada")
            kit.close("ada", closing)
            ended = await client.end()
            shown.append(f"{ended!r} {ended.__cause__!r} {ended.hint}")
        kit.cut("ada")
        with pytest.raises(SessionClosed) as failed:
            _ = await on.adapter("ada").open()
        shown.append(f"{failed.value!r}")

    shown: list[str] = []
    with caplog.at_level(logging.DEBUG):
        run(story, trusted=True)
        run(story)

    told = caplog.text + "".join(shown)
    assert "secret" not in told
    assert "whispered" not in told
    assert "eyJ" not in told


def test_the_service_says_what_time_it_is() -> None:
    """And history's window goes by it (D4)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        ada = await on.join("ada")
        kit.emulator.clock.advance(3_600)

        now = await ada.adapter.server_time()

        assert now is not None
        assert 3_590 < (now - kit.clock.wall()).total_seconds() < 3_610
        (ack,) = await ada.say("late")
        found = await ada.log.entries(on.channel, after=None, limit=10)
        assert [entry.stamp.key for entry in found.items] == [ack.key]
        assert isinstance(found.state.now, type(now))

    run(story, trusted=True)


def test_a_failing_host_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next one, for sockets and for calls (RTN17, RSC15)."""

    async def story(kit: AblyKit, on: Stage) -> None:
        del on
        emulator = kit.emulator
        monkeypatch.setattr(
            "chatkit.adapters.ably.hosts.Hosts._with_ports",
            lambda *_: ["127.0.0.1:9", f"{emulator.host}:{emulator.port}"],
        )
        adapter = await _adapter(kit, Tokens("ada"))
        session = await adapter.open()
        assert session.ended is None
        assert await adapter.server_time() is not None
        await adapter.aclose()

    run(story)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"", b"hello\r\n\r\n"]
)
def test_what_is_not_ably_is_tried_later(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status, silence, another protocol: the error names the host, and what resuming needs is kept."""
    monkeypatch.setattr("chatkit.adapters.ably.adapter.OPEN", 0.2)

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _ = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        _ = await reader.read()
        writer.close()

    async def story(kit: AblyKit, on: Stage) -> None:
        adapter = kit.adapter("ada")
        on.adapters.append(adapter)
        ada = await on.open("ada", adapter, on.channel)
        before = kit.connections("ada")
        kit.cut("ada")
        await ada.end()
        async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(adapter._hosts, "for_sockets", lambda: [f"127.0.0.1:{port}"])
                with pytest.raises(SessionClosed, match=str(port)) as refused:
                    _ = await adapter.open()
        assert refused.value.again == "later"
        kit.heal("ada")
        _ = await on.open("ada", adapter)
        assert kit.connections("ada") == before

    run(story)


def test_an_attach_that_is_given_up_is_taken_back() -> None:
    """Nobody waits for it any more, so nothing of the channel is sent for nothing; attaching again works."""

    async def story(kit: AblyKit, on: Stage) -> None:
        bob, ada = await on.join("bob"), await on.join("ada")
        kit.emulator.add_fault(Fault(does="drop", way="out", action="ATTACHED", client="bob"))
        attaching = asyncio.create_task(bob.session.attach(on.channel, None, presence=False))
        await kit.settle()
        attaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            _ = await attaching

        channel = kit.emulator.app.channel(on.channel)
        await kit.until(lambda: not channel.attachments, "it is detached")
        await ada.say("unheard")
        await bob.hears()

    run(story)


def test_an_app_that_gives_no_token_ends_nothing() -> None:
    """The connection lives as long as its token does (D32)."""

    class Failing(Tokens):
        async def get(self, *, refresh: bool = False, **_: Any) -> Any:
            self.fetched += 1
            if refresh:
                raise RuntimeError("the app's server is down")
            return {"token": jwt(self.user)}

    async def story(kit: AblyKit, on: Stage) -> None:
        kit.tokens["ada"] = failing = Failing("ada")
        ada = await on.join("ada", on.channel)
        _ = kit.emulator.deeds.reauth(Aim())

        await kit.until(lambda: failing.fetched == 2, "it is asked")
        await ada.say("still here")
        await ada.hears("still here")

    run(story)


def test_frames_of_a_channel_stop_with_its_detach() -> None:
    """Also those that were read and not handed on yet."""

    async def story(kit: AblyKit, on: Stage) -> None:
        del kit
        bob, ada = await on.join("bob", on.channel), await on.join("ada")
        await ada.say(*(f"message {number}" for number in range(10)))
        await bob.session.detach(on.channel)
        told = len(bob.signals)

        await ada.say("later")
        await bob.session.probe()

        assert [s for s in bob.signals[told:] if isinstance(s, Received)] == []

    run(story)
