"""A member with many connections under another's key: nobody is pushed out of who is there (D32)."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest
from websockets.asyncio.client import ClientConnection, connect

import chatkit
from chatkit.adapters.supabase import members, topic_of
from tests.adapters.supabase.app import PATIENCE, App, until

pytestmark = [pytest.mark.realtime, pytest.mark.long]

CONNECTIONS = 25


class Mallory:
    """A member who speaks the protocol without chatkit."""

    def __init__(self, app: App, channel: str, *, private: bool) -> None:
        self._app = app
        self._topic = f"realtime:{topic_of(channel, 'live')}"
        self._private = private
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def join(self, key: str) -> ClientConnection:
        """Open one more connection, and join under a key."""
        emulator = self._app.emulator
        query = f"apikey={emulator.authority.anon_key}&vsn=2.0.0"
        socket = await self._stack.enter_async_context(
            connect(f"ws://127.0.0.1:{emulator.port}/realtime/v1/websocket?{query}", proxy=None)
        )
        config = {"private": self._private, "presence": {"enabled": True, "key": key}}
        await self.say(socket, "phx_join", {"config": config, "access_token": self._app.token("mallory")})
        return socket

    async def say(self, socket: ClientConnection, event: str, payload: Any) -> None:
        """Send a message, and wait for its answer."""
        await socket.send(json.dumps(["1", "9", self._topic, event, payload]))
        while (answer := json.loads(await socket.recv()))[3] != "phx_reply":
            pass
        assert answer[4]["status"] == "ok", answer

    async def claim(self, key: str, *users: str) -> ClientConnection:
        """Be there as some users, under a key."""
        socket = await self.join(key)
        payload = members.pack({user: {"status": "away", "data": {"by": "mallory"}} for user in users})
        await self.say(socket, "presence", {"type": "presence", "event": "track", "payload": payload})
        return socket

    async def keys(self) -> list[str]:
        """Return the keys of those who are there, as everybody is told."""
        socket = await self.join("")
        while (told := json.loads(await socket.recv()))[3] != "presence_state":
            pass
        return list(told[4])


def there(channel: chatkit.Channel, user: str) -> Any:
    """Return as what a user is shown."""
    member = channel.presence.members.get(user)
    return None if member is None or member.status == "offline" else dict(member.data).get("desk")


@pytest.mark.parametrize("config", ["", "&mode=broadcast"])
async def test_a_member_with_many_connections_pushes_nobody_out(database: str, config: str) -> None:
    """Not by going under their key, before or after they say something else; whoever comes sees them too."""
    name = f"crowd-{len(config)}"
    async with (
        App(database, config) as app,
        app.member("ada") as ada,
        app.member("bob") as bob,
        Mallory(app, name, private=not config) as mallory,
    ):
        mine, theirs = ada.channel(name), bob.channel(name)
        _ = theirs.presence.members
        await mine.presence.enter(data={"desk": 1})
        await theirs.attach(timeout=PATIENCE)
        await until(lambda: there(theirs, "ada") == 1, "she is there")
        for key in await mallory.keys():
            for number in range(CONNECTIONS):
                _ = await mallory.claim(key, f"eve-{number}")
        last = [f"eve-{number}" for number in range(CONNECTIONS)]
        await until(
            lambda: all(user in theirs.presence.members for user in last), "all of them were heard of"
        )
        assert there(theirs, "ada") == 1

        await mine.presence.update(data={"desk": 2})
        await until(lambda: there(theirs, "ada") == 2, "what she says is still heard")
        async with app.member("cleo") as cleo:
            later = cleo.channel(name)
            _ = later.presence.members
            await later.attach(timeout=PATIENCE)
            await until(lambda: there(later, "ada") == 2, "whoever comes sees her")
            await app.cut()
            await until(lambda: there(later, "ada") == there(theirs, "ada") == 2, "after a cut, too")
