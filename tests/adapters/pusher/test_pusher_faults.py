"""What goes wrong with Pusher, one by one: each is survived, or told with what to do."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest

import chatkit
from chatkit import AuthenticationError, ConfigError, MessageTooLarge, NotAllowed
from chatkit.errors import ChatkitError
from chatkit.testing.emulators.faults import CallFault, FrameFault
from chatkit.testing.emulators.pusher import frames
from tests.adapters.pusher.app import PATIENCE, App, texts, until

pytestmark = [pytest.mark.realtime, pytest.mark.long]


async def reason(chat: chatkit.Chat) -> ChatkitError:
    """Return why a client is not connected."""
    await until(lambda: chat.connection.reason is not None, "a reason")
    assert chat.connection.reason is not None
    return chat.connection.reason


async def paused(chat: chatkit.Chat) -> str:
    """Return why what is queued waits."""
    found: dict[str, Any] = {}

    def told() -> bool:
        found.update(chat.health().checks["outbox"])
        return found["paused"] is not None

    await until(told, "the outbox says why it waits")
    return str(found["paused"])


# -- set-ups that cannot work


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        ({}, "other-key", "Compare key and cluster"),
        ({"enabled": False}, "app-key", "Enable the app"),
        ({"connections": 0}, "app-key", "take a larger plan"),
        ({"tls_only": True}, "app-key", "Leave out tls=0"),
    ],
)
async def test_a_connection_that_cannot_be_says_what_to_do(
    settings: dict[str, Any], key: str, words: str
) -> None:
    """Wrong key, disabled app, quota, TLS: it fails for good, and what is queued stays (D12)."""
    async with (
        App(**settings) as app,
        chatkit.connect(app.url(key=key), user="ada", store=":memory:", auth=app.auth, drain=0) as ada,
    ):
        delivery = await ada.channel("support").send("kept")
        error = await reason(ada)

        await until(lambda: ada.connection.state == "failed", "it gives up")
        assert words in error.hint
        assert key not in str(error)
        assert delivery.status == "queued"


@pytest.mark.parametrize("wrong", ["port=1", "tls=1"])
async def test_a_server_that_is_none_says_what_to_check(wrong: str) -> None:
    """A wrong host, cluster or tls=: it is tried again, and says where to look."""
    async with App() as app:
        right = f"port={app.emulator.port}" if wrong == "port=1" else "tls=0"
        url = app.url(secret="hush").replace(right, wrong)
        async with chatkit.connect(url, user="ada", store=":memory:", drain=0) as ada:
            error = await reason(ada)

            assert "cluster" in error.hint
            assert "port= and tls=" in error.hint
            assert "hush" not in f"{error!r} {error.hint}"


@pytest.mark.parametrize(
    ("settings", "url", "words"),
    [
        ({}, {"secret": "wrong"}, "secret does not belong"),
        ({}, {"secret": "app-secret", "app": "7"}, "no app with this id"),
        ({"over_quota": True}, {"secret": "app-secret"}, "message quota"),
    ],
)
async def test_a_refused_publish_pauses_and_says_why(
    settings: dict[str, Any], url: dict[str, str], words: str
) -> None:
    """Wrong secret, wrong app, quota: nothing is lost; health says why, and so does a wait in vain (D12)."""
    async with (
        App(**settings) as app,
        chatkit.connect(app.url(**url), user="ada", store=":memory:", drain=0) as ada,
    ):
        delivery = await ada.channel("support").send("kept")

        assert words in await paused(ada)
        with pytest.raises(chatkit.WaitTimeout, match=f"sending is paused: .*{words}"):
            await delivery.wait(timeout=0.01)
        assert delivery.status == "queued"


async def test_a_wrong_clock_is_called_by_its_name() -> None:
    """More than 600 s off: the API refuses the time stamp, and the message goes once the clock is right."""
    async with App() as app, app.backend("ada", drain=0) as ada:
        app.emulator.clock.set_skew(1_000.0)
        delivery = await ada.channel("support").send("kept")

        assert "clock is off" in await paused(ada)
        assert delivery.status == "queued"


async def test_client_events_that_are_off_are_told() -> None:
    """They are off until somebody switches them on in the dashboard; what is queued waits."""
    async with App(client_events=False) as app, app.member("ada", drain=0) as ada:
        delivery = await ada.channel("support").send("kept")

        assert "switched off" in await paused(ada)
        assert delivery.status == "queued"


async def test_what_is_too_large_is_refused_before_it_is_queued() -> None:
    """10,240 bytes an event."""
    async with App() as app, app.backend("ada") as ada:
        with pytest.raises(MessageTooLarge):
            await ada.channel("support").send("x" * 10_240)


async def test_a_client_with_neither_secret_nor_auth_is_told_of_both() -> None:
    """A backend that lacks its secret and a member that lacks `auth=` look alike."""
    async with App() as app, chatkit.connect(app.url(), user="ada", store=":memory:", drain=0) as ada:
        with pytest.raises(ConfigError) as told:
            await ada.channel("support").attach(timeout=PATIENCE)

        assert "auth=" in told.value.hint
        assert "CHATKIT_SECRET" in told.value.hint


async def test_a_log_needs_the_secret() -> None:
    """Nobody believes what a member announces for it."""
    async with App() as app:
        with pytest.raises(ConfigError, match="secret"):
            _ = app.member("ada", log="sqlite:///unused.db")


# -- who may


async def test_who_is_not_let_in_is_told() -> None:
    """The app's refusal reaches the channel and the message (D12)."""
    async with App() as app, app.member("eve") as eve:
        app.barred.add("eve")
        with pytest.raises(NotAllowed):
            await eve.channel("support").attach(timeout=PATIENCE)

        delivery = await eve.channel("support").send("let me in")

        await until(lambda: delivery.status == "failed", "it is refused")
        assert isinstance(delivery.error, NotAllowed | chatkit.DeliveryFailed)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, "no answer"),
        ("token", "no answer"),
        ({"auth": "other:00"}, "another app's key"),
        ({"auth": "app-key:00"}, "no channel_data"),
        ({"auth": "app-key:00", "channel_data": '{"user_id":"bob"}'}, "another user"),
        ({"auth": "app-key:00", "channel_data": '{"user_id":"ada"}'}, "signature is refused"),
    ],
)
async def test_an_answer_of_auth_that_is_no_good_is_told(answer: Any, words: str) -> None:
    """And whose it is: somebody else's permit is not used (D2)."""

    async def auth(_: object) -> Any:
        return answer

    async with App() as app, app.member("ada", auth=auth) as ada:
        with pytest.raises(AuthenticationError, match=words):
            await ada.channel("support").attach(timeout=PATIENCE)


