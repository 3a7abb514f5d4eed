"""Names and topics, as the database makes them and as `chatkit.model.names` does (D31)."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from chatkit.errors import InvalidMessage
from chatkit.model.names import escape, personal, unescape, wire_name
from tests.logs.postgres_kit import Session, session
from tests.logs.supabase_kit import Project, serving

VECTORS = Path(__file__).parents[1] / "vectors"
ESCAPES = json.loads((VECTORS / "escape.json").read_text(encoding="utf-8"))
DIRECTS = json.loads((VECTORS / "direct.json").read_text(encoding="utf-8"))
NAMES = [each["channel"] for each in ESCAPES["channels"]]
DERIVED = [each["channel"] for each in (*DIRECTS["direct"], *DIRECTS["personal"])]


@pytest.fixture(scope="module")
def project(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


@pytest.fixture
def inside(project: Project) -> Generator[Session]:
    with session(project.dsn) as connection:
        connection.execute("SET search_path = chatkit")
        yield connection


def said(inside: Session, function: str, *values: Any) -> Any:
    row = inside.execute(f"SELECT {function}({', '.join(['%s'] * len(values))})".encode(), values).fetchone()
    assert row is not None
    return row[0]


def test_text_is_escaped_alike(inside: Session) -> None:
    """And comes back, as far as PostgreSQL can hold it."""
    for each in ESCAPES["escape"]:
        if "\0" in each["text"]:
            continue
        assert said(inside, "escape", each["text"]) == each["escaped"] == escape(each["text"])
        assert said(inside, "unescaped", each["escaped"]) == each["text"]


def test_what_was_never_escaped_is_no_name(inside: Session) -> None:
    """The same text as the client's own reader refuses."""
    for text in ESCAPES["unescape_refused"]:
        with pytest.raises(InvalidMessage):
            unescape(text)
        assert said(inside, "unescaped", text) is None


def test_personal_channels_are_named_alike(inside: Session) -> None:
    """Hashes where they are too long, or read like one."""
    for each in DIRECTS["personal"]:
        user = said(inside, "normalize", each["user"])
        assert said(inside, "personal", user) == each["channel"] == personal(each["user"])


@pytest.mark.parametrize("topic", ["log_topic", "live_topic"])
def test_a_topic_names_its_channel(inside: Session, topic: str) -> None:
    """Each channel has its own, from which it is known again."""
    prefix = {"log_topic": "chatkit:", "live_topic": "chatkit-live:"}[topic]
    for name in (*NAMES, *DERIVED):
        made = said(inside, topic, name)
        assert made == prefix + wire_name(name)
        assert said(inside, "channel_at", made) == name


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "chatkit:",
        "chatkit",
        "support",
        "realtime:chatkit:support",
        "chatkit-live",
        "chatkit:a_b",
        "chatkit:a_2E",
        "chatkit:_41",
        "chatkit:_ff",
        "chatkit:_00",
        "chatkit:a b",
        "chatkit:ü",
        "chatkit:e_cc_81",
        "chatkit:dm.ada",
        "chatkit:dm.ada.bob.eve",
        "chatkit:dm._64m.x y",
        "chatkit:u.",
        "chatkit:a\n",
        "chatkit:" + "a" * 65,
        "chatkit:" + "_c3_a4" * 64,
        "chatkit:u." + "a" * 200,
        "chatkit-live:support\nx",
    ],
)
def test_other_topics_name_none(inside: Session, topic: str) -> None:
    """No two topics are one channel's, and what no client would write is nobody's."""
    assert said(inside, "channel_at", topic) is None
