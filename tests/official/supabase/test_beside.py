"""A page on Supabase's own client and chatkit in one channel, each hearing the other."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import psycopg
import pytest

import chatkit
from chatkit.logs.postgres import migrate_supabase
from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.adapters.ably.app import PATIENCE, texts, until
from tests.official.node import NODE, installed
from tests.official.supabase.clients import HERE
from tests.official.supabase.served import postgrest

pytestmark = [pytest.mark.official, pytest.mark.realtime]

PAGE = "0f7a2f0e-4c1e-4e0c-9b59-2a8a9c0f5d11"
"""A user's id, as Supabase gives them."""


async def test_a_page_reads_and_writes(database: str) -> None:
    """It reads what was said before, hears what is said, and its answer is in the log under its user (D2)."""
    place = installed(HERE / "javascript")
    async with SupabaseEmulator(database=database, postgrest=postgrest()) as supabase:
        migrate_supabase(database)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("SELECT chatkit.add_member('support', %s)", (PAGE,))
        keys = supabase.authority
        await _known(supabase)
        url = f"supabase://{keys.service_key}@127.0.0.1:{supabase.port}?tls=0"
        async with chatkit.connect(url, user="ada", store=":memory:") as ada:
            channel = ada.channel("support")
            _ = channel.timeline
            await channel.attach(timeout=PATIENCE)
            _ = await (await channel.send("Before the page came.")).wait("sent", timeout=PATIENCE)
            page = await asyncio.create_subprocess_exec(
                *(NODE, HERE / "javascript" / "beside.mjs", place, supabase.url),
                *(keys.anon_key, keys.token(PAGE), PAGE, "support"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            said = [await _line(page), await _line(page)]
            question = await channel.send("Is anybody there?")
            _ = await channel.send("x" * 250_000)  # larger than a broadcast

            await until(lambda: "A page is." in texts(channel), "the answer of the page")
            while len(said) < 6:
                said.append(await _line(page))
            answer = next(one for one in channel.timeline.view.messages if one.text == "A page is.")
            assert page.stdin is not None
            page.stdin.close()
            assert await asyncio.wait_for(page.wait(), PATIENCE) == 0

    assert (answer.sender.user, answer.attested, answer.reply_to) == (PAGE, "provider", question.message_id)
    assert said[:3] == [
        _heard("ada", "Before the page came."),
        {"what": "ready"},
        _heard("ada", "Is anybody there?"),
    ]
    assert {"what": "sent", "outcome": "new"} in said
    assert _heard("ada", "x" * 250_000) in said
    assert _heard(PAGE, "A page is.") in said


async def _known(supabase: SupabaseEmulator) -> None:
    """Wait until PostgREST has noticed the functions."""
    headers = {"apikey": supabase.authority.service_key}
    async with httpx.AsyncClient(base_url=supabase.url, headers=headers) as client, asyncio.timeout(PATIENCE):
        while (await client.post("/rest/v1/rpc/chatkit_heads", json={"names": []})).status_code != 200:
            await asyncio.sleep(0.02)


def _heard(sender: str, text: str) -> dict[str, Any]:
    return {"what": "heard", "kind": "message.create", "sender": sender, "text": text}


async def _line(page: asyncio.subprocess.Process) -> dict[str, Any]:
    assert page.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = b""
        while not line.endswith(b"\n"):  # longer than a reader's buffer
            line += await page.stdout.read(1)
    found: dict[str, Any] = json.loads(line)
    return found
