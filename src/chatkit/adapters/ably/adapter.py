"""`AblyAdapter`: Ably behind the adapter's port; docs/providers/ably.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from importlib.metadata import version
from logging import Logger
from math import inf
from ssl import SSLError
from typing import Any, Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.access import Access, KeyAccess, TokenAccess
from chatkit.adapters.ably.changing import is_change
from chatkit.adapters.ably.codes import closed
from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.hosts import Hosts
from chatkit.adapters.ably.http_session import HttpSession
from chatkit.adapters.ably.listening import Shared
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.own_client import key_or_tokens
from chatkit.adapters.ably.pace import BATCH, RATE
from chatkit.adapters.ably.places import moment
from chatkit.adapters.ably.protocol import Closing, Connected, Protocol, Resume
from chatkit.adapters.ably.rest import ANSWER, Rest
from chatkit.adapters.ably.session import AblySession
from chatkit.adapters.ably.ways import NoSocket, Way, Ways, upgrade_waits
from chatkit.adapters.ably.wire import VERSION
from chatkit.errors import ChatkitError, ConfigError, ProviderError
from chatkit.model.capabilities import Capabilities, Feature, Support
from chatkit.ports.adapter import Parts, Publisher, SessionClosed
from chatkit.ports.log import Log
from chatkit.transport import http_client

OPEN: Final = 4.5
"""Seconds for a connection to one host to be made and greeted; the engine waits for three of them."""
WINDOW: Final = 120.0
"""Seconds for which channels can be gone on with, and ids are known."""
CHANNELS: Final = 200
MEMBERS: Final = 200
FRAME: Final = 1_048_576
"""Bytes of the largest frame that is read: twice what the service sends."""
LEAD: Final = 60.0
"""Seconds before a token ends in which it is renewed (D32)."""


class AblyAdapter:
    """One client's way to an app. Made by `factory.build`; its sessions live on one loop.

    Args:
        config: Completed.
        parts: What `connect` gives.
    """

    def __init__(self, config: AblyConfig, parts: Parts) -> None:
        credentials, secret = parts.credentials, config.secret
        if parts.client is not None:
            own = key_or_tokens(config, parts.client, parts.user)
            credentials, secret = (credentials, own) if isinstance(own, str) else (own, None)
        if secret is None and parts.log is not None:
            raise ConfigError(
                "ably: log= needs the key's secret: others believe announcements of a backend alone",
                hint="Set CHATKIT_SECRET in a backend, or leave log= out.",
            )
        if config.native_edits and parts.log is not None:
            raise ConfigError(
                "ably: native_edits= and log= exclude each other: the log numbers edits",
                hint="Leave native_edits out: with a log edits and deletes are in the log.",
            )
        self.trusted = secret is not None
        self.realm = config.realm
        self.publisher: Publisher | None = None
        self.capabilities = capabilities(config, trusted=self.trusted, log=parts.log is not None)
        self._config = config
        self._parts = parts
        self._memory = Memory(self._now)
        self._hosts = Hosts(config, parts.clock, parts.random)
        self._http = http_client(verify=config.tls, local=config.local, most=ANSWER)
        # Streams stay open, so that they would leave no room for calls.
        self._streams = http_client(verify=config.tls, local=config.local, most=None, connections=None)
        self._rest = Rest("https" if config.tls else "http", self._hosts, self._http)
        self._access: Access
        if secret is None:
            self._access = TokenAccess(credentials, parts.user, self._rest.request_token)
        else:
            self._access = KeyAccess(config.credential or "", secret)
        self._history = AblyHistory(
            self._rest,
            self._access,
            self._memory,
            config,
            realm=self.realm,
            observer=parts.observer,
            now=self._now,
        )
        self.log: Log | None = parts.log or self._history
        self._ahead = 0.0
        """Seconds that the service's clock is ahead of this machine's."""
        self._sessions: dict[AblySession | HttpSession, None] = {}
        self._ways = Ways(config.transport, parts.clock)
        self._shared = Shared(
            config,
            parts,
            where=self.realm,
            trusted=self.trusted,
            access=self._access,
            rest=self._rest,
            history=self._history,
            hosts=self._hosts,
            http=self._streams,
            memory=self._memory,
            ways=self._ways,
            now=self._now,
        )
        self._better: list[AblySession] = []
        """Sockets that stand where calls did meanwhile, and wait to be asked for."""

    async def open(self) -> AblySession | HttpSession:
        """Return a connected session, which goes on with the last connection where that can be.

        Raises:
            SessionClosed: There is no way to the service, or it refused.
            ChatkitError: There was no token to be had.
        """
        self._sessions = {old: None for old in self._sessions if not self._gone(old)}
        if self._better:
            return self._better.pop()
        if self._ways.choose() != "websocket":
            return await self._open_without_socket()
        try:
            return await self._open_socket()
        except SessionClosed as error:
            if self._ways.choose() == "websocket":
                raise
            try:
                return await self._open_without_socket()
            except ChatkitError:
                raise error from error.__cause__

    async def _open_without_socket(self) -> HttpSession:
        """Return a session that speaks by calls, if those are answered."""
        try:
            _ = await self.server_time()
        except ChatkitError as error:
            self._ways.socket()  # nothing is answered: that says nothing about sockets
            closed = SessionClosed(f"{self.realm} does not answer", again="later")
            raise closed from error
        _ = await self._access.header()
        way = self._ways.choose()
        session = HttpSession(way, self._shared)
        session.keep_fresh(self._now, LEAD)
        if self._ways.open:
            session.watch(partial(self._better_than, way))
        self._sessions[session] = None
        return session

    async def _better_than(self, way: Way) -> None:
        """Return once a socket stands again, which is opened next; or when streams are to be tried again."""
        for wait in upgrade_waits(self._parts.random):
            await asyncio.sleep(wait)
            try:
                self._better.append(await self._open_socket())
            except ChatkitError as error:
                self._parts.observer.point("ably.no_upgrade", error=type(error).__name__)
            else:
                return
            if self._ways.choose() != way:
                return

    async def _open_socket(self) -> AblySession:
        """Return a session over a socket. Raises as `open`."""
        query = await self._access.query()
        resume = self._memory.take_resume()
        failed: SessionClosed | None = None
        answered = False
        for host in self._hosts.for_sockets():
            try:
                socket, protocol = await self._connect(host, query, resume)
            except SessionClosed as error:
                if not _elsewhere(error):
                    self._ways.socket()  # the service itself said so
                    raise
                answered |= isinstance(error, NoSocket) and error.answered
                failed = error
                continue
            except BaseException:
                self._memory.keep(resume, {})
                raise
            self._ways.socket()
            return self._session(socket, protocol)
        self._memory.keep(resume, {})
        if isinstance(failed, NoSocket):
            self._ways.no_socket(answered=answered)
        raise failed or SessionClosed(f"{self.realm} has no host", again="later")

    def measure(self, channel: str, data: bytes) -> int:
        """Return the bytes that an envelope takes in a publish."""
        _ = name_of(channel, self._config.namespace)
        size = envelopes.measure(data, logged=self._parts.log is not None)
        return max(size, envelopes.ALONE) if self._config.native_edits and is_change(data) else size

    async def server_time(self) -> datetime | None:
        """Return the service's time. `ChatkitError` where there is no answer."""
        told = await self._rest.time()
        self._ahead = told / 1_000 - self._parts.clock.wall().timestamp()
        return moment(told)

    async def aclose(self) -> None:
        """Close the sessions that are still open, and what carries calls; idempotent."""
        for session in tuple(self._sessions):
            await session.aclose()
        self._sessions = {}
        await self._http.aclose()
        await self._streams.aclose()

    # -- inside -----------------------------------------------------------------------------------------

    def _now(self) -> float:
        """Return the service's clock in seconds since 1970."""
        return self._parts.clock.wall().timestamp() + self._ahead

    async def _connect(
        self, host: str, access: Mapping[str, str], resume: Resume | None
    ) -> tuple[ClientConnection, Protocol[asyncio.Future[Any]]]:
        """Return a connection to a host that was greeted.

        Raises:
            SessionClosed: There is none.
        """
        hint = "Check the network, and the host in ably://APP.KEY@HOST:PORT if there is one."
        try:
            async with asyncio.timeout(OPEN):
                return await self._greeted(host, access, resume)
        except TimeoutError:
            raise NoSocket(f"no connection to {host} within {OPEN:g} s", hint=hint) from None
        except InvalidStatus as error:
            text = f"{host} answered {error.response.status_code} in place of a connection"
            raise NoSocket(text, hint=hint, answered=True) from None
        except (OSError, InvalidHandshake) as error:  # a text of theirs may name the address with the key
            text = f"no connection to {host} ({type(error).__name__})"
            answered = not isinstance(error, OSError | InvalidMessage)  # the latter is no answer at all
            if isinstance(error, SSLError):
                hint = "The server speaks no TLS, or its certificate is not trusted; `?tls=0` does without."
            raise NoSocket(text, hint=hint, answered=answered) from None

    async def _greeted(
        self, host: str, access: Mapping[str, str], resume: Resume | None
    ) -> tuple[ClientConnection, Protocol[asyncio.Future[Any]]]:
        query = {
            "v": VERSION,
            "format": self._config.format,
            "heartbeats": "true",
            "agent": f"chatkit-python/{_version()}",
            **access,
        }
        if resume is not None:
            query["resume"] = resume.key
        # Frames hold bodies and tokens, so nobody may turn this one on (I16).
        silent = Logger("chatkit.adapters.ably.socket")  # noqa: LOG001
        silent.disabled = True
        socket = await connect(
            f"{'wss' if self._config.tls else 'ws'}://{host}/?{urlencode(query)}",
            logger=silent,
            compression=None,
            max_size=FRAME,
            open_timeout=None,
            ping_interval=None,  # the engine judges by frames, and asks by `probe`
            close_timeout=1.0,
            proxy=None if self._config.local else True,
        )
        try:
            return socket, await self._hear_greeting(socket, resume)
        except BaseException:
            await socket.close()
            raise

    async def _hear_greeting(
        self, socket: ClientConnection, resume: Resume | None
    ) -> Protocol[asyncio.Future[Any]]:
        """Hear CONNECTED; nothing may be said before it."""
        annotations = self._config.native_edits
        protocol = Protocol[asyncio.Future[Any]](self._config.format, resume, annotations=annotations)
        try:
            while True:
                for meaning in protocol.receive(await socket.recv()):
                    if isinstance(meaning, Connected):
                        return protocol
                    if isinstance(meaning, Closing):
                        end = closed(meaning.error, self.realm, fatal=meaning.fatal)
                        self._refresh_after(end)
                        raise end
        except ConnectionClosed:
            raise NoSocket(f"{self.realm} ended the connection before it stood") from None

    def _session(self, socket: ClientConnection, protocol: Protocol[asyncio.Future[Any]]) -> AblySession:
        parts = self._parts
        session = AblySession(
            socket,
            protocol,
            where=self.realm,
            namespace=self._config.namespace,
            user=parts.user,
            access=self._access,
            log=parts.log,
            history=self._history,
            native=self._config.native_edits,
            memory=self._memory,
            clock=parts.clock,
            observer=parts.observer,
        )
        session.keep_fresh(self._now, LEAD)
        self._sessions[session] = None
        return session

    def _gone(self, session: AblySession | HttpSession) -> bool:
        """Say whether a session has ended; where its end asked for a fresh credential, one is fetched."""
        end = session.ended
        if end is not None:
            self._refresh_after(end)
        return end is not None

    def _refresh_after(self, end: SessionClosed) -> None:
        if end.again == "reauthenticate":
            self._access.refused()


