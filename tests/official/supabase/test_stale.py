"""PostgREST itself, which does not know the functions that were made a moment ago."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.logs.postgres import migrate_supabase
from tests.adapters.supabase.app import PATIENCE, App, until
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
