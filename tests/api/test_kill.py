"""A process killed in the middle of sending: what it was promised is there, once, under the same ids (I3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest

import chatkit
from chatkit.adapters.memory import forget_hub

if TYPE_CHECKING:
    from pathlib import Path

SENDER = """
import asyncio, sys
import chatkit

async def main():
    store, durability = sys.argv[1:]
    url = "memory://kill?offline=1"
    async with chatkit.connect(url, user="ada", store=store, durability=durability) as chat:
        for number in range(100_000):
            delivery = await chat.channel("support").send(f"message {number}")
            print(delivery.message_id, flush=True)

asyncio.run(main())
"""
PROMISED = 40


def send_until_killed(store: str, durability: str) -> list[str]:
    """Return the ids that a sending process was promised before its SIGKILL."""
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, store, durability], stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        promised = [sender.stdout.readline().strip() for _ in range(PROMISED)]
        os.kill(sender.pid, signal.SIGKILL)
        return promised + [line.strip() for line in sender.stdout if line.endswith("\n")]


@pytest.mark.realtime
@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "directory"])
async def test_what_was_promised_before_a_sigkill_is_sent_by_the_next_life(
    tmp_path: Path, durability: Literal["process", "power"], folder: bool
) -> None:
    """Each `send()` that returned is in the outbox afterwards, in order, and reaches the log once."""
    store = f"{tmp_path}/outbox/" if folder else str(tmp_path / "ada.db")
    promised = send_until_killed(store, durability)

    async with chatkit.connect("memory://kill", user="ada", store=store) as chat:
        report = await chat.outbox.flush(timeout=60)
        assert report.queued == 0
        found = [message async for message in chat.channel("support").scan()]
    forget_hub("kill")

    ids = [message.message_id for message in found]
    assert ids[: len(promised)] == promised
    assert [message.text for message in found] == [f"message {n}" for n in range(len(found))]
    assert len(found) - len(promised) in (0, 1), "at most the one whose promise was not heard"