async def test_an_auth_that_raises_is_asked_again() -> None:
    """Whatever the app's code raises, it may pass; its words are nobody's business (I16)."""
    async with App() as app:
        calls: list[object] = []

        async def auth(request: Any) -> dict[str, Any]:
            calls.append(request)
            if len(calls) == 1:
                raise RuntimeError("password=hush")
            return await app.auth(request)

        async with app.member("ada", auth=auth) as ada:
            await ada.channel("support").attach(timeout=PATIENCE)

            assert len(calls) == 2
            assert [request.params["channel_name"] for request in app.asked] == ["presence-support"]
            assert app.asked[0].channel == "support"


async def unattached(chat: chatkit.Chat, words: str) -> chatkit.WaitTimeout:
    """Return the error of a wait for a channel whose attach was refused at least once."""
    channel = chat.channel("support")
    _ = channel.timeline.watch()
    await until(lambda: channel.error is not None, "an attach was refused")
    with pytest.raises(chatkit.WaitTimeout, match=words) as told:
        await channel.attach(timeout=0.01)
    return told.value


async def test_an_auth_that_goes_on_raising_is_told() -> None:
    """As what it is, with what to do; the exception is at hand, and its words are in no text (I16)."""

    def auth(_: object) -> Any:
        raise RuntimeError("password=hush")

    async with App() as app, app.member("ada", auth=auth, drain=0) as ada:
        told = await unattached(ada, "met TransportError: auth= raised RuntimeError")

        assert "async function" in told.hint
        assert told.__cause__ is not None
        assert isinstance(told.__cause__.__cause__, RuntimeError)
        assert "hush" not in f"{told} {told.hint}"


