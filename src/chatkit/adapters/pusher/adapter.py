"""`PusherAdapter`: Pusher Channels behind the adapter's port; docs/providers/pusher.md."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import cache
from importlib.metadata import version
from logging import Logger
from math import inf
from typing import Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from chatkit.adapters.pusher.calls import ANSWER, BATCH, Calls
from chatkit.adapters.pusher.closing import ELSEWHERE, closed
from chatkit.adapters.pusher.config import PusherConfig
from chatkit.adapters.pusher.hearing import Heard, Hearing
from chatkit.adapters.pusher.names import Kind
from chatkit.adapters.pusher.pace import RATE
from chatkit.adapters.pusher.payload import BYTES
from chatkit.adapters.pusher.permits import AskedPermits, OwnPermits, Permits
from chatkit.adapters.pusher.protocol import Closing, Established, Protocol
from chatkit.adapters.pusher.publisher import HttpPublisher
from chatkit.adapters.pusher.session import PusherSession
from chatkit.adapters.pusher.signing import http_url_of, signer_of
from chatkit.adapters.pusher.speaking import BATCH as BURST
from chatkit.adapters.pusher.speaking import ByClientEvents, ByHttp
from chatkit.adapters.pusher.wire import Wire
from chatkit.errors import ConfigError
from chatkit.model.capabilities import Capabilities, Feature, Support
from chatkit.ports.adapter import Parts, Publisher, SessionClosed
from chatkit.ports.log import Log
from chatkit.transport import DateClock, http_client

OPEN: Final = 10.0
"""Seconds for a connection to be made and greeted."""
MEMBERS: Final = 100
"""Users that a presence channel takes."""
FRAME: Final = 1_048_576
"""Bytes of the largest frame that is read: a roster of 100 users of 1 kB each takes a good part of it."""

_NO_WAY: Final = (
    "Check the network and the cluster in pusher://KEY@CLUSTER/APP_ID; "
    "where the server is one of your own, host=, port= and tls=."
)


class PusherAdapter:
    """One client's way to an app. Made by `factory.build`; its sessions live on one loop.

    Args:
        config: Completed.
        parts: Of these it uses all but the random source.
    """

    def __init__(self, config: PusherConfig, parts: Parts) -> None:
        signer = signer_of(config, parts.client)
        if signer is None and parts.log is not None:
            raise ConfigError(
                "pusher: log= needs the app's secret: others believe announcements of a backend alone",
                hint="Set CHATKIT_SECRET in a backend, or leave log= out.",
            )
        self.trusted = signer is not None
        self.realm = config.realm
        self.log: Log | None = parts.log
        self.capabilities = capabilities(config.channels, trusted=self.trusted, log=parts.log is not None)
        self.publisher: Publisher | None = None
        self._config = config
        self._parts = parts
        self._signer = signer
        self._wire = Wire(config, signer, stamps=parts.log is not None)
        self._time = DateClock(parts.clock)
        self._heard = Heard()
        self._sessions: dict[PusherSession, None] = {}
        self._http = http_client(
            verify=config.tls or config.auth is not None, local=config.local, most=ANSWER
        )
        self._calls: Calls | None = None
        self._permits: Permits
        if signer is None:
            self._permits = AskedPermits(
                parts.credentials, parts.user, config.credential or "", config.auth, self._http
            )
        else:
            url = http_url_of(config, parts.client)
            self._calls = Calls(url, signer, self._http, told_time=self._time.told)
            self._permits = OwnPermits(signer, parts.user)
            self.publisher = HttpPublisher(self._wire, self._calls)

    async def open(self) -> PusherSession:
        """Return a connected session.

        Raises:
            SessionClosed: There is no way to the server, or it refused.
        """
        self._sessions = {old: None for old in self._sessions if not self._gone(old)}
        try:
            async with asyncio.timeout(OPEN):
                socket, protocol = await self._connect()
        except TimeoutError:
            raise SessionClosed(f"no connection to {self.realm} within {OPEN:g} s", again="later") from None
        except InvalidStatus as error:
            self._time.told(error.response.headers.get("Date"))
            raise SessionClosed(
                f"{self.realm} answered {error.response.status_code} in place of a connection",
                again="later",
                hint=ELSEWHERE,
            ) from None
        except (OSError, InvalidHandshake) as error:  # a text of theirs may name the address with the key
            raise SessionClosed(
                f"no connection to {self.realm} ({type(error).__name__})",
                again="later",
                hint=_NO_WAY,
            ) from None
        session = self._session(socket, protocol)
        self._sessions[session] = None
        return session

    def measure(self, channel: str, data: bytes) -> int:
        """Return the bytes that an envelope takes in an event, room for its stamp included."""
        _ = self._wire.name(channel)
        return self._wire.measure(data)

    async def server_time(self) -> datetime | None:
        """Return the server's time as its last answer told it; `None`: none did."""
        return self._time.now()

    async def aclose(self) -> None:
        """Close the sessions that are still open, and what carries calls; idempotent."""
        for session in tuple(self._sessions):
            await session.aclose()
        self._sessions = {}
        await self._http.aclose()

    # -- inside -----------------------------------------------------------------------------------------

    async def _connect(self) -> tuple[ClientConnection, Protocol]:
        """Return a connection that was greeted; one that was not is closed, whatever happens."""
        query = urlencode({"protocol": 7, "client": "chatkit-python", "version": _version()})
        # Frames hold bodies and signatures, so nobody may turn this one on (I16).
        silent = Logger("chatkit.adapters.pusher.socket")  # noqa: LOG001
        silent.disabled = True
        socket = await connect(
            f"{self._config.socket_url}{self._config.credential}?{query}",
            logger=silent,
            compression=None,
            max_size=FRAME,
            open_timeout=None,
            ping_interval=None,  # the engine judges by frames, and asks by `probe`
            close_timeout=1.0,
            proxy=None if self._config.local else True,
        )
        self._time.told(None if socket.response is None else socket.response.headers.get("Date"))
        try:
            return socket, await self._greeted(socket)
        except BaseException:
            await socket.close()
            raise

    async def _greeted(self, socket: ClientConnection) -> Protocol:
        """Hear the greeting; nothing may be said before it."""
        protocol, code = Protocol(), 1002
        try:
            match protocol.receive(await socket.recv()):
                case [Established(socket_id=found)] if found:
                    return protocol
                case [Closing(code=told)]:
                    code = told
                case _:
                    pass
        except ConnectionClosed as error:
            code = 1006 if error.rcvd is None else error.rcvd.code
        end = closed(code, self.realm)
        self._refresh_after(end)
        raise end

    def _session(self, socket: ClientConnection, protocol: Protocol) -> PusherSession:
        wire, parts, permits = self._wire, self._parts, self._permits

        async def fresh_secret(name: str, channel: str) -> bytes | None:
            return (await permits.permit(name, channel, protocol.socket_id)).shared_secret

        speaking = (
            ByClientEvents(wire, parts.user, parts.clock, parts.observer)
            if self._calls is None
            else ByHttp(wire, self._calls)
        )
        hearing = Hearing(
            protocol,
            parts.clock,
            self._heard,
            stamps=self.log is not None,
            cache=wire.cache,
            proves=self.trusted,
            locked=wire.locked,
            secret=fresh_secret,
        )
        return PusherSession(
            socket,
            protocol,
            where=self.realm,
            wire=wire,
            permits=permits,
            hearing=hearing,
            speaking=speaking,
            log=self.log,
            user=parts.user if self.trusted else None,
        )

    def _gone(self, session: PusherSession) -> bool:
        """Say whether a session has ended; where its end asked for a fresh credential, one is fetched."""
        end = session.ended
        if end is not None:
            self._refresh_after(end)
        return end is not None

    def _refresh_after(self, end: SessionClosed) -> None:
        if end.again == "reauthenticate":
            self._permits.refresh()


