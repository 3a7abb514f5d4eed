"""The contract of logs: full text, newest first (D24)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from chatkit.model.search import SearchMark
from chatkit.ports.log import Log
from chatkit.testing.contract.base import needing
from chatkit.testing.contract.log.kit import (
    SUPPORT,
    LogKit,
    append,
    key,
    numbers,
    role,
    said,
    says,
    search,
    serial,
    texts,
)
from chatkit.testing.contract.log.part import LogPart
from chatkit.testing.wishes import change, wish


async def paged(log: Log, words: str, limit: int) -> list[str | None]:
    """Read all hits page by page."""
    found: list[str | None] = []
    mark: SearchMark | None = None
    while True:
        page = await log.search(words, before=mark, limit=limit)
        found += texts(page)
        mark = page.next
        if mark is None:
            return found
        assert len(page.items) == limit


class SearchContract(LogPart):
    """What shows can be found by all of its words."""

    needs = frozenset({"append", "fence", "search"})

    async def test_all_words_must_be_there(self, kit: LogKit) -> None:
        """In any case and order, whole, newest first (D24)."""
        async with kit.opened() as log:
            await append(
                log, says(1, "Der GRÜNE Baum"), says(2, "baum, grüne_wiese"), says(3, "Baum baum Baumhaus")
            )

            assert await search(log, "grüne baum") == ["baum, grüne_wiese", "Der GRÜNE Baum"]
            assert await search(log, "BAUM baum") == [
                "Baum baum Baumhaus",
                "baum, grüne_wiese",
                "Der GRÜNE Baum",
            ]
            assert await search(log, "grune") == []
            assert await search(log, "grün") == []
            assert await search(log, "rüne") == []
            assert await search(log, "wiese!") == ["baum, grüne_wiese"]

    @pytest.mark.parametrize("text", ["", "  ", "-- _ §", "...", "\u2026\u200b", "\ud800"])
    async def test_a_text_without_a_word_finds_nothing(self, kit: LogKit, text: str) -> None:
        """Rather than everything."""
        async with kit.opened() as log:
            await append(log, says(1, "word"), says(2, "... _ §"))

            page = await log.search(text, limit=10)

            assert (page.items, page.next) == ((), None)

    @pytest.mark.parametrize(
        "text",
        [
            "İstanbul ΣΊΣΥΦΟΣ",
            "naïve cafe\u0301",
            "日本語 テキスト",
            "\U0001d518nicode ½ ²",
            "Straße",
            "привет МИР",
            "שלום",
            "don't stop-me_now",
            "v1.2.3 10,000",
            "a" * 300,
        ],
    )
    async def test_words_are_those_of_the_model_in_every_script(self, kit: LogKit, text: str) -> None:
        """An index splits and folds nothing by rules of its own: a text finds itself."""
        async with kit.opened() as log:
            await append(log, says(1, f"before {text} after"), says(2, "cafe strasse unicode b" + "a" * 299))

            assert await search(log, text) == [f"before {text} after"]

    @pytest.mark.parametrize(
        "text",
        [
            'baum" OR "x',
            "baum OR x",
            "baum NOT x",
            "baum NEAR x",
            "words:baum x",
            "b* x",
            "baum & x",
            "!x baum",
            "baum <-> x",
            "'; DROP TABLE messages; --",
            "%",
            "b_um",
            "baum\0x",
        ],
    )
    async def test_a_text_is_words_and_never_a_program(self, kit: LogKit, text: str) -> None:
        """What an index, or a database, would take for an operator is a word or nothing."""
        async with kit.opened() as log:
            await append(log, says(1, "baum"))

            assert await search(log, text) == []
            assert await search(log, "baum") == ["baum"]

    async def test_common_words_are_words(self, kit: LogKit) -> None:
        """There is no list of words that are not looked for, and no stem."""
        async with kit.opened() as log:
            await append(log, says(1, "to be or not to be"), says(2, "running"), says(3, "the"))

            assert await search(log, "or not") == ["to be or not to be"]
            assert await search(log, "the") == ["the"]
            assert await search(log, "run") == []

    async def test_every_text_of_a_body_is_searched(self, kit: LogKit) -> None:
        """Of any type, in the fields that hold text (`chatkit.model.search`)."""
        async with kit.opened() as log:
            fields = ("text", "title", "caption", "description", "name", "fallback")
            await append(
                log,
                *(
                    wish(number, body={"type": "x.card", field: f"word{number}"})
                    for number, field in enumerate(fields, start=1)
                ),
                wish(7, body={"type": "x.card", "url": "word7", "title": 7, "more": {"text": "word7"}}),
                wish(8, body={"type": "x.card", "title": "split", "caption": "fields"}),
            )

            for number in range(1, 7):
                assert numbers((await log.search(f"word{number}", limit=9)).items) == [number]
            assert (await log.search("word7", limit=9)).items == ()
            assert numbers((await log.search("split fields", limit=9)).items) == [8]

    @needing("fold")
    async def test_only_messages_are_searched(self, kit: LogKit) -> None:
        """Unknown kinds and reactions are none, whatever text they hold; replies are."""
        async with kit.opened() as log:
            root = wish(1)
            await append(
                log,
                root,
                wish(2, kind="poll.open", body={"type": "text", "text": "word"}),
                change(3, "reaction.add", root, body={"type": "emoji", "emoji": "👍", "text": "word"}),
                says(4, "word", thread=root),
            )

            assert numbers((await log.search("word", limit=9)).items) == [4]

    @needing("registers")
    async def test_what_shows_is_searched(self, kit: LogKit) -> None:
        """Of an edited message the edit, of a deleted one nothing, of a restored one what was written since."""
        async with kit.opened() as log:
            created = says(1, "first words")
            await append(log, created)
            edit = change(2, "message.update", created, body={"type": "text", "text": "other words"})
            await append(log, edit)

            assert await search(log, "first") == []
            assert await search(log, "words") == ["other words"]
            await log.put([role("mona")])
            await append(log, change(3, "message.delete", created, user="mona"))
            assert await search(log, "words") == []
            third = change(4, "message.update", created, body={"type": "text", "text": "third"})
            await append(log, third)
            assert await search(log, "third") == []
            await append(log, change(5, "message.restore", created))
            assert await search(log, "third") == ["third"]
            assert await search(log, "words") == []
            await append(log, change(6, "message.delete", created))
            assert await search(log, "third") == []

    @needing("fold")
    async def test_a_hit_is_the_message_as_it_is_now(self, kit: LogKit) -> None:
        """As a page shows it, from the channel that its envelope names."""
        async with kit.opened() as log:
            created = says(1, "word")
            await append(
                log,
                created,
                wish(2, thread=created),
                change(3, "reaction.add", created, user="bob"),
                change(4, "message.update", created, body={"type": "text", "text": "word again"}),
            )

            (hit,) = (await log.search("word", limit=9)).items

            (shown,) = (await log.get(SUPPORT, [created.ident])).items
            assert hit == shown
            assert (hit.replies, hit.version, hit.reactions) == (1, 2, {"👍": ("bob",)})

    async def test_an_edit_keeps_the_place_of_its_message(self, kit: LogKit) -> None:
        """Newest first is by creation (D23)."""
        async with kit.opened() as log:
            first = says(1, "word one")
            await append(log, first, says(2, "word two"))
            await kit.later(log)
            await append(log, change(3, "message.update", first, body={"type": "text", "text": "word late"}))

            assert await search(log, "word") == ["word two", "word late"]

    async def test_a_search_is_narrowed(self, kit: LogKit) -> None:
        """To channels, a sender, a span of time: `since` included, `until` not."""
        async with kit.opened() as log:
            times: list[datetime] = []
            for number, (channel, user) in enumerate(
                [(SUPPORT, "ada"), ("sales", "bob"), (SUPPORT, "bob")], start=1
            ):
                entry = says(number, f"hello {number}", channel=channel, user=user)
                (ack,) = await append(log, entry, channel=channel)
                assert ack.sent_at is not None
                times.append(ack.sent_at)
                await kit.later(log)
            one, two, three = "hello 1", "hello 2", "hello 3"

            assert await search(log, "hello") == [three, two, one]
            assert await search(log, "hello", channels=[SUPPORT]) == [three, one]
            assert await search(log, "hello", channels=[SUPPORT, "sales", "nowhere", SUPPORT]) == [
                three,
                two,
                one,
            ]
            assert await search(log, "hello", channels=[SUPPORT, "sales"], sender="bob") == [three, two]
            assert await search(log, "hello", sender="bob", channels=["sales"]) == [two]
            nowhere: list[dict[str, Any]] = [
                {"channels": []},
                {"channels": ["nowhere"]},
                {"sender": "eve"},
                {"sender": "\ud800"},
            ]
            for nothing in nowhere:
                assert await search(log, "hello", **nothing) == []
            assert await search(log, "hello", since=times[1]) == [three, two]
            assert await search(log, "hello", until=times[1]) == [one]
            tick = timedelta(microseconds=1)
            assert await search(log, "hello", since=times[1], until=times[1] + tick) == [two]
            assert await search(log, "hello", since=times[2] + tick) == []
            assert await search(log, "hello", until=times[0]) == []
            assert await search(log, "hello", since=times[2], until=times[0]) == []

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
    async def test_a_search_goes_on_where_it_stopped(self, kit: LogKit, limit: int) -> None:
        """Every hit once, newest first by time, then channel, then serial, however many came at one moment."""
        async with kit.opened() as log:
            places: dict[str, tuple[datetime, str, str]] = {}
            number = 0
            for moment in range(4):
                for channel in ("b", "c", "a", "b", "\U0001f600", "\uff5a"):
                    number += 1
                    text = f"word {number}"
                    entry = says(number, text, channel=channel, seq=None)
                    (ack, _) = await append(
                        log, entry, wish(100 + number, channel=channel, seq=None), channel=channel
                    )
                    assert ack.sent_at is not None
                    assert ack.key is not None
                    places[text] = (ack.sent_at, channel, ack.key.serial)
                if moment != 1:
                    await kit.later(log)

            assert await paged(log, "word", limit) == sorted(places, key=places.__getitem__, reverse=True)

    async def test_a_search_goes_on_while_others_write(self, kit: LogKit) -> None:
        """What is newer than the first page stays out of the later ones."""
        async with kit.opened() as log:
            await append(log, *(says(number, f"word {number}") for number in range(1, 6)))
            first = await log.search("word", limit=2)
            await kit.later(log)
            await append(log, says(6, "word 6"))

            rest = await log.search("word", before=first.next, limit=9)

            assert texts(first) == ["word 5", "word 4"]
            assert (texts(rest), rest.next) == (["word 3", "word 2", "word 1"], None)

    async def test_a_mark_is_a_place_and_needs_no_message(self, kit: LogKit) -> None:
        """What it pointed at may be gone by now; any time, channel and serial divide the hits."""
        async with kit.opened() as log:
            sent = [says(number, f"word {number}") for number in range(1, 4)]
            acks = await append(log, *sent)
            first = await log.search("word", limit=1)
            await append(log, change(4, "message.delete", sent[2]))

            rest = await log.search("word", before=first.next, limit=9)

            assert texts(rest) == ["word 2", "word 1"]
            at = acks[0].sent_at
            assert at is not None
            for mark, count in [
                (SearchMark(at, SUPPORT, serial(1)), 0),
                (SearchMark(at, SUPPORT, serial(1) + "0"), 1),
                (SearchMark(at - timedelta(days=1), "z", "z"), 0),
                (SearchMark(at + timedelta(days=1), "", ""), 2),
                (SearchMark(at, "", ""), 0),
            ]:
                assert len((await log.search("word", before=mark, limit=9)).items) == count

    async def test_pages_of_hits_are_bounded(self, kit: LogKit) -> None:
        """A senseless limit gives one hit, and says that there are more."""
        async with kit.opened() as log:
            await append(log, says(1, "word 1"), says(2, "word 2"))

            page = await log.search("word", limit=0)

            assert texts(page) == ["word 2"]
            assert page.next is not None
            last = await log.search("word", before=page.next, limit=1)
            assert (texts(last), last.next) == (["word 1"], None)

    async def test_a_rare_word_is_found_among_common_ones(self, kit: LogKit) -> None:
        """However far down it lies, and the other way round."""
        async with kit.opened() as log:
            await append(
                log, says(1, "common rare"), *(says(number, f"common {number}") for number in range(2, 400))
            )

            assert await search(log, "common rare") == ["common rare"]
            assert len(await search(log, "common", limit=1000)) == 399
            assert await paged(log, "common", 100) == [
                *(f"common {number}" for number in range(399, 1, -1)),
                "common rare",
            ]

    async def test_a_question_may_be_long(self, kit: LogKit) -> None:
        """Words and channels of any number are one question."""
        async with kit.opened() as log:
            text = " ".join(f"word{number}" for number in range(2_000))
            await append(log, says(1, text))
            names = [f"channel-{number}" for number in range(40)]
            for number, name in enumerate(names, start=2):
                await append(log, says(number, "word1", channel=name), channel=name)

            assert await search(log, text) == [text]
            found = await log.search("word1", channels=[*names, *(f"no-{n}" for n in range(500))], limit=100)
            assert len(found.items) == 40

    @needing("erase")
    async def test_erased_and_trimmed_text_is_found_no_more(self, kit: LogKit) -> None:
        """Not even by a page that goes on from before (D26)."""
        async with kit.opened() as log:
            sent = [says(number, f"word {number}") for number in range(1, 6)]
            await append(log, *sent)
            first = await log.search("word", limit=1)
            await append(log, change(6, "message.delete", sent[2]))
            await log.trim(SUPPORT, key(2))

            rest = await log.search("word", before=first.next, limit=9)

            assert [said(item) for item in rest.items] == ["word 4", "word 2"]
