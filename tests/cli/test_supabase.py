"""`chatkit supabase`: what it prints where, and with which code it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import psycopg
import pytest
from typer.testing import CliRunner

from chatkit.cli.app import app
from chatkit.postgres.migrations import plain, supabase
from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.logs import postgres_server
from tests.logs.postgres_kit import Session, ask, session

SECRET = "hunter2-very-secret"
RUN = CliRunner().invoke


@pytest.fixture
def project(postgres: str) -> Generator[str]:
    """The DSN of a project's database, which has nothing of ours yet."""

    async def set_up(dsn: str) -> None:
        async with SupabaseEmulator(database=dsn):
            pass

    with postgres_server.database(postgres) as dsn:
        asyncio.run(set_up(dsn))
        yield dsn


def objects(database: Session) -> list[str]:
    """All that a database has, in words: tables, functions with their text and grants, policies, triggers."""
    ours = "IN ('chatkit'::regnamespace, 'public'::regnamespace)"
    queries = (
        f"SELECT oid::regclass || coalesce(relacl::text, '') || relrowsecurity FROM pg_class WHERE relnamespace {ours}",
        f"SELECT oid::regprocedure || prosrc || proacl::text || prosecdef FROM pg_proc WHERE pronamespace {ours}",
        "SELECT polname || polrelid::regclass || pg_get_expr(polqual, polrelid) FROM pg_policy",
        "SELECT tgname || tgrelid::regclass FROM pg_trigger",
        "SELECT name || digest FROM chatkit.migrations",
        "SELECT channel || user_id FROM chatkit.members",
    )
    return sorted(row[0] or "" for query in queries for row in database.execute(query.encode()).fetchall())


def test_a_project_is_migrated_twice(project: str) -> None:
    """The second time there is nothing to do, and nothing is another one."""
    first = RUN(app, ["supabase", "migrate", "--dsn", project])
    with session(project) as database:
        before = objects(database)
        second = RUN(app, ["supabase", "migrate", "--dsn", project])
        after = objects(database)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout.splitlines() == [f"applied {step.name}" for step in (*plain(), *supabase())]
    assert second.stdout == "up to date\n"
    assert after == before
    assert ask(project, "SELECT count(*) FROM chatkit.members") == 0


def test_the_script_does_what_the_command_does(project: str) -> None:
    """Twice, in a project that has nothing yet, and in one that has the log alone."""
    script = RUN(app, ["supabase", "sql"])
    assert script.exit_code == 0
    assert RUN(app, ["log", "migrate", project]).exit_code == 0
    with session(project) as database:
        database.execute(script.stdout.encode())
        made = objects(database)
        database.execute(script.stdout.encode())
        assert objects(database) == made

        ran = RUN(app, ["supabase", "migrate", "--dsn", project])
        assert ran.stdout == "up to date\n"
        assert objects(database) == made


def test_a_log_that_stands_alone_is_not_bothered(project: str) -> None:
    """`chatkit log migrate` and a direct connection go on in a project."""
    RUN(app, ["supabase", "migrate", "--dsn", project])

    ran = RUN(app, ["log", "migrate", project])

    assert (ran.exit_code, ran.stdout) == (0, "up to date\n")


@pytest.mark.parametrize("by_script", [True, False], ids=["sql", "migrate"])
def test_everyone_may_be_let_in(project: str, *, by_script: bool) -> None:
    """For a first try: every channel, whoever is signed in; again changes nothing."""
    for _ in range(2):
        if by_script:
            with session(project) as database:
                database.execute(RUN(app, ["supabase", "sql", "--everyone"]).stdout.encode())
        else:
            assert RUN(app, ["supabase", "migrate", "--dsn", project, "--everyone"]).exit_code == 0

    assert ask(project, "SELECT array_agg((channel, user_id, writes)::text) FROM chatkit.members") == [
        '("",*,t)'
    ]


def test_a_plain_postgresql_is_refused(postgres: str) -> None:
    """With what to do instead; nothing is changed."""
    with postgres_server.database(postgres) as dsn:
        ran = RUN(app, ["supabase", "migrate", "--dsn", dsn])
        assert ask(dsn, "SELECT to_regnamespace('chatkit') IS NULL")

    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "no database of a Supabase project" in ran.stderr
    assert "chatkit log migrate" in ran.stderr


def test_a_role_that_could_announce_nothing_is_refused(project: str) -> None:
    """It is bound by row-level security: nobody would hear of a message, and nothing would say so."""
    ask(project, "DO $$ BEGIN CREATE ROLE bound LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")

    ran = RUN(app, ["supabase", "migrate", "--dsn", project.replace("postgres@", "bound@")])

    assert ran.exit_code == 2
    assert "row-level security" in ran.stderr


@pytest.mark.parametrize(
    ("dsn", "code", "said"),
    [
        (f"postgresql://postgres:{SECRET}@127.0.0.1:1/postgres", 1, "no connection"),
        (f"postgresql://postgres:{SECRET}@127.0.0.1:port/postgres", 2, "cannot be read"),
    ],
)
def test_what_went_wrong_is_said_without_the_dsn(dsn: str, code: int, said: str) -> None:
    """It holds a password (I16)."""
    ran = RUN(app, ["supabase", "migrate", "--dsn", dsn])

    assert (ran.exit_code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert ran.stderr.startswith("chatkit supabase: ")
    assert SECRET not in ran.stderr


def test_a_newer_schema_is_refused(project: str) -> None:
    """Whoever is older touches nothing."""
    RUN(app, ["supabase", "migrate", "--dsn", project])
    ask(project, "INSERT INTO chatkit.migrations VALUES (1999, '1999_later.sql', 'x')")

    ran = RUN(app, ["supabase", "migrate", "--dsn", project])

    assert ran.exit_code == 2
    assert "newer chatkit" in ran.stderr
    with session(project) as database, pytest.raises(psycopg.errors.RaiseException, match="newer chatkit"):
        database.execute(RUN(app, ["supabase", "sql"]).stdout.encode())


def test_it_is_removed_and_made_anew(project: str) -> None:
    """What stays outside of the schema is in nobody's way."""
    RUN(app, ["supabase", "migrate", "--dsn", project])
    with session(project) as database:
        before = objects(database)
        database.execute("DROP SCHEMA chatkit CASCADE")
        left = database.execute("SELECT polname FROM pg_policy WHERE polname LIKE 'chatkit:%'").fetchall()
        assert left == [("chatkit: nobody changes",)]

        ran = RUN(app, ["supabase", "migrate", "--dsn", project])
        assert ran.exit_code == 0
        assert objects(database) == before


def test_a_role_that_may_not_announce_is_refused(project: str) -> None:
    """Told at once, not by messages that nobody hears of."""
    create = "CREATE ROLE mute LOGIN BYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL"
    ask(project, f"DO $$ BEGIN {create}; END $$")
    ask(project, "GRANT USAGE ON SCHEMA auth, realtime TO mute")

    ran = RUN(app, ["supabase", "migrate", "--dsn", project.replace("postgres@", "mute@")])

    assert ran.exit_code == 2
    assert "could announce nothing" in ran.stderr
