"""A client that speaks Realtime's protocol frame by frame and believes nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import psycopg

from chatkit.testing.emulators.clock import EmulatorClock
from chatkit.testing.emulators.supabase import SupabaseEmulator, SupabaseSettings

PATIENCE: Final = 5.0
ADA: Final = "00000000-0000-4000-8000-00000000ada0"
PRIVATE: Final = {"private": True}
SELF: Final = {"broadcast": {"self": True}}
ACK: Final = {"broadcast": {"ack": True}}


class Raw:
    """One WebSocket to an emulator of Supabase.

    Args:
        socket: It, open.
        version: 1 or 2.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, version: int) -> None:
        self.socket = socket
        self._version = version
        self._refs = 0

    async def say(self, topic: str, event: str, payload: Any = None, join_ref: Any = None) -> str:
        """Send a message; its ref."""
        self._refs += 1
        ref, payload = str(self._refs), {} if payload is None else payload
        if self._version == 1:
            named = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
            await self.socket.send_str(json.dumps(named))
        else:
            await self.socket.send_str(json.dumps([join_ref, ref, topic, event, payload]))
        return ref

    async def hear(self) -> Any:
        """The next frame, decoded if it is text; an end is an error."""
        frame = await self.socket.receive(timeout=PATIENCE)
        if frame.type is aiohttp.WSMsgType.BINARY:
            return frame.data
        assert frame.type is aiohttp.WSMsgType.TEXT, frame
        return json.loads(frame.data)

    async def hear_only(self, event: str) -> Any:
        """The payload of the next frame, which must be this event in version 2."""
        told = await self.hear()
        assert told[3] == event, told
        return told[4]

    async def answer(self, topic: str, event: str, payload: Any = None) -> Any:
        """Say it; the next frame must be the answer: its status and response."""
        ref = await self.say(topic, event, payload)
        told = await self.hear()
        assert told[1:4] == [ref, topic, "phx_reply"], told
        return told[4]["status"], told[4]["response"]

    async def try_to_join(self, name: str, config: Any = None, **more: Any) -> Any:
        """The answer to a join."""
        return await self.answer(f"realtime:{name}", "phx_join", {"config": config or {}, **more})

    async def join(self, name: str, config: Any = None, **more: Any) -> str:
        """Join; the join's ref."""
        status, response = await self.try_to_join(name, config, **more)
        assert status == "ok", response
        return str(self._refs)

    async def refused(self, name: str, config: Any = None, **more: Any) -> str:
        """Try to join; the reason why it is refused."""
        status, response = await self.try_to_join(name, config, **more)
        assert status == "error"
        return str(response["reason"])

    async def broadcast(self, name: str, event: str, payload: Any) -> str:
        """Broadcast; its ref."""
        told = {"type": "broadcast", "event": event, "payload": payload}
        return await self.say(f"realtime:{name}", "broadcast", told)

    async def end(self) -> int | None:
        """The close code, without any frame before."""
        frame = await self.socket.receive(timeout=PATIENCE)
        assert frame.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}, frame
        return int(frame.data) if frame.type is aiohttp.WSMsgType.CLOSE else self.socket.close_code

    async def nothing_more(self) -> None:
        """Hear nothing until a heartbeat is answered."""
        assert await self.answer("phoenix", "heartbeat") == ("ok", {})


class Raws:
    """Clients of one emulator.

    Args:
        emulator: Theirs.
        session: That makes them.
    """

    def __init__(self, emulator: SupabaseEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self._opened: list[aiohttp.ClientWebSocketResponse] = []

    async def open(
        self, *, key: str | None = None, version: int = 2, path: str = "/realtime/v1/websocket"
    ) -> Raw:
        """Connect, as a signed-in user unless a key is given."""
        query = {"vsn": f"{version}.0.0", "apikey": self.token() if key is None else key}
        patience = aiohttp.ClientWSTimeout(ws_close=0.1)
        socket = await self.session.ws_connect(self.emulator.url + path, params=query, timeout=patience)
        self._opened.append(socket)
        return Raw(socket, version)

    def token(self, **claims: Any) -> str:
        """Of a signed-in user."""
        return self.emulator.authority.token(ADA, **claims)

    async def knock(self, **query: str) -> tuple[int, Any]:
        """A handshake that is refused: status and body."""
        url = self.emulator.url + "/realtime/v1/websocket"
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        async with self.session.get(url, params=query, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def post(self, path: str, body: Any = None, *, token: str = "", **more: Any) -> tuple[int, Any]:
        """Call it: status and body."""
        headers = {"Authorization": f"Bearer {token or self.token()}", **more.pop("headers", {})}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        async with self.session.post(self.emulator.url + path, data=body, headers=headers, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def control(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Ask the control endpoint; its answer."""
        url = f"{self.emulator.url}/_emulator{path}"
        async with self.session.request(method, url, json=None if method == "GET" else body or {}) as answer:
            told = await answer.json()
            assert answer.status == 200, told
            return told

    async def deed(self, name: str, **aim: Any) -> None:
        """Do it by the control endpoint; it strikes somebody."""
        assert (await self.control(f"/supabase/{name}", aim))["struck"] > 0

    async def sql(self, text: str, *parameters: Any) -> None:
        """Commit it, as the owner of the database."""
        connection = await psycopg.AsyncConnection.connect(self.emulator.database.dsn)
        async with connection:
            await connection.execute(text.encode(), parameters or None)

    async def close(self) -> None:
        """Close all connections that are still open."""
        for socket in self._opened:
            await socket.close()


@asynccontextmanager
async def serving(
    database: str | None, *, policy: str | None = None, postgrest: str | None = None, **settings: Any
) -> AsyncGenerator[Raws]:
    """An emulator that makes nobody wait, with clients that end before it."""
    quick: dict[str, Any] = {
        "join_error_delay": 0.0,
        "connect_error_delay": 0.0,
        "replication_start": 0.0,
        "replication_poll": 0.01,
    }
    made = SupabaseSettings(**{**quick, **settings})
    given: dict[str, Any] = {"database": database, "policy": policy, "postgrest": postgrest}
    emulator = SupabaseEmulator(made, clock=EmulatorClock(), **given)
    async with emulator, aiohttp.ClientSession() as session:
        raws = Raws(emulator, session)
        try:
            yield raws
        finally:
            await raws.close()
