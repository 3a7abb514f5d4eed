"""What the app's server is told, judged by the official package."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pusher
import pytest
from aiohttp import web

from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings, signing
from tests.emulators.wire import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.emulators.wire import Wires

pytestmark = pytest.mark.realtime


class App:
    """An app's server: what it was told, in order; it refuses as long as `status` says so."""

    def __init__(self) -> None:
        self.status = 200
        self.tries = 0
        self.told: list[dict[str, Any]] = []
        self._official = pusher.Pusher("1001", "app-key", "app-secret")

    async def hear(self, request: web.Request) -> web.Response:
        self.tries += 1
        if self.status == 200:
            key, signature = request.headers["X-Pusher-Key"], request.headers["X-Pusher-Signature"]
            valid = self._official.validate_webhook(key, signature, await request.text())
            assert valid is not None
            self.told += valid["events"]
        return web.Response(status=self.status)

    async def until(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            while len(self.told) < count:
                await asyncio.sleep(0.001)
        return self.told


@asynccontextmanager
async def telling(**settings: Any) -> AsyncGenerator[tuple[Wires, App]]:
    app, server = App(), web.Application()
    server.add_routes([web.post("/hook", app.hear)])
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with serving(PusherEmulator(PusherSettings(webhook_url=url, **settings))) as wires:
            yield wires, app
    finally:
        await runner.cleanup()


async def test_the_app_is_told_what_happens() -> None:
    """One event a call, signed: channels, members, client events, empty caches, counts."""
    async with telling(subscription_counts=True) as (wires, app):
        wire = await wires.connect()
        await wire.join("cache-room")
        assert (await wire.hear())["event"] == "pusher:cache_miss"
        await wire.hear_only("pusher_internal:subscription_count")
        await wire.join("presence-room", {"user_id": "ada"})
        await wire.say("client-said", {"a": 1}, "presence-room")

        assert await app.until(6) == [
            {"name": "channel_occupied", "channel": "cache-room"},
            {"name": "cache_miss", "channel": "cache-room"},
            {"name": "subscription_count", "channel": "cache-room", "subscription_count": 1},
            {"name": "channel_occupied", "channel": "presence-room"},
            {"name": "member_added", "channel": "presence-room", "user_id": "ada"},
            {
                "name": "client_event",
                "channel": "presence-room",
                "event": "client-said",
                "data": '{"a":1}',
                "socket_id": wire.socket_id,
                "user_id": "ada",
            },
        ]


async def test_who_leaves_is_told_late() -> None:
    """After three seconds, and not at all if they come back before."""
    async with telling() as (wires, app):
        wire = await wires.connect()
        await wire.join("presence-room", {"user_id": "ada"})
        for _ in range(2):
            await wire.say("pusher:unsubscribe", {"channel": "presence-room"})
            await wire.join("presence-room", {"user_id": "ada"})
        await wire.say("pusher:unsubscribe", {"channel": "presence-room"})
        await wire.nothing_more()

        assert [event["name"] for event in await app.until(2)] == ["channel_occupied", "member_added"]
        wires.emulator.clock.advance(3)

        names = [event["name"] for event in await app.until(4)]
        assert names[2:] == ["member_removed", "channel_vacated"]


async def test_a_call_that_is_refused_is_repeated() -> None:
    """With growing waits for five minutes, in order; then it is lost."""
    async with telling(ping_after=1e6) as (wires, app):
        app.status = 500
        wire = await wires.connect()
        await wire.join("lost")
        await wire.join("kept")

        async def pass_time(tries: int) -> None:
            async with asyncio.timeout(5):
                while app.tries < tries:
                    await asyncio.sleep(0.001)
                    wires.emulator.clock.advance(1)

        await pass_time(9)  # 1 + 2 + ... + 128 seconds, and no ninth wait
        app.status = 200
        await pass_time(10)

        assert await app.until(1) == [{"name": "channel_occupied", "channel": "kept"}]


async def test_an_app_that_is_not_there_is_no_harm() -> None:
    """The emulator serves and ends as ever."""
    async with serving(PusherEmulator(PusherSettings(webhook_url="http://127.0.0.1:9/"))) as wires:
        wire = await wires.connect()
        await wire.join("room")
        await asyncio.sleep(0.01)

        await wire.nothing_more()


def test_its_signature_is_that_of_the_service() -> None:
    """The published example."""
    body = '{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}'

    assert signing.digest("7ad3773142a6692b25b8", body) == (
        "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf"
    )
