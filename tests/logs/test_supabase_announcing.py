"""What a project tells of what was appended, and who may hear and speak on its topics."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import httpx
import psycopg
import pytest

from chatkit.logs.postgres.log import PostgresLog
from chatkit.model.names import direct, escape, personal
from chatkit.ports.log import Log
from chatkit.postgres.calls import as_json
from chatkit.postgres.rows import item, moment
from chatkit.testing.contract.log.kit import SUPPORT, key, role, says
from chatkit.testing.wishes import change, wish
from tests.logs.postgres_kit import ask, session
from tests.logs.supabase_kit import Project, serving

pytestmark = pytest.mark.realtime

MOST = 200_000
"""Bytes of a payload."""


@pytest.fixture(scope="module")
def served(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


@pytest.fixture
def project(served: Project) -> Generator[Project]:
    served.member(SUPPORT, "ada")
    served.member(SUPPORT, "rita", writes=False)
    yield served
    served.empty()
    ask(served.dsn, "DELETE FROM realtime.messages")


def told(project: Project) -> list[dict[str, Any]]:
    """What was told so far, in order; each on the channel's topic, in private."""
    with session(project.dsn) as connection:
        rows = connection.execute(
            "SELECT topic, event, private, extension, payload FROM realtime.messages ORDER BY xmin::text::bigint, ctid"
        ).fetchall()
    for topic, event, private, extension, payload in rows:
        assert (event, private, extension) == ("entries", True, "broadcast")
        assert topic == "chatkit:" + ".".join(escape(part) for part in payload["channel"].split("."))
    return [row[4] for row in rows]


async def test_an_append_is_told_with_its_entries(project: Project) -> None:
    """All that a reader needs: where they stand, what stands before them, whose they are and since when."""
    log = project.user("ada")
    appended = await log.append(SUPPORT, [wish(1), wish(2)])
    await log.append(SUPPORT, [wish(3)])
    (entries, more) = told(project)
    await log.aclose()

    assert entries == {
        "v": 1,
        "log": appended.state.log_id,
        "epoch": 1,
        "channel": SUPPORT,
        "id": entries["id"],
        "entries": [
            {
                "serial": f"{number:020d}",
                "prev": f"{number - 1:020d}" if number > 1 else "",
                "user": "ada",
                "at": entries["entries"][number - 1]["at"],
                "data": wish(number).data.decode(),
                "by": "provider",
            }
            for number in (1, 2)
        ],
    }
    assert [ack.sent_at for ack in appended.acks] == [moment(entry["at"]) for entry in entries["entries"]]
    assert [entry["serial"] for entry in more["entries"]] == [f"{3:020d}"]


async def test_what_changes_nothing_is_not_told(project: Project) -> None:
    """A duplicate, a late attempt, a refusal, an append of nothing."""
    log = project.user("ada")
    await log.append(SUPPORT, [wish(1)])
    before = told(project)

    again = await log.append(SUPPORT, [wish(1), wish(2, seq=1), change(3, "message.update", wish(9))])
    await log.append(SUPPORT, [])
    await log.aclose()

    assert [ack.outcome for ack in again.acks] == ["duplicate", "superseded", "refused"]
    assert told(project) == before


async def test_of_a_batch_what_is_new_is_told(project: Project) -> None:
    """In the order in which it stands."""
    log = project.user("ada")
    await log.append(SUPPORT, [wish(2)])
    await log.append(SUPPORT, [wish(2), wish(3), change(4, "message.update", wish(99)), wish(5)])
    await log.aclose()

    assert [int(entry["serial"]) for entry in told(project)[-1]["entries"]] == [2, 3]


async def test_what_is_rolled_back_was_never_told(project: Project) -> None:
    """It is told in the append's own transaction."""
    with psycopg.connect(project.dsn) as connection:
        connection.execute("SELECT chatkit.append('support', %s::json)", (as_json([item(wish(1))]),))
        connection.rollback()

    assert told(project) == []


async def test_an_append_goes_on_where_it_cannot_be_told(project: Project) -> None:
    """The day's partition is missing, as where Realtime slept: whoever listens reads the log."""
    with session(project.dsn) as connection:
        days = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'realtime.messages'::regclass"
        ).fetchall()
        for (day,) in days:
            connection.execute(f"DROP TABLE {day}".encode())
    try:
        log = project.user("ada")
        (ack,) = (await log.append(SUPPORT, [wish(1)])).acks
        await log.aclose()
        assert ack.outcome == "new"
        assert told(project) == []
    finally:
        ask(project.dsn, "SELECT realtime.emulator_keeps_partitions()")


