"""Ably's own client and chatkit in one channel, each seeing what the other edits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import chatkit
from chatkit.testing.emulators.ably import AblyEmulator
from tests.adapters.ably.app import PATIENCE, texts, until
from tests.official.ably.clients import HERE
from tests.official.node import NODE, installed

pytestmark = [pytest.mark.official, pytest.mark.realtime]


async def test_edits_pass_both_ways() -> None:
    """By `native_edits` an update and a delete are Ably's own; those of ably-js are edits here (D26)."""
    place = installed(HERE / "javascript")
    async with AblyEmulator() as emulator:
        script = HERE / "javascript" / "beside.mjs"
        beside = await asyncio.create_subprocess_exec(
            NODE, script, place, emulator.url, "mutable:support", stdout=asyncio.subprocess.PIPE
        )
        url = f"ably://app.key:secret@127.0.0.1:{emulator.port}?tls=0&namespace=mutable&native_edits=1"
        async with chatkit.connect(url, user="ada", store=":memory:") as ada:
            assert (await _line(beside))["what"] == "ready"
            mine = ada.channel("support")
            _ = mine.timeline
            await mine.attach(timeout=PATIENCE)

            message = await (await mine.send("draft")).wait("sent", timeout=PATIENCE)
            _ = await (await mine.edit(message, "by chatkit")).wait("sent", timeout=PATIENCE)
            await until(lambda: texts(mine) == ["by ably-js"], "the edit by ably-js is shown")
            _ = await (await mine.delete(message)).wait("sent", timeout=PATIENCE)

            heard = [await _line(beside) for _ in range(5)]
        assert await beside.wait() == 0
    assert [(one["what"], one["action"]) for one in heard] == [
        ("heard", "message.create"),
        ("heard", "message.update"),
        ("heard", "message.update"),
        ("heard", "message.delete"),
        ("history", "message.delete"),
    ]
    assert {one["serial"] for one in heard} == {message.serial}
    assert [_text(one["data"]) for one in heard] == ["draft", "by chatkit", None, None, None]
    assert heard[2]["data"] == "by ably-js"
    assert "by ably-js" not in str(heard[3:])


async def test_reactions_pass_both_ways() -> None:
    """By `native_edits` they are annotations: ably-js sees them summed up, and reacts to what chatkit says."""
    place = installed(HERE / "javascript")
    async with AblyEmulator() as emulator:
        script = HERE / "javascript" / "reacting.mjs"
        beside = await asyncio.create_subprocess_exec(
            NODE, script, place, emulator.url, "mutable:support", stdout=asyncio.subprocess.PIPE
        )
        url = f"ably://app.key:secret@127.0.0.1:{emulator.port}?tls=0&namespace=mutable&native_edits=1"
        async with chatkit.connect(url, user="ada", store=":memory:") as ada:
            assert (await _line(beside))["what"] == "ready"
            mine = ada.channel("support")
            await mine.attach(timeout=PATIENCE)

            message = await (await mine.send("Hello")).wait("sent", timeout=PATIENCE)
            _ = await (await mine.react(message, "👍")).wait("sent", timeout=PATIENCE)
            await until(
                lambda: _given(mine) == {"❤": {"moderator"}, "👍": {"ada", "moderator"}}, "it is shown"
            )
            _ = await (await mine.unreact(message, "👍")).wait("sent", timeout=PATIENCE)
            await until(lambda: _given(mine) == {"👍": {"moderator"}}, "and what ably-js takes back")

            heard = [await _line(beside) for _ in range(6)]
        assert await beside.wait() == 0
    assert [one["summary"] for one in heard] == [
        {"👍": ["ada"]},
        {"👍": ["ada", "moderator"]},
        {"👍": ["ada", "moderator"], "❤️": ["moderator"]},
        {"👍": ["moderator"], "❤️": ["moderator"]},
        {"👍": ["moderator"]},
        {"👍": ["moderator"]},
    ]
    assert [one["what"] for one in heard] == ["heard"] * 5 + ["history"]


def _given(channel: chatkit.Channel) -> dict[str, set[str]]:
    (message,) = channel.timeline.view.messages
    return {emoji: set(users) for emoji, users in message.reactions.items()}


async def _line(beside: asyncio.subprocess.Process) -> dict[str, Any]:
    assert beside.stdout is not None
    async with asyncio.timeout(PATIENCE):
        found: dict[str, Any] = json.loads(await beside.stdout.readline())
    return found


def _text(data: str) -> str | None:
    try:
        text: str | None = json.loads(data).get("body", {}).get("text")
    except ValueError:
        return None
    return text
