"""`PostgresLog`: the log in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, get_args

import psycopg

from chatkit.errors import InvalidMessage, TransportError
from chatkit.logs.admission import mismatch
from chatkit.logs.pages import bounded
from chatkit.logs.postgres import errors
from chatkit.logs.postgres.connecting import Database, as_json
from chatkit.logs.postgres.migrating import migrations
from chatkit.logs.postgres.rows import (
    ack_of,
    could_be,
    entry_of,
    folded,
    is_text,
    item,
    key_of,
    micros,
    moment,
    place,
    readable,
    serial_text,
    state_of,
)
from chatkit.logs.record import ALWAYS, EPOCH
from chatkit.model.envelope import Envelope
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import Register, check
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, Found, LogFeature, LogState, Messages
from chatkit.ports.outgoing import Ack, Outgoing

_ALL: Final[frozenset[LogFeature]] = frozenset(get_args(LogFeature))
CHANNEL: Final = "chatkit_log"
"""On which the database tells of appends; what it tells is the channel's name."""
_LOOK: Final = 0.5
"""Seconds after which whoever listens sees that the log was closed."""


class PostgresLog:
    """A `Log` in a database that any number of processes and machines share.

    The database decides: each append is one call of one function there, in one transaction. What it said no
    to for good comes as the answer to an entry; where it did not answer, `TransportError`, and the call is
    safe to repeat. A database that was not migrated, or refuses the user, is a `ConfigError`.

    Nothing is opened before the first call. A log belongs to the event loop of its first call; on Windows
    that must be a `SelectorEventLoop`, as psycopg says.

    Args:
        dsn: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``, with libpq's options behind ``?``.
        connections: The most that are open at once, beside one for each `changes`.
        timeout: Seconds to wait for a connection, and for the answer to a statement.

    Raises:
        ConfigError: The URL cannot be read; it is not shown.
    """

    def __init__(self, dsn: str, *, connections: int = 10, timeout: float = 10.0) -> None:
        self._database = Database(
            dsn, version=migrations()[-1].version, connections=connections, timeout=timeout
        )

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """Everything."""
        return _ALL

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9)."""
        refused: dict[int, Ack] = {}
        for index, entry in enumerate(entries):
            try:
                problem = mismatch(channel, entry, Envelope.parse(entry.data))
            except InvalidMessage as error:
                problem = error
            if problem is not None:
                refused[index] = Ack(entry.ident, "refused", error=problem)
        rest = [entry for index, entry in enumerate(entries) if index not in refused]
        found = await self._database.call(
            "SELECT chatkit.append(%s, %s::json)", readable(channel), as_json([item(entry) for entry in rest])
        )
        taken = (ack_of(entry.ident, channel, ack) for entry, ack in zip(rest, found["acks"], strict=True))
        acks = tuple(refused.get(index) or next(taken) for index in range(len(entries)))
        return Appended(state_of(found["state"]), acks)

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands; one call for all (D16)."""
        found = await self._database.call("SELECT chatkit.heads(%s)", [readable(name) for name in channels])
        return {name: state_of(found[readable(name)]) for name in channels}

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` raw entries after a place, oldest first; `None`: from the floor."""
        found = await self._database.call(
            "SELECT chatkit.entries(%s, %s::json, %s)", readable(channel), _place(after), bounded(limit)
        )
        return _entries(found, more=found["more"])

    async def messages(
        self,
        channel: str,
        /,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return up to `limit` folded messages, ascending; no place: the newest."""
        root = Ident("", "") if thread is None or not could_be(thread) else thread
        found = await self._database.call(
            "SELECT chatkit.messages(%s, %s::json, %s::json, %s::json, %s, %s, %s)",
            readable(channel),
            _place(before),
            _place(after),
            _place(around),
            bounded(limit),
            *((None, None) if thread is None else root),
        )
        return _messages(found)

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named, folded, ascending."""
        named = [
            (name.user, name.id) if isinstance(name, Ident) else (None, name)
            for name in idents
            if (could_be(name) if isinstance(name, Ident) else is_message_id(name))
        ]
        return _messages(
            await self._database.call("SELECT chatkit.get(%s, %s::json)", readable(channel), as_json(named))
        )

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every edit, delete and restore of one message, oldest first."""
        name = ident if could_be(ident) else Ident("", "")
        found = await self._database.call(
            "SELECT chatkit.versions(%s, %s, %s)", readable(channel), name.user, name.id
        )
        return _entries(found, more=found["more"])

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes the log has (D10)."""
        named = [ident for ident in idents if could_be(ident)]
        found = await self._database.call(
            "SELECT chatkit.find(%s, %s::json)", readable(channel), as_json(named)
        )
        forgotten = found["forgotten"]
        return Found(
            state_of(found["state"]),
            {Ident(user, id): key_of(serial) for user, id, serial in found["items"]},
            ALWAYS if forgotten is None else moment(forgotten),
        )

    async def put(self, new: Sequence[Register], /) -> None:
        """Merge registers, in one transaction."""
        rows: list[tuple[Any, ...]] = []
        for register in new:
            check(register)
            rows.append((*register[:5], *(register.key or (None, None))))
        await self._database.call("SELECT chatkit.put(%s::json)", as_json(rows))

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all."""
        found = await self._database.call(
            "SELECT chatkit.registers(%s, %s, %s)",
            readable(channel),
            list(filter(is_text, names)),
            None if users is None else list(filter(is_text, users)),
        )
        return tuple(
            Register(where, user, name, value, merge, None if epoch is None else OrderKey(epoch, serial))
            for where, user, name, value, merge, epoch, serial in found
        )

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""
        found = await self._database.call(
            "SELECT chatkit.unread(%s, %s)", readable(user), [readable(name) for name in channels]
        )
        counts: dict[str, Unread] = {}
        for name in channels:
            messages, mentions, exact, first = found[readable(name)]
            counts[name] = Unread(messages=messages, mentions=mentions, exact=exact, first=first)
        return counts

    async def search(
        self,
        text: str,
        /,
        *,
        channels: Sequence[str] | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return messages that hold all words of a text, newest first."""
        found = await self._database.call(
            "SELECT chatkit.search(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            readable(text),
            None if channels is None else list(filter(is_text, channels)),
            None if sender is None else readable(sender),
            None if since is None else micros(since),
            None if until is None else micros(until),
            *((None,) * 3 if before is None else (micros(before.at), *map(readable, before[1:]))),
            bounded(limit),
        )
        items = folded(found["hits"], found.get("log_id", ""))
        if not found["more"]:
            return SearchPage(items, None)
        stamp = items[-1].stamp
        return SearchPage(items, SearchMark(stamp.at, found["names"][-1], stamp.key.serial))

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages before a place, in several transactions; ids later (D20)."""
        while True:
            found = await self._database.call(
                "SELECT chatkit.trimmed(%s, %s::json)", readable(channel), _place(before)
            )
            if not found["more"]:
                return state_of(found["state"])

    async def changes(self) -> AsyncIterator[str]:
        """Yield the name of each channel that was appended to, one's own appends too; see `Log.changes`.

        Ends when this log is closed.
        """
        connection = await self._database.connect()
        try:
            with errors.unchained():
                try:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    yield ""
                    while not self._database.closed:
                        async for told in connection.notifies(timeout=_LOOK):
                            yield told.payload
                except psycopg.Error:
                    raise TransportError("log: the connection that listens for changes was lost") from None
        finally:
            await connection.close()

    async def restored(self) -> str:
        """Give the log a new id, and return it: a backup of the database was put in its place (D18)."""
        log_id: str = await self._database.call("SELECT chatkit.restored()")
        return log_id

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        await self._database.aclose()


def _place(wanted: Place | None) -> str | None:
    return None if wanted is None else as_json(place(wanted))


def _entries(found: Mapping[str, Any], *, more: bool) -> Entries:
    state = state_of(found["state"])
    return Entries(state, tuple(entry_of(row, state.log_id) for row in found["items"]), more)


def _messages(found: Mapping[str, Any]) -> Messages:
    state = state_of(found["state"])
    items = folded(found["items"], state.log_id)
    older, newer = found.get("older"), found.get("newer")
    before = None
    if older is not None:
        # Of an empty page: just behind the newest of the older ones.
        before = items[0].stamp.key if items else OrderKey(EPOCH, serial_text(older) + "0")
    return Messages(
        state=state,
        items=items,
        as_of=OrderKey(EPOCH, state.head or ""),
        before=before,
        after=None if newer is None else key_of(newer),
        provisional=False,
    )
