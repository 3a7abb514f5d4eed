"""The bot on Pusher, in a process of its own beside an emulator."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.adapters.pusher.app import PATIENCE, App, texts, until
from tests.examples.test_examples import EXAMPLES, environment


@pytest.mark.long
@pytest.mark.realtime
async def test_the_bot_answers_and_ends_cleanly(tmp_path: Path) -> None:
    """A member asks, the bot answers once; SIGTERM ends it with code 0."""
    async with App() as app, app.member("ada") as ada:
        channel = ada.channel("support")
        _ = channel.timeline
        await channel.attach(timeout=PATIENCE)
        bot = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / "pusher_bot.py"),
            "support",
            cwd=tmp_path,
            env=environment(tmp_path, app.url()) | {"CHATKIT_SECRET": "app-secret"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert bot.stdout is not None
        assert await asyncio.wait_for(bot.stdout.readline(), 30) == b"listening in support\n"

        _ = await channel.send("!order 17")

        await until(lambda: texts(channel) == ["!order 17", "Order 17 on its way."], "the answer")
        bot.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bot.wait(), 30) == 0
