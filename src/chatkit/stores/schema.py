"""The tables of a store file, and the way from older ones to these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatkit.errors import StoreError
from chatkit.sqlite.connection import Connection
from chatkit.sqlite.schema import Schema
from chatkit.stores.faults import WHAT

APPLICATION_ID: Final = int.from_bytes(b"chat", "big")
"""Marks a SQLite file as ours, in the file's own header."""

_FIRST: Final = (
    # One row.
    """
    CREATE TABLE header (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        user TEXT NOT NULL,
        realm TEXT NOT NULL,
        device TEXT NOT NULL,
        secret BLOB NOT NULL,
        owner_epoch INTEGER NOT NULL,
        clean INTEGER NOT NULL,
        hlc TEXT
    )
    """,
    # `position` is the place in the queue.
    """
    CREATE TABLE outbox (
        position INTEGER PRIMARY KEY,
        entry_id TEXT NOT NULL UNIQUE,
        user TEXT NOT NULL,
        id TEXT NOT NULL,
        device TEXT NOT NULL,
        channel TEXT NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        certain INTEGER NOT NULL,
        data BLOB NOT NULL,
        depends_on TEXT,
        key TEXT,
        queued_at INTEGER NOT NULL,
        due_at INTEGER,
        expires_at INTEGER,
        seq INTEGER,
        attempts INTEGER NOT NULL,
        first_attempt INTEGER,
        batch_id TEXT,
        epoch INTEGER,
        serial TEXT,
        announced INTEGER NOT NULL,
        reason TEXT,
        ended_at INTEGER,
        UNIQUE (id, user, channel)
    )
    """,
    "CREATE UNIQUE INDEX outbox_key ON outbox (key, user, channel) WHERE key IS NOT NULL",
    "CREATE INDEX outbox_batch ON outbox (batch_id) WHERE batch_id IS NOT NULL",
    """
    CREATE TABLE lanes (
        channel TEXT NOT NULL,
        user TEXT NOT NULL,
        device TEXT NOT NULL,
        seq INTEGER NOT NULL,
        acked INTEGER NOT NULL,
        PRIMARY KEY (channel, user, device)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE batches (
        batch_id TEXT NOT NULL,
        place INTEGER NOT NULL,
        user TEXT NOT NULL,
        id TEXT NOT NULL,
        PRIMARY KEY (batch_id, place)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE marks (
        channel TEXT NOT NULL PRIMARY KEY,
        epoch INTEGER NOT NULL,
        serial TEXT NOT NULL,
        log_id TEXT,
        holes TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    # Text is compared as its UTF-8 bytes, which is the order of serials (D3).
    """
    CREATE TABLE cached (
        channel TEXT NOT NULL,
        user TEXT NOT NULL,
        id TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        serial TEXT NOT NULL,
        prev TEXT,
        log_id TEXT,
        attested TEXT NOT NULL,
        at INTEGER NOT NULL,
        data BLOB NOT NULL,
        edit BLOB,
        version INTEGER NOT NULL,
        changed_epoch INTEGER NOT NULL,
        changed_serial TEXT NOT NULL,
        deleted INTEGER NOT NULL,
        replies INTEGER NOT NULL,
        last_epoch INTEGER,
        last_serial TEXT,
        reactions TEXT NOT NULL,
        UNIQUE (channel, user, id)
    )
    """,
    "CREATE INDEX cached_order ON cached (channel, epoch, serial)",
    # `place` counts within a channel: the bound is kept by looking at its ends only.
    """
    CREATE TABLE seen (
        channel TEXT NOT NULL,
        id TEXT NOT NULL,
        user TEXT NOT NULL,
        place INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (channel, id, user)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX seen_place ON seen (channel, place)",
    """
    CREATE TABLE registers (
        channel TEXT NOT NULL,
        user TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        merge TEXT NOT NULL,
        epoch INTEGER,
        serial TEXT,
        PRIMARY KEY (channel, user, name)
    ) WITHOUT ROWID
    """,
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)
"""Statements from each schema version to the next; a released one never changes."""

_SCHEMA: Final = Schema(APPLICATION_ID, WHAT, StoreError, MIGRATIONS)


def check(connection: Connection, name: str) -> int:
    """Return the schema version of a file, 0 for an empty one; changes nothing in it.

    Raises:
        StoreError: It is a database of something else, or of a newer chatkit.
    """
    return _SCHEMA.check(connection, name)


def upgrade(connection: Connection, name: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """Bring a file to the newest schema in one transaction, and return that version; all or nothing."""
    return _SCHEMA._replace(migrations=migrations).upgrade(connection, name)
