"""Chats over `client=`: the app's own `supabase.AsyncClient`, of users who signed in and of a backend.

python own_client.py URL ANON_KEY SERVICE_KEY

Runs where `supabase` is installed, with chatkit on the path; says in JSON of each case what became of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from supabase import AsyncClient, create_async_client

import chatkit

PATIENCE = 20.0


async def until(done: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.01)
    assert done(), what


async def signed_in(url: str, key: str, name: str) -> tuple[AsyncClient, str]:
    """A client of a user who has just signed up, and the user's id."""
    client = await create_async_client(url, key)
    answer = await client.auth.sign_up({"email": f"{name}@example.org", "password": "secret-word"})
    assert answer.user is not None
    return client, answer.user.id


async def chats(url: str, anon: str, service: str, mode: str) -> None:
    """Users and a backend hear one another; tokens are renewed by the clients that they came from."""
    ada, ada_id = await signed_in(url, anon, f"ada-{mode}")
    bob, bob_id = await signed_in(url, anon, f"bob-{mode}")
    bot = await create_async_client(url, service)
    place = f"supabase://?mode={mode}"
    people: list[tuple[AsyncClient, str]] = [(ada, ada_id), (bob, bob_id), (bot, "bot")]
    found = [
        await chatkit.connect(place, user=user, store=":memory:", client=client) for client, user in people
    ]
    channels = [chat.channel(f"own-{mode}") for chat in found]
    for channel in channels:
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
    said: list[str] = []
    for (_, user), channel in zip(people, channels, strict=True):
        said.append(f"from {user}")
        _ = await (await channel.send(said[-1])).wait("sent", timeout=PATIENCE)
    for channel in channels:
        await until(lambda view=channel.timeline: [m.text for m in view.view.messages] == said, "all hear")
    if mode == "database":
        first = await ada.auth.get_session()
        assert first is not None
        token = first.access_token
        await until(lambda: _token(ada) != token, "the session is renewed")
        await asyncio.sleep(1)
        _ = await (await channels[0].send("still here")).wait("sent", timeout=PATIENCE)
        await until(lambda: channels[1].timeline.view.messages[-1].text == "still here", "and heard")
    for chat in found:
        await chat.aclose()


def _token(client: AsyncClient) -> str:
    header: str = client.options.headers["Authorization"]
    return header.removeprefix("Bearer ")


async def refusals(url: str, anon: str, _: str, __: str) -> None:
    """Nobody who is signed in, somebody else, and another project: each is said."""
    nobody = await create_async_client(url, anon)
    eve, _eve_id = await signed_in(url, anon, "eve")
    for client, user, kind in (
        (nobody, "ada", chatkit.AuthenticationError),
        (eve, "ada", chatkit.ConfigError),
    ):
        try:
            async with chatkit.connect("supabase://", user=user, store=":memory:", client=client) as chat:
                await chat.channel("own").attach(timeout=PATIENCE)
        except kind:
            continue
        raise AssertionError(f"{user} was let in")
    try:
        _ = chatkit.connect("supabase://KEY@other", user="ada", store=":memory:", client=eve)
    except chatkit.ConfigError:
        return
    raise AssertionError("another project")


async def main(url: str, anon: str, service: str) -> None:
    """Run all."""
    cases: dict[str, Any] = {"database": chats, "broadcast": chats, "refusals": refusals}
    for name, case in cases.items():
        try:
            await case(url, anon, service, name)
            error = None
        except Exception as caught:  # noqa: BLE001  # what went wrong is the result
            error = f"{type(caught).__name__}: {caught}"
        sys.stdout.write(json.dumps({"name": name, "error": error}) + "\n")


asyncio.run(main(*sys.argv[1:]))
