"""The network between each client and the hub: where things go wrong, by chance and on demand.

Every link is named by its user, or by `user/device` where a configuration names the device. A control that
names a user works on all links of that user. Controls may be called from any thread; chance comes from the
one injected source alone, so the same seed gives the same faults (I15).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from math import inf
from threading import RLock
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from chatkit.adapters.memory.faults import NONE, REPLAY, Faults, Range
from chatkit.adapters.memory.wire import call_on
from chatkit.errors import ChatkitError, ConfigError
from chatkit.ports.context import RandomSource
from chatkit.ports.outgoing import Scope

LinkState: TypeAlias = Literal["up", "cut", "half-open"]
Call: TypeAlias = Literal["open", "attach", "publish", "read", "write"]
"""What can be refused; appending to the log is publishing, writing is setting registers and trimming."""

CALLS: Final[frozenset[Call]] = frozenset({"open", "attach", "publish", "read", "write"})
LOSSY: Final[frozenset[Call | None]] = frozenset({"publish", "read", "write"})
"""What may be lost by chance; the rest is the upkeep of an ordered socket."""
TIMEOUT: Final = 10.0
"""Seconds after which a lost request is given up."""


class Refusal(NamedTuple):
    """What the hub answers instead of doing what it is asked."""

    error: ChatkitError
    calls: frozenset[Call]
    scope: Scope | None
    left: int | None
    """How many more times; `None`: until it is taken back."""


class Traveller(Protocol):
    """What a cut reaches: a session or a request."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it lives."""
        ...

    def broken(self, *, half_open: bool) -> None:
        """Note that its link was cut; called on its loop."""
        ...


class Link:
    """The way between one client and the hub. Made by `Network.link`."""

    def __init__(self, user: str, device: str, random: RandomSource, lock: RLock) -> None:
        self.user = user
        self.name = f"{user}/{device}" if device else user
        self.faults = NONE
        self.timeout = TIMEOUT
        self._random = random
        self._lock = lock
        self.heals = 0
        """How often it was whole again."""
        self._down: LinkState = "up"
        self._until = inf
        self._acks_to_lose = 0
        self._refusal: Refusal | None = None
        self._travellers: dict[Traveller, None] = {}

    def state(self, now: float) -> LinkState:
        """Say what a packet meets; `now` is the time of the loop that asks."""
        if self._down != "up" and now >= self._until:
            self.heal()
        return self._down

    def join(self, traveller: Traveller) -> None:
        """Let cuts reach something."""
        with self._lock:
            self._travellers[traveller] = None

    def quit(self, traveller: Traveller) -> None:
        """Forget it; idempotent."""
        with self._lock:
            self._travellers.pop(traveller, None)

    def cut(self, *, half_open: bool = False, until: float = inf) -> None:
        """Break it. Half-open: nobody is told, and nothing comes through."""
        with self._lock:
            self._down = "half-open" if half_open else "cut"
            self._until = until
            reached = tuple(self._travellers)
        for traveller in reached:
            if not call_on(traveller.loop, _break, traveller, half_open):
                self.quit(traveller)  # its loop is gone, and it with it

    def heal(self) -> None:
        """Let new connections through; what was broken stays broken."""
        self.heals += self._down != "up"
        self._down = "up"
        self._until = inf

    def lose_acks(self, count: int) -> None:
        """Lose the answers to the next `count` publishes."""
        self._acks_to_lose += count

    def spare_acks(self, most: int) -> None:
        """Lose at most so many more answers."""
        self._acks_to_lose = min(most, self._acks_to_lose)

    def refuse(self, refusal: Refusal | None) -> None:
        """Answer calls with an error, or no longer."""
        self._refusal = refusal

    def refusal(self, call: Call) -> Refusal | None:
        """Say whether this call is refused; counted."""
        with self._lock:
            found = self._refusal
            if found is None or call not in found.calls:
                return None
            if found.left is not None:
                self._refusal = found._replace(left=found.left - 1) if found.left > 1 else None
            return found

    def check(self, call: Call) -> None:
        """Raise what this call is refused with."""
        found = self.refusal(call)
        if found is not None:
            raise found.error

    def stumbles(self, now: float) -> bool:
        """Roll for a cut at this packet; True: the packet is lost with the link."""
        rate, down = self.faults.cut
        if not self._happens(rate):
            return False
        self.cut(until=now + self._between(down))
        return True

    def delay(self) -> float:
        """Roll how long a packet takes."""
        return self._between(self.faults.delay)

    def drops(self) -> bool:
        """Roll whether a frame is dropped."""
        return self._happens(self.faults.drop)

    def replays(self) -> float | None:
        """Roll whether a frame comes again, and how much later."""
        return self._between(REPLAY) if self._happens(self.faults.duplicate) else None

    def holds_up(self) -> float:
        """Roll by how much a frame is overtaken; 0: it is not."""
        return self._between(REPLAY) if self._happens(self.faults.reorder) else 0.0

    def loses_request(self, call: Call | None) -> bool:
        """Roll whether a request is lost on its way."""
        return call in LOSSY and self._happens(self.faults.lose_request)

    def loses_ack(self, call: Call | None) -> bool:
        """Say whether an answer is lost: on demand, counted, or by chance."""
        if call == "publish":
            with self._lock:
                if self._acks_to_lose:
                    self._acks_to_lose -= 1
                    return True
        return call in LOSSY and self._happens(self.faults.lose_ack)

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    def _between(self, bounds: Range) -> float:
        least, most = bounds
        return least if least == most else least + (most - least) * self._random.random()


