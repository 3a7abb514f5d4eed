"""The contract of logs: registers, and what is counted from them (D25)."""

from __future__ import annotations

from functools import reduce
from typing import Any, Literal

import pytest

from chatkit.errors import InvalidMessage
from chatkit.model.order import OrderKey
from chatkit.model.registers import Register, merged
from chatkit.model.views import Unread
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import SUPPORT, LogKit, append, key, read, role, unread, unread_from
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, message_id, wish

PLACES = (None, key(1), key(2), OrderKey(2, ""))


class RegistersContract(LogPart):
    """Last-value cells, merged by the one rule there is."""

    needs = frozenset({"append", "fence", "registers"})

    async def test_registers_come_back_as_they_were_put(self, kit: LogKit) -> None:
        """With and without a place, in any script, empty and long."""
        async with kit.opened() as log:
            cells = [
                Register(SUPPORT, "ada", "pin", "", "newest", None),
                Register(
                    SUPPORT, "éva \U0001f600", "pin", "a\"'\\\n\t%_" * 300, "newest", OrderKey(7, "x-1\u20ac")
                ),
                Register("sales", "ada", "pin", "else", "greatest", key(3)),
            ]
            await log.put(cells)

            assert list(await log.registers(SUPPORT, ["pin"])) == cells[:2]
            assert list(await log.registers("sales", ["pin"])) == cells[2:]

    @pytest.mark.parametrize("channel", ["dm.bob.eve", "u.bob"])
    async def test_nobody_has_a_register_in_a_channel_of_others(self, kit: LogKit, channel: str) -> None:
        """Direct and personal channels are their users' alone (D31)."""
        async with kit.opened() as log:
            with pytest.raises(InvalidMessage):
                await log.put([read(1, "ada")._replace(channel=channel)])
            await log.put([read(1, "bob")._replace(channel=channel)])

            assert [cell.user for cell in await log.registers(channel, ["read"])] == ["bob"]

    async def test_registers_are_read_by_name_and_user(self, kit: LogKit) -> None:
        """In the order of name, then user, as bytes; what is not there is left out."""
        async with kit.opened() as log:
            users = ["zoe", "Zoe", "éva", "\uff5a", "\U0001f600", "ada"]
            await log.put([role(user, "member") for user in users] + [read(2, "zoe"), read(1, "ada")])

            found = await log.registers(SUPPORT, ["role", "read", "read", "mute"])

            assert [(cell.name, cell.user) for cell in found] == [
                ("read", "ada"),
                ("read", "zoe"),
                *(("role", user) for user in sorted(users, key=str.encode)),
            ]
            some = await log.registers(SUPPORT, ["role", "read"], users=["zoe", "eve", "ada", "zoe"])
            assert [(cell.name, cell.user) for cell in some] == [
                ("read", "ada"),
                ("read", "zoe"),
                ("role", "ada"),
                ("role", "zoe"),
            ]
            assert list(await log.registers(SUPPORT, [])) == []
            assert list(await log.registers(SUPPORT, ["role"], users=[])) == []
            assert list(await log.registers("nowhere", ["role"])) == []

    @pytest.mark.parametrize("merge", ["greatest", "newest"])
    @pytest.mark.parametrize("old", PLACES)
    @pytest.mark.parametrize("new", PLACES)
    async def test_registers_are_merged(
        self, kit: LogKit, merge: Literal["greatest", "newest"], old: OrderKey | None, new: OrderKey | None
    ) -> None:
        """As `chatkit.model.registers.merged` says, whether they come together or apart; repeats change nothing."""
        async with kit.opened() as log:
            cells = [
                Register(SUPPORT, "ada", "x", value, merge, place)
                for value, place in [("b", old), ("a", new), ("c", new)]
            ]
            expected = reduce(merged, cells[1:], cells[0])

            await log.put(cells)
            together = list(await log.registers(SUPPORT, ["x"]))
            apart = [cell._replace(user="bob") for cell in cells]
            for cell in apart:
                await log.put([cell])
            await log.put(apart[-1:])

            assert together == [expected]
            assert list(await log.registers(SUPPORT, ["x"], users=["bob"])) == [expected._replace(user="bob")]

    async def test_a_mark_never_goes_back(self, kit: LogKit) -> None:
        """Whichever device tells last (D25)."""
        async with kit.opened() as log:
            await log.put([read(5)])
            await log.put([read(3)])

            assert list(await log.registers(SUPPORT, ["read"])) == [read(5)]

    @pytest.mark.parametrize(
        "odd",
        [
            {"value": "\ud800"},
            {"value": "a\0b"},
            {"user": "\ud800"},
            {"user": "\0"},
            {"name": "\0"},
            {"channel": "a\0"},
            {"key": OrderKey(1, "\ud800")},
            {"key": OrderKey(1, "\0")},
            {"key": OrderKey(2**63, "1")},
            {"key": OrderKey(-1, "1")},
            {"value": "x" * 4_097},
            {"name": "x" * 65},
            {"name": ""},
        ],
    )
    async def test_a_register_that_cannot_be_is_refused_with_all_of_its_call(
        self, kit: LogKit, odd: dict[str, Any]
    ) -> None:
        """One transaction: all or nothing; the error names no value (I16)."""
        async with kit.opened() as log:
            with pytest.raises(InvalidMessage) as refused:
                await log.put([read(1), read(2, "bob")._replace(**odd)])

            assert "xxxx" not in f"{refused.value} {refused.value!r}"
            assert list(await log.registers(SUPPORT, ["read"])) == []

    async def test_nothing_put_changes_nothing(self, kit: LogKit) -> None:
        """It is no error."""
        async with kit.opened() as log:
            await log.put([])

            assert list(await log.registers(SUPPORT, ["read", "role"])) == []

    async def test_registers_make_no_entries(self, kit: LogKit) -> None:
        """Nor a channel (D25)."""
        async with kit.opened() as log:
            await log.put([read(1)])

            at = (await log.heads([SUPPORT]))[SUPPORT]
            assert (at.head, at.floor) == (None, None)


