"""What a log in a file does beyond numbering and paging: versions, registers, unread, search, trimming."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatkit.errors import InvalidMessage, MessageNotFound, NotAllowed
from chatkit.logs.sqlite import appending, trimming
from chatkit.logs.sqlite.log import SqliteLog
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import Register
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import change, message_id, text_of, wish
from tests.logs.sqlite_kit import file_log, key, read_mark, role, unread_mark


@pytest.fixture
def log(tmp_path: Path, clock: VirtualClock) -> Generator[SqliteLog]:
    """An empty log; `mona` moderates `support`."""
    made = file_log(tmp_path / "shop.db", clock)
    yield made
    made._file.close_reader()
    made._file.close_writer()


def says(number: int, words: str, **fields: Any) -> Outgoing:
    return wish(number, body={"type": "text", "text": words}, **fields)


async def found(log: SqliteLog, words: str, **options: Any) -> list[str | None]:
    page = await log.search(words, **{"limit": 50} | options)
    return [text_of(item.edit or item.data) for item in page.items]


# ---------------------------------------------------------------------- appending


async def test_acks_name_the_place_before(log: SqliteLog) -> None:
    """Of what is new and of what is known, as long as it is kept (D17)."""
    acks = (await log.append("support", [wish(1), wish(2), wish(1)])).acks

    assert [ack.prev for ack in acks] == ["", key(1).serial, ""]


async def test_a_moderator_deletes_and_restores(log: SqliteLog) -> None:
    """Whoever has the role in the channel, and nobody who had it once (D2)."""
    created = wish(1)
    await log.append("support", [created])
    await log.put([role("mona", "moderator")])

    first = await log.append("support", [change(2, "message.delete", created, user="mona")])
    await log.put([role("mona", "member")])
    second = await log.append("support", [change(3, "message.restore", created, user="mona")])

    assert first.acks[0].outcome == "new"
    assert isinstance(second.acks[0].error, NotAllowed)


async def test_a_refusal_is_remembered_with_its_reason(log: SqliteLog) -> None:
    """A copy of the attempt that comes when it would pass is refused as before; a new attempt is not (D9)."""
    created = wish(1, user="bob")
    early = change(2, "reaction.add", created)
    first = (await log.append("support", [early])).acks[0]
    await log.append("support", [created])

    (again,) = (await log.append("support", [early])).acks

    assert (again.outcome, type(again.error), str(again.error)) == (
        "refused",
        MessageNotFound,
        str(first.error),
    )
    assert (await log.append("support", [change(2, "reaction.add", created, seq=3)])).acks[0].outcome == "new"


async def test_the_oldest_refusals_are_forgotten(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills the file with what was refused (I10)."""
    monkeypatch.setattr(appending, "REFUSALS", 2)
    monkeypatch.setattr(appending, "_SWEEP", 1)
    target = wish(99)
    early = [change(number, "reaction.add", target) for number in range(1, 6)]
    for entry in early:
        await log.append("support", [entry])
    await log.append("support", [target._replace(seq=None)])

    answers = (await log.append("support", [early[0], early[-1]])).acks

    assert [ack.outcome for ack in answers] == ["new", "refused"]


# ---------------------------------------------------------------------- reactions and threads


async def test_reactions_are_bounded_by_user(log: SqliteLog) -> None:
    """Nobody alone fills a message: the oldest of one's own go (I10)."""
    created = wish(1)
    emojis = [chr(0x1F600 + number) for number in range(34)]
    await log.append("support", [created, change(2, "reaction.add", created, user="bob")])
    for number, emoji in enumerate(emojis, start=3):
        body = {"type": "emoji", "emoji": emoji}
        await log.append("support", [change(number, "reaction.add", created, body=body)])

    (item,) = (await log.messages("support", limit=1)).items

    assert sorted(item.reactions) == sorted([*emojis[2:], "👍"])


async def test_a_reply_may_come_before_its_root(log: SqliteLog) -> None:
    """It is counted once the root is there."""
    root = wish(5)
    await log.append("support", [wish(1, thread=root, user="bob"), root, wish(2, thread=root, user="bob")])

    (item,) = (await log.get("support", [root.ident])).items

    assert (item.replies, item.last_reply) == (2, key(3))


# ---------------------------------------------------------------------- versions


