"""What the functions in the database hold to by themselves, whoever calls them."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Generator
from typing import Any

import psycopg
import pytest

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.search import words
from chatkit.postgres.calls import as_json
from chatkit.postgres.rows import item
from chatkit.testing.contract.log.kit import SUPPORT
from chatkit.testing.wishes import change, wish
from tests.logs import postgres_server
from tests.logs.postgres_kit import Session, ask, opened, session

SECRET = "hunter2-very-secret"
PLAIN = json.loads(wish(1).data)


@pytest.fixture
def database_session(emptied: str) -> Generator[Session]:
    with session(emptied) as connection:
        yield connection


def outcomes(database: Session, *items: dict[str, Any], channel: str = SUPPORT) -> list[Any]:
    row = database.execute("SELECT chatkit.append(%s, %s::json)", (channel, as_json(items))).fetchone()
    assert row is not None
    return [ack.get("error") or ack["outcome"] for ack in row[0]["acks"]]


def raw(data: str) -> dict[str, Any]:
    """Something that claims to be message 1."""
    return item(wish(1)) | {"data": data}


def edited(**fields: Any) -> str:
    return json.dumps(PLAIN | fields)


UNSOUND = [
    "",
    "{",
    "[]",
    "null",
    '"x"',
    "\\",
    edited()[:-1] + ',"v":1}',
    edited(body={"type": "text", "text": "\0"}),
    edited(body={"type": "text", "text": "\ud800"}),
    edited(future="\ud800"),
    edited(future=2**53),
    edited(future=-(2**53)),
    edited().replace('"seq": 1', '"seq": 1e400'),
    edited().replace('"seq": 1', '"seq": ' + "9" * 5_000),
    edited(future=0)[:-2] + "[" * 32 + "]" * 32 + "}",
    edited(future=0)[:-2] + "[" * 50_000 + "]" * 50_000 + "}",
    edited(v=0),
    edited(v="1"),
    edited(v=True),
    edited(v=None),
    edited(min=0),
    edited(id=PLAIN["id"].upper() + "A"),
    edited(kind=""),
    edited(kind="message create"),
    edited(sender="ada"),
    edited(sender={"user": "*", "device": "device1"}),
    edited(sender={"user": "ada\n", "device": "device1"}),
    edited(sender={"user": "ada", "device": "short"}),
    edited(sender={"user": "e\u0301", "device": "device1"}),
    edited(seq=0),
    edited(seq="1"),
    edited(pred=-1),
    edited(hlc="now"),
    edited(epoch=0),
    edited(at="2026-02-30T00:00:00.000Z"),
    edited(at="2026-01-01T24:00:00.000Z"),
    edited(at=None),
    edited(ref={"id": "x", "user": "ada"}),
    edited(ref={"id": PLAIN["id"], "user": "ada", "base": 0}),
    edited(ref="x"),
    edited(thread={"id": PLAIN["id"]}),
    edited(thread=[]),
    edited(topic=""),
    edited(topic="x" * 65),
    edited(mentions="ada"),
    edited(mentions=[""]),
    edited(mentions=["a"] * 51),
    edited(mentions=[1]),
    edited(also="true"),
    edited(meta={"a": 1}),
    edited(meta={"a": "x" * 2_000}),
    edited(meta=[]),
    edited(ttl=1),
    edited(stamp={}),
    edited(stamp={"epoch": 1, "serial": "1", "at": "2026-01-01T00:00:00.000Z", "user": "*"}),
    edited(body="text"),
    edited(body={}),
    edited(body={"type": ""}),
    edited(body={"type": "x" * 65}),
    edited(body={"type": "text", "fallback": 1}),
    edited(body={"type": "claim", "bytes": -1}),
    edited(body={"type": "claim", "bytes": 1, "summary": 1}),
    edited(kind="message.update"),
    edited(kind="message.delete", ref={"id": PLAIN["id"], "user": "ada"}),
    edited(kind="reaction.add", ref={"id": PLAIN["id"], "user": "ada"}, body=None),
    edited(kind="reaction.add", ref={"id": PLAIN["id"], "user": "ada"}, body={"type": "emoji", "emoji": "❤️"}),
    edited(kind="reaction.add", ref={"id": PLAIN["id"], "user": "ada"}, body={"type": "emoji", "emoji": ""}),
    edited(body={"type": "text", "text": "x" * 1_048_576}),
]


@pytest.mark.parametrize("data", UNSOUND, ids=range(len(UNSOUND)))
def test_unsound_text_is_refused_alone(database_session: Session, data: str) -> None:
    """Its neighbours are taken, the log goes on, and the client's own reader agrees."""
    with pytest.raises(InvalidMessage):
        Envelope.parse(data.encode(errors="surrogatepass"))

    assert outcomes(database_session, raw(data), item(wish(2))) == ["InvalidMessage", "new"]


