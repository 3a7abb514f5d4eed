"""The contract of logs: whatever anybody writes or asks for, a log answers and stays whole."""

from __future__ import annotations

import json

import pytest

from chatkit.errors import InvalidMessage
from chatkit.model.order import Ident
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    LogKit,
    append,
    numbers,
    outcomes,
    refusal,
    says,
    search,
    serial,
    state,
)
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, message_id, wish

MOST = 2**53 - 1
STAMP = {"epoch": 9, "serial": "9", "log": "x", "at": "2020-01-01T00:00:00.000Z"}


def written(text: str) -> bytes:
    """An envelope whose body holds this, as raw JSON."""
    return wish(2, body={"type": "text", "text": "@"}).data.replace(b'"@"', text.encode())


class HostileContract(LogPart):
    """Bad rows are refused alone; odd names are found nowhere."""

    needs = frozenset({"append", "fence", "fold"})

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            written('"\\u0000"'),
            written('"\\ud800"'),
            written('"\\udc00\\ud800"'),
            written('"x", "text": "y"'),
            written("NaN"),
            written("1e999"),
            written(str(2**53)),
            written("[" * 40 + "]" * 40),
            written("[" * 100_000 + "]" * 100_000),
            written("9" * 10_000),
            b'{"v":' * 20_000,
            written('"' + "x" * 1_100_001 + '"'),
        ],
        ids=lambda data: repr(data[-20:]),
    )
    async def test_what_no_envelope_may_hold_is_refused(self, kit: LogKit, data: bytes) -> None:
        """NUL, lone surrogates, depth, size and nonsense; the rows beside it are taken (D9)."""
        async with kit.opened() as log:
            answers = await outcomes(log, wish(1), wish(2)._replace(data=data), wish(3))

            assert answers == ["new", "refused", "new"]
            assert (await state(log)).head == serial(2)

    async def test_a_nested_channel_or_sender_changes_nothing(self, kit: LogKit) -> None:
        """Only the outermost fields say who and where (D2)."""
        async with kit.opened() as log:
            body = {"type": "text", "text": "hi", "channel": "sales", "sender": {"user": "bob"}, "id": "x"}
            stamped = wish(1, body=body, stamp={**STAMP, "user": "bob"})

            (ack,) = await append(log, stamped)

            assert ack.outcome == "new"
            (found,) = (await log.messages(SUPPORT, limit=9)).items
            assert (found.ident, found.stamp.user) == (wish(1).ident, "ada")
            assert found.stamp.key.serial == serial(1)

    async def test_the_greatest_numbers_are_taken(self, kit: LogKit) -> None:
        """A lane may be at the last number that JSON can say (D5)."""
        async with kit.opened() as log:
            assert await outcomes(log, wish(1, seq=MOST)) == ["new"]
            assert await outcomes(log, wish(2, seq=MOST)) == ["superseded"]
            assert isinstance(await refusal(log, wish(3, seq=MOST + 1)), InvalidMessage)

    async def test_text_of_every_kind_is_kept(self, kit: LogKit) -> None:
        """Users and bodies are whatever I-JSON can say."""
        async with kit.opened() as log:
            users = ["a'b", 'a"b', "a\\b", "\U0001f600" * 30, "é" * 60, "%_"]
            texts = ["'; DROP TABLE x; --", "\\u0000", "\x7f\u2028\ufffe", "{}", "$1 %s :x ?", "\U0010ffff"]
            sent = [
                says(number, text, user=user)
                for number, (user, text) in enumerate(zip(users, texts, strict=True), start=1)
            ]
            await append(log, *sent)

            found = (await log.messages(SUPPORT, limit=9)).items

            assert [item.ident.user for item in found] == users
            assert [json.loads(item.data)["body"]["text"] for item in found] == texts
            assert (await log.find(SUPPORT, [entry.ident for entry in sent])).items.keys() == {
                entry.ident for entry in sent
            }

    @needing("search")
    async def test_a_large_message_is_kept(self, kit: LogKit) -> None:
        """Up to what an envelope may be; words of any length, and many of them."""
        async with kit.opened() as log:
            long = "x" * 40_000
            many = " ".join(f"w{number}" for number in range(60_000))
            await append(log, says(1, long + "a"), says(2, long + "b"))
            await append(log, says(3, many))

            assert await search(log, long + "a") == [long + "a"]
            assert numbers((await log.search("w59999 w0", limit=2)).items) == [3]
            await append(log, change(4, "message.delete", wish(3)))
            assert await search(log, "w0") == []

    @needing("erase", "registers", "search")
    @pytest.mark.parametrize("name", ["", "\0", "\ud800", "a\0b", "x" * 100_000, "'; --"])
    async def test_names_that_cannot_be_are_not_there(self, kit: LogKit, name: str) -> None:
        """A channel, user or id that is no name is found nowhere and breaks nothing."""
        async with kit.opened() as log:
            await append(log, wish(1))
            for channel in (SUPPORT, name):
                for odd in (Ident(name, message_id(1)), Ident("ada", name), Ident(name, name)):
                    assert (await log.find(channel, [odd])).items == {}
                    assert (await log.get(channel, [odd, name])).items == ()
                    assert (await log.versions(channel, odd)).items == ()
                    assert (await log.messages(channel, thread=odd, limit=5)).items == ()
                assert list(await log.registers(channel, [name], users=[name])) == []
                assert set(await log.unread(name, [channel])) == {channel}
            assert (await log.entries(name, after=None, limit=5)).items == ()
            assert (await log.trim(name, (await state(log)).now)).head is None
            assert await search(log, "text", channels=[name]) == await search(log, "text", sender=name) == []
            assert isinstance(await refusal(log, wish(2), channel=name), Exception)
            assert (await state(log, name)).head is None
            assert (await state(log)).head == serial(1)

    @needing("registers")
    async def test_many_names_are_asked_for_at_once(self, kit: LogKit) -> None:
        """As many channels as a client may be in, and more."""
        async with kit.opened() as log:
            names = [f"channel-{number}" for number in range(2_000)]
            await append(log, wish(1, user="bob", channel=names[-1]), channel=names[-1])

            heads = await log.heads(names)
            counts = await log.unread("ada", names)

            assert [name for name in names if heads[name].head] == names[-1:]
            assert [name for name in names if counts[name].messages] == names[-1:]