@cache
def _version() -> str:
    return version("chatkit-realtime")


def capabilities(kind: Kind, *, trusted: bool, log: bool) -> Capabilities:
    """Return what a client can do in channels of a kind, with the secret or not, with a log or not."""
    own: Support = "emulated"  # what a log of the app supplies is not the provider's
    lacking: Support = own if log else "none"
    features: dict[Feature, Support] = {
        "durable": "none",
        "history": lacking,
        "order": "emulated",
        "resume": lacking,
        "presence": "emulated",
        "edit": "emulated",
        "react": "emulated",
        "receipts": "emulated",
        "search": lacking,
        "direct": "emulated",
        "roles": lacking,
        "pins": lacking,
        "as_user": "native" if trusted else "none",
    }
    return Capabilities(
        ack="stored" if log else "accepted" if trusted else "barrier",
        announce="after" if log else "stream",
        order="log" if log else "clock",
        erase="erased" if log else "none",
        resume_window=0.0,
        history=None if log else 0.0,
        frame_bytes=BYTES,
        batch=BATCH if trusted else BURST,
        publish_rate=None if trusted else RATE,
        presence_members=MEMBERS,
        duplicate_window=inf if log else 0.0,
        contiguous=log,
        attested="backend" if trusted else "provider" if kind == "presence" else "none",
        features=features,
    )
