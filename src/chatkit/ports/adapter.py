"""The adapter and its sessions: how envelopes move over one provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

from chatkit.errors import ChatkitError
from chatkit.model.capabilities import Capabilities
from chatkit.model.config import Config
from chatkit.model.entry import Stamp
from chatkit.model.message import Attested
from chatkit.model.options import Token
from chatkit.model.order import OrderKey
from chatkit.model.values import EMPTY, hide
from chatkit.ports.context import Clock, Observer, RandomSource
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Again, Batch


class Attachment(NamedTuple):
    """A channel is attached."""

    channel: str
    resumed: bool
    """The provider vouches that nothing was missed."""
    start: OrderKey | None
    """Live begins after here (log head, attach serial); `None` where the provider has no numbers."""
    may_publish: bool | None


class Present(NamedTuple):
    """One client present in a channel. `client`: what the provider tells devices apart by."""

    user: str
    client: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return hide(self, "data")


class Alive(NamedTuple):
    """A frame came that means nothing else. `at`: by the monotonic clock."""

    at: float


class Received(NamedTuple):
    """An envelope came."""

    channel: str
    data: bytes
    user: str | None
    """The sender as attested; `None` where nobody says so (D2)."""
    attested: Attested
    stamp: Stamp | None
    unforgeable: bool
    """It came on a path that members cannot write to (D17)."""

    def __repr__(self) -> str:
        return hide(self, "data")


class Foreign(NamedTuple):
    """A frame came that is not ours."""

    channel: str | None
    name: str | None
    data: object
    reason: str
    id: str | None = None
    """What the provider knows it by, the same where it comes again; `None`: nothing names it."""

    def __repr__(self) -> str:
        return hide(self, "data")


class Lost(NamedTuple):
    """One channel was closed by the provider; the connection lives."""

    channel: str
    error: ChatkitError
    again: Again
    after: float | None


class Roster(NamedTuple):
    """The whole presence set; replaces what was known."""

    channel: str
    members: tuple[Present, ...]


class Moved(NamedTuple):
    """One member entered, changed or left."""

    channel: str
    change: str
    member: Present


class Shed(NamedTuple):
    """The provider says that it dropped frames: look into the log."""

    channel: str
    reason: str


Signal: TypeAlias = Alive | Received | Foreign | Lost | Roster | Moved | Shed | Attachment
"""What a session tells, in the order it came. An `Attachment` unasked is a new verdict on continuity."""


class SessionClosed(ChatkitError):
    """A connection died; `__cause__` is why.

    Args:
        again: What to do: never, now, later, or with a fresh credential.
        after: Seconds to wait first, where the provider said so.
    """

    again: Again
    after: float | None

    def __init__(
        self, message: str, *, again: Again, after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.again = again
        self.after = after


class Publisher(Protocol):
    """Something that can publish."""

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> Sequence[Ack]:
        """Make one attempt; returns one `Ack` an entry, in order.

        Raises:
            TransportError, SessionClosed: The outcome is unknown: in doubt.
            CapabilityError: Of a session: publishing goes by `Adapter.publisher`, or into the log.
        """
        ...


class Session(Publisher, Protocol):
    """One live connection that dies once. No call retries; each is bounded by the caller's timeout.

    Every frame that arrives gives at least one signal: liveness is judged by them. A call on a dead
    session raises `SessionClosed`.
    """

    @property
    def user(self) -> str | None:
        """The identity the provider gave it (D2)."""
        ...

    def signals(self) -> AsyncIterator[Signal]:
        """One reader; ends by raising `SessionClosed`."""
        ...

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving, resuming `after` if the provider can. `NotAllowed`, `AuthenticationError`."""
        ...

    async def detach(self, channel: str) -> None:
        """Stop receiving; when it returns no more signals of the channel follow."""
        ...

    async def emit(self, channel: str, data: bytes) -> None:
        """Send an ephemeral envelope: no answer, never queued."""
        ...

    async def enter(self, channel: str, member: Present) -> None:
        """Enter the presence set, or update the entry. `CapabilityError`."""
        ...

    async def leave(self, channel: str, member: Present) -> None:
        """Leave the presence set."""
        ...

    async def probe(self) -> None:
        """Make the peer answer; returns at its answer."""
        ...

    async def reauthenticate(self) -> None:
        """Present a fresh token in band; `SessionClosed` where only a new connection can."""
        ...

    async def aclose(self) -> None:
        """End it cleanly; idempotent."""
        ...


@runtime_checkable
class Carried(Protocol):
    """A session that says by what it is carried; others are called after the scheme of their URL."""

    @property
    def transport(self) -> str:
        """`websocket`, `sse`, `poll`, or a word of the adapter's own."""
        ...


class Adapter(Protocol):
    """A provider, configured. Holds credentials and what resuming needs; survives its sessions."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; never changes."""
        ...

    @property
    def realm(self) -> str:
        """Scheme and project (D27)."""
        ...

    @property
    def log(self) -> Log | None:
        """Its own memory, or the one in `Parts`."""
        ...

    @property
    def publisher(self) -> Publisher | None:
        """Set: publishing needs no session. `None`: `Session.publish`. Fixed for life (D29)."""
        ...

    @property
    def trusted(self) -> bool:
        """Whether the credential may speak for any user (`as_user`)."""
        ...

    async def open(self) -> Session:
        """Return a connected and authenticated session, or raise `SessionClosed`. Others may be open.

        After a `SessionClosed` that says `reauthenticate`, from here or from a session, it asks for a fresh
        credential first (`Credentials.get(refresh=True)`): a second refusal in a row ends the connection.
        """
        ...

    def measure(self, channel: str, data: bytes) -> int:
        """Return the size of an envelope in the provider's units; at most `capabilities.frame_bytes` fits.

        Raises:
            InvalidMessage: A name or shape that the provider cannot carry.
        """
        ...

    async def server_time(self) -> datetime | None:
        """Return the provider's clock, or `None` where it has none to ask."""
        ...

    async def aclose(self) -> None:
        """Release what is held; idempotent."""
        ...


class Credentials(Protocol):
    """Where an adapter gets what it needs to authenticate; cached, refreshed on demand."""

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Token | Mapping[str, Any]:
        """Return a token, or the provider's own answer for one channel and socket."""
        ...

    def secret(self) -> str | None:
        """Return the secret, if this client holds one."""
        ...


class Parts(NamedTuple):
    """What `connect` gives an adapter; an adapter imports none of it."""

    user: str
    credentials: Credentials
    log: Log | None
    client: object | None
    clock: Clock
    random: RandomSource
    observer: Observer


class AdapterFactory(Protocol):
    """What the entry point group ``chatkit.adapters`` names: a class or module-level object."""

    networked: ClassVar[bool]
    """Whether it leaves the process: `store=` must then be said aloud."""

    def configure(self, config: Config, /) -> Config:
        """Return the configuration checked and completed. `ConfigError`."""
        ...

    def build(self, config: Config, parts: Parts, /) -> Adapter:
        """Return the adapter; no I/O. `ConfigError`."""
        ...
