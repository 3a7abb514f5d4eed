"""Chats over `client=`: the app's own `ably.AblyRest`, made of a key, of a token, of a callback.

python own_client.py http://127.0.0.1:PORT

Runs where `ably` is installed, with chatkit on the path; says in JSON of each client what became of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import ably
import harness
from ably.sync import AblyRestSync
from ably.types.tokendetails import TokenDetails

import chatkit

PATIENCE = 30.0
KEY = harness.KEY


async def until(done: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.01)
    assert done(), what


class Renewing:
    """Counts what a callback was asked for, and with what."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def token(self, params: dict[str, Any]) -> TokenDetails:
        self.asked.append(params)
        token = harness.jwt(client_id="carol", seconds=2.0)
        return TokenDetails(token=token, expires=int(time.time() * 1000) + 2_000, client_id="carol")


def clients(where: dict[str, Any], renewing: Renewing) -> dict[str, ably.AblyRest]:
    """One client of each kind, by user."""
    return {
        "ada": ably.AblyRest(key=KEY, **where),
        "bob": ably.AblyRest(token=harness.jwt(client_id="bob"), client_id="bob", **where),
        "carol": ably.AblyRest(auth_callback=renewing.token, client_id="carol", **where),
        "dave": ably.AblyRest(key=KEY, use_token_auth=True, client_id="dave", **where),
    }


async def chats(url: str, transport: str) -> None:
    """All of them hear one another; tokens are renewed by the client that they came from."""
    parts = urlsplit(url)
    where = {"endpoint": parts.hostname, "port": parts.port, "tls": False}
    place = f"ably://{KEY.partition(':')[0]}@{parts.netloc}?tls=0&transport={transport}&poll=0.1"
    renewing = Renewing()
    own = clients(where, renewing)
    found = {
        user: await chatkit.connect(place, user=user, store=":memory:", client=client)
        for user, client in own.items()
    }
    channels = {user: chat.channel(f"own-{transport}") for user, chat in found.items()}
    for channel in channels.values():
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
    for user, channel in channels.items():
        _ = await (await channel.send(f"from {user}")).wait("sent", timeout=PATIENCE)
    said = [f"from {user}" for user in own]
    for channel in channels.values():
        await until(lambda view=channel.timeline: [m.text for m in view.view.messages] == said, "all hear")
        assert {message.attested for message in channel.timeline.view.messages} == {"provider"}
    await until(lambda: len(renewing.asked) >= 3, "tokens are renewed")
    assert {params["client_id"] for params in renewing.asked} == {"carol"}
    assert own["carol"].auth.token_details.token
    _ = await (await channels["carol"].send("still here")).wait("sent", timeout=PATIENCE)
    for chat in found.values():
        assert chat.connection.transport == transport
        await chat.aclose()
    for client in own.values():
        await client.close()


async def refusals(url: str) -> None:
    """What is no such client, or another's, is a `ConfigError`; a token that cannot be renewed says so."""
    del url
    wrong = {
        "no ably.AblyRest": AblyRestSync(key=KEY),
        "another key": ably.AblyRest(key="app.other:secret"),
        "another client_id": ably.AblyRest(key=KEY, client_id="bob"),
    }
    for says, client in wrong.items():
        told = ""
        try:
            _ = chatkit.connect("ably://app.key@", user="ada", store=":memory:", client=client)
        except chatkit.ConfigError as error:
            told = str(error)
        assert says in told, f"{told!r} does not say: {says}"


async def renewal(url: str) -> None:
    """Without a means to renew its token the connection fails for good, and says why."""
    parts = urlsplit(url)
    expired = ably.AblyRest(token=harness.jwt(client_id="bob", seconds=-1.0), client_id="bob")
    place = f"ably://app@{parts.netloc}?tls=0"
    chat = await chatkit.connect(place, user="bob", store=":memory:", client=expired)
    await until(lambda: chat.connection.state == "failed", "it fails")
    assert "no means to renew" in str(chat.connection.reason), chat.connection.reason
    await chat.aclose()
    await expired.close()


async def main(url: str) -> None:
    """Run all."""
    cases = {
        "websocket": lambda: chats(url, "websocket"),
        "sse": lambda: chats(url, "sse"),
        "poll": lambda: chats(url, "poll"),
        "refusals": lambda: refusals(url),
        "renewal": lambda: renewal(url),
    }
    for name, case in cases.items():
        try:
            await case()
            error = None
        except Exception as caught:  # noqa: BLE001  # what went wrong is the result
            error = f"{type(caught).__name__}: {caught}"
        sys.stdout.write(json.dumps({"name": name, "error": error}) + "\n")


asyncio.run(main(sys.argv[1]))
