"""The bot on Supabase, in a process of its own beside an emulator on real PostgreSQL."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

import chatkit
from chatkit.logs.postgres import migrate_supabase
from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.adapters.ably.app import PATIENCE, texts, until
from tests.examples.test_examples import EXAMPLES, environment


@pytest.mark.long
@pytest.mark.realtime
async def test_the_bot_finds_what_was_said_over_its_death(tmp_path: Path, postgres: str) -> None:
    """Asked while it is dead, it answers when it is back, once, out of the database; SIGTERM ends it with code 0."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        async with SupabaseEmulator(database=dsn) as emulator:
            migrate_supabase(dsn)
            url = f"supabase://{emulator.authority.service_key}@127.0.0.1:{emulator.port}?tls=0"
            await _story(url, tmp_path)


async def _story(url: str, folder: Path) -> None:
    async def start() -> asyncio.subprocess.Process:
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / "supabase_bot.py"),
            "support",
            cwd=folder,
            env=environment(folder, url),
            stdout=asyncio.subprocess.PIPE,
        )
        assert bot.stdout is not None
        assert await asyncio.wait_for(bot.stdout.readline(), 30) == b"listening in support\n"
        return bot

    async with chatkit.connect(url, user="ada", store=":memory:") as ada:
        channel = ada.channel("support")
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
        bot = await start()
        for text in ("The coffee is out.", "Tea is left."):
            _ = await (await channel.send(text)).wait("sent", timeout=PATIENCE)
        bot.kill()
        await bot.wait()
        _ = await (await channel.send("!find coffee")).wait("sent", timeout=PATIENCE)
        bot = await start()

        await until(lambda: texts(channel)[3:] == ["ada: The coffee is out."], "the answer")
        _ = await channel.send("!find milk")

        await until(lambda: texts(channel)[5:] == ["Nobody has said milk."], "the other answer")
        bot.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bot.wait(), 30) == 0
