"""`SupabaseAdapter`: Supabase behind the adapter's port; docs/providers/supabase.md."""

from __future__ import annotations

import asyncio
from datetime import datetime
from logging import Logger
from math import inf
from typing import Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from chatkit.adapters.supabase.access import Access, KeyAccess, TokenAccess
from chatkit.adapters.supabase.attaching import ALONE, BOTH
from chatkit.adapters.supabase.calls import ANSWER, Broadcasts
from chatkit.adapters.supabase.codes import NO_WAY, not_opened
from chatkit.adapters.supabase.config import SupabaseConfig
from chatkit.adapters.supabase.database import DatabaseLog
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.own_client import ClientSession, config_of
from chatkit.adapters.supabase.rpc import ANSWER as LONG_ANSWER
from chatkit.adapters.supabase.rpc import Rpc
from chatkit.adapters.supabase.session import Shared, SupabaseSession
from chatkit.adapters.supabase.speaking import BATCH, Publisher, measure
from chatkit.errors import ConfigError, TransportError
from chatkit.model.capabilities import Capabilities, Feature, Support
from chatkit.model.envelope import MAX_BYTES
from chatkit.ports.adapter import Parts, SessionClosed
from chatkit.ports.adapter import Publisher as PublisherPort
from chatkit.ports.log import Log
from chatkit.transport import DateClock, http_client

OPEN: Final = 12.0
"""Seconds for a connection to be made; the engine waits a little longer."""
FRAME: Final = 6_000_000
"""Bytes of the largest frame that is read: what the service takes, and what stands around it."""
LIVENESS: Final = 50.0
"""Seconds within which a dead connection is noticed: a join alone may keep the service silent for twenty."""
ROOM: Final = 0.9
"""Part of the project's limit that a broadcast of ours takes: the service counts in a form of its own."""
SHARE: Final = 10
"""One in how many of the project's events a client takes."""


