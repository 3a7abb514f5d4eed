"""Full text: the index of words, and searches of it, newest first.

A row of the index has the number of its message, and numbers rise with time: a search goes down from the
newest and stops when it has a page. Channel and sender stand in the index as words do.

The index holds keyed digests in place of words: what is taken out of it may stay in the file until the index
next merges its parts, and no erased text must (D26). What it finds is compared with the text itself, so that
two words of one digest do no harm.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from chatkit.logs.sqlite.rows import (
    MESSAGE,
    MESSAGES,
    channel_of,
    folded,
    is_text,
    log_id_of,
    serial_text,
)
from chatkit.model.envelope import Envelope
from chatkit.model.paging import bounded
from chatkit.model.search import SearchMark, SearchPage, searchable, words
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros, moment

_WORD: Final = b"search word"
_USER: Final = b"search sender"
_CHANNEL: Final = b"search channel"


class Question(NamedTuple):
    """What is looked for."""

    text: str
    channels: Sequence[str] | None
    sender: str | None
    since: datetime | None
    until: datetime | None
    before: SearchMark | None
    limit: int


# ---------------------------------------------------------------------- the index


def add(connection: Connection, number: int, channel: int, user: str, showing: Envelope) -> None:
    """Index the text that a message shows."""
    found = _indexed(connection, channel, user, showing)
    if found is not None:
        run(connection, "INSERT INTO search (rowid, words) VALUES (?, ?)", (number, found))


def remove(connection: Connection, number: int, channel: int, user: str, showing: Envelope) -> None:
    """Take out what `add` was given."""
    found = _indexed(connection, channel, user, showing)
    if found is not None:
        run(
            connection,
            "INSERT INTO search (search, rowid, words) VALUES ('delete', ?, ?)",
            (number, found),
        )


def _indexed(connection: Connection, channel: int, user: str, showing: Envelope) -> str | None:
    found = dict.fromkeys(words(searchable(showing.body)))
    if not found:
        return None
    token = _tokens(connection)
    return " ".join(
        (token(_CHANNEL, str(channel)), token(_USER, user), *(token(_WORD, word) for word in found))
    )


def _tokens(connection: Connection) -> Callable[[bytes, str], str]:
    """Return what makes the index's own words: 12 digits, by a key of the log."""
    [(secret,)] = run(connection, "SELECT secret FROM header")

    def token(sort: bytes, text: str) -> str:
        return blake2b(text.encode(), key=secret, person=sort, digest_size=6).hexdigest()

    return token


# ---------------------------------------------------------------------- searches


def search(connection: Connection, question: Question) -> SearchPage:
    """Return a page of hits."""
    wanted = dict.fromkeys(words(question.text))
    match = _match(connection, list(wanted), question)
    if match is None:
        return SearchPage((), None)
    limit = bounded(question.limit)
    hits = _hits(connection, match, set(wanted), question, limit + 1)
    page = hits[:limit]
    items = folded(connection, [hit.row for hit in page], log_id_of(connection))
    return SearchPage(items, page[-1].mark if len(hits) > limit else None)


class _Hit(NamedTuple):
    order: tuple[int, str, str]
    mark: SearchMark
    row: Sequence[Any]


def _match(connection: Connection, wanted: Sequence[str], question: Question) -> str | None:
    """Return the expression for the index; `None`: nothing can be found."""
    if not wanted:
        return None
    token = _tokens(connection)
    parts = [_quoted(token(_WORD, word)) for word in wanted]
    if question.sender is not None:
        if not is_text(question.sender):
            return None
        parts.append(_quoted(token(_USER, question.sender)))
    if question.channels is not None:
        numbers = {channel_of(connection, name).number for name in question.channels} - {0}
        if not numbers:
            return None
        parts.append(
            "(" + " OR ".join(_quoted(token(_CHANNEL, str(number))) for number in sorted(numbers)) + ")"
        )
    return " AND ".join(parts)


def _quoted(word: str) -> str:
    return f'"{word}"'


def _hits(connection: Connection, match: str, wanted: set[str], question: Question, count: int) -> list[_Hit]:
    low, high = _bounds(connection, question)
    before = question.before
    end = (micros(before.at), before.channel, before.serial) if before else None
    found: list[_Hit] = []
    while True:
        rows = run(connection, _SEARCH, (match, low, high, count + _SPARE))
        for name, *row in rows:
            hit = _hit(name, row)
            if (end is None or hit.order < end) and wanted <= _words(row):
                found.append(hit)
        # Hits of one moment stand by channel and serial: all of the last one's moment must be there.
        found.sort(key=lambda hit: hit.order, reverse=True)
        del found[count:]
        if len(rows) < count + _SPARE or (len(found) == count and rows[-1][5] < found[-1].order[0]):
            return found
        high = rows[-1][1] - 1


def _hit(name: str, row: Sequence[Any]) -> _Hit:
    serial, at = serial_text(row[1]), int(row[4])
    return _Hit((at, name, serial), SearchMark(moment(at), name, serial), row)


def _words(row: Sequence[Any]) -> set[str]:
    data, edit = row[5], row[6]
    return set(words(searchable(json.loads(edit or data).get("body"))))


def _bounds(connection: Connection, question: Question) -> tuple[int, int]:
    """Return the lowest and the highest number that can be found."""
    newest = (one(connection, "SELECT max(number) FROM entries") or (None,))[0] or 0
    low, high = 1, newest
    if question.since is not None:
        low = _first(connection, newest, micros(question.since))
    if question.until is not None:
        high = _first(connection, newest, micros(question.until)) - 1
    if question.before is not None:
        high = min(high, _first(connection, newest, micros(question.before.at) + 1) - 1)
    return low, high


def _first(connection: Connection, newest: int, at: int) -> int:
    """Return the lowest number that the log gave at or after a time."""

    def time(number: int) -> int:
        # What was pruned left holes; the newest is always there.
        [(found,)] = run(
            connection, "SELECT at FROM entries WHERE number >= ? ORDER BY number LIMIT 1", (number,)
        )
        return int(found)

    return 1 + bisect_left(range(1, newest + 1), at, key=time)


_SPARE: Final = 4
"""Hits read beyond what is asked for: of the same moment, or not what the text says."""
_SEARCH: Final = (
    f"SELECT c.name, {MESSAGE} FROM search s CROSS JOIN {MESSAGES} JOIN channels c ON c.number = m.channel"  # noqa: S608  # our own names
    " WHERE s.search MATCH ? AND s.rowid BETWEEN ? AND ? AND m.number = s.rowid ORDER BY s.rowid DESC LIMIT ?"
)
