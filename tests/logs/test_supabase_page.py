"""What the page about the schema tells its reader to run does what it says."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.blocks import blocks
from tests.logs.postgres_kit import ask
from tests.logs.supabase_kit import Project, serving

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "supabase-schema.md"
ADA = UUID(int=1)


@pytest.fixture(scope="module")
def project(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


def may(connection: psycopg.Connection[tuple[object, ...]], what: str, channel: str, user: str) -> object:
    row = connection.execute(f"SELECT chatkit.may_{what}(%s, %s)".encode(), (channel, user)).fetchone()
    return row and row[0]


def test_its_blocks_of_sql_run(project: Project) -> None:
    """A table of the app's own makes members, as rows or as the function that decides."""
    follow, replace, grant = blocks(PAGE, "sql")
    with psycopg.connect(project.dsn) as connection:
        connection.execute(follow.source.encode())
        connection.execute("INSERT INTO public.room_members VALUES ('den', %s), ('attic', %s)", (ADA, ADA))
        connection.execute("DELETE FROM public.room_members WHERE room = 'attic'")
        found = connection.execute("SELECT channel, user_id, writes FROM chatkit.members").fetchall()
        assert found == [("den", str(ADA), True)]

        connection.execute("DELETE FROM chatkit.members")
        connection.execute(replace.source.encode())
        assert [may(connection, what, "den", str(ADA)) for what in ("read", "write")] == [True, True]
        assert [may(connection, what, "den", "eve") for what in ("read", "write")] == [False, False]

        connection.execute(grant.source.encode())
        connection.rollback()


def test_its_rows_of_members_say_what_stands_beside_them(project: Project) -> None:
    """Statement by statement."""
    rows = re.findall(
        r"^\| ([^|]+) \| `(select chatkit\.\w+member[^`]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) == 7
    expected = {
        "a user read and write a channel": ("support", "USER-ID", (True, True)),
        "a user read only": ("support", "USER-ID", (True, False)),
        "everyone who is signed in": ("lobby", "eve", (True, True)),
        "anybody read, signed in or not": ("news", "", (True, False)),
        "a user into every channel": ("attic", "USER-ID", (True, True)),
        "anybody read every channel": ("attic", "", (True, False)),
        "nobody any more": ("support", "USER-ID", (False, False)),
    }
    for words, statement in rows:
        channel, user, rights = expected[words]
        with psycopg.connect(project.dsn) as connection:
            connection.execute(statement.encode())
            assert may(connection, "read", channel, "" if words.startswith("every") else "zoe") == (
                user == ""
            )
            found = tuple(may(connection, what, channel, user) for what in ("read", "write"))
            assert found == rights or (words.startswith("everyone") and found == (True, True))
            connection.rollback()


def test_it_names_every_function_that_clients_call(project: Project) -> None:
    """And none that there is not."""
    found = ask(
        project.dsn,
        "SELECT array_agg(proname::text) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND proname LIKE 'chatkit%%'",
    )
    named = set(re.findall(r"chatkit_[a-z_]+", PAGE.read_text("utf-8"))) - {"chatkit_"}

    assert set(found) - {"chatkit_restored", "chatkit_remove_member"} == named