def _break(traveller: Traveller, half_open: bool) -> None:  # noqa: FBT001  # an event loop passes by position
    traveller.broken(half_open=half_open)


class Network:
    """All links of one hub, and their controls.

    Args:
        random: The only source of chance.
        lock: Shared with the hub.
    """

    def __init__(self, random: RandomSource, lock: RLock) -> None:
        self._random = random
        self._lock = lock
        self._links: dict[str, Link] = {}
        self._faults = NONE
        self._timeout = TIMEOUT

    def link(self, user: str, device: str = "") -> Link:
        """Return the link of a client; the same one each time."""
        name = f"{user}/{device}" if device else user
        with self._lock:
            link = self._links.get(name)
            if link is None:
                link = self._links[name] = Link(user, device, self._random, self._lock)
                link.faults = self._faults
                link.timeout = self._timeout
            link.user = user  # a control may have named it before its client came
            return link

    def set_faults(self, faults: Faults, link: str | None = None) -> None:
        """Let one user's links, or all present and future ones, misbehave like this."""
        if link is None:
            self._faults = faults
        for found in self._named(link):
            found.faults = faults

    def set_timeout(self, seconds: float) -> None:
        """Say after how long every lost request is given up."""
        if not seconds > 0:
            raise ConfigError("network: the timeout is above 0 seconds", hint="Correct the number.")
        self._timeout = seconds
        for found in self._named(None):
            found.timeout = seconds

    def cut(self, link: str, *, half_open: bool = False) -> None:
        """Break a link until it is healed: sessions die, requests fail at once.

        Args:
            link: A user, or `user/device`.
            half_open: Nobody is told: sessions stay silent for ever, requests time out, new ones too.
        """
        for found in self._named(link):
            found.cut(half_open=half_open)

    def heal(self, link: str) -> None:
        """Let new sessions and requests through again; sessions that broke stay broken."""
        for found in self._named(link):
            found.heal()

    def lose_ack(self, link: str, count: int = 1) -> None:
        """Carry out the next `count` publishes (appends too) and lose the answers."""
        for found in self._named(link):
            found.lose_acks(count)

    def spare_acks(self, link: str, most: int = 0) -> None:
        """Lose at most `most` of the answers that `lose_ack` was asked to lose."""
        for found in self._named(link):
            found.spare_acks(most)

    def refuse(
        self,
        link: str,
        error: ChatkitError | None,
        *,
        calls: Collection[Call] = CALLS,
        count: int | None = None,
        scope: Scope | None = None,
    ) -> None:
        """Answer calls with an error; `None` takes it back.

        `open` then raises `SessionClosed` from it, publishes answer each entry with it, the others raise it.

        Args:
            link: A user, or `user/device`.
            error: What the hub says.
            calls: Which calls it says it to.
            count: How many times; `None`: until taken back.
            scope: How far a refused publish reaches (D12); `None`: by the kind of error.
        """
        refusal = None if error is None else Refusal(error, frozenset(calls), scope, count)
        for found in self._named(link):
            found.refuse(refusal)

    def _named(self, name: str | None) -> tuple[Link, ...]:
        with self._lock:
            found = tuple(link for link in self._links.values() if name in (None, link.name, link.user))
            if found or name is None:
                return found
        return (self.link(name),)  # it may connect later