@pytest.mark.parametrize(("status", "words"), [("500", r"failed \(500\)"), ("", r": no answer by HTTP")])
async def test_an_endpoint_that_fails_is_told_apart_from_pusher(status: str, words: str) -> None:
    """By name, with what to check; it is asked again."""
    async with App() as app, endpoint(lambda _: (f"{status} Failed", "")) as found:
        address = found if status else "http://127.0.0.1:1/auth"
        async with app.member("ada", auth=address, drain=0) as ada:
            told = await unattached(ada, f"the app's auth endpoint.*{words}")

            assert "address in auth=" in told.hint


async def test_each_connection_asks_for_its_own_permit() -> None:
    """Signatures are bound to a connection: after each reconnect a fresh one for each channel."""
    async with App() as app, app.member("ada") as ada:
        for name in ("one", "two"):
            await ada.channel(name).attach(timeout=PATIENCE)
        app.drop_connections()
        await until(lambda: len(app.asked) == 4, "it asks again")
        await until(lambda: len(app.emulator.connections) == 1, "it is back")

        sockets = [request.params["socket_id"] for request in app.asked]
        assert sockets[0] == sockets[1] != sockets[2] == sockets[3]


async def test_a_stale_answer_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer whose connection has gone is not waited for, and not used on the next one."""
    monkeypatch.setattr("chatkit.adapters.pusher.permits.TIMEOUT", 60.0)
    async with App() as app, app.member("ada") as ada:
        app.slow = asyncio.Event()
        attaching = asyncio.create_task(ada.channel("support").attach(timeout=PATIENCE))
        await until(lambda: len(app.asked) == 1, "it asks")
        errors = app.record("pusher:error")
        app.drop_connections()
        await until(lambda: len(app.asked) == 2, "it asks for the next connection")

        app.slow.set()

        await attaching
        assert errors == []


# -- frames and answers that do not come


async def test_a_subscription_without_an_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some refusals have no answer at all: after a while it is ended and asked for anew."""
    monkeypatch.setattr("chatkit.adapters.pusher.joining.SUBSCRIBE", 0.1)
    async with App() as app, app.backend("ada") as ada, app.backend("bob") as bob:
        app.emulator.faults.add(FrameFault(does="drop", only="pusher_internal:subscription_succeeded"))
        theirs = bob.channel("support")
        _ = theirs.timeline

        await theirs.attach(timeout=PATIENCE)

        _ = await ada.channel("support").send("heard")
        await until(lambda: texts(theirs) == ["heard"], "it is heard once")


@pytest.mark.parametrize(
    "frame",
    [
        "no JSON",
        "{}",
        frames.event("chatkit", "not JSON", channel="presence-support"),
        frames.event("chatkit", {"v": 1}, channel="presence-support"),
        frames.event("client-chatkit", ["list"], channel="presence-support", user_id="eve"),
        frames.event("something-else", "x", channel="presence-support"),
        frames.error("nobody knows"),
        frames.event("pusher_internal:member_added", "garbage", channel="presence-support"),
    ],
)
async def test_frames_that_mean_nothing_end_nothing(frame: str) -> None:
    """They are counted or told as foreign; what follows is heard."""
    async with App() as app, app.backend("ada") as ada:
        channel = ada.channel("support")
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
        for connection in app.emulator.connections.values():
            connection.send(frame)

        _ = await channel.send("heard")

        await until(lambda: texts(channel) == ["heard"], "it goes on")
        assert ada.health().checks["defects"] == []
        assert ada.connection.state == "connected"


