"""What cases of the official Python client are made of; runs where `ably` is installed, without chatkit."""

from __future__ import annotations

import asyncio
import base64
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
from urllib.parse import urlsplit

import ably
import httpx
from ably.transport import websockettransport
from ably.types.connectionstate import ConnectionState

KEY = "app.key:secret"
RESTRICTED = "app.restricted:secret"
LISTENER = "app.listener:secret"
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


def use_port(port: int) -> None:
    """The client leaves a custom port out of the URL of its socket: put it in."""
    connect = websockettransport.ws_connect

    def connect_there(url: str, **options: Any) -> Any:
        parts = urlsplit(url)
        return connect(f"{parts.scheme}://{parts.netloc}:{port}/?{parts.query}", **options)

    websockettransport.ws_connect = connect_there


def read_no_certificates() -> None:
    """Each client reads all authorities' certificates, for TLS that nobody here speaks: half of the time."""
    made, context = httpx.AsyncClient, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    httpx.AsyncClient = functools.partial(made, verify=context)


class Tools:
    """Names of its own, clients that are closed after it, and the control endpoint."""

    def __init__(self, url: str, form: str) -> None:
        self.url = url
        self.form = form
        self._mine = secrets.token_hex(6)
        self._clients: list[Any] = []

    def name(self, prefix: str = "") -> str:
        return f"{prefix}{self._mine}{secrets.token_hex(3)}"

    def _options(self, more: dict[str, Any]) -> dict[str, Any]:
        parts = urlsplit(self.url)
        options: dict[str, Any] = {
            "endpoint": parts.hostname,
            "port": parts.port,
            "tls": False,
            "use_binary_protocol": self.form == "msgpack",
            "disconnected_retry_timeout": 100,
            "suspended_retry_timeout": 100,
        }
        if not {"key", "token", "token_details", "auth_callback"} & more.keys():
            # Its REST part refuses a key without TLS, so that a token is the plain way.
            options["token"] = jwt(client_id=more.get("client_id", "*"))
        return {**options, **more}

    def realtime(self, **more: Any) -> ably.AblyRealtime:
        """A realtime client that connects, unless `auto_connect=False`."""
        client = ably.AblyRealtime(**self._options(more))
        self._clients.append(client)
        return client

    async def connected(self, **more: Any) -> ably.AblyRealtime:
        client = self.realtime(**more)
        await reach(client.connection, ConnectionState.CONNECTED)
        await asyncio.sleep(0.01)  # it tells its listeners on a later turn of the loop
        return client

    def rest(self, **more: Any) -> ably.AblyRest:
        client = ably.AblyRest(**self._options(more))
        self._clients.append(client)
        return client

    async def control(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.request(method, f"/_emulator{path}", json=body or {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fault(self, **fault: Any) -> None:
        await self.control("/ably/fault", fault)

    async def deed(self, deed: str, **aim: Any) -> None:
        answer = await self.control(f"/ably/{deed}", aim)
        assert answer["struck"] > 0, f"{deed} struck nothing"

    async def cut(self, client: ably.AblyRealtime) -> None:
        await self.deed("abort", connection=identity(client))

    async def time(self) -> float:
        return float((await self.control("", method="GET"))["time"] * 1000)

    async def close(self) -> None:
        for client in self._clients:
            try:
                async with asyncio.timeout(5):
                    await client.close()
            except Exception:  # noqa: BLE001  # what a client cannot close is not the case's matter
                continue


def identity(client: ably.AblyRealtime) -> str:
    """The id of its connection."""
    return str(client.connection.connection_manager.connection_id)


async def reach(connection: Any, wanted: ConnectionState) -> None:
    """Wait until the connection is in that state; fail if it fails first."""
    while connection.state != wanted:
        if connection.state == ConnectionState.FAILED:
            raise connection.error_reason
        await asyncio.sleep(0.005)


async def until(condition: Callable[[], Any], what: str = "condition") -> Any:
    """Wait until it holds."""
    for _ in range(800):
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came true: {what}")


async def refused(awaited: Awaitable[Any], code: int, status: int | None = None) -> ably.AblyException:
    """What it is refused with."""
    try:
        await awaited
    except ably.AblyException as caught:
        error = caught
    else:
        raise AssertionError(f"not refused, {code} was expected")
    assert error.code == code, error
    assert status is None or error.status_code == status, error
    return error


def listener(kept: list[Any]) -> Callable[[Any], None]:
    """Keeps what it hears; the client takes plain functions alone."""

    def hear(item: Any) -> None:
        kept.append(item)

    return hear


async def collect(channel: Any, *names: str) -> list[Any]:
    """The messages that a channel gives from now on."""
    got: list[Any] = []
    await channel.subscribe(*names, listener(got))
    return got


async def watch(channel: Any) -> list[Any]:
    """The presence messages that a channel gives from now on."""
    seen: list[Any] = []
    await channel.presence.subscribe(listener(seen))
    return seen


async def pages(page: Any) -> list[Any]:
    """The items of a page and all that follow it."""
    items = list(page.items)
    while page.has_next():
        page = await page.next()
        items.extend(page.items)
    return items


def jwt(
    *,
    key: str = KEY,
    client_id: str | None = None,
    capability: Any = None,
    seconds: float = 3600.0,
    now: float | None = None,
) -> str:
    """A JWT signed with a key."""
    at = time.time() if now is None else now
    name, _, secret = key.partition(":")
    claims: dict[str, Any] = {"iat": int(at) - 5, "exp": at + seconds}
    if client_id:
        claims["x-ably-clientId"] = client_id
    if capability:
        claims["x-ably-capability"] = json.dumps(capability)
    head, body = (_part(each) for each in ({"alg": "HS256", "typ": "JWT", "kid": name}, claims))
    digest = hmac.new(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def _attempt(name: str, run: Case, url: str, form: str, patience: float) -> None:
    tools, begun, error = Tools(url, form), time.monotonic(), None
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


async def run(url: str, form: str, patience: dict[str, int]) -> None:
    """Run the cases that are given milliseconds, or all, and print one JSON line for each."""
    logging.disable()
    port = urlsplit(url).port
    assert port is not None
    use_port(port)
    read_no_certificates()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    wanted = {name: found for name, found in CASES.items() if not patience or name in patience}
    waiting = [(name, each) for name, (each, alone) in wanted.items() if not alone]

    async def work() -> None:
        while waiting:
            name, each = waiting.pop(0)
            await _attempt(name, each, url, form, patience.get(name, 60_000) / 1000)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for name, (each, alone) in wanted.items():
        if alone:
            await _attempt(name, each, url, form, patience.get(name, 60_000) / 1000)
