"""Connections to the database: a pool for calls, and single ones for whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from chatkit.errors import StateError, TransportError
from chatkit.logs.postgres import errors
from chatkit.postgres.calls import Json
from chatkit.postgres.migrations import OWN

Pool = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]

# A peer that is gone without a word is noticed within half a minute.
_DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "chatkit",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# No statement here needs a plan that was made for it alone (all are calls of functions), and without
# prepared ones a pooler may stand between.
_OPTIONS: Final[dict[str, Any]] = {"autocommit": True, "prepare_threshold": None}
# Of a connection that was lost: without a code, or ended by an administrator, a crash, a shutdown.
_BROKEN: Final = frozenset({None, "57P01", "57P02", "57P05"})


def conninfo(dsn: str) -> str:
    """Return a URL as the driver's words, with defaults of ours.

    Raises:
        ConfigError: The driver cannot read it; it is not shown.
    """
    with errors.unchained():
        try:
            given = conninfo_to_dict(dsn)
            ports = str(given.get("port", "")).split(",")
            if not all(port.isdigit() and port.isascii() for port in ports if port):
                raise errors.unreadable_url()  # the driver would quote it, much later
            return make_conninfo("", **(_DEFAULTS | given))
        except (psycopg.Error, UnicodeError):
            raise errors.unreadable_url() from None


class Database:
    """Calls of the log's functions, each its own transaction.

    Nothing is opened before the first call. Belongs to the event loop of that call.

    Args:
        dsn: ``postgresql://...``
        version: Of the schema that is expected.
        connections: The most that are open at once.
        timeout: Seconds to wait for a connection, and for the answer to a statement.
    """

    def __init__(self, dsn: str, *, version: int, connections: int, timeout: float) -> None:
        self._conninfo = conninfo(dsn)
        self._version = version
        self._connections = connections
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._pool: Pool | None = None
        self.closed = False

    async def call(self, name: str, /, **values: Any) -> Any:
        """Call a function; see `chatkit.postgres.calls.Functions`.

        A connection that broke while it was not in use is replaced and the call repeated, once: calls are
        safe to repeat.
        """
        query = _query(name, values)
        given = {key: value.text if isinstance(value, Json) else value for key, value in values.items()}
        with errors.unchained():
            try:
                return await self._call(query, given)
            except psycopg.OperationalError:
                await self._replace()
            try:
                return await self._call(query, given)
            except psycopg.OperationalError as error:
                raise errors.calling(error) from None

    async def connect(self) -> AsyncConnection[tuple[Any, ...]]:
        """Return a connection of its own, in autocommit; the caller closes it."""
        with errors.unchained():
            await self._opened()
            return await self._connect()

    async def aclose(self) -> None:
        """Close all connections of the pool; idempotent."""
        self.closed = True
        async with self._opening:
            pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close(self._timeout)

    async def _call(self, query: bytes, values: Mapping[str, Any]) -> Any:
        """Run a statement; raises the driver's `OperationalError` where the connection broke."""
        pool = await self._opened()
        try:
            # The server ends a statement by itself; this ends the wait for a server that is gone.
            async with asyncio.timeout(3 * self._timeout), pool.connection(self._timeout) as connection:
                cursor = await connection.execute(query, values)
                row = await cursor.fetchone()
        except (PoolTimeout, TimeoutError):
            raise TransportError("log: no answer from the database in time") from None
        except PoolClosed:
            raise self._ended() from None
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and error.sqlstate in _BROKEN:
                raise
            raise errors.calling(error) from None
        return row[0] if row else None

    async def _opened(self) -> Pool:
        if self.closed:
            raise self._ended()
        if self._pool is None:
            async with self._opening:
                if self.closed:
                    raise self._ended()
                if self._pool is None:
                    await self._check()
                    self._pool = await self._open()
        return self._pool

    async def _check(self) -> None:
        """Look at the schema by a connection of its own, whose failure says why; that of a pool does not."""
        connection = await self._connect()
        try:
            cursor = await connection.execute(
                "SELECT max(version) FROM chatkit.migrations WHERE version < %s", (OWN,)
            )
            row = await cursor.fetchone()
        except psycopg.Error as error:
            raise errors.calling(error) from None
        finally:
            await connection.close()
        found = row[0] if row and row[0] is not None else 0
        if found != self._version:
            raise errors.too_new() if found > self._version else errors.not_migrated()

    async def _open(self) -> Pool:
        pool: Pool = AsyncConnectionPool(
            self._conninfo,
            kwargs=_OPTIONS,
            configure=self._configure,
            min_size=1,
            max_size=self._connections,
            timeout=self._timeout,
            open=False,
            name="chatkit-log",
        )
        await pool.open()
        return pool

    async def _connect(self) -> AsyncConnection[tuple[Any, ...]]:
        try:
            connection = await AsyncConnection.connect(self._conninfo, **_OPTIONS)
            await self._configure(connection)
        except psycopg.Error as error:
            raise errors.connecting(error) from None
        return connection

    async def _configure(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        # A statement that waits for a lock must see what the holder did: nothing above READ COMMITTED.
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, false),"
            " set_config('default_transaction_isolation', 'read committed', false)",
            (str(int(self._timeout * 1000)),),
        )

    async def _replace(self) -> None:
        """Replace connections of the pool that are broken.

        Raises:
            TransportError: The database cannot be reached.
        """
        pool = await self._opened()
        await (await self._connect()).close()
        try:
            async with asyncio.timeout(self._timeout):
                await pool.check()
        except TimeoutError:
            raise TransportError("log: no answer from the database in time") from None

    @staticmethod
    def _ended() -> StateError:
        return StateError("this log is closed", hint="Make a new one.")


def _query(name: str, values: Mapping[str, Any]) -> bytes:
    """Return the call of a function of ours, by the names of its arguments."""
    given = (f"{key} => %({key})s{'::json' if isinstance(values[key], Json) else ''}" for key in values)
    return f"SELECT chatkit.{name}({', '.join(given)})".encode()
