"""What a hostile user might do to everybody by one call to a project: it costs them more than the database."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from chatkit.errors import ChatkitError, NotAllowed
from chatkit.model.names import EVERYONE
from chatkit.model.registers import Register
from chatkit.testing.contract.log.kit import SUPPORT
from chatkit.testing.wishes import wish
from tests.logs.postgres_kit import session
from tests.logs.supabase_kit import Project, serving
from tests.logs.supabase_rights import raw_append

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def served(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


@pytest.fixture
def project(served: Project) -> Project:
    served.empty()
    served.member("", "mallory")
    return served


def pin(channel: str) -> Register:
    return Register(channel, EVERYONE, "pin.00", "x", "newest", None)


async def test_a_stranger_waits_for_no_lock_and_holds_none(project: Project) -> None:
    """Refused before: else whoever is signed in holds up what others do to roles, of any channel."""
    with session(project.dsn) as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('chatkit roles support', 0))")
        eve = project.user("eve")
        try:
            with pytest.raises(NotAllowed):
                await eve.put([pin(SUPPORT)])
        finally:
            await eve.aclose()


async def test_a_call_locks_few_channels(project: Project) -> None:
    """The room for locks is the whole server's: without any left nobody writes."""
    mallory = project.user("mallory")
    try:
        await mallory.put([pin(f"channel {number}") for number in range(100)])
        with pytest.raises(ChatkitError, match="at most 100 channels"):
            await mallory.put([pin(f"channel {number}") for number in range(101)])
    finally:
        await mallory.aclose()


@pytest.mark.parametrize("name", ["chatkit", "chatkit-live"])
def test_a_topic_of_megabytes_is_not_read(project: Project, name: str) -> None:
    """Anybody may ask for one: it would keep the database busy for a minute."""
    with session(project.dsn) as connection:
        connection.execute("SET search_path = chatkit")
        connection.execute("SET statement_timeout = '10s'")
        row = connection.execute(
            "SELECT may_hear(%s || ':' || repeat('a', 20000000), 'broadcast')", (name,)
        ).fetchone()

    assert row == (False,)


async def test_a_claim_check_is_none_in_other_letters(project: Project) -> None:
    """JSON has several ways to write a word."""
    entry = wish(10, user="mallory", body={"type": "claim", "bytes": 5, "summary": None})
    disguised = entry._replace(data=entry.data.replace(b'"claim"', rb'"cl\u0061im"'))
    assert disguised.data != entry.data

    assert await raw_append(project, "mallory", disguised, SUPPORT) == ["Rejected"]
    escaped = wish(11, user="mallory", body={"type": "text", "text": "x"})
    escaped = escaped._replace(data=escaped.data.replace(b'"text":"x"', rb'"text":"\u0001"'))
    assert await raw_append(project, "mallory", escaped, SUPPORT) == ["new"]


async def test_a_call_names_few(project: Project) -> None:
    """Each name is asked about."""
    many = [SUPPORT] * 10_001
    mallory = project.user("mallory")
    calls: list[Any] = [
        lambda: mallory.heads(many),
        lambda: mallory.unread("mallory", many),
        lambda: mallory.registers(SUPPORT, many),
        lambda: mallory.registers(SUPPORT, ["read"], users=many),
        lambda: mallory.search("text", channels=many, limit=1),
    ]
    try:
        for call in calls:
            with pytest.raises(ChatkitError, match=r"at most 10,000"):
                await call()
    finally:
        await mallory.aclose()