async def test_versions_are_the_creation_and_its_changes(log: SqliteLog) -> None:
    """Oldest first, reactions left out; of what was erased the envelopes stay without text (D26)."""
    created = wish(1)
    edit = change(2, "message.update", created)
    await log.append("support", [created, edit, change(3, "reaction.add", created, user="bob"), wish(9)])
    await log.append("support", [change(10, "message.delete", created)])
    await log.append(
        "support", [change(11, "message.update", created), change(12, "message.restore", created)]
    )

    versions = await log.versions("support", created.ident)

    assert [item.stamp.key for item in versions.items] == [key(n) for n in (1, 2, 5, 6, 7)]
    assert [text_of(item.data) for item in versions.items] == [None, None, None, "text 11", None]
    assert not versions.more
    for absent in (wish(7).ident, Ident("ada", "no id"), Ident("\ud800", message_id(1))):
        assert (await log.versions("support", absent)).items == ()


# ---------------------------------------------------------------------- registers and unread


async def test_registers_are_merged_and_read_by_name_and_user(log: SqliteLog) -> None:
    """A mark never goes back, a newest one does; order is by bytes (D25)."""
    await log.put([read_mark("bob", 5), read_mark("ada", 2), role("zoe", "owner"), role("Zoe", "member")])
    await log.put([read_mark("bob", 3), role("zoe", "member")])

    registers = await log.registers("support", ["role", "read", "read"])

    assert [(r.name, r.user, r.value) for r in registers] == [
        ("read", "ada", "id-2"),
        ("read", "bob", "id-5"),
        ("role", "Zoe", "member"),
        ("role", "zoe", "member"),
    ]
    assert registers[1] == read_mark("bob", 5)
    assert [r.user for r in await log.registers("support", ["read"], users=["bob", "eve"])] == ["bob"]
    assert await log.registers("sales", ["read"]) == ()
    assert await log.registers("\ud800", ["read"]) == ()


async def test_a_register_that_is_no_text_is_refused_with_all_of_its_call(log: SqliteLog) -> None:
    """One transaction: all or nothing."""
    with pytest.raises(InvalidMessage, match="surrogate"):
        await log.put([read_mark("ada", 1), Register("support", "ada", "x", "\ud800", "newest", None)])

    assert await log.registers("support", ["read"]) == ()


async def test_unread_messages_are_counted(log: SqliteLog) -> None:
    """Those of others above the mark that stand in the channel and are not deleted (D25)."""
    root, gone = wish(1, user="bob"), wish(5, user="bob")
    await log.append("support", [root, wish(2), wish(3, user="bob", mentions=["ada"])])
    await log.append("support", [wish(4, user="bob", thread=root, mentions=["*"]), gone])
    await log.append("support", [change(6, "message.delete", gone, user="bob")])
    await log.append("support", [wish(7, user="bob", thread=root, also=True, mentions=["*", "ada"])])

    every = (await log.unread("ada", ["support", "sales"]))["support"]
    await log.put([read_mark("ada", 1)])
    above = (await log.unread("ada", ["support"]))["support"]
    await log.put([read_mark("ada", 7)])
    none = (await log.unread("ada", ["support"]))["support"]
    await log.put([unread_mark("ada", 3)])
    again = (await log.unread("ada", ["support"]))["support"]

    assert (every.messages, every.mentions, every.first, every.exact) == (3, 2, message_id(1), True)
    assert (above.messages, above.mentions, above.first) == (2, 2, message_id(3))
    assert (none.messages, none.mentions, none.first) == (0, 0, None)
    assert (again.messages, again.first) == (2, message_id(3))
    assert (await log.unread("ada", ["sales"]))["sales"].messages == 0


async def test_mentions_are_those_of_what_shows(log: SqliteLog) -> None:
    """An edit that mentions somebody counts in place of the creation; a delete takes the edit's back."""
    created = wish(1, user="bob", mentions=["ada"])
    await log.append("support", [created])

    async def counts() -> list[int]:
        return [(await log.unread(user, ["support"]))["support"].mentions for user in ("ada", "eve")]

    assert await counts() == [1, 0]
    await log.append("support", [change(2, "message.update", created, user="bob", mentions=["eve"])])
    assert await counts() == [0, 1]
    await log.append("support", [change(3, "message.delete", created, user="bob")])
    assert await counts() == [0, 0]
    await log.append("support", [change(4, "message.restore", created, user="bob")])
    assert await counts() == [1, 0]


