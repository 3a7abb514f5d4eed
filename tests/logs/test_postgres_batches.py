"""What one call of the log in PostgreSQL takes in stands there as if each entry had come in a call of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.testing.contract.log.kit import SUPPORT, key, kind, role
from chatkit.testing.wishes import change, message_id, wish
from tests.logs import postgres_server
from tests.logs.postgres_kit import opened, session

pytestmark = pytest.mark.realtime

TABLES = ("entries", "lanes", "refusals", "messages", "reactions", "mentions", "texts")
ONE_LIFE = ["channel", "at", "number", "words"]
"""Columns that tell one life of a channel from another."""
PAST = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 160
ADA: dict[str, Any] = {"user": "ada", "device": "device1"}
BOB: dict[str, Any] = {"user": "bob", "device": "device2"}


class Conversation:
    """Runs of new messages in two lanes, and among them whatever is answered or kept in another way."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.sent = [wish(1)]
        self.lane = ADA
        self.kinds: tuple[Callable[[int], Outgoing], ...] = (
            self.reply,
            self.early_reply,
            self.changed,
            self.reaction,
            lambda number: wish(number, mentions=["bob", "*", "bob"], **self.lane),
            lambda _: self.known,
            # another text under a known id
            lambda number: wish(_number(self.known), seq=number, body={"type": "text", "text": "other"}),
            lambda number: wish(number, not_after=PAST, **self.lane),
            lambda number: wish(number, seq=max(1, number - 20), **self.lane),
            lambda number: wish(number, body={"type": 7}, **self.lane),
            lambda number: wish(number, seq=None, min=chance.choice([1, 2]), **self.lane),
        )

    @property
    def known(self) -> Outgoing:
        """Any message so far."""
        return self.chance.choice(self.sent)

    def all(self) -> Iterator[Outgoing]:
        """Every entry, in order."""
        yield self.sent[0]
        for number in range(2, COUNT):
            self.lane = ADA if self.chance.random() < 0.9 else BOB
            if self.chance.random() < 0.3:
                yield self.chance.choice(self.kinds)(number)
            else:
                self.sent.append(wish(number, **self.lane))
                yield self.sent[-1]

    def reply(self, number: int) -> Outgoing:
        return wish(number, thread=self.known, also=self.chance.choice([True, False]), **self.lane)

    def early_reply(self, number: int) -> Outgoing:
        """A reply to what comes later, if at all."""
        return wish(number, thread=wish(number + self.chance.randint(1, 3)), **self.lane)

    def changed(self, number: int) -> Outgoing:
        what = self.chance.choice(["message.update", "message.delete"])
        return change(number, what, self.known, **self.lane)

    def reaction(self, number: int) -> Outgoing:
        """A reaction; to nothing, at times."""
        return change(number, "reaction.add", self.chance.choice([self.known, wish(9_999)]), **self.lane)


def _number(entry: Outgoing) -> int:
    return int(entry.ident.id[-12:], 16)


def parted(entries: list[Outgoing], chance: Random) -> Iterator[list[Outgoing]]:
    """Entries in calls of several sizes."""
    while entries:
        size = chance.choice([1, 2, 7, 40])
        yield entries[:size]
        entries = entries[size:]


def standing(dsn: str) -> dict[str, list[str]]:
    """All that the log holds."""
    found: dict[str, list[str]] = {}
    with session(dsn) as connection:
        for table in TABLES:
            rows = connection.execute(
                f"SELECT to_jsonb(t) - %s::text[] FROM chatkit.{table} AS t".encode(), (ONE_LIFE,)
            )
            found[table] = sorted(str(row) for row in rows)
    return found


def said(ack: Ack) -> tuple[Any, ...]:
    """What an answer says, but for the time."""
    return (ack.ident, ack.outcome, ack.key, ack.prev, str(ack.error))


@pytest.mark.parametrize("seed", range(6))
async def test_a_batch_is_as_good_as_its_entries(emptied: str, seed: int) -> None:
    """The same answers, and the same rows."""
    entries = list(Conversation(Random(seed)).all())
    async with opened(emptied) as log:
        singly = [said((await log.append(SUPPORT, [entry])).acks[0]) for entry in entries]
        rows = standing(emptied)
        postgres_server.empty(emptied)
        together = [
            said(ack)
            for some in parted(entries, Random(seed))
            for ack in (await log.append(SUPPORT, some)).acks
        ]

        assert {answer[1] for answer in singly} >= {"new", "duplicate", "superseded", "refused"}
        assert together == singly
        assert standing(emptied) == rows


async def test_a_batch_of_new_messages_has_one_time(emptied: str) -> None:
    """They were taken in at once; the next are not older."""
    async with opened(emptied) as log:
        first = await log.append(SUPPORT, [wish(number) for number in range(1, 4)])
        second = await log.append(SUPPORT, [wish(4)])

        times = [ack.sent_at for ack in (*first.acks, *second.acks)]
        assert len(set(times[:3])) == 1
        assert times == sorted(times, key=str)


async def test_in_a_broadcast_channel_a_batch_is_refused_as_its_entries_are(emptied: str) -> None:
    """Each of them."""
    async with opened(emptied) as log:
        await log.put([role("bob", "owner"), kind()])
        batch = await log.append(SUPPORT, [wish(number) for number in range(1, 4)])
        owners = await log.append(SUPPORT, [wish(number, **BOB) for number in range(4, 7)])

        assert [ack.outcome for ack in batch.acks] == ["refused"] * 3
        assert [ack.outcome for ack in owners.acks] == ["new"] * 3


async def test_the_same_message_twice_in_a_batch_is_one(emptied: str) -> None:
    """Also where its second copy has a number of its own."""
    async with opened(emptied) as log:
        acks = (await log.append(SUPPORT, [wish(1), wish(2), wish(1, seq=3), wish(4)])).acks

        assert [ack.outcome for ack in acks] == ["new", "new", "duplicate", "new"]
        assert [ack.ident.id for ack in acks if ack.outcome == "new"] == [message_id(n) for n in (1, 2, 4)]


async def test_a_copy_of_what_was_refused_is_refused_in_a_batch(emptied: str) -> None:
    """As it was then, though it would be taken now."""
    async with opened(emptied) as log:
        await log.put([role("bob", "owner"), kind()])
        await log.append(SUPPORT, [wish(1)])
        await log.put([kind("group")])
        acks = (await log.append(SUPPORT, [wish(1), wish(2)])).acks

        assert [ack.outcome for ack in acks] == ["refused", "new"]


async def test_all_replies_of_a_batch_are_counted(emptied: str) -> None:
    """Those that come before their root, too."""
    async with opened(emptied) as log:
        root, late = wish(1), wish(5)
        await log.append(SUPPORT, [root])
        replies = [
            wish(2, thread=root),
            wish(3, thread=late),
            wish(4, thread=root),
            late,
            wish(6, thread=late),
        ]
        await log.append(SUPPORT, replies)
        roots = (await log.get(SUPPORT, [root.ident, late.ident])).items

        assert [(item.replies, item.last_reply) for item in roots] == [(2, key(4)), (2, key(6))]
