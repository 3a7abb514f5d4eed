"""Lying announcements: of what was left out, of what is to come, of other channels and logs, and by members.

Whoever writes to a log's topic keeps the log, and is believed (D17); what it says wrongly must cost nobody a
message, and no reads without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

import chatkit
from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.hearing import Hearing, received
from chatkit.adapters.supabase.payload import announced
from chatkit.adapters.supabase.protocol import Told
from chatkit.ports.adapter import Foreign, Received, Shed, Signal
from chatkit.testing.clock import VirtualClock
from tests.engine.kit import C, OddLog, Peer, Stage, later, odd_log, ready, texts

GAPS = (chatkit.MessageCreated, chatkit.MessageDeleted, chatkit.Discontinuity)
AT: Final = 1_767_225_600_000_000
READS: Final = ("entries", "messages", "find", "heads")


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    return Stage(clock, like="supabase")


def told(peer: Peer, serial: int, prev: int, **fields: Any) -> dict[str, Any]:
    """An announcement of an entry that nobody took in."""
    envelope = peer.envelope(text=f"made up {serial}")
    row = {"serial": f"{serial:020d}", "prev": f"{prev:020d}", "user": peer.user, "at": AT, "by": "provider"}
    entry = {**row, "data": envelope.encode().decode()}
    log = peer.stage.hub.log.core.log_id
    return {"v": 1, "log": log, "epoch": 1, "channel": C, "entries": [entry], **fields}


def heard(payload: object) -> list[Signal]:
    """What the adapter makes of it."""
    entries = announced(payload, C)
    if entries is None:
        return [Shed(C, "unread")]
    return [received(C, entry, entry.data) for entry in entries if entry.data is not None]


def reads(log: OddLog) -> int:
    return sum(map(log.count, READS))


Lie = Callable[[Peer, int, Random], dict[str, Any]]
"""Makes an announcement, given where the log stands."""

LIES: Final[dict[str, Lie]] = {
    "of what stands behind what was left out": lambda peer, head, _: told(peer, head + 50, head),
    "of the far future": lambda peer, head, _: told(peer, 9 * 10**18, 9 * 10**18 - 1),
    "of a serial after all others": lambda peer, head, _: told(peer, 10**20 - 1, 10**20 - 2),
    "with a predecessor that follows": lambda peer, head, _: told(peer, head + 2, head + 9),
    "of many that do not exist": lambda peer, head, chance: told(
        peer, head + chance.randint(2, 900), head + chance.randint(1, 900)
    ),
    "of a later epoch": lambda peer, head, _: told(peer, head + 9, head, epoch=2**53 - 1),
    "of an epoch that no number holds": lambda peer, head, _: told(peer, head + 9, head, epoch=10**30),
    "of another channel": lambda peer, head, _: told(peer, head + 1, head, channel="other"),
    "of another log each time": lambda peer, head, chance: told(
        peer, head + 1, head, log=f"{chance.getrandbits(64):x}"
    ),
    "of nothing": lambda peer, head, _: told(peer, head + 1, head, entries=[]),
    "of entries that are none": lambda peer, head, _: told(peer, head + 1, head, entries=[{"serial": 1}]),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_lying_announcement_costs_nobody_a_message(stage: Stage, lie: Lie) -> None:
    """All that the log holds is told, once, whether it was announced or not; the log is asked in measure."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    chance = Random(4)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
        cleo.say("first")
        await asyncio.sleep(3)
        before, head = reads(log), 1
        for number in range(40):
            with stage.lost():
                cleo.say(f"silent {number}")
            for signal in heard(lie(mallory, head, chance)):
                stage.hub.inject(C, signal)
            cleo.say(f"loud {number}")
            head += 2
            await asyncio.sleep(0.5)
        asked = reads(log) - before
        events = await later(stream, 120)

        said = [f"{how} {number}" for number in range(40) for how in ("silent", "loud")]
        found = [text for text in texts(events) if not text.startswith(("made up", "Disc"))]
        assert sorted(found) == sorted(["first", *said])
        assert asked < 80
        assert not [event for event in events if isinstance(event, chatkit.Discontinuity) and event.certain]


async def test_an_announcement_that_a_member_makes_is_no_announcement(clock: VirtualClock) -> None:
    """On the topic that members write to it is another program's word; what they say there has no place."""
    stage = Stage(clock, like="supabase")
    hearing = Hearing(clock, lambda one, entries: None)
    hearing.begin(one := Attached(C, logged=True, presence=False))
    one.early = None
    lie = told(stage.peer("mallory"), 9, 8)

    await hearing.take(Told(one.live, "entries", lie, None))
    await hearing.take(Told(one.live, "chatkit", {"data": lie["entries"][0]["data"]}, None))
    await hearing.take(Told(one.log or "", "entries", {**lie, "channel": "other"}, None))
    foreign, said, look = (hearing.line.next() for _ in range(3))

    assert isinstance(foreign, Foreign)
    assert isinstance(said, Received)
    assert (said.user, said.attested, said.stamp, said.unforgeable) == (None, "none", None, False)
    assert look == Shed(C, "unread")


async def test_what_members_make_up_is_told_to_nobody(stage: Stage) -> None:
    """Whatever they broadcast, thousands a second: the log is asked whether it has it, in measure (D17)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        cleo, mallory = stage.peer("cleo"), stage.peer("mallory")
        before = reads(log)
        for number in range(20):
            for _ in range(100):
                data = mallory.envelope(text="made up").encode()
                stage.hub.inject(C, Received(C, data, None, "none", None, unforgeable=False))
            cleo.say(f"{number}")
            await asyncio.sleep(1)

        assert texts(await later(stream, 60)) == [f"{number}" for number in range(20)]
        assert reads(log) - before < 80
