"""A whole client among strangers: what they publish, forge, mark, show and append must not hold it up.

On one hub and one virtual clock live a client (`ada`), a friend who speaks well (`bob`) and a stranger
(`mallory`). After each round of hostile inputs the friend says something, and the client must show it: once,
and with nothing broken in the client.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from chatkit.adapters.memory import Hub, MemoryConfig, factory, new_hub
from chatkit.adapters.memory.config import Like
from chatkit.connecting import Secrets, connect
from chatkit.engine.system import LogObserver
from chatkit.errors import ChatkitError
from chatkit.model.entry import Stamp
from chatkit.model.events import MessageCreated
from chatkit.model.message import Attested
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.ports.adapter import Foreign, Moved, Parts, Present, Received, Roster
from chatkit.ports.outgoing import Batch, Outgoing
from chatkit.testing.clock import VirtualClock, settle
from chatkit.testing.fuzz.check import BYTES_A_BYTE, SECONDS_A_BYTE, shown
from chatkit.testing.fuzz.mutate import Input
from chatkit.testing.fuzz.samples import SECRET

if TYPE_CHECKING:
    from chatkit.adapters.memory import MemorySession
    from chatkit.client import Chat
    from chatkit.stream import Stream

ROUND: Final = 40
"""Hostile inputs between two messages of the friend."""
SECONDS: Final = 4.0
"""CPU time that any round may take, and more for each byte as for any input ..."""
BYTES: Final = 8_000_000
"""... and memory likewise."""
CHANNELS: Final = ("support", "dm.ada.mallory", "u.ada")
LIKES: Final[tuple[Like, ...]] = ("memory", "pusher", "ably", "supabase")

_NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Ended(NamedTuple):
    """How a round ended."""

    ways: Counter[str]
    """Inputs by the way they took."""
    seconds: float
    """Of CPU time."""
    memory: int
    """Bytes at the most; 0: not measured."""
    breach: str | None


class Siege:
    """One client among strangers. Use it within `chatkit.testing.clock.run`.

    Args:
        like: The provider it is on.
        clock: That drives the loop.
        seed: Of every choice.
    """

    def __init__(self, like: Like, clock: VirtualClock, *, seed: int) -> None:
        self._like: Like = like
        self._clock = clock
        self._seed = seed
        self._hub: Hub = new_hub(f"siege-{like}", clock=clock, random=Random(seed))  # noqa: S311  # to be the same again
        self._stack = AsyncExitStack()
        self._said = 0
        self._ways: dict[str, Callable[[Random, Input, str], Any]] = {
            "frame": self._frame,
            "forged stamp": self._forged,
            "vouched frame": self._vouched,
            "emit": self._emit,
            "publish": self._publish,
            "presence": self._presence,
            "member": self._member,
            "foreign": self._foreign,
            "register": self._register,
            "history": self._history,
        }

    async def __aenter__(self) -> Self:
        self._ada, self._bob = self._chat("ada"), self._chat("bob")
        for chat in (self._ada, self._bob):
            _ = await self._stack.enter_async_context(chat)
        chance = Random(self._seed)  # noqa: S311  # likewise
        secrets = Secrets("mallory", None, None)
        parts = Parts("mallory", secrets, None, None, self._clock, chance, LogObserver())
        # Who publishes to a provider like Pusher holds the app's secret.
        trusted = self._like == "pusher"
        adapter = factory.build(MemoryConfig(hub=self._hub, like=self._like, trusted=trusted), parts)
        self._log = adapter.log
        self._publisher = adapter.publisher
        self._mallory: MemorySession = await adapter.open()
        self._stack.push_async_callback(adapter.aclose)
        self._heard: Stream[MessageCreated] = self._ada.channel("support").events(
            MessageCreated, overflow="gap"
        )
        for chat in (self._ada, self._bob):
            await chat.channel("support").attach(timeout=30)
        await self._ada.direct("mallory").attach(timeout=30)
        _ = await self._mallory.attach(CHANNELS[0], None, presence=False)
        await settle()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def _chat(self, user: str) -> Chat:
        config = MemoryConfig(hub=self._hub, like=self._like)
        return connect(config, user=user, clock=self._clock, seed=self._seed, directs=user == "ada")

    async def round(self, given: Sequence[Input], *, measured: bool = False) -> Ended:
        """Throw some inputs at the client, and see that it goes on.

        Args:
            given: At most `ROUND` at once: what waits in a channel is bounded too.
            measured: Whether memory is measured.
        """
        size = sum(len(one.data) for one in given)
        ways: Counter[str] = Counter()
        began = time.thread_time()
        if measured:
            tracemalloc.start()
        try:
            breach = await self._throw(given, ways) or await self._friend()
            memory = tracemalloc.get_traced_memory()[1] if measured else 0
        finally:
            if measured:
                tracemalloc.stop()
        seconds = time.thread_time() - began
        slow = 5.0 if measured else 1.0  # measuring takes time itself
        if seconds > slow * (SECONDS + 20 * SECONDS_A_BYTE * size):
            breach = breach or f"took {seconds:.1f} s for {size:,} bytes"
        if memory > BYTES + BYTES_A_BYTE * size:
            breach = breach or f"took {memory:,} bytes of memory for {size:,} of input"
        return Ended(ways, seconds, memory, breach)

    async def _throw(self, given: Sequence[Input], ways: Counter[str]) -> str | None:
        for one in given:
            chance = Random(f"{self._seed}/way/{one.number}")  # noqa: S311  # likewise
            way = chance.choice(tuple(self._ways))
            ways[way] += 1
            channel = chance.choice(CHANNELS) if chance.random() < 0.2 else CHANNELS[0]
            try:
                done = self._ways[way](chance, one, channel)
                if done is not None:
                    await done
            except ChatkitError as error:  # what the hub says to a stranger
                ways["refused"] += 1
                if SECRET in shown(error):
                    return f"{way}: shows a secret: {type(error).__name__}"
        await settle()
        return None

    async def _friend(self) -> str | None:
        """Let the friend speak, and look whether the client hears it and is well."""
        self._said += 1
        text = f"good {self._said}"
        delivery = await self._bob.channel("support").send(text)
        try:
            _ = await delivery.wait("sent", timeout=120)
            while (await self._heard.next(timeout=120)).message.text != text:
                pass
        except ChatkitError as error:
            return f"the friend is not heard: {type(error).__name__}: {error}"
        shown_here = [one.text for one in self._ada.channel("support").timeline.view.messages]
        if shown_here.count(text) != 1:
            return f"the friend's message shows {shown_here.count(text)} times"
        for chat in (self._ada, self._bob):
            health = chat.health()
            if health.checks["defects"]:
                return f"a defect in {health.checks['defects']}"
            if chat.connection.state != "connected":
                return f"the client of {chat.user.id} is {chat.connection.state}"
            if SECRET in health.to_json() or SECRET in repr(chat.channel("support").timeline.view):
                return "health or a view's repr shows a secret"
        return None

    @property
    def foreign(self) -> int:
        """Frames that the client counted as foreign so far."""
        counters: dict[str, int] = self._ada.health().checks["counters"]
        return sum(count for name, count in counters.items() if name.startswith("foreign:"))

    # -- ways -------------------------------------------------------------------------------------------

    def _frame(self, chance: Random, one: Input, channel: str) -> None:
        user = chance.choice((None, "mallory", "ada", "bob", "\ud800", ""))
        vouched: Attested = chance.choice(("provider", "backend", "none"))
        self._hub.inject(
            channel, Received(channel, one.data, user, vouched, None, unforgeable=False), link="ada"
        )

    def _forged(self, chance: Random, one: Input, channel: str) -> None:
        serial = chance.choice(("", "00000000000000000001", "9" * 20, "\uffff", _text(one)[:200]))
        key = OrderKey(chance.choice((0, 1, 2, -1, 2**53, 10**30)), serial)
        stamp = Stamp(
            key, chance.choice((None, "", serial)), chance.choice((None, "log-1", serial)), "mallory", _NOON
        )
        self._hub.inject(
            channel, Received(channel, one.data, "mallory", "none", stamp, unforgeable=False), link="ada"
        )

    def _vouched(self, _chance: Random, one: Input, channel: str) -> None:
        """Hand over hostile bytes on a path that members cannot write to: the provider passes them on."""
        self._hub.inject(
            channel, Received(channel, one.data, "mallory", "provider", None, unforgeable=True), link="ada"
        )

    async def _emit(self, _chance: Random, one: Input, channel: str) -> None:
        await self._mallory.emit(channel, one.data)

    async def _publish(self, chance: Random, one: Input, channel: str) -> None:
        id = chance.choice(("018f6c1e-7b3a-7c11-9d3e-0000000000ff", _text(one)[:100]))
        entry = Outgoing(Ident("mallory", id), "k3v9x2", chance.choice((None, 1, 2**60)), one.data, None)
        publisher = self._publisher or self._mallory
        if self._like == "supabase" and self._log is not None:
            _ = await self._log.append(channel, [entry])
        else:
            _ = await publisher.publish(Batch(f"batch-{one.number}", channel, (entry,)), [None])

    async def _presence(self, _chance: Random, one: Input, channel: str) -> None:
        await self._mallory.enter(channel, Present("mallory", "phone", _fields(one)))

    def _member(self, chance: Random, one: Input, channel: str) -> None:
        user = chance.choice(("mallory", "eve", _text(one)[:300]))
        present = Present(user, _text(one)[:300], _fields(one))
        if chance.random() < 0.1:
            self._hub.inject(channel, Roster(channel, (present,) * chance.choice((1, 3))), link="ada")
        else:
            change = chance.choice(("enter", "update", "leave", "dance"))
            self._hub.inject(channel, Moved(channel, change, present), link="ada")

    def _foreign(self, _chance: Random, one: Input, channel: str) -> None:
        self._hub.inject(channel, Foreign(channel, _text(one)[:100], one.data, "not ours"), link="ada")

    async def _register(self, chance: Random, one: Input, channel: str) -> None:
        if self._log is None:
            return
        text = _text(one)[:5_000]
        name = chance.choice(("read", "unread", "role", "pin.00", "kind", text[:70]))
        user = chance.choice(("mallory", "mallory", "ada", "*", text[:100]))
        key = OrderKey(chance.choice((0, 1, 2**40)), chance.choice(("", text[:100], f"{1:020d}")))
        await self._log.put([Register(channel, user, name, text, chance.choice(("newest", "greatest")), key)])

    async def _history(self, chance: Random, one: Input, channel: str) -> None:
        """Put hostile bytes into what the provider remembers, as raw history does, and have it read."""
        ident = Ident("mallory", f"018f6c1e-7b3a-7c11-9d3e-{one.number:012x}")
        if self._like != "ably":  # elsewhere the log looks at what it takes in
            await self._publish(chance, one, channel)
            return
        _ = self._hub.log.core.note(CHANNELS[0], ident, one.data)
        if chance.random() < 0.1:
            _ = await self._ada.channel(CHANNELS[0]).history(limit=10)


def _text(one: Input) -> str:
    return one.data[:10_000].decode("utf-8", "surrogateescape")


def _fields(one: Input) -> MappingProxyType[str, Any]:
    """Return what a stranger may have put into presence: any JSON."""
    try:
        found: object = json.loads(one.data)
    except (ValueError, RecursionError):
        found = None
    known = (
        cast("dict[str, Any]", found) if isinstance(found, dict) else {"data": found, "status": _text(one)}
    )
    return MappingProxyType(known)