class UnreadContract(LogPart):
    """What others said that one has not read."""

    needs = frozenset({"append", "fence", "registers"})

    async def test_messages_of_others_are_counted(self, kit: LogKit) -> None:
        """One's own are read; changes and unknown kinds are no messages (D25)."""
        async with kit.opened() as log:
            theirs = wish(2, user="bob")
            await append(
                log,
                wish(1),
                theirs,
                change(3, "reaction.add", theirs, user="bob"),
                change(4, "message.update", theirs, user="bob"),
                wish(5, user="bob", kind="poll.open"),
                wish(6, user="eve"),
            )

            assert await unread(log) == Unread(messages=2, mentions=0, exact=True, first=message_id(2))
            assert (await unread(log, "bob")).messages == 2
            assert (await unread(log, "zoe")).messages == 3

    async def test_nothing_is_unread_where_nobody_wrote(self, kit: LogKit) -> None:
        """Every channel that was asked for is answered."""
        async with kit.opened() as log:
            await append(log, wish(1, user="bob"))
            none = Unread(messages=0, mentions=0, exact=True)

            assert await log.unread("ada", ["sales", SUPPORT, "sales"]) == {
                SUPPORT: Unread(messages=1, mentions=0, exact=True, first=message_id(1)),
                "sales": none,
            }
            await log.put([read(3, channel="sales")])
            assert await unread(log, channel="sales") == none
            assert await log.unread("ada", []) == {}

    async def test_what_lies_up_to_the_mark_is_read(self, kit: LogKit) -> None:
        """One's own mark in this channel, and nobody else's (D25)."""
        async with kit.opened() as log:
            await append(log, *(wish(number, user="bob") for number in range(1, 6)))
            await log.put([read(4, "eve"), read(5, channel="sales")])
            assert (await unread(log)).messages == 5

            await log.put([read(3)])

            assert await unread(log) == Unread(messages=2, mentions=0, exact=True, first=message_id(4))
            await log.put([read(5)])
            assert await unread(log) == Unread(messages=0, mentions=0, exact=True)
            await log.put([read(99)])
            assert (await unread(log)).messages == 0

    @needing("fold")
    async def test_replies_in_threads_are_not_counted(self, kit: LogKit) -> None:
        """Unless they are shown in the channel too."""
        async with kit.opened() as log:
            root = wish(1)
            await append(
                log,
                root,
                wish(2, user="bob", thread=root, mentions=["ada"]),
                wish(3, user="bob", thread=root, also=True, mentions=["ada"]),
            )

            assert await unread(log) == Unread(messages=1, mentions=1, exact=True, first=message_id(3))

    async def test_deleted_messages_are_not_counted(self, kit: LogKit) -> None:
        """Until they are restored."""
        async with kit.opened() as log:
            first, second = wish(1, user="bob", mentions=["ada"]), wish(2, user="bob")
            await append(log, first, second, change(3, "message.delete", first, user="bob"))

            assert await unread(log) == Unread(messages=1, mentions=0, exact=True, first=message_id(2))
            await append(log, change(4, "message.restore", first, user="bob"))
            assert await unread(log) == Unread(messages=2, mentions=1, exact=True, first=message_id(1))

    async def test_mentions_are_of_the_user_or_of_everyone(self, kit: LogKit) -> None:
        """A message that does both counts once; `*` is no user."""
        async with kit.opened() as log:
            await append(
                log,
                wish(1, user="bob", mentions=["ada"]),
                wish(2, user="bob", mentions=["*"]),
                wish(3, user="bob", mentions=["ada", "*", "eve"]),
                wish(4, user="bob", mentions=["eve"]),
                wish(5, mentions=["ada", "*"]),
                wish(6, user="bob"),
            )

            assert ((await unread(log)).messages, (await unread(log)).mentions) == (5, 3)
            assert (await unread(log, "eve")).mentions == 4
            await log.put([read(2)])
            assert (await unread(log)).mentions == 1

    async def test_mentions_are_those_of_what_shows(self, kit: LogKit) -> None:
        """An edit that mentions somebody counts in place of the creation, another takes nothing back."""
        async with kit.opened() as log:
            created = wish(1, user="bob", mentions=["ada"])
            await append(log, created)

            async def counts() -> list[int]:
                return [(await unread(log, user)).mentions for user in ("ada", "eve")]

            assert await counts() == [1, 0]
            await append(log, change(2, "message.update", created, user="bob"))
            assert await counts() == [1, 0]
            await append(log, change(3, "message.update", created, user="bob", mentions=["eve"]))
            assert await counts() == [0, 1]
            await append(log, change(4, "message.delete", created, user="bob"))
            assert await counts() == [0, 0]
            await append(log, change(5, "message.restore", created, user="bob"))
            assert await counts() == [1, 0]

    async def test_what_was_marked_as_unread_counts_again(self, kit: LogKit) -> None:
        """From that place on, although it was read, until the register is cleared (D25)."""
        async with kit.opened() as log:
            await append(log, *(wish(number, user="bob") for number in range(1, 6)))
            await log.put([read(5), unread_from(4)])

            assert await unread(log) == Unread(messages=2, mentions=0, exact=True, first=message_id(4))
            assert (await unread(log, "eve")).messages == 5
            await log.put([unread_from(None)])
            assert (await unread(log)).messages == 0

    async def test_what_was_marked_as_unread_above_the_mark_is_unread_anyway(self, kit: LogKit) -> None:
        """Nothing is counted twice, and what is no place marks nothing."""
        async with kit.opened() as log:
            await append(log, *(wish(number, user="bob") for number in range(1, 6)))
            await log.put([read(2), unread_from(4)])
            assert (await unread(log)).messages == 3

            await log.put([unread_from(None)._replace(value="no place")])

            assert (await unread(log)).messages == 3

    @needing("erase")
    async def test_a_floor_above_the_mark_makes_the_count_a_lower_bound(self, kit: LogKit) -> None:
        """What was trimmed may have been unread; up to the mark nothing was (D18, D25)."""
        async with kit.opened() as log:
            await append(log, *(wish(number, user="bob") for number in range(1, 7)))
            await log.put([read(2), read(3, "eve"), read(5, "zoe"), unread_from(2, "zoe")])
            await log.trim(SUPPORT, key(4))

            counts = {user: await unread(log, user) for user in ("ada", "eve", "zoe", "mona")}

            assert {user: (count.messages, count.exact) for user, count in counts.items()} == {
                "ada": (3, False),
                "eve": (3, True),
                "zoe": (3, False),
                "mona": (3, False),
            }
            assert {count.first for count in counts.values()} == {message_id(4)}
