"""The two ways of a search: the newest texts one by one, and the index; and when which is gone."""

from __future__ import annotations

import json
from collections.abc import Generator
from random import Random

import pytest

from chatkit.errors import ConfigError, Rejected
from chatkit.logs.postgres import PostgresLog, migrate
from chatkit.model.search import MOST_BYTES, MOST_WORDS, SearchMark, check_query, words
from chatkit.testing.contract.log.kit import says
from chatkit.testing.wishes import change, text_of
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask, opened, session

pytestmark = pytest.mark.realtime

CHANNELS = ("b", "a", "c")
COUNT = 60


@pytest.fixture(scope="module")
def filled(postgres: str) -> Generator[str]:
    """The DSN of a log with a few dozen messages in three channels; of the first half all say `old`."""
    with postgres_server.database(postgres) as dsn:
        migrate(dsn)
        with session(dsn) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION chatkit.spans() RETURNS integer[] LANGUAGE sql IMMUTABLE"
                " AS 'SELECT array[4, 12, 2147483647]'"
            )
        yield dsn


def narrow(dsn: str, likely: int | None) -> None:
    """Make the server's statistics say so; `None`: what they do say."""
    body = "SELECT 0::bigint" if likely is None else f"SELECT {likely}::bigint"
    query = (
        f"CREATE OR REPLACE FUNCTION chatkit.expected(lexemes text[]) RETURNS bigint LANGUAGE sql AS '{body}'"
    )
    ask(dsn, query)


async def fill(log: PostgresLog) -> None:
    random = Random(1)
    for number in range(1, COUNT + 1):
        said = ["every", f"m{number}", "old" if number <= COUNT // 2 else "new"]
        said += [word for word, share in (("often", 0.5), ("seldom", 0.1)) if random.random() < share]
        channel = random.choice(CHANNELS)
        user = random.choice(("ada", "bob"))
        await log.append(channel, [says(number, " ".join(said), channel=channel, user=user, seq=None)])
    deleted = says(COUNT + 1, "every often deleted", channel="a", seq=None)
    gone = change(COUNT + 2, "message.delete", deleted, channel="a", seq=None)
    await log.append("a", [deleted, gone])


@pytest.mark.parametrize(
    "likely",
    [
        pytest.param(0, id="index first"),
        pytest.param(10_000, id="index second", marks=pytest.mark.long),
        pytest.param(1_000_000, id="never the index", marks=pytest.mark.long),
    ],
)
async def test_every_way_finds_the_same(filled: str, likely: int) -> None:
    """Each hit once and in order, page by page, however a search is narrowed."""
    narrow(filled, likely)
    async with opened(filled) as log:
        if ask(filled, "SELECT count(*) FROM chatkit.texts") == 0:
            await fill(log)
        every = await log.search("every", limit=1000)
        times = [item.stamp.at for item in every.items]
        assert len(every.items) == COUNT
        assert times == sorted(times, reverse=True)

        for text in ("every", "often", "seldom", "old", "new often", "m1", "m60 every", "deleted", "absent"):
            for channels in (None, ["a"], ["b", "c", "nowhere"]):
                for sender in (None, "ada"):
                    for low, high in ((None, None), (times[50], times[10])):
                        expected = [
                            item.ident
                            for item in every.items
                            if set(words(text)) <= set(words(text_of(item.data) or ""))
                            and (channels is None or channel_of(item.data) in channels)
                            and sender in {None, item.ident.user}
                            and (low is None or low <= item.stamp.at)
                            and (high is None or item.stamp.at < high)
                        ]
                        for limit in (2, 7):
                            found = []
                            mark: SearchMark | None = None
                            while True:
                                page = await log.search(
                                    text,
                                    channels=channels,
                                    sender=sender,
                                    since=low,
                                    until=high,
                                    before=mark,
                                    limit=limit,
                                )
                                found += [item.ident for item in page.items]
                                mark = page.next
                                if mark is None:
                                    break
                            assert found == expected, (text, channels, sender, low, limit)


async def test_a_search_is_for_so_many_words(migrated: str) -> None:
    """Whoever calls the log itself is told as well; the client says so before it asks."""
    most = " ".join(f"w{number}" for number in range(MOST_WORDS))
    async with opened(migrated) as log:
        await log.append("support", [says(1_000, most, seq=None)])

        assert len((await log.search(f"{most} {most.upper()}", limit=2)).items) == 1
        for text in (f"{most} more", "x" * (MOST_BYTES + 1), "\u00fc" * (MOST_BYTES // 2 + 1)):
            with pytest.raises(ConfigError, match="at most 2,000 words"):
                check_query(text)
            with pytest.raises(Rejected, match="at most 2,000 words"):
                await log.search(text, limit=2)
        for text in (most, "x" * MOST_BYTES, ""):
            check_query(text)
        assert (await log.search("x" * MOST_BYTES, limit=2)).items == ()


async def test_the_statistics_of_the_server_are_understood(migrated: str) -> None:
    """What is frequent is known as such once they were gathered, and what is not is taken for rare."""
    async with opened(migrated) as log:
        for start in range(1, 301, 100):
            entries = [
                says(number, f"often {'seldom' if number % 100 == 0 else 'else'} m{number}", seq=None)
                for number in range(start, start + 100)
            ]
            await log.append("support", entries)

    with session(migrated) as connection:
        connection.execute("SET search_path = chatkit")
        before = connection.execute("SELECT expected(array['often'])").fetchone()
        connection.execute("ANALYZE texts")
        after = connection.execute(
            "SELECT expected(array['often']), expected(array['often', 'else']), expected(array['absent'])"
        ).fetchone()

    assert before == (0,)
    assert after is not None
    assert after[0] == 300
    assert 290 <= after[1] <= 300
    assert after[2] < 30


def channel_of(data: bytes) -> str:
    channel: str = json.loads(data)["channel"]
    return channel