async def test_an_append_goes_on_without_realtime(project: Project) -> None:
    """Whatever is wrong with it."""
    with session(project.dsn) as connection:
        connection.execute("ALTER FUNCTION realtime.send RENAME TO sent")
        try:
            log = project.user("ada")
            (ack,) = (await log.append(SUPPORT, [wish(1)])).acks
            await log.aclose()
        finally:
            connection.execute("ALTER FUNCTION realtime.sent RENAME TO send")

    assert (ack.outcome, told(project)) == ("new", [])


@pytest.mark.parametrize("letter", ["x", "ü", "\n", "\U0001f600"])
async def test_no_payload_is_larger_than_a_project_takes(project: Project, letter: str) -> None:
    """A batch is told in parts; what alone is too large is told without its text."""
    log = project.user("ada")
    weight = len(json.dumps(letter)) - 2
    batch = [says(number, letter * (20_000 // weight)) for number in range(1, 31)]
    large = says(31, letter * (300_000 // weight))
    await log.append(SUPPORT, [*batch, large, wish(32)])
    await log.aclose()

    parts = told(project)
    entries = [entry for part in parts for entry in part["entries"]]
    assert [int(entry["serial"]) for entry in entries] == list(range(1, 33))
    assert [entry["serial"] for entry in entries if "data" not in entry] == [f"{31:020d}"]
    assert all(len(json.dumps(part, ensure_ascii=False).encode()) <= MOST for part in parts)
    assert len(parts) in {4, 5}


async def test_who_vouches_is_told(project: Project) -> None:
    """The secret key and a direct connection speak for others; a user's token for itself."""
    doors: list[Log] = [project.user("ada"), project.service(), PostgresLog(project.dsn)]
    for number, log in enumerate(doors, 1):
        await log.append(SUPPORT, [wish(number)])
        await log.aclose()

    assert [part["entries"][0]["by"] for part in told(project)] == ["provider", "backend", "backend"]


async def test_a_trim_prompts_a_look(project: Project) -> None:
    """By a payload without entries."""
    log = project.service()
    await log.append(SUPPORT, [wish(1), wish(2)])
    await log.trim(SUPPORT, key(2))
    await log.trim(SUPPORT, key(2))
    await log.aclose()

    assert [len(part["entries"]) for part in told(project)] == [2, 0]


async def test_what_a_batch_erases_is_not_told(project: Project) -> None:
    """Its text is gone by the time it is told."""
    log = project.user("ada")
    await log.append(SUPPORT, [says(1, "hunter2"), change(2, "message.delete", wish(1))])
    await log.aclose()

    assert "hunter2" not in json.dumps(told(project))


# ---------------------------------------------------------------------- who may hear and speak


def hears(project: Project, user: str | None, topic: str) -> set[str]:
    """What of a topic a user may read, asked as Realtime asks it."""
    with psycopg.connect(project.dsn) as connection:
        for extension in ("broadcast", "presence"):
            connection.execute(
                "INSERT INTO realtime.messages (topic, extension) VALUES (%s, %s)", (topic, extension)
            )
        become(connection, user, topic)
        found = connection.execute("SELECT extension FROM realtime.messages WHERE topic = %s", (topic,))
        seen = {extension for (extension,) in found.fetchall()}
        connection.rollback()
    return seen


def speaks(project: Project, user: str | None, topic: str) -> set[str]:
    """What a user may write on a topic, likewise."""
    allowed: set[str] = set()
    for extension in ("broadcast", "presence"):
        with psycopg.connect(project.dsn) as connection:
            become(connection, user, topic)
            try:
                connection.execute(
                    "INSERT INTO realtime.messages (topic, extension) VALUES (%s, %s)", (topic, extension)
                )
                allowed.add(extension)
            except psycopg.errors.InsufficientPrivilege:
                pass
            connection.rollback()
    return allowed


def changes(project: Project, user: str, topic: str) -> int:
    """How much of what was said on a topic a user may change, where the app lets everybody change it."""
    with psycopg.connect(project.dsn) as connection:
        connection.execute("GRANT UPDATE ON realtime.messages TO authenticated")
        connection.execute(
            "INSERT INTO realtime.messages (topic, extension) VALUES (%s, 'broadcast')", (topic,)
        )
        become(connection, user, topic)
        found = connection.execute("UPDATE realtime.messages SET payload = '{}' WHERE topic = %s", (topic,))
        connection.rollback()
    return found.rowcount


def become(connection: psycopg.Connection[Any], user: str | None, topic: str) -> None:
    name = "anon" if user is None else "authenticated"
    claims = {"role": name} | ({} if user is None else {"sub": user})
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('realtime.topic', %s, true),"
        " set_config('request.jwt.claims', %s, true)",
        (name, topic, json.dumps(claims)),
    )


BOTH = {"broadcast", "presence"}
NONE: set[str] = set()


@pytest.mark.parametrize(
    ("user", "log", "live", "speech"),
    [
        ("ada", {"broadcast"}, BOTH, BOTH),
        ("rita", {"broadcast"}, BOTH, {"presence"}),
        ("eve", NONE, NONE, NONE),
        (None, NONE, NONE, NONE),
    ],
)
async def test_members_hear_both_topics_and_speak_on_one(
    project: Project, user: str | None, log: set[str], live: set[str], speech: set[str]
) -> None:
    """On the log's the database alone speaks: what comes there nobody forged (D17)."""
    assert hears(project, user, "chatkit:support") == log
    assert hears(project, user, "chatkit-live:support") == live
    assert speaks(project, user, "chatkit:support") == NONE
    assert speaks(project, user, "chatkit-live:support") == speech


async def test_a_policy_of_the_apps_own_opens_no_topic_of_ours(project: Project) -> None:
    """An app that lets everybody use every topic still lets nobody forge what was appended."""
    with session(project.dsn) as connection:
        connection.execute("CREATE POLICY app ON realtime.messages FOR ALL USING (true) WITH CHECK (true)")
        try:
            assert hears(project, None, "news") == speaks(project, None, "news") == BOTH
            for topic in ("chatkit:support", "chatkit-live:support", "chatkit:", "chatkit:a_b"):
                assert hears(project, "eve", topic) == speaks(project, "eve", topic) == NONE
            assert speaks(project, "ada", "chatkit:support") == NONE
            assert changes(project, "ada", "news") == 1
            for topic in ("chatkit:support", "chatkit-live:support"):
                assert changes(project, "ada", topic) == 0
        finally:
            connection.execute("DROP POLICY app ON realtime.messages")


async def test_topics_of_direct_and_personal_channels_are_whose_they_are(project: Project) -> None:
    """As their names say."""
    both, own = direct("ada", "bob"), personal("bob")
    assert hears(project, "bob", f"chatkit:{both}") == {"broadcast"}
    assert speaks(project, "bob", f"chatkit-live:{both}") == BOTH
    assert hears(project, "eve", f"chatkit:{both}") == NONE
    assert hears(project, "bob", f"chatkit:{own}") == {"broadcast"}
    assert hears(project, "ada", f"chatkit:{own}") == speaks(project, "ada", f"chatkit-live:{own}") == NONE


async def test_who_is_anybody_hears_and_does_not_speak(project: Project) -> None:
    """Where the app opened a channel to whoever comes."""
    project.member(SUPPORT, "", writes=False)

    assert hears(project, None, "chatkit:support") == {"broadcast"}
    assert speaks(project, None, "chatkit-live:support") == NONE


async def test_realtime_lets_nobody_speak_on_the_logs_topic(project: Project) -> None:
    """Nor by HTTP: the emulator asks the policies as the service does."""
    door = project.user("ada")
    async with httpx.AsyncClient() as client:
        statuses = [
            (
                await client.post(
                    f"{project.url}/realtime/v1/api/broadcast/{topic}/events/entries?private=true",
                    headers={"Authorization": f"Bearer {door.given.token}", "apikey": project.anon_key},
                    json={"v": 1},
                )
            ).status_code
            for topic in ("chatkit:support", "chatkit-live:support")
        ]
    await door.aclose()

    assert statuses == [403, 202]


async def test_roles_are_told_by_nothing(project: Project) -> None:
    """Registers are no entries: a client that changed one says so on the live topic."""
    log = project.service()
    await log.put([role("ada", "owner")])
    await log.aclose()

    assert told(project) == []