async def test_a_mark_below_the_floor_is_inexact(log: SqliteLog) -> None:
    """What was trimmed may have been unread."""
    await log.append("support", [wish(number, user="bob") for number in range(1, 6)])
    await log.put([read_mark("ada", 2)])
    await log.trim("support", key(5))

    unread = await log.unread("ada", ["support"])

    assert (unread["support"].messages, unread["support"].exact) == (1, False)


# ---------------------------------------------------------------------- search


async def test_all_words_must_be_there(log: SqliteLog) -> None:
    """In any case and order, newest first; a text without a word finds nothing (D24)."""
    await log.append("support", [says(1, "Der GRÜNE Baum"), says(2, "baum, grüne_wiese"), says(3, "Baum")])

    assert await found(log, "grüne baum") == ["baum, grüne_wiese", "Der GRÜNE Baum"]
    assert await found(log, "grune") == []
    assert await found(log, "gr") == []
    assert await found(log, "-- \ud800 §") == []
    assert await found(log, 'baum" OR "x') == []


async def test_words_are_those_of_the_model_in_every_script(log: SqliteLog) -> None:
    """The index splits and folds nothing by rules of its own."""
    texts = [
        "İstanbul ΣΊΣΥΦΟΣ",
        "naïve cafe\u0301",
        "日本語 テキスト",
        "\U0001d518nicode ½ ²",
        "e\u0301te",
        "c12 u616461",
    ]
    await log.append("support", [says(number, text) for number, text in enumerate(texts, start=1)])

    for text in texts:
        assert await found(log, text) == [text]
    assert await found(log, "cafe") == [texts[1]]
    assert await found(log, "c1") == []


