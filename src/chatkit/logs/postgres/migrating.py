"""The log's tables and functions in a database, made and brought up to date by numbered files of SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import psycopg

from chatkit.errors import ConfigError
from chatkit.logs.postgres import errors
from chatkit.logs.postgres.connecting import conninfo
from chatkit.postgres import migrations
from chatkit.postgres.migrations import Migration

Connection: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"
OLDEST: Final = 160000
"""`server_version_num` of PostgreSQL 16, which knows `is json with unique keys`."""


def migrate(dsn: str) -> tuple[str, ...]:
    """Make the log's schema in a database, or bring it up to date, in one transaction.

    Safe to repeat, and from several processes at once: the others wait, and then have nothing to do.

    Args:
        dsn: ``postgresql://...``; its role may create a schema.

    Returns:
        Names of the files that were applied; none where all is up to date.

    Raises:
        ConfigError: Access is refused, the server is older than PostgreSQL 16 or its text is not UTF-8, or
            the schema is of a newer or another chatkit; nothing was changed.
        TransportError: No answer; safe to repeat.
    """
    return _in_one(dsn, lambda connection: _migrate(connection, migrations.plain()))


def migrate_supabase(dsn: str, *, everyone: bool = False) -> tuple[str, ...]:
    """Make the log's schema in a Supabase project, with what stands around it there; as `migrate`.

    Args:
        dsn: Of the project's database, as its owner `postgres`.
        everyone: Open every channel to whoever is signed in.

    Raises:
        ConfigError: As `migrate`; or it is no Supabase project's database.
        TransportError: No answer; safe to repeat.
    """

    def work(connection: Connection) -> tuple[str, ...]:
        try:
            connection.execute(migrations.supabase_check().encode())
        except psycopg.errors.RaiseException as error:
            raise _no_project(error) from None
        done = _migrate(connection, (*migrations.plain(), *migrations.supabase()))
        connection.execute(migrations.supabase_rights().encode())
        if everyone:
            connection.execute(migrations.EVERYONE.encode())
        return done

    return _in_one(dsn, work)


def _no_project(error: psycopg.Error) -> ConfigError:
    return ConfigError(
        f"supabase: {error.diag.message_primary}",  # a sentence of ours
        hint=f"{error.diag.message_hint or ''}",
    )


def _in_one(dsn: str, work: Callable[[Connection], tuple[str, ...]]) -> tuple[str, ...]:
    """Do something in one transaction."""
    with errors.unchained():
        try:
            connection = psycopg.connect(conninfo(dsn))
        except psycopg.Error as error:
            raise errors.connecting(error) from None
        try:
            with connection:
                return work(connection)
        except psycopg.Error as error:
            raise errors.calling(error) from None


def _migrate(connection: Connection, ours: Sequence[Migration]) -> tuple[str, ...]:
    if connection.info.server_version < OLDEST:
        raise ConfigError("log: the server is older than PostgreSQL 16", hint="Use a newer one.")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (migrations.LOCK,))
    if _one(connection, "SHOW server_encoding") != "UTF8":
        raise ConfigError("log: the database is not in UTF-8", hint="Make one with ENCODING 'UTF8'.")
    connection.execute("CREATE SCHEMA IF NOT EXISTS chatkit")
    connection.execute("SET LOCAL search_path = chatkit, pg_temp")
    connection.execute(migrations.TABLE.encode())
    applied: dict[int, str] = dict(connection.execute("SELECT version, digest FROM migrations").fetchall())
    if any(_is_newer(version, ours) for version in applied):
        raise errors.too_new()
    new = [step for step in ours if step.version not in applied]
    if any(applied.get(step.version, step.digest) != step.digest for step in ours):
        raise ConfigError(
            "log: the schema `chatkit` of this database was made by other files than ours",
            hint="Use the chatkit that made it, or another database; nothing was changed.",
        )
    for step in new:
        connection.execute(step.text.encode())
        connection.execute(
            "INSERT INTO migrations (version, name, digest) VALUES (%s, %s, %s)",
            (step.version, step.name, step.digest),
        )
    return tuple(step.name for step in new)


def _is_newer(version: int, ours: Sequence[Migration]) -> bool:
    """Say whether a file is beyond ours; of what stands around the log, only if ours are of that too."""
    kind = version // migrations.OWN
    of_kind = [step.version for step in ours if step.version // migrations.OWN == kind]
    return bool(of_kind) and version > max(of_kind)


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
