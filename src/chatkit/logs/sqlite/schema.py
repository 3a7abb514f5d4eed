"""The tables of a log file.

Numbers name things inside: a channel has one, and each entry has one that rises over the whole log with its
time, whatever the channel; a message and its row in the search index have the number of the entry that
created it. Serials are integers here and 20 digits outside.
"""

from __future__ import annotations

from typing import Final

from chatkit.errors import ConfigError
from chatkit.sqlite.schema import Schema

WHAT: Final = "a chatkit log"
"""What such a file is, in words."""

_FIRST: Final = (
    # One row. `log_id` is made anew where a backup was put in place.
    """
    CREATE TABLE header (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        log_id TEXT NOT NULL,
        secret BLOB NOT NULL
    )
    """,
    # `floor` is the newest serial that was trimmed, `pruned` the newest whose id is forgotten too, and
    # `forgotten` when that one had come.
    """
    CREATE TABLE channels (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        head INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        pruned INTEGER NOT NULL,
        forgotten INTEGER
    )
    """,
    # Envelopes, and after them what the fence remembers of them: of a trimmed one `data` is gone.
    # `target` is the message that an edit, delete or restore is for.
    """
    CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        channel INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        at INTEGER NOT NULL,
        user TEXT NOT NULL,
        id BLOB NOT NULL,
        target INTEGER,
        digest BLOB NOT NULL,
        data BLOB
    )
    """,
    "CREATE UNIQUE INDEX entries_place ON entries (channel, serial)",
    "CREATE UNIQUE INDEX entries_ident ON entries (channel, id, user)",
    "CREATE INDEX entries_target ON entries (target) WHERE target IS NOT NULL",
    """
    CREATE TABLE lanes (
        channel INTEGER NOT NULL,
        user TEXT NOT NULL,
        device TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (channel, user, device)
    ) WITHOUT ROWID
    """,
    # `seq` is 0 where the sender gave none.
    """
    CREATE TABLE refusals (
        number INTEGER PRIMARY KEY,
        channel TEXT NOT NULL,
        id TEXT NOT NULL,
        user TEXT NOT NULL,
        device TEXT NOT NULL,
        seq INTEGER NOT NULL,
        error TEXT NOT NULL,
        reason TEXT NOT NULL,
        UNIQUE (channel, id, user, device, seq)
    )
    """,
    "CREATE INDEX refusals_age ON refusals (channel, number)",
    # `stands`: in the channel itself, not in a thread alone. `shown`: it does, and is not deleted.
    # `edit`: the entry whose text shows. `erased`: the delete that took all older texts.
    """
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY,
        channel INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        user TEXT NOT NULL,
        root_id BLOB,
        root_user TEXT,
        stands INTEGER NOT NULL,
        shown INTEGER NOT NULL,
        edit INTEGER,
        version INTEGER NOT NULL,
        changed INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        erased INTEGER NOT NULL,
        replies INTEGER NOT NULL,
        last_reply INTEGER
    )
    """,
    # The last two columns let unread messages be counted without looking at them.
    "CREATE INDEX messages_place ON messages (channel, serial, shown, user)",
    """
    CREATE INDEX messages_thread ON messages (channel, root_id, root_user, serial) WHERE root_id IS NOT NULL
    """,
    """
    CREATE TABLE reactions (
        message INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        user TEXT NOT NULL,
        serial INTEGER NOT NULL,
        PRIMARY KEY (message, emoji, user)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE mentions (
        channel INTEGER NOT NULL,
        user TEXT NOT NULL,
        serial INTEGER NOT NULL,
        PRIMARY KEY (channel, user, serial)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE registers (
        channel TEXT NOT NULL,
        name TEXT NOT NULL,
        user TEXT NOT NULL,
        value TEXT NOT NULL,
        merge TEXT NOT NULL,
        epoch INTEGER,
        serial TEXT,
        PRIMARY KEY (channel, name, user)
    ) WITHOUT ROWID
    """,
    # It knows which words are where, by digests of them, and holds no text.
    """
    CREATE VIRTUAL TABLE search USING fts5 (
        words, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
    )
    """,
)

SCHEMA: Final = Schema(int.from_bytes(b"clog", "big"), WHAT, ConfigError, (_FIRST,))
"""Of log files; a released migration never changes."""
