"""The words of the cached messages, so that search works offline (D24). Each function is a job on the file.

An index exists or it does not: it is made, from what is cached, when a file is opened with it, and dropped
when one is opened without. Words come split and in lower case; the tokenizer leaves them as they are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from chatkit.core.searching import page
from chatkit.errors import CapabilityError
from chatkit.model.entry import Folded
from chatkit.model.search import SearchMark, SearchPage, shown_words, words
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros
from chatkit.stores.codec import FOLDED_COLUMNS, folded_from

_EXISTS: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'words'"
_MAKE: Final = (
    "CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'ascii', detail = none)",
    "CREATE TRIGGER cached_gone AFTER DELETE ON cached BEGIN DELETE FROM words WHERE rowid = old.rowid; END",
)
_DROP: Final = ("DROP TRIGGER IF EXISTS cached_gone", "DROP TABLE IF EXISTS words")


def prepare(connection: Connection, *, wanted: bool) -> bool:
    """Make or drop the index, in the caller's transaction; returns whether there is one.

    A SQLite without full-text search has none.
    """
    there = one(connection, _EXISTS) is not None
    if there == wanted:
        return there
    if not wanted:
        for statement in _DROP:
            run(connection, statement)
        return False
    if not _can_search(connection):
        return False
    for statement in _MAKE:
        run(connection, statement)
    for rowid, *values in run(connection, f"SELECT rowid, {FOLDED_COLUMNS} FROM cached"):  # noqa: S608  # our own text
        _put(connection, rowid, folded_from(values))
    return True


def note(connection: Connection, channel: str, message: Folded) -> None:
    """Index a message that was just cached."""
    found = one(
        connection,
        "SELECT rowid FROM cached WHERE channel = ? AND user = ? AND id = ?",
        (channel, *message.ident),
    )
    if found is not None:
        run(connection, "DELETE FROM words WHERE rowid = ?", found)
        _put(connection, found[0], message)


def search(
    connection: Connection,
    text: str,
    *,
    channel: str | None,
    sender: str | None,
    since: datetime | None,
    until: datetime | None,
    before: SearchMark | None,
    limit: int,
) -> SearchPage:
    """Return cached messages that hold all words of a text, newest first.

    Raises:
        CapabilityError: There is no index.
    """
    if one(connection, _EXISTS) is None:
        raise no_index()
    wanted = words(text)
    if not wanted:
        return SearchPage((), None)
    terms: dict[str, tuple[Any, ...]] = {"words MATCH ?": (" AND ".join(f'"{word}"' for word in wanted),)}
    if channel is not None:
        terms["channel = ?"] = (channel,)
    if sender is not None:
        terms["user = ?"] = (sender,)
    if since is not None:
        terms["at >= ?"] = (micros(since),)
    if until is not None:
        terms["at < ?"] = (micros(until),)
    if before is not None:
        terms["(at, channel, serial) < (?, ?, ?)"] = (micros(before.at), before.channel, before.serial)
    found = run(
        connection,
        f"SELECT channel, {FOLDED_COLUMNS} FROM words JOIN cached ON cached.rowid = words.rowid"  # noqa: S608  # our own text
        f" WHERE {' AND '.join(terms)} ORDER BY at DESC, channel DESC, serial DESC LIMIT ?",
        (*(value for values in terms.values() for value in values), limit + 1),
    )
    hits = [(channel, folded_from(values)) for channel, *values in found]
    return page(hits, limit)


def no_index() -> CapabilityError:
    """Return the refusal of a store that keeps no index."""
    return CapabilityError(
        "this store keeps no index to search", hint="Connect with `index=True`, or search while online."
    )


def _put(connection: Connection, rowid: int, message: Folded) -> None:
    text = " ".join(shown_words(message))
    if text:
        run(connection, "INSERT INTO words (rowid, text) VALUES (?, ?)", (rowid, text))


def _can_search(connection: Connection) -> bool:
    return one(connection, "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'") is not None
