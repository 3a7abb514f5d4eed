"""A bare client: what goes over the wire, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from chatkit.testing.emulators.pusher import PusherEmulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PATIENCE: Final = 5.0
SECRET: Final = "app-secret"


def signature(text: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class Wire:
    """One WebSocket to an emulator of Pusher."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.socket_id = ""

    async def hear(self) -> dict[str, Any]:
        """The next event; an end is an error."""
        told: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=PATIENCE))
        return told

    async def hear_only(self, event: str) -> dict[str, Any]:
        """The next event, which must be this one; its data, decoded."""
        told = await self.hear()
        assert told["event"] == event, told
        data = told.get("data")
        return data if isinstance(data, dict) else json.loads(data or "null")

    async def end(self) -> tuple[int | None, str | None]:
        """The close code and reason, without any frame before."""
        message = await self.socket.receive(timeout=PATIENCE)
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}, message
        reason = message.extra if isinstance(message.extra, str) else None
        return self.socket.close_code, reason

    async def say(self, event: str, data: Any = None, channel: str | None = None) -> None:
        """Send an event."""
        parts = {"event": event, "data": data, "channel": channel}
        await self.socket.send_str(
            json.dumps({key: value for key, value in parts.items() if value is not None})
        )

    async def nothing_more(self) -> None:
        """Hear nothing until a ping is answered."""
        await self.say("pusher:ping", {})
        assert await self.hear() == {"event": "pusher:pong", "data": "{}"}

    async def join(self, channel: str, data: dict[str, Any] | None = None) -> Any:
        """Subscribe, signed where it must be; what the confirmation says."""
        asked: dict[str, Any] = {"channel": channel}
        text = f"{self.socket_id}:{channel}"
        if data is not None:
            asked["channel_data"] = json.dumps(data)
            text += ":" + asked["channel_data"]
        if channel.startswith(("private-", "presence-")):
            asked["auth"] = f"app-key:{signature(text)}"
        await self.say("pusher:subscribe", asked)
        return await self.hear_only("pusher_internal:subscription_succeeded")

    async def sign_in(self, data: Any) -> None:
        """Ask to be a user; the answer is for `hear`."""
        text = data if isinstance(data, str) else json.dumps(data)
        auth = f"app-key:{signature(f'{self.socket_id}::user::{text}')}"
        await self.say("pusher:signin", {"auth": auth, "user_data": text})


class Wires:
    """Clients of one emulator."""

    def __init__(self, emulator: PusherEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self._opened: list[aiohttp.ClientWebSocketResponse] = []

    async def open(self, path: str = "/app/app-key?protocol=7", **options: Any) -> Wire:
        """Connect, and hear nothing yet."""
        patience = aiohttp.ClientWSTimeout(ws_close=0.1)
        socket = await self.session.ws_connect(self.emulator.url + path, timeout=patience, **options)
        self._opened.append(socket)
        return Wire(socket)

    async def close(self) -> None:
        """Close all connections that are still open."""
        for socket in self._opened:
            await socket.close()

    async def connect(self, **options: Any) -> Wire:
        """Connect, and be greeted."""
        wire = await self.open(**options)
        greeting = await wire.hear_only("pusher:connection_established")
        wire.socket_id = greeting["socket_id"]
        return wire

    async def call(
        self, method: str, path: str, body: Any = None, *, secret: str = SECRET, **query: str
    ) -> tuple[int, Any]:
        """Call the API below the app, signed; status and body, decoded if it is JSON."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = {
            "auth_key": "app-key",
            "auth_timestamp": str(int(self.emulator.clock.unix())),
            "auth_version": "1.0",
            **({"body_md5": hashlib.md5(content).hexdigest()} if content else {}),
            **query,
        }
        whole = f"/apps/1001/{path}"
        joined = "&".join(f"{key}={signed[key]}" for key in sorted(signed))
        signed["auth_signature"] = signature(f"{method}\n{whole}\n{joined}", secret)
        url = self.emulator.url + whole
        async with self.session.request(method, url, params=signed, data=content or None) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def publish(self, channel: str, data: str, **more: Any) -> tuple[int, Any]:
        """Publish an event named `said`."""
        return await self.call("POST", "events", {"name": "said", "channel": channel, "data": data, **more})

    async def control(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Ask the control endpoint."""
        url = f"{self.emulator.url}/_emulator{path}"
        if method != "GET":
            options.setdefault("json", {} if body is None else body)
        async with self.session.request(method, url, **options) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def serving(emulator: PusherEmulator | None = None) -> AsyncGenerator[Wires]:
    """An emulator, with clients that end before it."""
    async with emulator or PusherEmulator() as served, aiohttp.ClientSession() as session:
        wires = Wires(served, session)
        yield wires
        await wires.close()