async def test_a_search_is_narrowed(log: SqliteLog, clock: VirtualClock) -> None:
    """To channels, a sender, a span of time."""
    start = clock.wall()
    await log.append("support", [says(1, "hello one")])
    clock.advance(10)
    await log.append("sales", [says(2, "hello two", channel="sales", user="bob")])
    clock.advance(10)
    await log.append("support", [says(3, "hello three", user="bob")])

    assert await found(log, "hello") == ["hello three", "hello two", "hello one"]
    assert await found(log, "hello", channels=["support"]) == ["hello three", "hello one"]
    assert await found(log, "hello", channels=["support", "sales", "nowhere"], sender="bob") == [
        "hello three",
        "hello two",
    ]
    assert await found(log, "hello", channels=[]) == []
    assert await found(log, "hello", channels=["nowhere"]) == []
    assert await found(log, "hello", sender="eve") == []
    assert await found(log, "hello", sender="\ud800") == []
    middle = start + timedelta(seconds=10)
    assert await found(log, "hello", since=middle) == ["hello three", "hello two"]
    assert await found(log, "hello", until=middle) == ["hello one"]
    assert await found(log, "hello", since=middle, until=middle + timedelta(microseconds=1)) == ["hello two"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_a_search_goes_on_where_it_stopped(log: SqliteLog, clock: VirtualClock, limit: int) -> None:
    """Every hit once, in order of time, channel and serial, however many came at one moment."""
    expected: list[str] = []
    number = 0
    for moment in range(4):
        for channel in ("b", "c", "a", "b"):
            number += 1
            await log.append(channel, [says(number, f"word {moment} {channel} {number}", channel=channel)])
        expected += sorted(
            (f"word {moment} {channel} {number - 4 + i + 1}" for i, channel in enumerate("bcab")),
            key=lambda text: (text.split()[2], int(text.split()[3])),
        )
        if moment != 1:
            clock.advance(1)

    seen: list[str | None] = []
    page = await log.search("word", limit=limit)
    while True:
        seen += [text_of(item.data) for item in page.items]
        if page.next is None:
            break
        page = await log.search("word", limit=limit, before=page.next)

    def place(text: str | None) -> tuple[int, str, int]:
        _, moment, channel, count = (text or "").split()
        return {"0": 0, "1": 1, "2": 1, "3": 2}[moment], channel, int(count)

    assert seen == sorted(expected, key=place, reverse=True)


async def test_what_shows_is_searched(log: SqliteLog) -> None:
    """Of an edited message the edit, of a deleted one nothing, of a restored one what was written since."""
    created = says(1, "first words")
    await log.append("support", [created])
    await log.append(
        "support", [change(2, "message.update", created, body={"type": "text", "text": "other words"})]
    )

    assert await found(log, "first") == []
    assert await found(log, "words") == ["other words"]
    await log.append("support", [change(3, "message.delete", created)])
    assert await found(log, "words") == []
    await log.append("support", [change(4, "message.update", created, body={"type": "t", "title": "third"})])
    assert await found(log, "third") == []
    await log.append("support", [change(5, "message.restore", created)])
    assert len((await log.search("third", limit=5)).items) == 1
    assert await found(log, "words") == []


async def test_a_word_as_long_as_a_message_is_found(log: SqliteLog) -> None:
    """And one that differs in its last letter alone is not."""
    long = "x" * 40_000
    await log.append("support", [says(1, long + "a"), says(2, long + "b")])

    assert await found(log, long + "a") == [long + "a"]


async def test_a_question_may_be_long(log: SqliteLog) -> None:
    """Words and channels of any number are one question."""
    text = " ".join(f"word{number}" for number in range(3_000))
    await log.append("support", [says(1, text)])
    for number in range(2, 400):
        await log.append(f"channel-{number}", [says(number, "word1", channel=f"channel-{number}")])

    assert await found(log, text) == [text]
    names = [f"channel-{number}" for number in range(2, 400)]
    assert len(await found(log, "word1", channels=names, limit=1000)) == 398


@pytest.mark.parametrize("seed", range(6))
async def test_the_index_says_what_the_messages_say(log: SqliteLog, clock: VirtualClock, seed: int) -> None:
    """After any edits, deletes, restores and trims each word finds the messages that show it, and no others."""
    random = Random(seed)
    vocabulary = ["alpha", "beta", "gamma", "delta", "Ähre"]
    made: list[Outgoing] = []
    for number in range(1, 61):
        text = " ".join(random.choices(vocabulary, k=3))
        body = {"type": "text", "text": text}
        kind = random.choice(
            ["message.create"] * 4 + ["message.update"] * 3 + ["message.delete", "message.restore"]
        )
        if kind == "message.create" or not made:
            entry = says(number, text, user=random.choice(["ada", "bob"]))
            made.append(entry)
        else:
            target = random.choice(made)
            own = {"user": target.ident.user, "body": body if kind == "message.update" else None}
            entry = change(number, kind, target, **own)
        await log.append("support", [entry])
        if number % 25 == 0:
            await log.trim("support", key(random.randint(1, number // 2)))
        clock.advance(random.choice([0, 1]))

    shown = [item for item in (await log.messages("support", limit=100)).items if not item.deleted]
    for word in vocabulary:
        for sender in (None, "ada", "bob"):
            expected = [
                item.ident
                for item in reversed(shown)
                if word in (text_of(item.edit or item.data) or "").split()
                and sender in (None, item.ident.user)
            ]
            page = await log.search(word, sender=sender, limit=100)
            assert [item.ident for item in page.items] == expected


# ---------------------------------------------------------------------- trimming


async def test_what_is_trimmed_is_gone(log: SqliteLog, clock: VirtualClock) -> None:
    """Entries, messages, hits, mentions and counts; the floor rises and never falls (D18, D26)."""
    root = says(1, "alpha", user="bob", mentions=["ada"])
    await log.append("support", [root, says(2, "beta", user="bob", thread=root, also=True), says(3, "gamma")])
    await log.append("support", [change(4, "reaction.add", root)])

    state = await log.trim("support", key(3))
    lower = await log.trim("support", key(1))

    assert (state.floor, state.head, lower.floor) == (key(2).serial, key(4).serial, key(2).serial)
    assert [item.stamp.key for item in (await log.entries("support", after=None, limit=9)).items] == [
        key(3),
        key(4),
    ]
    page = await log.messages("support", limit=9)
    assert ([text_of(item.data) for item in page.items], page.before) == (["gamma"], None)
    assert (await log.messages("support", thread=root.ident, limit=9)).items == ()
    assert (await log.get("support", [message_id(1)])).items == ()
    assert (await log.versions("support", root.ident)).items == ()
    assert await found(log, "alpha") == await found(log, "beta") == []
    assert (await log.unread("ada", ["support"]))["support"].mentions == 0
    (late,) = (await log.append("support", [change(9, "reaction.add", root)])).acks
    assert isinstance(late.error, MessageNotFound)


async def test_ids_outlive_bodies_and_go_in_the_end(log: SqliteLog, clock: VirtualClock) -> None:
    """A retry of what was trimmed is a duplicate without its predecessor; after 400 days it is unknown (D20)."""
    await log.append("support", [wish(1)])
    clock.advance(1)
    await log.append("support", [wish(2)])
    await log.trim("support", key(9))
    (ack,) = (await log.append("support", [wish(1)])).acks
    clock.advance(trimming.IDS.total_seconds())

    kept = await log.find("support", [wish(1).ident])
    clock.advance(0.5)
    await log.trim("support", key(9))
    gone = await log.find("support", [wish(1).ident, wish(2).ident])

    assert (ack.outcome, ack.key, ack.prev) == ("duplicate", key(1), None)
    assert kept.items == {wish(1).ident: key(1)}
    assert set(gone.items) == {wish(2).ident}
    assert gone.reaches is not None
    assert gone.reaches == (await log.heads(["support"]))["support"].now - trimming.IDS - timedelta(
        seconds=1.5
    )
    (answer,) = (await log.append("support", [wish(1, seq=None)])).acks
    assert (answer.outcome, answer.key) == ("new", key(3))


async def test_the_newest_entry_is_remembered_for_ever(log: SqliteLog, clock: VirtualClock) -> None:
    """Numbers and time go on from it, whatever was trimmed."""
    await log.append("support", [wish(1)])
    clock.advance(2 * trimming.IDS.total_seconds())
    await log.trim("support", key(9))

    (ack,) = (await log.append("support", [wish(2)])).acks

    assert (ack.key, ack.prev) == (key(2), key(1).serial)
    assert await found(log, "text") == ["text 2"]


async def test_a_lot_is_trimmed_in_steps(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody waits long to write; the end is the same."""
    monkeypatch.setattr(trimming, "STEP", 2)
    await log.append("support", [wish(number) for number in range(1, 8)])

    state = await log.trim("support", key(7))

    assert state.floor == key(6).serial
    assert [text_of(item.data) for item in (await log.messages("support", limit=9)).items] == ["text 7"]


async def test_a_root_younger_than_its_trimmed_replies_counts_the_others(log: SqliteLog) -> None:
    """Threads count what is kept."""
    root = wish(5)
    await log.append("support", [wish(1, thread=root, user="bob"), root, wish(2, thread=root, user="bob")])

    await log.trim("support", key(2))

    (item,) = (await log.get("support", [root.ident])).items
    assert (item.replies, item.last_reply) == (1, key(3))


async def test_a_channel_nobody_wrote_to_is_trimmed_of_nothing(log: SqliteLog) -> None:
    """Nor is it made by that."""
    state = await log.trim("nowhere", key(5))

    assert (state.head, state.floor) == (None, None)


# ---------------------------------------------------------------------- places


async def test_places_of_others_divide_the_log(log: SqliteLog, clock: VirtualClock) -> None:
    """Keys of other sequencers, and serials of another form, compare as pairs of number and text (D3)."""
    await log.append("support", [wish(1), wish(2)])

    places: list[tuple[Place, int]] = [
        (OrderKey(0, "z"), 2),
        (OrderKey(2, ""), 0),
        (OrderKey(1, ""), 2),
        (OrderKey(1, key(1).serial + "0"), 1),
        (OrderKey(1, "z"), 0),
        (OrderKey(1, "\ud800"), 0),
        (clock.wall() - timedelta(seconds=1), 2),
        (clock.wall(), 0),
    ]
    for place, count in places:
        assert len((await log.entries("support", after=place, limit=9)).items) == count


async def test_names_that_cannot_be_are_not_there(log: SqliteLog) -> None:
    """A channel, user or id that is no text is found nowhere and breaks nothing."""
    await log.append("support", [wish(1)])
    odd = Ident("\ud800", message_id(1))

    assert (await log.heads(["\ud800"]))["\ud800"].head is None
    assert (await log.find("support", [odd, Ident("ada", "x")])).items == {}
    assert (await log.get("support", [odd, "x", "\ud800"])).items == ()
    assert (await log.messages("support", thread=odd, limit=5)).items == ()
    counts = await log.unread("\ud800", ["support", "\ud800"])
    assert [counts[name].messages for name in ("support", "\ud800")] == [1, 0]
    assert (await log.append("\ud800", [wish(2)])).acks[0].outcome == "refused"