class SupabaseAdapter:
    """One client's way to a project. Made by `factory.build`; its sessions live on one loop.

    Args:
        config: Completed.
        parts: What `connect` gives.
    """

    def __init__(self, config: SupabaseConfig, parts: Parts) -> None:
        credentials = parts.credentials
        if parts.client is not None:
            config, credentials = config_of(config, parts.client), ClientSession(parts.client)
        elif config.is_open:
            raise ConfigError(
                "supabase: the URL names no project", hint="Write supabase://KEY@REF, or give client=."
            )
        database = config.mode == "database"
        logged = database or parts.log is not None
        if parts.log is not None and database:
            raise ConfigError(
                "supabase: in mode=database the project's own PostgreSQL is the log",
                hint="Leave log= out, or set mode=broadcast.",
            )
        if parts.log is not None and not config.trusted:
            raise ConfigError(
                "supabase: log= needs a service_role or secret key: members announce nothing in a log's name",
                hint="Set CHATKIT_SECRET in a backend, or leave log= out.",
            )
        self.trusted = config.trusted and logged
        self.realm = config.realm
        self.capabilities = capabilities(config, trusted=self.trusted, log=parts.log is not None)
        self.publisher: PublisherPort | None = None
        self._config = config
        self._parts = parts
        self._logged = logged
        self._largest = min(MAX_BYTES, int(config.payload * 1_000 * ROOM))
        self._time = DateClock(parts.clock)
        most = LONG_ANSWER if database else ANSWER
        self._http = http_client(verify=config.tls, local=config.local, most=most)
        self._access: Access
        if config.trusted or config.anonymous or not (database or config.private):
            self._access = KeyAccess(config.key)
        else:
            self._access = TokenAccess(config.key, credentials, parts.user, parts.clock)
        self.log: Log | None = parts.log
        if self.log is None and database:
            rpc = Rpc(config.http_url, self._http, self._access, told_time=self._time.told)
            self.log = DatabaseLog(rpc)
        self._has_log = not database
        """It is known that the project has the schema."""
        broadcasts = Broadcasts(config.http_url, self._http, self._access, told_time=self._time.told)
        self._broadcasts = broadcasts
        self._sessions: dict[SupabaseSession, None] = {}
        user = None if self.trusted else parts.user
        private = logged or config.private
        if not database:
            self.publisher = Publisher(
                lambda: self._sessions,
                broadcasts,
                private=private,
                logged=logged,
                user=user,
                largest=self._largest,
            )
        self._shared = Shared(
            parts=parts,
            where=self.realm,
            access=self._access,
            broadcasts=broadcasts,
            log=self.log,
            announced=database,
            private=private,
            user=user,
            largest=self._largest,
            now=self._now,
        )

    async def open(self) -> SupabaseSession:
        """Return a connected session.

        Raises:
            SessionClosed: There is no way to the project, or it refused.
            ChatkitError: There was no token to be had, or it is another user's.
        """
        self._sessions = {old: None for old in self._sessions if not self._gone(old)}
        try:
            async with asyncio.timeout(OPEN):
                _ = await self._access.token()
                await self._find_log()
                socket = await self._connect()
        except TimeoutError:
            raise SessionClosed(
                f"no connection to {self.realm} within {OPEN:g} s", again="later", hint=NO_WAY
            ) from None
        except InvalidStatus as error:
            self._time.told(error.response.headers.get("Date"))
            found = not_opened(error.response.status_code, self.realm, self._parts.random)
            if found.again == "reauthenticate":
                self._access.refused()
            raise found from found.__cause__
        except (OSError, InvalidHandshake) as error:  # a text of theirs may name the address with the key
            raise SessionClosed(
                f"no connection to {self.realm} ({type(error).__name__})", again="later", hint=NO_WAY
            ) from None
        session = SupabaseSession(socket, self._shared)
        self._sessions[session] = None
        return session

    def measure(self, channel: str, data: bytes) -> int:
        """Return the bytes that an envelope takes: in the log, or as text in a broadcast."""
        _ = topic_of(channel, "live")
        return len(data) if self._shared.announced else measure(data, logged=self._logged)

    async def server_time(self) -> datetime | None:
        """Return the project's time as its last answer told it; asked for where none did."""
        if self._time.now() is None:
            await self._broadcasts.ask_time()
        return self._time.now()

    async def aclose(self) -> None:
        """Close the sessions that are still open, and what carries calls; idempotent."""
        for session in tuple(self._sessions):
            await session.aclose()
        self._sessions = {}
        await self._http.aclose()

    # -- inside -----------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._server_now().timestamp()

    def _server_now(self) -> datetime:
        return self._time.now() or self._parts.clock.wall()

    async def _find_log(self) -> None:
        """Learn once that the project has the schema: else joins would be refused as if nobody had a right.

        Raises:
            ConfigError: It has not.
            SessionClosed: No answer.
        """
        if self._has_log or self.log is None:
            return
        try:
            _ = await self.log.heads(())
        except TransportError as error:
            text = f"no answer from the log of {self.realm}"
            raise SessionClosed(text, again="later", hint=NO_WAY) from error
        self._has_log = True

    async def _connect(self) -> ClientConnection:
        query = urlencode({"apikey": self._access.key, "vsn": "2.0.0"})
        # Frames hold bodies and tokens, so nobody may turn this one on (I16).
        silent = Logger("chatkit.adapters.supabase.socket")  # noqa: LOG001
        silent.disabled = True
        socket = await connect(
            f"{self._config.socket_url}?{query}",
            logger=silent,
            compression=None,
            max_size=FRAME,
            open_timeout=None,
            ping_interval=None,  # heartbeats are the protocol's own
            close_timeout=1.0,
            proxy=None if self._config.local else True,
        )
        self._time.told(None if socket.response is None else socket.response.headers.get("Date"))
        return socket

    def _gone(self, session: SupabaseSession) -> bool:
        """Say whether a session has ended; where its end asked for a fresh credential, one is fetched."""
        end = session.ended
        if end is not None and end.again == "reauthenticate":
            self._access.refused()
        return end is not None


def capabilities(config: SupabaseConfig, *, trusted: bool, log: bool) -> Capabilities:
    """Return what a client can do in a mode, as a user or as anybody, with a log of the app or without."""
    database = config.mode == "database"
    logged = database or log
    own: Support = "native" if database else "emulated"
    lacking: Support = own if logged else "none"
    features: dict[Feature, Support] = {
        "durable": "none",
        "history": lacking,
        "order": own,
        "resume": "emulated" if logged else "none",
        "presence": "native",
        "edit": own,
        "react": own,
        "receipts": own,
        "search": lacking,
        "direct": "emulated",
        "roles": lacking,
        "pins": lacking,
        "as_user": "native" if trusted else "none",
    }
    return Capabilities(
        ack="stored" if logged else "accepted",
        announce="transactional" if database else "after" if log else "stream",
        order="log" if logged else "clock",
        erase="erased" if logged else "none",
        resume_window=0.0,
        history=None if logged else 0.0,
        frame_bytes=MAX_BYTES if database else min(MAX_BYTES, int(config.payload * 1_000 * ROOM)),
        batch=BATCH,
        publish_rate=None if config.events is None else config.events / SHARE,
        channels_per_connection=BOTH if logged else ALONE,
        duplicate_window=inf if logged else 0.0,
        contiguous=logged,
        liveness=LIVENESS,
        attested="provider" if database else "backend" if log else "none",
        features=features,
    )
