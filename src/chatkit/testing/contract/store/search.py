"""The contract of stores: searching what is cached (D24)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from chatkit.model.entry import Folded
from chatkit.model.order import Ident
from chatkit.model.search import SearchMark
from chatkit.ports.store import Store
from chatkit.testing.contract.store.kit import StoreKit, StorePart
from chatkit.testing.rows import NOON, message


def said(number: int, text: str, /, *, user: str = "bob", **changes: Any) -> Folded:
    """A message with a text, a minute after the one before it."""
    plain = message(number)
    return plain._replace(
        ident=Ident(user, plain.ident.id),
        data=create(text),
        stamp=plain.stamp._replace(at=NOON + timedelta(minutes=number)),
        **changes,
    )


def create(text: str) -> bytes:
    return json.dumps({"body": {"type": "text", "text": text}}).encode()


async def numbers(store: Store, text: str, **wanted: Any) -> list[int]:
    """Return the numbers of the messages found."""
    options: dict[str, Any] = {"limit": 100, **wanted}
    page = await store.search(text, **options)
    return [number_of(folded) for folded in page.items]


def number_of(folded: Folded) -> int:
    return int(folded.ident.id.removeprefix("id-"))


async def cache(store: Store, *messages: Folded, channel: str = "support", keep: int = 100) -> None:
    await store.applied(channel, None, messages, [], keep=keep)


class SearchContract(StorePart):
    """What was seen is found without a connection."""

    needs = frozenset({"search"})

    async def test_messages_with_all_words_are_found_newest_first(self, kit: StoreKit) -> None:
        """Words are runs of letters and digits, in any order; case does not count."""
        texts = ["Where is the manual?", "The manual is at /usr/share", "no such thing", "MANUAL: the end"]
        async with kit.opened() as store:
            await cache(store, *(said(n, text) for n, text in enumerate(texts)))

            assert await numbers(store, "manual the") == [3, 1, 0]
            assert await numbers(store, "usr") == [1]
            assert await numbers(store, "man") == []

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("Straße in Österreich", "österreich"),
            ("привет, мир", "ПРИВЕТ"),
            ("日本語 テスト", "テスト"),
            ("naïve", "naïve"),
            ("snake_case", "case"),
            ("it's", "it"),
            ('a "quoted" AND * word', 'and "quoted"'),
            ("NEAR(x)", "near x"),
            ("0xDEADBEEF", "0xdeadbeef"),
        ],
    )
    async def test_any_script_and_any_sign_may_be_in_a_text(
        self, kit: StoreKit, text: str, query: str
    ) -> None:
        """What means something to a database means nothing in a search."""
        async with kit.opened() as store:
            await cache(store, said(1, text), said(2, "something else"))

            assert await numbers(store, query) == [1]

    @pytest.mark.parametrize("query", ["", " ", "?!", "_", '"'])
    async def test_a_text_without_a_word_finds_nothing(self, kit: StoreKit, query: str) -> None:
        """Nothing was asked for."""
        async with kit.opened() as store:
            await cache(store, said(1, "word"))

            assert await numbers(store, query) == []

    async def test_what_shows_is_searched(self, kit: StoreKit) -> None:
        """Of an edited message the edit, of a deleted one nothing (D26)."""
        async with kit.opened() as store:
            await cache(store, said(1, "before"), said(2, "secret"), said(3, "before"))
            await cache(store, said(1, "before", edit=create("after")), said(2, "secret", deleted=True))

            assert await numbers(store, "before") == [3]
            assert await numbers(store, "after") == [1]
            assert await numbers(store, "secret") == []

    async def test_channel_sender_and_time_narrow_a_search(self, kit: StoreKit) -> None:
        """Each that is given holds; `until` is not included."""
        async with kit.opened() as store:
            await cache(store, said(1, "x", user="ada"), said(2, "x"), said(3, "x", user="ada"))
            await cache(store, said(4, "x"), channel="sales")

            assert await numbers(store, "x") == [4, 3, 2, 1]
            assert await numbers(store, "x", channel="support") == [3, 2, 1]
            assert await numbers(store, "x", sender="ada") == [3, 1]
            since, until = NOON + timedelta(minutes=2), NOON + timedelta(minutes=4)
            assert await numbers(store, "x", since=since, until=until) == [3, 2]

    async def test_pages_cover_all_hits_once(self, kit: StoreKit) -> None:
        """Also where many came at the same time, in several channels."""
        async with kit.opened() as store:
            for channel in ("sales", "support"):
                same = [said(n, "x") for n in range(7)]
                await cache(
                    store,
                    *(hit._replace(stamp=hit.stamp._replace(at=NOON)) for hit in same),
                    channel=channel,
                )
            found: list[tuple[str, int]] = []
            before: SearchMark | None = None
            while True:
                page = await store.search("x", before=before, limit=3)
                found += places(page.items)
                before = page.next
                if before is None:
                    break
                assert len(page.items) == 3

            assert len(found) == 14
            assert [number for _, number in found] == [*range(6, -1, -1)] * 2

    async def test_what_left_the_cache_is_found_no_more(self, kit: StoreKit) -> None:
        """The index is as bounded as the cache (I10)."""
        async with kit.opened() as store:
            await cache(store, *(said(n, "x") for n in range(5)), keep=2)

            assert await numbers(store, "x") == [4, 3]


def places(items: Sequence[Folded]) -> list[tuple[str, int]]:
    return [(folded.stamp.key.serial, number_of(folded)) for folded in items]
