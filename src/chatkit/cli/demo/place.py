"""Where the clients of a story meet: a hub inside the process, or a provider that a URL names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Final, Protocol

from chatkit.adapters.memory import MILD, NONE, WILD, Faults, MemoryConfig, new_hub
from chatkit.cli.demo.record import Logged
from chatkit.connecting import connect
from chatkit.engine.system import SystemClock
from chatkit.errors import ConfigError
from chatkit.logs import open_log
from chatkit.model.config import Config
from chatkit.model.envelope import Envelope
from chatkit.testing.distant import distant

if TYPE_CHECKING:
    from chatkit.client import Chat
    from chatkit.model.cursor import Cursor
    from chatkit.model.order import OrderKey
    from chatkit.ports import Clock, Log

TAG: Final = "line"
"""The part of a message's `meta` that names its line: it tells two copies of one from two messages."""
FAULTS: Final[Mapping[str, Faults]] = {"none": NONE, "mild": MILD, "wild": WILD}
TIMEOUT: Final = 1.5
"""Seconds after which a lost request is given up: longer than the slowest answer, shorter than in life."""
KEEP: Final = 100_000
"""Entries that the hub's log keeps, or as many as there are lines."""
PAGE: Final = 1_000
"""Entries in one read."""
JUDGE: Final = "judge"
"""Who reads what a provider has."""


class Place(Protocol):
    """Where they meet."""

    source: Config
    """What each connects to."""
    channel: str
    """Its name."""

    def log_of(self, user: str) -> Log | None:
        """Return a user's way to a log of the app's own, if there is one."""
        ...

    def reached_by(self, user: str) -> bool:
        """Whether a user's network is known to be there, so that it need not sit out a backoff."""
        ...

    async def logged(self) -> list[Logged]:
        """Read what is there, in order, past every client that speaks."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def place(
    url: str | None, log: str | None, *, faults: str, lines: int, chance: Random, clock: Clock | None
) -> Place:
    """Return the place that a plan names.

    Args:
        url: Of a provider; `None`: a hub inside the process.
        log: URL of a log of the app's own.
        faults: Of the hub's network.
        lines: That will be said there.
        chance: For the hub.
        clock: `None`: the system's.

    Raises:
        ConfigError: The story cannot be told there.
    """
    if url is not None:
        return Provider(url, log, clock)
    return Embedded(log, FAULTS[faults], max(KEEP, lines), chance, clock)


def check(url: str | None, log: str | None) -> None:
    """Find out whether a story can be told there. No I/O.

    Raises:
        ConfigError: It cannot.
    """
    if url is not None:
        _ = Provider.judge(Config.from_url(url).with_environment(), log, None)


class Embedded:
    """A hub inside the process, behind a network that misbehaves.

    Args:
        log: URL of a log of the app's own; the hub then only announces.
        faults: Of the network.
        keep: Entries that the hub's own log keeps.
        chance: What fails.
        clock: `None`: the system's.
    """

    def __init__(
        self, log: str | None, faults: Faults, keep: int, chance: Random, clock: Clock | None
    ) -> None:
        time = clock or SystemClock()
        self.hub = new_hub("demo", clock=time, random=chance, keep=keep)
        self.hub.network.set_timeout(TIMEOUT)
        self.hub.network.set_faults(faults)
        self.source: Config = MemoryConfig(hub=self.hub)
        own = None if log is None else _opened(log, clock)
        self.channel = "demo" if own is None else _fresh()
        self._is_own = own is not None
        self._log: Log = own or self.hub.log

    def log_of(self, user: str) -> Log | None:
        """As far away as the hub, and by as bad a network."""
        return distant(self._log, self.hub.network.link(user)) if self._is_own else None

    def reached_by(self, user: str) -> bool:
        """As the simulated network has it."""
        return self.hub.network.link(user).state(asyncio.get_running_loop().time()) == "up"

    async def logged(self) -> list[Logged]:
        """The entries of the log, past every network and every client."""
        return await _entries(self._log, self.channel)

    async def close(self) -> None:
        """Let go of a log of one's own."""
        await self._log.aclose()


class Provider:
    """A provider as it is; the network between is that of the machine.

    Args:
        url: The provider's; its secret may stand in the environment.
        log: URL of a log of the app's own.
        clock: `None`: the system's.

    Raises:
        ConfigError: The story cannot be told there.
    """

    def __init__(self, url: str, log: str | None, clock: Clock | None) -> None:
        self.source = Config.from_url(url).with_environment()
        self.channel = _fresh()
        self._log = None if log is None else _opened(log, clock)
        self._judge = self.judge(self.source, self._log, clock)
        self._opened: Chat | None = None

    @staticmethod
    def judge(source: Config, log: str | Log | None, clock: Clock | None) -> Chat:
        """Return who will read what was said.

        Raises:
            ConfigError: The clients cannot be several users there, or nothing keeps what they say.
        """
        judge = connect(source, user=JUDGE, store=":memory:", log=log, clock=clock)
        can = judge.capabilities
        if can.support("history") == "none":
            raise ConfigError(
                "nothing keeps what is said there, so there is nothing to compare with",
                hint="Add a log: --log sqlite:///demo.db.",
            )
        if can.support("as_user") == "none":
            raise ConfigError(
                "the clients of the demo are several users, and this credential is one's",
                hint="Put the secret of a backend into CHATKIT_SECRET.",
            )
        return judge

    def log_of(self, user: str) -> Log | None:  # noqa: ARG002  # one log for all
        """The same for everybody."""
        return self._log

    def reached_by(self, user: str) -> bool:  # noqa: ARG002  # nobody told
        """Not known."""
        return False

    async def logged(self) -> list[Logged]:
        """The entries of the log, or what history has: read by a client that hears nothing."""
        if self._log is not None:
            return await _entries(self._log, self.channel)
        if self._opened is None:
            self._opened = await self._judge
        channel, found = self._opened.channel(self.channel), list[Logged]()
        place: Cursor | None = None
        while True:
            page = await channel.history(before=place, limit=PAGE)
            found += [
                Logged(str(one.meta.get(TAG, "")), one.sender.user, one.message_id, one.key)
                for one in page.items
                if one.key is not None  # none of them: what was read has its place
            ]
            place = page.next
            if place is None:
                return found[::-1]

    async def close(self) -> None:
        """Let go of the log, and of who read."""
        if self._opened is not None:
            await self._opened.aclose(drain=0)
        if self._log is not None:
            await self._log.aclose()


def _opened(log: str, clock: Clock | None) -> Log:
    return open_log(log, clock=clock or SystemClock(), random=SystemRandom(), inline=clock is not None)


def _fresh() -> str:
    """A channel of its own: the log may hold those of earlier tellings."""
    return f"demo-{SystemRandom().getrandbits(64):016x}"


async def _entries(log: Log, channel: str) -> list[Logged]:
    found: list[Logged] = []
    after: OrderKey | None = None
    while True:
        page = await log.entries(channel, after=after, limit=PAGE)
        for entry in page.items:
            envelope = Envelope.parse(entry.data)
            after = entry.stamp.key
            found.append(Logged((envelope.meta or {}).get(TAG, ""), entry.stamp.user, envelope.id, after))
        if not page.more:
            return found
