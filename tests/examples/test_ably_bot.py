"""The bot on Ably, in a process of its own beside an emulator."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.adapters.ably.app import PATIENCE, App, texts, until
from tests.adapters.ably.tokens import SECRET
from tests.examples.test_examples import EXAMPLES, environment


@pytest.mark.long
@pytest.mark.realtime
async def test_the_bot_tells_what_was_said_over_its_death(tmp_path: Path) -> None:
    """Killed while people talk, it reads what it missed, answers once, and SIGTERM ends it with code 0."""
    async with App("&namespace=persisted&history=72h") as app, app.member("ada") as ada:
        channel = ada.channel("support")
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)

        async def start() -> asyncio.subprocess.Process:
            bot = await asyncio.create_subprocess_exec(
                sys.executable,
                str(EXAMPLES / "ably_bot.py"),
                "support",
                cwd=tmp_path,
                env=environment(tmp_path, app.url) | {"CHATKIT_SECRET": SECRET},
                stdout=asyncio.subprocess.PIPE,
            )
            assert bot.stdout is not None
            assert await asyncio.wait_for(bot.stdout.readline(), 30) == b"listening in support\n"
            return bot

        bot = await start()
        _ = await (await channel.send("We begin.")).wait("sent", timeout=PATIENCE)
        bot.kill()
        await bot.wait()
        _ = await (await channel.send("We end.")).wait("sent", timeout=PATIENCE)
        bot = await start()

        _ = await channel.send("!minutes")

        said = "ada: We begin.\nada: We end."
        await until(lambda: texts(channel)[3:] == [said], "the answer")
        bot.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bot.wait(), 30) == 0
