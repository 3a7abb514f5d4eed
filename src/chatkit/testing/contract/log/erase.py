"""The contract of logs: what a delete erases, what a trim forgets, and what is remembered all the same (D20, D26)."""

from __future__ import annotations

from datetime import timedelta

from chatkit.errors import MessageNotFound
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    LogKit,
    append,
    key,
    numbers,
    outcomes,
    raw,
    refusal,
    role,
    says,
    search,
    serial,
    spread,
    state,
    texts,
    unread,
)
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, message_id, text_of, wish


class EraseContract(LogPart):
    """Erased text is nowhere; serial and tombstone stay."""

    needs = frozenset({"append", "erase", "fence", "fold"})

    @needing("search")
    async def test_a_delete_erases_the_text_everywhere(self, kit: LogKit) -> None:
        """Entries and projection keep serial and tombstone, and no word of it (D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(log, created, change(2, "message.update", created), wish(3))

            await append(log, change(4, "message.delete", created))

            entries = (await log.entries(SUPPORT, after=None, limit=10)).items
            assert [text_of(item.data) for item in entries] == [None, None, "text 3", None]
            assert numbers(entries) == [1, 2, 3, 4]
            (found, _) = (await log.messages(SUPPORT, limit=10)).items
            assert (found.deleted, found.edit, text_of(found.data)) == (True, None, None)
            assert (found.version, found.changed) == (3, key(4))
            assert await search(log, "text") == ["text 3"]
            for answer in (entries, found, (await log.get(SUPPORT, [created.ident])).items):
                assert "text 1" not in repr(answer)

    @needing("registers")
    async def test_a_moderators_delete_erases_too(self, kit: LogKit) -> None:
        """Whoever has the right (D2, D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await log.put([role("mona")])
            await append(log, created, change(2, "message.delete", created, user="mona"))

            assert raw(await log.entries(SUPPORT, after=None, limit=10)) == [None, None]

    async def test_what_is_written_after_a_delete_is_kept_for_a_restore(self, kit: LogKit) -> None:
        """A restore brings back the message and what was written into it since, nothing older (D23, D26)."""
        async with kit.opened() as log:
            created = wish(1)
            late = change(3, "message.update", created)
            await append(log, created, change(2, "message.delete", created), late)

            await append(log, change(4, "message.restore", created))

            (found,) = (await log.messages(SUPPORT, limit=10)).items
            assert (found.deleted, text_of(found.data), found.edit) == (False, None, late.data)
            assert (found.version, found.changed) == (4, key(4))

    async def test_a_restore_brings_no_erased_text_back(self, kit: LogKit) -> None:
        """The message shows again, without its words (D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(
                log, created, change(2, "message.delete", created), change(3, "message.restore", created)
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert (found.deleted, found.edit, text_of(found.data)) == (False, None, None)

    async def test_a_second_delete_erases_what_was_written_since(self, kit: LogKit) -> None:
        """Each delete takes everything up to itself (D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(
                log,
                created,
                change(2, "message.delete", created),
                change(3, "message.update", created),
                change(4, "message.delete", created),
                change(5, "message.restore", created),
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert raw(await log.entries(SUPPORT, after=None, limit=10)) == [None] * 5
            assert (found.deleted, found.edit) == (False, None)

    async def test_an_erased_message_is_still_known(self, kit: LogKit) -> None:
        """A late retry of what was deleted since is a duplicate, another body a conflict (D20, D26)."""
        async with kit.opened() as log:
            created = wish(1)
            await append(log, created, change(2, "message.delete", created))

            (again, other) = await append(log, created, says(1, "else"))

            assert (again.outcome, again.key, again.prev) == ("duplicate", key(1), "")
            assert other.outcome == "conflict"

    async def test_reactions_outlive_a_delete(self, kit: LogKit) -> None:
        """They hold no text, and a restore shows them again."""
        async with kit.opened() as log:
            created = wish(1)
            await append(
                log,
                created,
                change(2, "reaction.add", created, user="bob"),
                change(3, "message.delete", created),
                change(4, "message.restore", created),
            )

            (found,) = (await log.messages(SUPPORT, limit=10)).items

            assert found.reactions == {"👍": ("bob",)}


class TrimContract(LogPart):
    """What lies before a place is forgotten for good."""

    needs = frozenset({"append", "erase", "fence", "fold"})

    @needing("search")
    async def test_what_is_trimmed_is_gone(self, kit: LogKit) -> None:
        """Entries, messages, versions, hits; the floor says up to where (D18, D26)."""
        async with kit.opened() as log:
            await append(log, *(says(number, f"word {number}") for number in range(1, 6)))
            await append(log, change(6, "message.update", wish(2)))

            trimmed = await log.trim(SUPPORT, key(4))

            assert (trimmed.floor, trimmed.head) == (serial(3), serial(6))
            assert trimmed[:4] == (await state(log))[:4]
            entries = await log.entries(SUPPORT, after=None, limit=10)
            assert numbers(entries.items) == [4, 5, 6]
            assert entries.items[0].stamp.prev == serial(3)
            page = await log.messages(SUPPORT, limit=10)
            assert (texts(page), page.before, page.after) == (["word 4", "word 5"], None, None)
            assert (await log.get(SUPPORT, [wish(1).ident, message_id(2)])).items == ()
            assert (await log.versions(SUPPORT, wish(2).ident)).items == ()
            assert await search(log, "word") == ["word 5", "word 4"]

    async def test_places_below_the_floor_begin_at_it(self, kit: LogKit) -> None:
        """A reader who was away too long goes on with what is kept (D18)."""
        async with kit.opened() as log:
            times = await spread(kit, log, 5)
            await log.trim(SUPPORT, key(3))

            assert numbers((await log.entries(SUPPORT, after=key(1), limit=2)).items) == [3, 4]
            assert numbers((await log.entries(SUPPORT, after=times[0], limit=2)).items) == [3, 4]
            assert numbers((await log.messages(SUPPORT, after=key(1), limit=2)).items) == [3, 4]
            assert numbers((await log.messages(SUPPORT, around=key(1), limit=2)).items) == [3, 4]
            below = await log.messages(SUPPORT, before=key(2), limit=2)
            assert (below.items, below.before) == ((), None)

    async def test_a_time_is_a_place_to_trim_at(self, kit: LogKit) -> None:
        """What came before it goes (D26)."""
        async with kit.opened() as log:
            times = await spread(kit, log, 4)

            trimmed = await log.trim(SUPPORT, times[2])

            assert trimmed.floor == serial(2)

    async def test_the_floor_never_falls(self, kit: LogKit) -> None:
        """Trimming again, or lower, changes nothing (D26)."""
        async with kit.opened() as log:
            await append(log, *map(wish, range(1, 6)))
            await log.trim(SUPPORT, key(4))

            for place in (key(4), key(2), key(1)):
                assert (await log.trim(SUPPORT, place)).floor == serial(3)
            assert numbers((await log.entries(SUPPORT, after=None, limit=10)).items) == [4, 5]

    async def test_trimming_before_the_first_forgets_nothing(self, kit: LogKit) -> None:
        """Nor does it make a channel that nobody wrote to."""
        async with kit.opened() as log:
            await append(log, wish(1))

            assert (await log.trim(SUPPORT, key(1))).floor is None
            trimmed = await log.trim("sales", key(5))
            assert (trimmed.head, trimmed.floor) == (None, None)

    async def test_a_channel_trimmed_of_all_goes_on(self, kit: LogKit) -> None:
        """Numbers and lanes go on from where they were (D9, D20)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2))

            trimmed = await log.trim(SUPPORT, key(9))

            assert (trimmed.head, trimmed.floor) == (serial(2), serial(2))
            page = await log.messages(SUPPORT, limit=10)
            assert (page.items, page.before, page.after, page.as_of) == ((), None, None, key(2))
            (late, ack) = await append(log, wish(1, user="bob", seq=None), wish(3))
            assert (late.key, ack.key, ack.prev) == (key(3), key(4), serial(3))
            assert await outcomes(log, wish(9, seq=2)) == ["superseded"]

    async def test_ids_outlive_bodies(self, kit: LogKit) -> None:
        """A retry of what was trimmed since is a duplicate, without its predecessor (D20)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2), wish(3))
            await log.trim(SUPPORT, key(3))

            (ack,) = await append(log, wish(2))

            assert (ack.outcome, ack.key, ack.prev) == ("duplicate", key(2), None)
            assert await outcomes(log, says(1, "else")) == ["conflict"]
            assert (await log.find(SUPPORT, [wish(1).ident])).items == {wish(1).ident: key(1)}

    async def test_ids_are_forgotten_after_more_than_a_year(self, kit: LogKit) -> None:
        """No outbox keeps an entry that long; how far back the log can swear is told truly (D10, D20)."""
        async with kit.opened() as log:
            await append(log, wish(1))
            await kit.age(60)
            await append(log, wish(2), wish(3))
            await log.trim(SUPPORT, key(9))
            await kit.age(timedelta(days=400).total_seconds() - 30)

            await log.trim(SUPPORT, key(9))

            found = await log.find(SUPPORT, [wish(number).ident for number in (1, 2, 3)])
            assert set(found.items) == {wish(2).ident, wish(3).ident}
            assert found.reaches is not None
            past = found.state.now - timedelta(days=400)
            assert past - timedelta(seconds=60) < found.reaches < past + timedelta(seconds=30)

    async def test_what_is_not_trimmed_is_known_for_ever(self, kit: LogKit) -> None:
        """An id goes after its body, never before it (D20)."""
        async with kit.opened() as log:
            await append(log, wish(1), wish(2))
            await kit.age(timedelta(days=500).total_seconds())

            await log.trim(SUPPORT, key(1))

            assert await outcomes(log, wish(1), wish(2)) == ["duplicate", "duplicate"]

    async def test_a_thread_survives_its_trimmed_root(self, kit: LogKit) -> None:
        """Replies stay readable, and further ones may come; the root itself can be changed no more."""
        async with kit.opened() as log:
            root = wish(1)
            await append(log, root, wish(2, thread=root), wish(3, thread=root))

            await log.trim(SUPPORT, key(3))

            await append(log, wish(4, thread=root))
            found = await log.messages(SUPPORT, thread=root.ident, limit=10)
            assert texts(found) == ["text 3", "text 4"]
            assert isinstance(await refusal(log, change(5, "reaction.add", root)), MessageNotFound)

    async def test_a_root_counts_the_replies_that_are_kept(self, kit: LogKit) -> None:
        """A root may be younger than some of its replies."""
        async with kit.opened() as log:
            root = wish(5)
            await append(log, wish(1, thread=root, user="bob"), root, wish(2, thread=root, user="bob"))

            await log.trim(SUPPORT, key(2))

            (found,) = (await log.get(SUPPORT, [root.ident])).items
            assert (found.replies, found.last_reply) == (1, key(3))

    @needing("search")
    async def test_a_message_outlives_none_of_its_text(self, kit: LogKit) -> None:
        """An edit that is kept is no message where its creation is gone."""
        async with kit.opened() as log:
            created = says(1, "alpha")
            edit = change(2, "message.update", created, body={"type": "text", "text": "beta"})
            await append(log, created, edit, wish(3))

            await log.trim(SUPPORT, key(2))

            assert texts(await log.messages(SUPPORT, limit=10)) == ["text 3"]
            assert await search(log, "beta") == []
            assert numbers((await log.entries(SUPPORT, after=None, limit=10)).items) == [2, 3]

    @needing("search")
    async def test_one_channel_is_trimmed_alone(self, kit: LogKit) -> None:
        """Others keep what they have."""
        async with kit.opened() as log:
            await append(log, says(1, "word"))
            await append(log, says(2, "word", channel="sales"), channel="sales")

            await log.trim(SUPPORT, key(9))

            assert (await state(log, "sales")).floor is None
            assert len(await search(log, "word")) == 1

    @needing("registers")
    async def test_what_is_trimmed_counts_no_more(self, kit: LogKit) -> None:
        """Unread counts are of what is kept, and say that more may have been missed (D25)."""
        async with kit.opened() as log:
            await append(log, *(wish(number, user="bob", mentions=["ada"]) for number in range(1, 6)))
            await log.trim(SUPPORT, key(4))

            found = await unread(log)

            assert (found.messages, found.mentions, found.exact) == (2, 2, False)
            assert found.first == message_id(4)
