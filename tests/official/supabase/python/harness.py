"""What cases of the official Python clients are made of; runs where `supabase` is installed, without chatkit."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import hmac
import json
import logging
import secrets
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, RealtimeSubscribeStates
from supabase import AsyncClient, AsyncClientOptions, acreate_client

ADA = "00000000-0000-4000-8000-00000000ada0"
AT_ONCE = 12

Case = Callable[["Tools"], Awaitable[None]]
CASES: dict[str, tuple[Case, bool]] = {}


def case(name: str, *, alone: bool = False) -> Callable[[Case], Case]:
    """A case; `alone` runs it when no other does, for what concerns the whole emulator."""

    def add(run: Case) -> Case:
        assert name not in CASES, name
        CASES[name] = (run, alone)
        return run

    return add


def read_no_certificates() -> None:
    """Each client reads all authorities' certificates, for TLS that nobody here speaks: half of the time."""
    made, context = httpx.AsyncClient, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    httpx.AsyncClient = functools.partial(made, verify=context)


class Joined:
    """A channel that is joined, and what it heard.

    Args:
        channel: It, before.
        events: Of broadcasts, that are kept.
    """

    def __init__(self, channel: AsyncRealtimeChannel, *events: str) -> None:
        self.channel = channel
        self.states: list[Any] = []
        self.error: str = ""
        self.heard: list[Any] = []
        self.told: list[Any] = []
        channel.on_system(self.told.append)
        for event in events or ("e",):
            channel.on_broadcast(event, self.heard.append)

    def _state(self, state: Any, error: Exception | None) -> None:
        self.states.append(state)
        self.error = str(error) if error else self.error

    async def join(self) -> Joined:
        """Try to; the last of its states tells what became of it."""
        await self.channel.subscribe(self._state)
        return self

    @property
    def joined(self) -> bool:
        return bool(self.states) and self.states[-1] == RealtimeSubscribeStates.SUBSCRIBED

    async def reach(self, count: int) -> list[Any]:
        """The payloads of so many broadcasts."""
        await until(lambda: len(self.heard) >= count, f"{count} broadcasts")
        return [each["payload"] for each in self.heard]


class Tools:
    """Names of its own, clients that are closed after it, and the control endpoint."""

    def __init__(self, project: dict[str, str]) -> None:
        self.project = project
        self.url = project["url"]
        self._mine = secrets.token_hex(6)
        self._clients: list[Any] = []

    def name(self, prefix: str = "", suffix: str = "") -> str:
        return f"{prefix}{self._mine}{secrets.token_hex(3)}{suffix}"

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        made = {"sub": ADA, "role": "authenticated", "iat": now, "exp": now + 3600, **claims}
        head, body = (_part(each) for each in ({"alg": "HS256", "typ": "JWT"}, made))
        digest = hmac.new(self.project["secret"].encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        return f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"

    async def supabase(self, key: str | None = None, token: str | None = None) -> AsyncClient:
        """A client of the whole project, signed in if a token is given."""
        options = AsyncClientOptions(auto_refresh_token=False)
        if token is not None:
            options.headers["Authorization"] = f"Bearer {token}"
        client = await acreate_client(self.url, key or self.project["anon"], options)
        if token is not None:
            await client.realtime.set_auth(token)
        self._clients.append(client.realtime)
        return client

    def realtime(self, key: str | None = None, **options: Any) -> AsyncRealtimeClient:
        """A client of Realtime alone; signed in unless a key is given."""
        client = AsyncRealtimeClient(f"{self.url}/realtime/v1", key or self.token(), **options)
        self._clients.append(client)
        return client

    async def joined(
        self, name: str, *events: str, client: AsyncRealtimeClient | None = None, **config: Any
    ) -> Joined:
        """A channel that must be joined, of a client of its own unless one is given."""
        tried = await self.tried(name, *events, client=client, **config)
        assert tried.joined, (tried.states, tried.error)
        return tried

    async def tried(
        self, name: str, *events: str, client: AsyncRealtimeClient | None = None, **config: Any
    ) -> Joined:
        """A channel that was to be joined."""
        broadcast = {
            "self": config.pop("itself", False),
            "ack": config.pop("ack", False),
            **config.pop("broadcast", {}),
        }
        presence = {"enabled": "key" in config, "key": config.pop("key", "")}
        asked = {"config": {"broadcast": broadcast, "presence": presence, "private": False, **config}}
        return await Joined((client or self.realtime()).channel(name, asked), *events).join()

    async def control(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.request(method, f"/_emulator{path}", json=body or {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def deed(self, deed: str, **aim: Any) -> None:
        answer = await self.control(f"/supabase/{deed}", aim)
        assert answer["struck"] > 0, f"{deed} struck nothing"

    async def fault(self, **fault: Any) -> None:
        await self.control("/supabase/fault", fault)

    async def post(self, path: str, body: Any, token: str | None = None) -> httpx.Response:
        """Call the project."""
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            return await client.post(path, json=body, headers=headers)

    async def socket_of(self, name: str) -> str:
        """The id of the connection that has joined a topic."""
        told = await self.control("", method="GET")
        (found,) = (socket for socket, each in told["sockets"].items() if name in each["topics"])
        return str(found)

    async def close(self) -> None:
        async def end(client: Any) -> None:
            with contextlib.suppress(Exception):  # what a client cannot close is not the case's matter
                async with asyncio.timeout(1):
                    await client.close()

        await asyncio.gather(*(end(client) for client in self._clients))


async def refused(awaited: Awaitable[Any]) -> Any:
    """The exception with which it is refused."""
    try:
        await awaited
    except Exception as caught:  # noqa: BLE001  # whichever the client has for that
        return caught
    raise AssertionError("not refused")


async def until(condition: Callable[[], Any], what: str = "condition") -> Any:
    """Wait until it holds."""
    for _ in range(3_000):
        if value := condition():
            return value
        await asyncio.sleep(0.005)
    raise AssertionError(f"never came true: {what}")


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def _attempt(name: str, run: Case, project: dict[str, str], patience: float) -> None:
    tools, begun, error = Tools(project), time.monotonic(), None
    try:
        async with asyncio.timeout(patience):
            await run(tools)
    except Exception as caught:  # noqa: BLE001  # whatever went wrong is the case's result
        error = f"{type(caught).__name__}: {caught}"
        frame = caught.__traceback__
        while frame is not None:
            error += f"\n  {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
            frame = frame.tb_next
    finally:
        await tools.close()
    took = int((time.monotonic() - begun) * 1000)
    sys.stdout.write(json.dumps({"name": name, "error": error, "milliseconds": took}) + "\n")
    sys.stdout.flush()


async def run(project: dict[str, str], patience: dict[str, int]) -> None:
    """Run the cases that are given milliseconds, or all, and print one JSON line for each."""
    logging.disable()
    read_no_certificates()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    wanted = {name: found for name, found in CASES.items() if not patience or name in patience}
    waiting = [(name, each) for name, (each, alone) in wanted.items() if not alone]

    async def work() -> None:
        while waiting:
            name, each = waiting.pop(0)
            await _attempt(name, each, project, patience.get(name, 60_000) / 1000)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for name, (each, alone) in wanted.items():
        if alone:
            await _attempt(name, each, project, patience.get(name, 60_000) / 1000)