SOUND = [
    edited(future=[1.5, -0.0, 1e300, 9007199254740991, "9007199254740993 7e1000", None, {"ü": ""}]),
    edited(future=0)[:-2] + "[" * 31 + "]" * 31 + "}",
    edited(body={"type": "text", "text": "[{" * 40 + '\\" 1e999'}),
    edited(body={"type": "text", "text": "\U0010ffff\u2028\\u0000"}, mentions=["*", "b'ob"], topic="x" * 64),
    edited(v=7, min=1, also=True, meta={"a": "b"}, thread={"id": PLAIN["id"], "user": "ü"}),
    edited(v=2, min=2, body="a body of later days", mentions=3),
    edited(body={"type": "claim", "bytes": 5, "summary": None}),
    edited(ref={"id": PLAIN["id"], "user": "ada", "base": None}, body=None),
    edited(stamp={"epoch": 1, "serial": "1", "prev": "", "at": "2026-01-01T00:00:00.000Z", "user": "ada"}),
    " \n" + edited(kind="poll.open") + " ",
]


@pytest.mark.parametrize("data", SOUND, ids=range(len(SOUND)))
def test_sound_text_is_taken(database_session: Session, data: str) -> None:
    """Whatever the client's own reader takes, unless it is of a kind that no log keeps."""
    Envelope.parse(data.encode())

    assert outcomes(database_session, raw(data)) == ["new"]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"user": "eve"}, "NotAllowed"),
        ({"user": None}, "InvalidMessage"),
        ({"id": wish(2).ident.id}, "NotAllowed"),
        ({"id": "x"}, "NotAllowed"),
        ({"device": "device2"}, "NotAllowed"),
        ({"seq": 2**63}, "InvalidMessage"),
        ({"seq": "x"}, "InvalidMessage"),
        ({"not_after": "soon"}, "InvalidMessage"),
        ({"data": None}, "InvalidMessage"),
        ({"data": 5}, "InvalidMessage"),
        ({"data": edited(kind="typing")}, "Rejected"),
        ({"data": edited(kind="x.custom")}, "Rejected"),
        ({"data": edited(channel="sales")}, "NotAllowed"),
    ],
)
def test_an_entry_is_what_its_envelope_says(
    database_session: Session, changed: dict[str, Any], error: str
) -> None:
    """Whoever stands before the functions attests the user; the envelope must name the same one (D2)."""
    assert outcomes(database_session, item(wish(1)) | changed, item(wish(3))) == [error, "new"]


@pytest.mark.parametrize("channel", ["", "dm.x", "u.", "x" * 65, "é" * 40, "a\nb"])
def test_no_channel_is_made_of_what_is_no_name(database_session: Session, channel: str) -> None:
    """Even where the envelope agrees."""
    entry = item(wish(1, channel=channel))

    assert outcomes(database_session, entry, channel=channel) == ["InvalidMessage"]
    assert database_session.execute("SELECT count(*) FROM chatkit.channels").fetchone() == (0,)


