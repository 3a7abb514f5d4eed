"""The same facts in different orders, some of them twice: everyone sees the same in the end (I5)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from chatkit.adapters.memory import Faults
from chatkit.model.order import Ident
from tests.engine.kit import C, Stage, counters, engine, frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import chatkit
    from chatkit.adapters.memory import Like
    from chatkit.model.registers import Register
    from chatkit.testing.clock import VirtualClock
    from tests.engine.kit import Peer

MANY, WHOLE = 4_000, 20_000
"""Mixed events: for every change, and each night."""
STEP = 250
"""Events between two breaths, so that no inbox overflows and what comes comes as frames."""


def tell(peers: list[Peer], written: list[Ident], chance: Random, numbers: range) -> None:
    """Write mixed events, one for each number: messages, replies, edits, deletes, reactions."""
    for number in numbers:
        peer = chance.choice(peers)
        mine = [ident for ident in written[-400:] if ident.user == peer.user]
        kind = chance.choices(["say", "reply", "edit", "delete", "react"], [5, 1, 2, 1, 2])[0]
        if kind == "say" or not mine:
            written += peer.say(f"message {number}")
        elif kind == "reply":
            root = chance.choice(mine)
            written += peer.say(f"reply {number}", thread={"id": root.id, "user": root.user})
        elif kind == "edit":
            peer.edit(chance.choice(mine), f"edit {number}")
        elif kind == "delete":
            peer.delete(chance.choice(mine))
        else:
            peer.react(chance.choice(written[-400:]), chance.choice("👍👎🎉"))


def mark(stage: Stage, peers: list[Peer], messages: Sequence[chatkit.Message], chance: Random) -> None:
    """Have everyone tell how far they have read, or received: somewhere, not always further on."""
    log_id = None if stage.like == "pusher" else stage.hub.log.core.log_id
    for peer in peers:
        message, kind = chance.choice(messages[-400:]), chance.choice(["state.read", "state.delivered"])
        assert message.key is not None
        body = {"type": "mark", "id": message.message_id, **message.key._asdict(), "log": log_id}
        told = {name: value for name, value in body.items() if value is not None}
        peer.seq -= 1  # a mark is of no lane
        stage.deliver(frame(peer.envelope(kind, body=told), user=peer.user, unforgeable=True))


def marks(chat: chatkit.Chat, users: list[str]) -> list[tuple[Register, ...]]:
    """Return what a client knows of how far each user is."""
    return [engine(chat).receipts.marks.of(user) for user in users]


def drawn(chat: chatkit.Chat) -> list[str]:
    """Return all that a client's timeline shows, byte by byte."""
    return [message.to_json() for message in chat.channel(C, keep=WHOLE).timeline.view.messages]


@pytest.mark.parametrize("like", ["memory", "supabase", "ably", "pusher"])
@pytest.mark.parametrize(
    "events", [pytest.param(MANY, marks=pytest.mark.long), pytest.param(WHOLE, marks=pytest.mark.nightly)]
)
async def test_readers_of_many_mixed_events_see_the_same(
    clock: VirtualClock, events: int, like: Like
) -> None:
    """Their networks reorder and repeat, each in its own way; texts, versions, counts, order and marks are equal."""
    stage, chance = Stage(clock, like=like), Random(20_260_101)
    peers, written = [stage.peer(user) for user in ("ada", "dora", "eve", "finn")], list[Ident]()
    async with stage.chat("bob") as bob, stage.chat("cleo") as cleo:
        for chat, faults in (
            (bob, Faults(duplicate=0.05, reorder=0.2, delay=(0.0, 0.2))),
            (cleo, Faults(duplicate=0.2, reorder=0.05, delay=(0.0, 0.1))),
        ):
            await chat.channel(C, keep=WHOLE).attach(timeout=10)
            stage.hub.network.set_faults(faults, chat.user.id)
        for start in range(0, events, STEP):
            tell(peers, written, chance, range(start, start + STEP))
            await asyncio.sleep(1)
            mark(stage, peers, bob.channel(C, keep=WHOLE).timeline.view.messages, chance)
        await asyncio.sleep(120)

        assert drawn(bob) == drawn(cleo)
        users = [peer.user for peer in peers]
        assert marks(bob, users) == marks(cleo, users)
        assert all(marks(bob, users))
        last = bob.channel(C, keep=WHOLE).timeline.view.messages[-1]
        for chat in (bob, cleo):  # who reads on counts the same from there
            await chat.channel(C, keep=WHOLE).receipts.mark_unread(last)
        assert bob.channel(C, keep=WHOLE).receipts.unread == cleo.channel(C, keep=WHOLE).receipts.unread
        assert counters(bob)["duplicate"] > events / 50 < counters(cleo)["duplicate"]
        assert counters(bob)["inbox_overflow"] == counters(cleo)["inbox_overflow"] == 0