def _elsewhere(error: SessionClosed) -> bool:
    """Say whether another host may do better: there was no answer, or the service failed."""
    cause = error.__cause__
    return error.again == "later" and (cause is None or type(cause) is ProviderError)


@cache
def _version() -> str:
    return version("chatkit-realtime")


def capabilities(config: AblyConfig, *, trusted: bool, log: bool) -> Capabilities:
    """Return what a client can do with the key or without, with a log of the app or without."""
    own: Support = "emulated" if log else "native"  # what a log of the app supplies is not the provider's
    lacking: Support = "emulated" if log else "none"
    socket = config.transport in ("auto", "websocket")
    features: dict[Feature, Support] = {
        "durable": "none",
        "history": own,
        "order": own,
        "resume": own if socket else "emulated",  # without a socket what was missed is read from history
        "presence": "native" if socket else "none",
        "edit": "native" if config.native_edits else "emulated",
        "react": "native" if config.native_edits else "emulated",
        "receipts": "emulated",
        "search": lacking,
        "direct": "emulated",
        "roles": lacking,
        "pins": lacking,
        "as_user": "native" if trusted else "none",
    }
    return Capabilities(
        ack="stored",
        announce="after" if log else "stream",
        order="log" if log else "provider",
        erase="erased" if log else "tombstone",  # what is in Ably's history cannot be erased (D26)
        resume_window=WINDOW if socket and not log else 0.0,
        history=None if log else config.history,
        frame_bytes=envelopes.BYTES,
        batch=BATCH,
        publish_rate=RATE,
        channels_per_connection=CHANNELS,
        presence_members=MEMBERS if socket else None,
        duplicate_window=inf if log else WINDOW,
        contiguous=log,
        features=features,
    )
