"""`migrate`: tables and functions, made once by whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from chatkit.errors import ConfigError, TransportError
from chatkit.logs.postgres import PostgresLog, migrate
from chatkit.postgres import migrations
from chatkit.postgres.migrations import plain
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask

ROOT = Path(__file__).parents[2]
SECRET = "hunter2-very-secret"


@pytest.fixture
def empty(postgres: str) -> Generator[str]:
    """The DSN of a database of one test."""
    with postgres_server.database(postgres) as dsn:
        yield dsn


def test_migrations_are_numbered_without_a_hole() -> None:
    """So that a version says what is there."""
    assert [step.version for step in plain()] == list(range(1, len(plain()) + 1))


def test_migrating_again_changes_nothing(empty: str) -> None:
    """The second time there is nothing to do, and the log is the same one."""
    first = migrate(empty)
    log_id = ask(empty, "SELECT log_id FROM chatkit.header")

    second = migrate(empty)

    assert [step.name for step in plain()] == list(first)
    assert second == ()
    assert ask(empty, "SELECT log_id FROM chatkit.header") == log_id


@pytest.mark.long
def test_four_processes_migrate_at_once(empty: str) -> None:
    """One does the work; the others wait and find it done."""
    code = f"from chatkit.logs.postgres import migrate; print(len(migrate({empty!r})))"
    children = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    told = sorted(int(child.communicate(timeout=60)[0]) for child in children)

    assert told == [0, 0, 0, len(plain())]
    assert ask(empty, "SELECT count(*) FROM chatkit.header") == 1


def test_only_what_is_new_is_applied(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of an older version is brought up to date."""
    every = plain()
    monkeypatch.setattr(migrations, "plain", lambda: every[:3])
    migrate(empty)
    monkeypatch.setattr(migrations, "plain", lambda: every)

    assert migrate(empty) == tuple(step.name for step in every[3:])


def test_a_newer_schema_is_refused(empty: str) -> None:
    """Whoever is older touches nothing."""
    migrate(empty)
    ask(empty, "INSERT INTO chatkit.migrations VALUES (999, '0999_later.sql', 'x')")

    with pytest.raises(ConfigError, match="newer chatkit"):
        migrate(empty)


def test_a_changed_file_is_noticed(empty: str) -> None:
    """A released file never changes: what was applied as another one is not built upon."""
    migrate(empty)
    ask(empty, "UPDATE chatkit.migrations SET digest = 'x' WHERE version = 2")

    with pytest.raises(ConfigError, match="other files"):
        migrate(empty)


def test_a_failed_migration_leaves_nothing(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it or none: it is one transaction."""
    broken = plain()[-1]._replace(version=99, text="SELECT no_such_function()")
    monkeypatch.setattr(migrations, "plain", lambda: (*plain(), broken))

    with pytest.raises(ConfigError):
        migrate(empty)

    assert ask(empty, "SELECT to_regnamespace('chatkit') IS NULL")


def test_a_database_without_utf8_is_refused(postgres: str) -> None:
    """Messages of any script would not fit."""
    ask(postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'SQL_ASCII'")
    try:
        with pytest.raises(ConfigError, match="UTF-8"):
            migrate(postgres_server.with_database(postgres, "latin"))
    finally:
        ask(postgres, "DROP DATABASE latin")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        (f"postgresql://ada:{SECRET}@127.0.0.1:1/app", TransportError, "no connection"),
        (f"postgresql://ada:{SECRET}@host:port/app", ConfigError, "cannot be read"),
        (f"postgresql://ada:{SECRET}%zz@127.0.0.1/app", ConfigError, "cannot be read"),
        (f"postgresql://ada:{SECRET}@127.0.0.1/app?no_such_option={SECRET}", ConfigError, "cannot be read"),
    ],
)
def test_no_error_shows_the_url(url: str, kind: type[Exception], words: str) -> None:
    """It may hold a password (I16)."""
    with pytest.raises(kind, match=words) as caught:
        migrate(url)

    assert SECRET not in f"{caught.value} {caught.value!r} {getattr(caught.value, 'hint', '')}"


def test_a_server_that_does_not_answer_is_no_outage_of_messages_alone() -> None:
    """Whoever runs the command has none: it says what to look at."""
    with pytest.raises(TransportError) as failed:
        migrate("postgresql://ada@127.0.0.1:1/app")

    assert "check the server, and host and port" in failed.value.hint


@pytest.mark.realtime
async def test_a_log_asks_for_the_migration(empty: str) -> None:
    """Its first call says what to do (D18)."""
    log = PostgresLog(empty)
    with pytest.raises(ConfigError, match="does not have the tables") as caught:
        await log.heads(["support"])
    assert "chatkit log migrate" in caught.value.hint

    migrate(empty)
    assert (await log.heads(["support"]))["support"].head is None
    await log.aclose()
