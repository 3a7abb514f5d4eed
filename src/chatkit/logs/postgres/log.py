"""`PostgresLog`: the log in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, get_args

import psycopg

from chatkit.errors import TransportError
from chatkit.logs.postgres import errors
from chatkit.logs.postgres.connecting import Database
from chatkit.ports.log import LogFeature
from chatkit.postgres.log import FunctionLog
from chatkit.postgres.migrations import plain

_ALL: Final[frozenset[LogFeature]] = frozenset(get_args(LogFeature))
CHANNEL: Final = "chatkit_log"
"""On which the database tells of appends; what it tells is the channel's name."""
_LOOK: Final = 0.5
"""Seconds after which whoever listens sees that the log was closed."""


class PostgresLog(FunctionLog):
    """A `Log` in a database that any number of processes and machines share.

    A database that was not migrated, or refuses the user, is a `ConfigError`.

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
        self._database = Database(dsn, version=plain()[-1].version, connections=connections, timeout=timeout)
        super().__init__(self._database)

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """Everything."""
        return _ALL

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

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        await self._database.aclose()
