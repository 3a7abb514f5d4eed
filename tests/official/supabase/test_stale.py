"""PostgREST itself, which does not know the functions that were made a moment ago."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import chatkit
from chatkit.logs.postgres import migrate_supabase
from tests.adapters.supabase.app import PATIENCE, App, until
from tests.logs.postgres_kit import ask
from tests.official.supabase.served import postgrest

pytestmark = [pytest.mark.official, pytest.mark.realtime]


async def test_a_schema_that_came_a_moment_ago_is_found(database: str) -> None:
    """By a client that was there before, without `retry_now()`, and by one that comes right behind it."""
    async with App(database, schema=False, postgrest=postgrest()) as app, app.member("ada") as ada:
        await until(lambda: app.asked != [], "it asks")
        await asyncio.to_thread(migrate_supabase, database, everyone=True)
        async with app.member("bob") as bob:
            for chat in (bob, ada):
                _ = await (await chat.channel("support").send("hello")).wait("sent", timeout=PATIENCE)
                await chat.connection.wait("connected", timeout=PATIENCE)


async def test_a_cache_that_stays_stale_for_seconds_is_waited_for(database: str) -> None:
    """PostgREST says of a function that is there what it says of one that is not, until it is told to look."""
    async with App(database, schema=False, postgrest=postgrest()) as app:
        await asyncio.to_thread(migrate_supabase, database, everyone=True)
        ask(database, "ALTER FUNCTION public.chatkit_heads RENAME TO hidden; NOTIFY pgrst, 'reload schema'")
        await _until_unknown(app)
        ask(database, "ALTER FUNCTION public.hidden RENAME TO chatkit_heads")  # and nobody tells PostgREST
        async with app.member("ada") as ada:
            with pytest.raises(chatkit.WaitTimeout):
                await ada.connection.wait("connected", timeout=2.0)
            ask(database, "NOTIFY pgrst, 'reload schema'")

            await ada.connection.wait("connected", timeout=PATIENCE)


async def _until_unknown(app: App) -> None:
    """Wait until PostgREST does not know the function."""
    key = app.emulator.authority.service_key
    where = f"http://127.0.0.1:{app.emulator.port}/rest/v1/rpc/chatkit_heads"
    async with httpx.AsyncClient(headers={"apikey": key, "Authorization": f"Bearer {key}"}) as client:
        async with asyncio.timeout(PATIENCE):
            while (await client.post(where, json={"names": []})).json().get("code") != "PGRST202":
                await asyncio.sleep(0.05)
