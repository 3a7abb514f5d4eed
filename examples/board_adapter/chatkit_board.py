"""`board://NAME`: an adapter for chatkit, small and whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any, ClassVar, Final

from board_server import WINDOW, Board, Closed, Connection, Frame, board, instant

from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ConfigError,
    MessageTooLarge,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.capabilities import Capabilities
from chatkit.model.config import Config
from chatkit.model.entry import Stamp
from chatkit.model.message import Attested
from chatkit.model.options import Token
from chatkit.model.order import OrderKey
from chatkit.ports import (
    Ack,
    Again,
    Alive,
    Attachment,
    Batch,
    Clock,
    Foreign,
    Lost,
    Outcome,
    Outgoing,
    Parts,
    Present,
    Publisher,
    Received,
    SessionClosed,
    Signal,
)

CAPABILITIES: Final = Capabilities(
    ack="accepted",  # it keeps a thousand notices of a channel, and those in memory
    announce="stream",  # what comes live is the message itself
    order="provider",  # it numbers
    erase="none",
    resume_window=WINDOW,
    history=0.0,  # what it keeps is for resuming, not for reading
    frame_bytes=4_000,
    batch=10,
    duplicate_window=WINDOW,
    features={
        "order": "native",
        "resume": "native",
        "edit": "emulated",
        "react": "emulated",
        "receipts": "emulated",
        "direct": "emulated",
    },
)
ROOM: Final = 300
"""Bytes of a frame that are not the envelope's."""
CLOSES: Final[dict[int, Again]] = {
    1000: "never",
    1006: "now",
    4001: "never",
    4100: "later",
    4401: "reauthenticate",
}
"""What the board's codes ask for."""


