"""The log's tables and functions in a database, made and brought up to date by numbered files of SQL."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

import psycopg

from chatkit.errors import ConfigError
from chatkit.logs.postgres import errors
from chatkit.logs.postgres.connecting import conninfo

OLDEST: Final = 160000
"""`server_version_num` of PostgreSQL 16, which knows `is json with unique keys`."""
LOCK: Final = int.from_bytes(b"chatkit\0", "big")
"""The advisory lock that one migration at a time holds."""


class Migration(NamedTuple):
    """One file of SQL. Once released it never changes: later ones change what it made."""

    version: int
    name: str
    text: str

    @property
    def digest(self) -> str:
        """Of its text."""
        return sha256(self.text.encode()).hexdigest()


def migrations() -> tuple[Migration, ...]:
    """Return what this version brings, oldest first."""
    folder = files("chatkit.logs.postgres") / "sql"
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(int(name.partition("_")[0]), name, (folder / name).read_text(encoding="utf-8"))
        for name in found
    )


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
    with errors.unchained():
        try:
            connection = psycopg.connect(conninfo(dsn))
        except psycopg.Error as error:
            raise errors.connecting(error) from None
        try:
            with connection:
                return _migrate(connection)
        except psycopg.Error as error:
            raise errors.calling(error) from None


def _migrate(connection: psycopg.Connection) -> tuple[str, ...]:
    if connection.info.server_version < OLDEST:
        raise ConfigError("log: the server is older than PostgreSQL 16", hint="Use a newer one.")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    if _one(connection, "SHOW server_encoding") != "UTF8":
        raise ConfigError("log: the database is not in UTF-8", hint="Make one with ENCODING 'UTF8'.")
    connection.execute("CREATE SCHEMA IF NOT EXISTS chatkit")
    connection.execute("SET LOCAL search_path = chatkit, pg_temp")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, name text NOT NULL,"
        " digest text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
    )
    applied: dict[int, str] = dict(connection.execute("SELECT version, digest FROM migrations").fetchall())
    ours = migrations()
    if max(applied, default=0) > ours[-1].version:
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


def _one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