async def test_a_call_that_failed_after_it_published_shows_once() -> None:
    """A 500 is in doubt: the same bytes go out again, and receivers know them (D10, I2)."""
    async with App() as app, app.backend("ada") as ada, app.member("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        app.emulator.faults.add(CallFault(does="fail", moment="after", status=500, path="events"))

        delivery = await ada.channel("support").send("once")

        _ = await delivery.wait("sent", timeout=PATIENCE)
        await until(lambda: bob.health().checks["counters"].get("duplicate") == 1, "it came twice")
        assert texts(theirs) == ["once"]


@asynccontextmanager
async def endpoint(answer: Callable[[dict[str, str]], tuple[str, str]]) -> AsyncGenerator[str]:
    """An auth endpoint; gives its address. It is asked with a form, and answers a status and a body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:  # a client that ends while it connects asks nothing
            return writer.close()
        length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
        form = parse_qs((await reader.readexactly(length)).decode())
        status, body = answer({name: values[0] for name, values in form.items()})
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        return writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pusher/auth?session=hush"


async def test_an_endpoint_lets_members_in() -> None:
    """`auth=` may be an address: asked as the official clients ask it; what it answers is told (D12)."""
    answers = ["503 Busy", "200 OK"]

    def answer(form: dict[str, str]) -> tuple[str, str]:
        match form["channel_name"]:
            case "presence-support":
                return answers.pop(0), app.permit("ada", form)
            case "presence-secrets":
                return "403 Forbidden", "no"
            case _:
                return "404 Not Found", "<html>"

    async with App() as app, endpoint(answer) as address, app.member("ada", auth=address) as ada:
        await ada.channel("support").attach(timeout=PATIENCE)
        assert answers == []
        with pytest.raises(NotAllowed) as refused:
            await ada.channel("secrets").attach(timeout=PATIENCE)
        with pytest.raises(ConfigError) as missing:
            await ada.channel("elsewhere").attach(timeout=PATIENCE)

    assert "hush" not in f"{refused.value!r} {refused.value.hint} {missing.value!r} {missing.value.hint}"


async def test_an_app_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; the channel waits."""
    monkeypatch.setattr("chatkit.adapters.pusher.permits.TIMEOUT", 0.1)
    async with App() as app, app.member("ada") as ada:
        app.slow = asyncio.Event()
        attaching = asyncio.create_task(ada.channel("support").attach(timeout=PATIENCE))
        await until(lambda: len(app.asked) == 2, "it is asked again")

        app.slow.set()

        await attaching


async def test_client_events_that_were_thrown_away_go_out_again() -> None:
    """A 4301 does not say which: all of the burst are in doubt, none is lost, none shows twice (D11, I2)."""
    async with App(client_event_rate=1) as app, app.member("ada") as ada, app.backend("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        deliveries = [await ada.channel("support").send(f"message {number}") for number in range(2)]

        for delivery in deliveries:
            _ = await delivery.wait("sent", timeout=PATIENCE)

        await until(lambda: sorted(texts(theirs)) == ["message 0", "message 1"], "both came")


async def test_a_new_lock_is_opened_with_a_fresh_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the app's master key was changed, `auth=` is asked once; what another locked stays foreign."""
    other = b64encode(b"1" * 32).decode()
    async with App("&channels=encrypted") as app, app.member("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        strange = app.url(secret="app-secret", more=f"&master_key={other.replace('=', '%3D')}")
        async with chatkit.connect(strange, user="ada", store=":memory:") as ada:
            before = len(app.asked)
            for _number in range(2):
                _ = await (await ada.channel("support").send("not for us")).wait("sent", timeout=PATIENCE)
            await until(lambda: bob.health().checks["counters"].get("foreign:locked") == 2, "it is counted")
            assert texts(theirs) == []
            assert len(app.asked) == before + 1

            monkeypatch.setattr("chatkit.adapters.pusher.hearing.AGAIN", 0.0)
            app.lock(other)
            _ = await (await ada.channel("support").send("for us")).wait("sent", timeout=PATIENCE)

            await until(lambda: texts(theirs) == ["for us"], "it is opened")
            assert len(app.asked) == before + 2


@pytest.mark.parametrize(
    "text", ["nonsense", '{"event":"pusher:pong"}', '{"event":"pusher:connection_established","data":"{}"}']
)
async def test_a_server_that_does_not_greet_is_tried_again(text: str) -> None:
    """Nothing is said before the greeting; later there is another attempt."""
    async with App() as app:
        app.emulator.faults.add(FrameFault(does="replace", only="pusher:connection_established", text=text))
        async with app.backend("ada") as ada:
            error = await reason(ada)

            assert "1002" in str(error)
            await ada.connection.wait("connected", timeout=PATIENCE)


async def test_a_server_of_another_kind_says_where_to_look() -> None:
    """It answers, and speaks no WebSocket."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _ = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"pusher://app-key:hush@local/1001?host=127.0.0.1&port={port}&tls=0"
        async with chatkit.connect(url, user="ada", store=":memory:", drain=0) as ada:
            error = await reason(ada)

            assert "404" in str(error)
            assert "host= and port=" in error.hint
            assert "hush" not in f"{error!r}"


async def test_a_refusal_told_twice_counts_once() -> None:
    """Some servers say it in a frame and by the close code."""
    async with App(enabled=False, legacy_error_frame=True) as app, app.backend("ada", drain=0) as ada:
        error = await reason(ada)

        assert "4003" in str(error)
        await until(lambda: ada.connection.state == "failed", "it gives up")


async def test_an_error_that_announces_the_end_ends_it() -> None:
    """A frame with a code of a close is obeyed, though the close itself does not come."""
    async with App() as app, app.backend("ada") as ada:
        await ada.channel("support").attach(timeout=PATIENCE)
        ((name, connection),) = app.emulator.connections.items()

        connection.send(frames.error("come again", 4200))

        await until(lambda: app.emulator.connections.keys() not in ({name}, set()), "it comes again")


async def test_a_server_that_leaves_out_an_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers name no ping: the next one would prove too much, so that there is another connection (D11)."""
    monkeypatch.setattr("chatkit.adapters.pusher.session.PONG", 0.2)
    monkeypatch.setattr("chatkit.engine.publishing.ACK_TIMEOUT", 0.3)
    async with App() as app, app.member("ada") as ada, app.backend("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        app.emulator.faults.add(FrameFault(does="drop", only="pusher:pong"))

        delivery = await ada.channel("support").send("once")

        _ = await delivery.wait("sent", timeout=PATIENCE)
        assert texts(theirs) == ["once"]


async def test_nothing_of_a_chat_shows_in_the_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Neither secret nor signature nor body, at DEBUG too (I16)."""
    caplog.set_level(logging.DEBUG)
    async with App() as app, app.backend("ada") as ada, app.member("bob") as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        _ = await ada.channel("support").send("whispered")
        await until(lambda: texts(theirs) == ["whispered"], "it is heard")
        _ = await (await theirs.send("replied")).wait("sent", timeout=PATIENCE)

    ours = [
        f"{r.name} {r.getMessage()}"
        for r in caplog.records
        if not r.name.startswith(("aiohttp", "websockets.server"))
    ]
    shown = "\n".join(ours)
    for secret in ("app-secret", "auth_signature", "whispered", "replied", "socket_id"):
        assert secret not in shown


# -- a crash between the log and the announcement

SENDER: Final = """
import asyncio, os, signal, sys
import chatkit

class Killer:
    def point(self, name, /, **fields):
        if name == "outbox.announcing" and sys.argv[4] == "die":
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    url, log, store, _ = sys.argv[1:]
    async with chatkit.connect(url, user="ada", log=log, store=store, observer=Killer()) as chat:
        if sys.argv[4] == "die":
            await (await chat.channel("support").send("appended")).wait("sent", timeout=10)
        await chat.outbox.flush(timeout=10)
        while chat.health().checks["outbox"]["unannounced"]:
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def test_a_death_between_log_and_announcement_hides_nothing(tmp_path: Path) -> None:
    """Others learn within `staleness`, and the next life announces what the last one could not (D16)."""
    log = f"sqlite:///{tmp_path}/log.db"
    async with App() as app, app.backend("bob", log=log, staleness=1.0) as bob:
        theirs = bob.channel("support")
        _ = theirs.timeline
        await theirs.attach(timeout=PATIENCE)
        told = app.record("chatkit", "appended")

        async def life(how: str) -> int:
            arguments = [
                sys.executable,
                "-c",
                SENDER,
                app.url(secret="app-secret"),
                log,
                str(tmp_path / "ada.db"),
                how,
            ]
            process = await asyncio.create_subprocess_exec(
                *arguments, env=dict(os.environ), stdin=subprocess.DEVNULL
            )
            return await asyncio.wait_for(process.wait(), 30)

        assert await life("die") == -9
        assert told == []
        await until(lambda: texts(theirs) == ["appended"], "it is found in the log")

        assert await life("live") == 0
        assert len(told) == 1
        assert texts(theirs) == ["appended"]
