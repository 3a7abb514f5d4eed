"""`MemoryAdapter`: the reference implementation of the adapter's port; docs/providers/memory.md."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import ClassVar

from chatkit.adapters.memory.answers import again_of
from chatkit.adapters.memory.config import MemoryConfig, complete, profile_of
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.hubs import shared_hub
from chatkit.adapters.memory.pace import Pace
from chatkit.adapters.memory.peer import Caller
from chatkit.adapters.memory.profiles import Profile
from chatkit.adapters.memory.publishing import HttpPublisher, Publishing
from chatkit.adapters.memory.remote import RemoteLog
from chatkit.adapters.memory.remote_history import RemoteHistory
from chatkit.adapters.memory.session import MemorySession
from chatkit.adapters.memory.wire import request
from chatkit.errors import ChatkitError, RateLimited, TransportError
from chatkit.model.capabilities import Capabilities
from chatkit.model.config import Config
from chatkit.ports.adapter import Parts, Publisher, SessionClosed
from chatkit.ports.log import Log


class MemoryAdapter:
    """One client's way to a hub. Made by `factory.build`; may open any number of sessions, on any loop.

    Args:
        config: Completed.
        parts: Of these it uses user, log, clock and random.
        hub: What it leads to.
        profile: What this client meets there.
    """

    trusted: bool
    """Whether it may speak for other users."""

    def __init__(self, config: MemoryConfig, parts: Parts, hub: Hub, profile: Profile) -> None:
        self.trusted = config.trusted
        self._offline = config.offline
        self._hub = hub
        self._clock = parts.clock
        self._link = hub.network.link(parts.user, config.link)
        # Chance tells processes apart, the name tells clients apart that were given the same seed.
        self._client = f"{self._link.name}#{parts.random.getrandbits(64):016x}"
        self._profile = profile
        pace = Pace(profile.capabilities.publish_rate)
        self._caller = Caller(parts.user, config.trusted, profile, pace, own_log=parts.log is not None)
        self._publishing = Publishing(hub, self._link, self._caller)
        self._sessions: dict[MemorySession, None] = {}
        self._log = parts.log or self._own_log()
        self._publisher = HttpPublisher(self._publishing, self._link) if profile.over_http else None

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; never changes."""
        return self._profile.capabilities

    @property
    def realm(self) -> str:
        """`memory://NAME`."""
        return f"memory://{self._hub.name}"

    @property
    def log(self) -> Log | None:
        """The app's own log, else the hub's behind the network, its raw history, or nothing at all."""
        return self._log

    @property
    def publisher(self) -> Publisher | None:
        """Set where publishing is an HTTP request."""
        return self._publisher

    async def open(self) -> MemorySession:
        """Return a connected session.

        Raises:
            SessionClosed: There is no way to the hub, or it refused.
        """
        await asyncio.sleep(0)
        where = self.realm
        if self._offline:
            raise SessionClosed(f"{where} is offline", again="later")
        try:
            await request(self._link, lambda: self._link.check("open"), call="open")
        except TransportError as error:
            raise SessionClosed(f"no connection to {where}", again="later") from error
        except ChatkitError as error:
            pause = error.retry_after if isinstance(error, RateLimited) else None
            raise SessionClosed(
                f"{where} refused the connection", again=again_of(error), after=pause
            ) from error
        session = MemorySession(
            self._hub,
            self._link,
            self._caller,
            self._publishing,
            log=self._log if self._caller.own_log else None,
            client=self._client,
            clock=self._clock,
        )
        self._sessions = {old: None for old in self._sessions if not old.closed}
        self._sessions[session] = None
        return session

    def measure(self, channel: str, data: bytes) -> int:  # noqa: ARG002  # the name travels beside the frame's data
        """Return the bytes that an envelope takes in a frame, room for its stamp included."""
        return self._profile.measure(data)

    async def server_time(self) -> datetime:
        """Return the hub's time.

        Raises:
            TransportError: No answer.
        """
        return await request(self._link, self._hub.clock.wall, call="read")

    async def aclose(self) -> None:
        """Close the sessions that are still open; idempotent."""
        for session in self._sessions:
            await session.aclose()
        self._sessions = {}

    def _own_log(self) -> Log | None:
        capabilities = self._profile.capabilities
        if capabilities.history == 0:
            return None
        if capabilities.order == "log" and capabilities.history is None:
            return RemoteLog(self._hub, self._link, self._caller)
        return RemoteHistory(
            self._link, self._caller, self._hub.log.core.history(capabilities.history, self._profile.shown)
        )


class MemoryFactory:
    """What the entry point names; see `chatkit.ports.AdapterFactory`."""

    networked: ClassVar[bool] = False

    def configure(self, config: Config, /) -> MemoryConfig:
        """Return the configuration checked and completed. `ConfigError`."""
        return complete(config)

    def build(self, config: Config, parts: Parts, /) -> MemoryAdapter:
        """Return the adapter; the first one of a name makes its hub. `ConfigError`."""
        found = complete(config)
        profile = profile_of(found, log=parts.log is not None)
        hub = found.hub or shared_hub(found.name, clock=parts.clock, random=parts.random)
        hub.behave(found.like)
        return MemoryAdapter(found, parts, hub, profile)
