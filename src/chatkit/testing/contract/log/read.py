"""The contract of logs: heads, raw entries, messages as they are now, and what is asked for by name (D18, D24)."""

from __future__ import annotations

from datetime import timedelta

from chatkit.model.order import Ident, OrderKey
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    LogKit,
    append,
    key,
    numbers,
    raw,
    serial,
    spread,
    state,
    texts,
)
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, message_id, text_of, wish


class ReadContract(LogPart):
    """What was appended can be read, raw and folded."""

    needs = frozenset({"append", "fence"})

    # -- heads

    async def test_an_untouched_channel_has_neither_head_nor_floor(self, kit: LogKit) -> None:
        """A channel is there once somebody wrote to it; one call tells of all (D16, D18)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2))

            heads = await log.heads([SUPPORT, "sales", "sales"])

            assert {name: (at.head, at.floor) for name, at in heads.items()} == {
                SUPPORT: (serial(2), None),
                "sales": (None, None),
            }
            assert len({(at.log_id, at.epoch) for at in heads.values()}) == 1
            assert heads[SUPPORT].now.utcoffset() == timedelta(0)
            assert await log.heads([]) == {}

    @needing("erase", "fold")
    async def test_every_answer_says_where_the_log_stands(self, kit: LogKit) -> None:
        """Log, epoch, head and floor come with whatever is read (D18)."""
        async with kit.opened() as log:
            appended = await log.append(SUPPORT, [wish(1), wish(2)])
            states = [
                appended.state,
                await state(log),
                (await log.entries(SUPPORT, after=None, limit=1)).state,
                (await log.messages(SUPPORT, limit=1)).state,
                (await log.get(SUPPORT, [])).state,
                (await log.versions(SUPPORT, wish(1).ident)).state,
                (await log.find(SUPPORT, [])).state,
                await log.trim(SUPPORT, key(1)),
            ]

            assert len({found[:4] for found in states}) == 1
            times = [found.now for found in states]
            assert times == sorted(times)

    # -- raw entries

    async def test_entries_are_read_forward(self, kit: LogKit) -> None:
        """From a place, oldest first, with word of whether more follow (D24)."""
        async with kit.opened() as log:
            await append(log, *map(wish, range(1, 6)))

            first = await log.entries(SUPPORT, after=None, limit=3)
            rest = await log.entries(SUPPORT, after=first.items[-1].stamp.key, limit=3)
            last = await log.entries(SUPPORT, after=key(2), limit=3)

            assert (raw(first), first.more) == (["text 1", "text 2", "text 3"], True)
            assert (raw(rest), rest.more) == (["text 4", "text 5"], False)
            assert (raw(last), last.more) == (["text 3", "text 4", "text 5"], False)

    async def test_entries_are_read_since_a_time(self, kit: LogKit) -> None:
        """A time is a place: strictly after it."""
        async with kit.opened() as log:
            times = await spread(kit, log, 3)

            assert raw(await log.entries(SUPPORT, after=times[1], limit=10)) == ["text 3"]
            assert raw(await log.entries(SUPPORT, after=times[2], limit=10)) == []
            early = times[0] - timedelta(microseconds=1)
            assert len((await log.entries(SUPPORT, after=early, limit=10)).items) == 3

    async def test_entries_of_every_kind_are_there(self, kit: LogKit) -> None:
        """Changes and unknown kinds too, each in its place (D24)."""
        async with kit.opened() as log:
            created = wish(1)
            sent = [created, change(2, "reaction.add", created), wish(3, kind="poll.open"), wish(4)]
            await append(log, *sent)

            found = await log.entries(SUPPORT, after=None, limit=10)

            assert [item.data for item in found.items] == [entry.data for entry in sent]

    # -- folded

    async def test_changes_are_folded_in(self, kit: LogKit) -> None:
        """A page shows each message as it is now, not the entries that made it so (D24)."""
        async with kit.opened() as log:
            created = wish(1)
            edit = change(2, "message.update", created)
            (ack, _, _) = await append(log, created, edit, change(3, "reaction.add", created, user="bob"))

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert text_of(found.data) == "text 1"
            assert found.edit == edit.data
            assert (found.version, found.changed, found.deleted) == (2, key(3), False)
            assert found.reactions == {"👍": ("bob",)}
            assert (found.ident, found.stamp.key, found.stamp.prev) == (created.ident, key(1), "")
            assert (found.stamp.at, found.stamp.user) == (ack.sent_at, "ada")
            assert (found.replies, found.last_reply) == (0, None)

    async def test_the_newest_edit_shows(self, kit: LogKit) -> None:
        """Later serials win, and each counts as a version (D23)."""
        async with kit.opened() as log:
            created = wish(1)
            edits = [change(number, "message.update", created) for number in (2, 3, 4)]
            await append(log, created, *edits)

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert (found.edit, found.version, found.changed) == (edits[-1].data, 4, key(4))

    async def test_reactions_are_given_and_taken_back(self, kit: LogKit) -> None:
        """Once for each emoji and user, whoever repeats it; users sorted as bytes (D24)."""
        async with kit.opened() as log:
            created = wish(1)
            heart = {"type": "emoji", "emoji": "❤"}
            await append(
                log,
                created,
                change(2, "reaction.add", created, user="bob"),
                change(3, "reaction.add", created, user="Bob"),
                change(4, "reaction.add", created, user="éva"),
                change(5, "reaction.add", created, user="bob"),
                change(6, "reaction.add", created, body=heart),
                change(7, "reaction.add", created, user="zoe"),
                change(8, "reaction.remove", created, user="zoe"),
                change(9, "reaction.remove", created, user="eve"),
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert found.reactions == {"❤": ("ada",), "👍": ("Bob", "bob", "éva")}
            assert found.version == 1

    async def test_nobody_fills_a_message_with_reactions(self, kit: LogKit) -> None:
        """Of one user the newest 32 stay, and push out nobody else's (I10)."""
        async with kit.opened() as log:
            created = wish(1)
            emojis = [chr(0x1F600 + number) for number in range(34)]
            await append(log, created, change(2, "reaction.add", created, user="bob"))
            await append(
                log,
                *(
                    change(number, "reaction.add", created, body={"type": "emoji", "emoji": emoji})
                    for number, emoji in enumerate(emojis, start=3)
                ),
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert sorted(found.reactions) == sorted([*emojis[2:], "👍"])

    # -- threads

    @needing("fold")
    async def test_threads_are_counted_and_read_alone(self, kit: LogKit) -> None:
        """A thread is the replies to its root; the root says how many there are (D24)."""
        async with kit.opened() as log:
            root = wish(1)
            await append(log, root, wish(2, thread=root), wish(3), wish(4, thread=root, user="bob"))

            thread = await log.messages(SUPPORT, thread=root.ident, limit=10)
            everything = await log.messages(SUPPORT, limit=10)

            assert texts(thread) == ["text 2", "text 4"]
            assert texts(everything) == ["text 1", "text 2", "text 3", "text 4"]
            assert [(item.replies, item.last_reply) for item in everything.items] == [
                (2, key(4)),
                (0, None),
                (0, None),
                (0, None),
            ]
            (got,) = (await log.get(SUPPORT, [root.ident])).items
            assert got == everything.items[0]

    @needing("fold")
    async def test_threads_are_read_in_pages(self, kit: LogKit) -> None:
        """Other messages lie between replies, and are none of theirs."""
        async with kit.opened() as log:
            root = wish(1)
            await append(log, root, *(wish(n, thread=root if n % 2 else None) for n in range(2, 10)))

            newest = await log.messages(SUPPORT, thread=root.ident, limit=2)
            older = await log.messages(SUPPORT, thread=root.ident, before=newest.before, limit=2)
            middle = await log.messages(SUPPORT, thread=root.ident, around=key(6), limit=2)

            assert (numbers(newest.items), newest.before, newest.after) == ([7, 9], key(7), None)
            assert (numbers(older.items), older.before, older.after) == ([3, 5], None, key(5))
            assert numbers(middle.items) == [5, 7]

    @needing("fold")
    async def test_a_thread_is_its_root_users(self, kit: LogKit) -> None:
        """The same id of another user is another root (D1)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(1, user="bob"), wish(2, thread=wish(1, user="bob")))

            found = (await log.messages(SUPPORT, limit=10)).items

            assert [item.replies for item in found] == [0, 1, 0]
            assert (await log.messages(SUPPORT, thread=wish(1).ident, limit=10)).items == ()

    @needing("fold")
    async def test_a_reply_may_come_before_its_root(self, kit: LogKit) -> None:
        """Or without it: it is counted once the root is there."""
        async with kit.opened() as log:
            root = wish(5)
            await append(log, wish(1, thread=root, user="bob"))
            before = await log.messages(SUPPORT, thread=root.ident, limit=10)
            await append(log, root, wish(2, thread=root, user="bob"))

            (found,) = (await log.get(SUPPORT, [root.ident])).items

            assert texts(before) == ["text 1"]
            assert (found.replies, found.last_reply) == (2, key(3))

    @needing("fold")
    async def test_a_deleted_reply_keeps_its_place(self, kit: LogKit) -> None:
        """A tombstone is a message: it stays in the thread and in its count."""
        async with kit.opened() as log:
            root = wish(1)
            reply = wish(2, thread=root)
            await append(log, root, reply, change(3, "message.delete", reply))

            thread = await log.messages(SUPPORT, thread=root.ident, limit=10)
            (found,) = (await log.get(SUPPORT, [root.ident])).items

            assert [item.deleted for item in thread.items] == [True]
            assert (found.replies, found.last_reply) == (1, key(2))

    # -- by name

    @needing("fold")
    async def test_messages_are_got_by_name(self, kit: LogKit) -> None:
        """By user and id, or by a bare id that may be several users'; unknown ones are left out (D1)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2), wish(1, user="bob"), change(3, "reaction.add", wish(1)))

            by_ident = await log.get(SUPPORT, [wish(2).ident, Ident("ada", message_id(9)), wish(1).ident])
            by_id = await log.get(SUPPORT, [message_id(1), message_id(9), wish(1).ident])
            not_messages = await log.get(SUPPORT, [wish(3).ident, message_id(3)])

            assert [item.ident for item in by_ident.items] == [wish(1).ident, wish(2).ident]
            assert [item.ident.user for item in by_id.items] == ["ada", "bob"]
            assert not_messages.items == ()
            assert (by_ident.as_of, by_ident.provisional) == (key(4), False)
            assert (await log.get("sales", [wish(1).ident])).items == ()

    async def test_ids_are_found_wherever_they_are(self, kit: LogKit) -> None:
        """Of every kind, with their place; and nothing that is absent can be there (D10)."""
        async with kit.opened() as log:
            created = wish(1)
            reaction = change(2, "reaction.add", created)
            (ack, _) = await append(log, created, reaction)

            found = await log.find(
                SUPPORT, [created.ident, reaction.ident, wish(3).ident, wish(1, user="bob").ident]
            )

            assert found.items == {created.ident: key(1), reaction.ident: key(2)}
            assert found.reaches is not None
            assert ack.sent_at is not None
            assert found.reaches < ack.sent_at - timedelta(days=365)

    @needing("fold")
    async def test_many_ids_are_looked_for_at_once(self, kit: LogKit) -> None:
        """As many as a batch, or a timeline, may hold."""
        async with kit.opened() as log:
            sent = [wish(number) for number in range(1, 301)]
            await append(log, *sent)
            absent = [wish(number) for number in range(1001, 2001)]
            named = [entry.ident for entry in (*sent, *absent)]

            assert len((await log.find(SUPPORT, named)).items) == 300
            assert numbers((await log.get(SUPPORT, named)).items) == list(range(1, 301))

    # -- versions

    @needing("fold")
    async def test_versions_are_the_creation_and_its_changes(self, kit: LogKit) -> None:
        """Oldest first; reactions and other messages' changes are none of them."""
        async with kit.opened() as log:
            created, other = wish(1), wish(2)
            await append(
                log,
                created,
                other,
                change(3, "message.update", created),
                change(4, "reaction.add", created, user="bob"),
                change(5, "message.update", other),
                change(6, "message.update", created),
            )

            found = await log.versions(SUPPORT, created.ident)

            assert raw(found) == ["text 1", "text 3", "text 6"]
            assert [item.stamp.key for item in found.items] == [key(1), key(3), key(6)]
            assert [item.stamp.prev for item in found.items] == ["", serial(2), serial(5)]
            assert not found.more

    @needing("fold")
    async def test_versions_of_what_was_erased_stay_without_text(self, kit: LogKit) -> None:
        """Who deleted and restored when can be read; what was said cannot (D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(
                log,
                created,
                change(2, "message.update", created),
                change(3, "message.delete", created),
                change(4, "message.update", created),
                change(5, "message.restore", created),
            )

            found = await log.versions(SUPPORT, created.ident)

            assert raw(found) == [None, None, None, "text 4", None]
            assert numbers(found.items) == [1, 2, 3, 4, 5]

    @needing("fold")
    async def test_there_are_no_versions_of_what_is_no_message(self, kit: LogKit) -> None:
        """No error either."""
        async with kit.opened() as log:
            reaction = change(2, "reaction.add", wish(1))
            await append(log, wish(1), reaction)

            for ident in (wish(9).ident, reaction.ident, wish(1, user="bob").ident):
                found = await log.versions(SUPPORT, ident)
                assert (found.items, found.more) == ((), False)

    # -- places

    async def test_places_of_others_divide_the_log(self, kit: LogKit) -> None:
        """Keys of other sequencers, and serials of another form, compare as pairs of number and text (D3)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2))

            for place, count in [
                (OrderKey(0, "z"), 2),
                (OrderKey(2, ""), 0),
                (OrderKey(1, ""), 2),
                (OrderKey(1, serial(1) + "0"), 1),
                (OrderKey(1, "z"), 0),
                (OrderKey(1, "0"), 2),
                (OrderKey(10**15, serial(1)), 0),
            ]:
                assert len((await log.entries(SUPPORT, after=place, limit=9)).items) == count
                assert len((await log.messages(SUPPORT, after=place, limit=9)).items) == count
                assert len((await log.messages(SUPPORT, before=place, limit=9)).items) == 2 - count