def test_an_append_sees_what_others_did_before_it(database_session: Session) -> None:
    """A transaction whose snapshot is older than the lock is refused, not answered wrongly."""
    database_session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        outcomes(database_session, item(wish(1)))
    database_session.execute("ROLLBACK")


def test_a_refusal_is_remembered_within_bounds(database_session: Session) -> None:
    """Nobody fills the database with what was refused (I10)."""
    database_session.execute("SELECT chatkit.append('support', '[]')")
    early = [item(change(number, "reaction.add", wish(99))) for number in range(1, 6)]
    outcomes(database_session, *early)

    database_session.execute("SET search_path = chatkit")
    database_session.execute("SELECT forget_refusals(number, 2) FROM channels")

    assert outcomes(database_session, item(wish(99, seq=None)), *early) == [
        "new",
        "new",
        "new",
        "new",
        "MessageNotFound",
        "MessageNotFound",
    ]


# ---------------------------------------------------------------------- words


def test_words_are_made_of_the_same_letters(database_session: Session) -> None:
    """The database splits as `chatkit.model.search` does, whatever its collation: each character is tried."""
    # All that Python's oldest table knows: newer ones differ from one Python to the next.
    known = [
        chr(code)
        for code in range(1, 0x110000)
        if unicodedata.ucd_3_2_0.category(chr(code)) not in {"Cn", "Cs"}
    ]
    differing: list[str] = []
    for start in range(0, len(known), 10_000):
        part = known[start : start + 10_000]
        row = database_session.execute(
            "SELECT array_agg(c ~ chatkit.between_words() ORDER BY place)"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS list (c, place)",
            (part,),
        ).fetchone()
        assert row is not None
        differing += [one for one, outside in zip(part, row[0], strict=True) if outside == bool(words(one))]

    assert [f"{ord(one):x}" for one in differing] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Der GRÜNE_Baum",
        "naïve cafe\u0301 c12",
        "日本語 テキスト",
        "\U0001d518nicode ½ ²",
        "ΣΊΣΥΦΟΣ ΑΣ",
        "İstanbul",
        "a" * 200,
    ],
)
def test_words_of_a_text_are_those_of_the_model(database_session: Session, text: str) -> None:
    """In lower case, in any script."""
    database_session.execute("SET search_path = chatkit")
    row = database_session.execute("SELECT words(%s)", (text,)).fetchone()

    assert row == (words(text),)


def test_a_long_word_is_known_by_its_digest(database_session: Session) -> None:
    """An index has no room for more; no other word looks like one."""
    database_session.execute("SET search_path = chatkit")
    row = database_session.execute("SELECT words(%s)", ("x" * 201 + " y",)).fetchone()

    assert row is not None
    digest, short = sorted(row[0])
    assert (digest[:2], len(digest), short) == (":w", 34, "y")


# ---------------------------------------------------------------------- secrets


@pytest.mark.realtime
async def test_a_refused_password_is_not_shown(emptied: str) -> None:
    """It is a mistake of the set-up, and said at once (I16)."""
    if postgres_server.GIVEN in os.environ:
        pytest.skip("needs a server of its own, which asks for passwords")
    ask(
        emptied,
        f"DO $$ BEGIN CREATE ROLE {postgres_server.LOCKED} LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    head, _, tail = emptied.partition("postgres@")
    async with opened(f"{head}{postgres_server.LOCKED}:{SECRET}@{tail}") as log:
        with pytest.raises(ConfigError, match="refused the user or the password") as caught:
            await log.heads([SUPPORT])

    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.hint} {log!r}"


@pytest.mark.realtime
async def test_a_role_without_rights_is_told_so(emptied: str) -> None:
    """By an error that says what to grant."""
    ask(emptied, "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    async with opened(emptied.replace("postgres@", "stranger@")) as log:
        with pytest.raises(ConfigError, match="may not use") as caught:
            await log.heads([SUPPORT])

    assert "Grant" in caught.value.hint