class BoardSession:
    """One connection. Every call is one request, and no call is made twice."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._numbers = count(1)
        self._attached: dict[str, int] = {}

    @property
    def user(self) -> str | None:
        """Whom the board takes us for."""
        return self._connection.user

    @property
    def ended(self) -> Closed | None:
        """How it ended, if it has."""
        return self._connection.ended

    async def signals(self) -> AsyncIterator[Signal]:
        """Yield what comes; ends by raising `SessionClosed`."""
        while True:
            frame = await self._connection.frames.get()
            if isinstance(frame, Closed):
                raise _closed(frame)
            yield self._signal(frame)

    async def attach(self, channel: str, after: OrderKey | None, *, presence: bool) -> Attachment:
        """Start receiving, resuming if the board can."""
        if presence:
            _no_presence(channel)
        number = self._attached[channel] = next(self._numbers)
        answer = await self._ask("attach", channel=channel, number=number, after=_number(after))
        if "error" in answer:
            del self._attached[channel]
            raise NotAllowed("the board lets this user not read here", channel=channel)
        start = after if answer["resumed"] else _key(answer["start"])
        return Attachment(channel, resumed=answer["resumed"], start=start, may_publish=None)

    async def detach(self, channel: str) -> None:
        """Stop receiving; what is under way is dropped where it is read."""
        self._attached.pop(channel, None)
        await self._ask("detach", channel=channel)

    async def publish(self, batch: Batch, stamps: Sequence[Stamp | None], /) -> list[Ack]:
        """Make one attempt, one `Ack` an entry."""
        del stamps  # the board numbers
        if len(batch.entries) > CAPABILITIES.batch:
            error = Rejected(f"the board takes {CAPABILITIES.batch} at once", channel=batch.channel)
            return [Ack(entry.ident, "refused", error=error) for entry in batch.entries]
        problems = [self._problem(batch.channel, entry) for entry in batch.entries]
        good = [entry for entry, problem in zip(batch.entries, problems, strict=True) if problem is None]
        rows = [{"id": entry.ident.id, "data": entry.data} for entry in good]
        answer = await self._ask("publish", channel=batch.channel, rows=rows)
        acks = iter([_ack(entry, row) for entry, row in zip(good, answer["rows"], strict=True)])
        return [next(acks) if problem is None else problem for problem in problems]

    async def emit(self, channel: str, data: bytes) -> None:
        """Send what is not kept."""
        await self._ask("pass", channel=channel, rows=[{"data": data}])

    async def enter(self, channel: str, member: Present) -> None:
        """Decline: nobody is present on a board."""
        del member
        _no_presence(channel)

    async def leave(self, channel: str, member: Present) -> None:
        """Decline."""
        del member
        _no_presence(channel)

    async def probe(self) -> None:
        """Make the board answer."""
        await self._ask("ping")

    async def reauthenticate(self) -> None:
        """Ask for a new connection: the board looks at tickets when it lets somebody in."""
        self._connection.close(Closed(4401))
        await self._ask("ping")

    async def aclose(self) -> None:
        """Hang up; idempotent."""
        self._connection.close(Closed(1000))

    async def _ask(self, op: str, **fields: Any) -> Frame:
        try:
            return await self._connection.ask(op, **fields)
        except Closed as closed:
            raise _closed(closed) from closed

    def _problem(self, channel: str, entry: Outgoing) -> Ack | None:
        """Return the answer to an entry that the board need not see."""
        where = {"channel": channel, "message_id": entry.ident.id}
        if entry.ident.user != self.user:
            error: ProviderError | MessageTooLarge = NotAllowed("the board knows who speaks", **where)
        elif len(entry.data) + ROOM > CAPABILITIES.frame_bytes:
            error = MessageTooLarge("the message is larger than a notice", **where)
        else:
            return None
        return Ack(entry.ident, "refused", error=error)

    def _signal(self, frame: Frame) -> Signal:
        """Translate a frame; every one gives a signal."""
        op, channel = frame["op"], frame.get("channel", "")
        if op == "pong" or self._attached.get(channel) != frame.get("attach"):
            return Alive(self._clock.monotonic())
        if op == "notice":
            at = instant(frame["at"])
            stamp = Stamp(_key(frame["number"]), None, None, frame["user"], at)
            return Received(channel, frame["data"], frame["user"], "provider", stamp, unforgeable=True)
        if op == "revoked":
            del self._attached[channel]
            error = NotAllowed("the board took this channel away", channel=channel)
            return Lost(channel, error, "never", None)
        if op == "passing":
            by = frame["user"]
            vouched: Attested = "provider" if by else "none"
            return Received(channel, frame["data"], by, vouched, stamp=None, unforgeable=False)
        return Foreign(channel, op, frame, "the board says something new")


class BoardAdapter:
    """A board, configured. Survives its sessions."""

    capabilities = CAPABILITIES
    log = None
    publisher: Publisher | None = None
    trusted = False

    def __init__(self, name: str, parts: Parts, server: Board) -> None:
        self.realm = f"board://{name}"
        self._parts = parts
        self._board = server
        self._client = f"{parts.user}#{parts.random.getrandbits(64):016x}"  # the same for all its sessions
        self._sessions: list[BoardSession] = []
        self._refused = False

    async def open(self) -> BoardSession:
        """Return a session, or raise `SessionClosed`; with a fresh ticket after the last one was refused."""
        refused = self._refused or any(_refusal(session.ended) for session in self._sessions)
        ticket = await self._parts.credentials.get(refresh=refused)
        if not isinstance(ticket, Token):
            raise ConfigError("board: auth= returns a ticket")
        try:
            connection = await self._board.connect(self._parts.user, self._client, ticket.value)
        except Closed as closed:
            self._refused = _refusal(closed)
            raise _closed(closed) from closed
        self._refused = False
        session = BoardSession(connection, self._parts.clock)
        self._sessions = [*(old for old in self._sessions if old.ended is None), session]
        return session

    def measure(self, channel: str, data: bytes) -> int:
        """Return the bytes of a frame."""
        return len(data) + ROOM

    async def server_time(self) -> datetime | None:
        """Return nothing: the board tells its time to whoever is connected."""
        return None

    async def aclose(self) -> None:
        """Hang up whatever is open; idempotent."""
        for session in self._sessions:
            await session.aclose()
        self._sessions = []


class BoardFactory:
    """What the entry point names."""

    networked: ClassVar[bool] = True

    def configure(self, config: Config, /) -> Config:
        """Return the configuration, checked: `board://NAME`."""
        if not config.place or config.credential or config.path or config.options:
            raise ConfigError("board: the URL is board://NAME and nothing more")
        return replace(config, secret=None)

    def build(self, config: Config, parts: Parts, /) -> BoardAdapter:
        """Return the adapter."""
        if parts.log is not None:
            raise ConfigError("board: it numbers by itself and takes no log=")
        return BoardAdapter(config.place, parts, board(config.place, parts.clock))


factory: Final = BoardFactory()


def _ack(entry: Outgoing, row: Frame) -> Ack:
    """Say what the board's answer means, how far it reaches, and what to do (D12)."""
    if "number" in row:
        outcome: Outcome = "duplicate" if row.get("known") else "new"
        return Ack(entry.ident, outcome, _key(row["number"]), instant(row["at"]))
    code, after = row["error"], row.get("after")
    if code == "slow":
        slow = RateLimited("the board asks to be slow", code=code, retry_after=after)
        return Ack(entry.ident, "unsent", error=slow, scope="connection", again="later", after=after)
    if code == "who":
        who = AuthenticationError("the board no longer knows this client", code=code)
        return Ack(entry.ident, "unsent", error=who, scope="connection", again="reauthenticate")
    if code == "broken":
        broken = ProviderError("the board failed", code=code)
        return Ack(entry.ident, "unsent", error=broken, again="later")
    return Ack(entry.ident, "refused", error=NotAllowed("the board refused", code=code))


def _refusal(closed: Closed | None) -> bool:
    """Say whether the ticket was to blame."""
    return closed is not None and CLOSES.get(closed.code) == "reauthenticate"


def _closed(closed: Closed) -> SessionClosed:
    again = CLOSES.get(closed.code, "later")
    error = SessionClosed(f"the board closed ({closed.code})", again=again, after=closed.after)
    error.__cause__ = TransportError("the connection ended") if closed.code == 1006 else closed
    return error


def _key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:012d}" if number else "")


def _number(place: OrderKey | None) -> int | None:
    """Return the board's number of a place; `None`: it never gave that one."""
    if place is None or place.epoch != 1:
        return None
    return int(place.serial or 0) if not place.serial or place.serial.isdecimal() else None


def _no_presence(channel: str) -> None:
    raise CapabilityError("nobody is present on a board", channel=channel)
