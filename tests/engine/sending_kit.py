"""The sending half of a client on its own: link, publish path and outbox, over a hub or over doubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Self

from chatkit.adapters.memory import Hub, MemoryConfig, factory, new_hub
from chatkit.core.connection import State as LinkState
from chatkit.engine.context import Context
from chatkit.engine.link import Link
from chatkit.engine.outbox import Outbox, OutboxEntry
from chatkit.engine.publishing import Publishing
from chatkit.errors import ChatkitError, InvalidMessage, StoreError, TransportError
from chatkit.model.capabilities import Capabilities
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey, clock_key
from chatkit.model.values import EMPTY, format_time
from chatkit.ports import Ack, Batch, Found, LogState, Parts, Received, Row, Signal
from chatkit.stores import MemoryStore, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.core.fact import Fact
    from chatkit.ports import Adapter, Again, Log, LogFeature, Outcome, Publisher, Scope, Session, Store
    from chatkit.testing.clock import VirtualClock

ROOM = "room"


@dataclass
class Watcher:
    """An observer that remembers, and that a test can make act at a point."""

    seen: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    at: dict[str, Callable[[], None]] = field(default_factory=dict)

    def point(self, name: str, /, **fields: str | float | None) -> None:
        self.seen.append((name, fields))
        if name in self.at:
            self.at[name]()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.seen]

    def count(self, name: str) -> int:
        return self.names.count(name)


class NoCredentials:
    """The memory adapter asks for none."""

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Mapping[str, Any]:
        raise AssertionError("asked for a token")

    def secret(self) -> str | None:
        return None


def keep_memory(clock: VirtualClock, *, seed: int = 1, limits: OutboxLimits | None = None) -> MemoryStore:
    """Return a store in memory."""
    return MemoryStore(limits=limits or OutboxLimits(), clock=clock, random=Random(seed))


def keep_file(
    path: Path | str, clock: VirtualClock, *, seed: int = 1, limits: OutboxLimits | None = None
) -> Any:
    """Return a store in a file or directory, which works inline."""
    return open_store(
        path,
        durability="process",
        limits=limits or OutboxLimits(),
        clock=clock,
        random=Random(seed),
        inline=True,
    )


class World:
    """One hub, and what clients of it are made of."""

    def __init__(self, clock: VirtualClock, *, seed: int = 1, **hub: Any) -> None:
        self.clock = clock
        self.hub: Hub = new_hub("test", clock=clock, random=Random(seed), **hub)
        self.network = self.hub.network
        self._made = seed

    def adapter(self, user: str = "ada", *, log: Log | None = None, **config: Any) -> Adapter:
        """Return an adapter; keywords are `MemoryConfig`'s."""
        self._made += 1
        parts = Parts(user, NoCredentials(), log, None, self.clock, Random(self._made), Watcher())
        return factory.build(MemoryConfig(hub=self.hub, **config), parts)

    def client(self, user: str = "ada", *, store: Store | None = None, **options: Any) -> Client:
        """Return a client that is not open yet; what `Client` does not know is `MemoryConfig`'s."""
        known = ("window", "limits", "watcher", "echo", "offline")
        own = {name: options.pop(name) for name in known if name in options}
        self._made += 1
        return Client(
            self.clock, self.adapter(user, **options), user=user, store=store, seed=self._made, **own
        )

    def log(self, channel: str = ROOM) -> list[Envelope]:
        """Return what the hub's log holds, in order."""
        return [Envelope.parse(item.entry.data) for item in self.hub.log.core.record(channel).items]

    def texts(self, channel: str = ROOM) -> list[str]:
        """Return the texts that the hub's log holds, in order, repeated ones too."""
        return [text_of(envelope) for envelope in self.log(channel)]


class Client:
    """Link, publish path and outbox, wired as a client wires them; its own frames come back to the outbox."""

    def __init__(
        self,
        clock: VirtualClock,
        adapter: Adapter,
        *,
        user: str = "ada",
        store: Store | None = None,
        seed: int = 1,
        window: int = 1,
        limits: OutboxLimits | None = None,
        watcher: Watcher | None = None,
        echo: bool = False,
        offline: bool = False,
    ) -> None:
        self.clock = clock
        self.user = user
        self.limits = limits or OutboxLimits()
        self.store = store or keep_memory(clock, seed=seed, limits=self.limits)
        self.watcher = watcher or Watcher()
        self.context = Context(
            user, adapter, self.store, clock, Random(seed), self.watcher, self.limits, 30.0
        )
        self.link = Link(
            self.context, on_signal=self._signal, on_change=self._link_changed, on_wake=self._woke
        )
        self.publishing = Publishing(self.context, lambda: self.link.live)
        self.outbox = Outbox(
            self.context,
            self.publishing,
            window=window,
            on_change=self._delivery_changed,
            on_sent=lambda entry, fact: self.sent.append((entry, fact)),
            reauthenticate=self._reauthenticate,
            origin_of=lambda channel: "origin",
        )
        self.offline = offline
        self._linked = asyncio.Event()
        self.echo = echo
        self.channels: set[str] = {ROOM}
        self.states: list[str] = []
        self.signals: list[Signal] = []
        self.wakes = 0
        self.changes: list[tuple[str, str, bool, str | None]] = []
        """Text, status, late and reason of each change."""
        self.sent: list[tuple[OutboxEntry, Fact | None]] = []
        self.refreshes = 0
        self.on_refresh: Callable[[], Awaitable[None]] | None = None

    # -- life

    async def open(self) -> list[OutboxEntry]:
        """Take the store, take up what it holds, begin to connect unless `offline`."""
        header = await self.store.open(self.user, self.context.adapter.realm, rebind=False)
        entries = await self.outbox.load(header.device)
        entries += await self.outbox.adopt()
        self.outbox.start()
        if not self.offline:
            self.link.start()
        return entries

    async def aclose(self) -> tuple[str, ...]:
        """End cleanly; returns what stayed."""
        left = await self.context.tasks.aclose(3.0)
        await self.outbox.settle()
        await self.link.aclose()
        await self.context.adapter.aclose()
        await self.store.aclose()
        left += await self.context.tasks.aclose(3.0)
        return left

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert await self.aclose() == ()
        assert self.context.defects == {}

    def die(self) -> None:
        """Let go of store and network where they stand; then `bury`."""
        self.store.abandon()  # type: ignore[attr-defined]  # ours have it
        self.context.adapter._link.cut()  # type: ignore[attr-defined]  # nothing is heard of it any more

    async def bury(self) -> None:
        """End what a process that died would have taken along."""
        await self.context.tasks.aclose(3.0)
        await self.link.aclose()
        await self.context.tasks.aclose(3.0)
        await self.context.adapter.aclose()
        self.context.adapter._link.heal()  # type: ignore[attr-defined]

    async def connected(self, within: float = 200.0) -> None:
        """Wait until the link is up."""
        async with asyncio.timeout(within):
            while self.link.live is None:
                self._linked.clear()
                await self._linked.wait()

    async def drained(self, within: float = 600.0) -> None:
        """Wait until nothing waits."""
        async with asyncio.timeout(within):
            while self.outbox.depth:
                await self.outbox.changed()

    # -- wishes

    async def send(self, text: str, channel: str = ROOM, **fields: Any) -> OutboxEntry:
        """Queue a message."""
        return await self.outbox.acceptor.add(self.row(text, channel, **fields))

    async def send_all(self, texts: Iterable[str], channel: str = ROOM, **fields: Any) -> list[OutboxEntry]:
        """Queue messages."""
        return [await self.send(text, channel, **fields) for text in texts]

    def row(
        self,
        text: str,
        channel: str = ROOM,
        *,
        user: str | None = None,
        kind: str = "message.create",
        of: OutboxEntry | None = None,
        expires_in: float | None = None,
        send_in: float | None = None,
        **fields: Any,
    ) -> Row:
        """Return the row of a wish; `of`: the entry that makes what it refers to."""
        server_time, user = self.context.server_time, user or self.user
        now, message_id = self.clock.wall(), new_message_id(server_time.now_ms(), self.context.random)
        envelope = {
            "v": 1,
            "id": message_id,
            "kind": kind,
            "channel": channel,
            "sender": {"user": user, "device": self.outbox.device},
            "at": format_time(now),
            "body": {"type": "text", "text": text},
        }
        if of is not None:
            envelope["ref"] = {"id": of.row.ident.id, "user": of.row.ident.user}
        age = self.limits.age if expires_in is None else expires_in
        row = Row(
            entry_id=new_message_id(server_time.now_ms(), self.context.random),
            ident=Ident(user, message_id),
            device=self.outbox.device,
            channel=channel,
            kind=kind.partition(".")[2],
            status="queued",
            certain=True,
            data=Envelope.from_dict(envelope).encode(),
            depends_on=None if of is None or not of.unfinished else of.row.entry_id,
            key=None,
            queued_at=now,
            due_at=None if send_in is None else server_time.now() + timedelta(seconds=send_in),
            expires_at=server_time.now() + timedelta(seconds=age),
            seq=None,
            attempts=0,
            first_attempt=None,
            batch_id=None,
            stamp=None,
            announced=True,
            reason=None,
        )
        return row._replace(**fields)

    # -- told by the parts

    def _signal(self, signal: Signal) -> None:
        self.signals.append(signal)
        if isinstance(signal, Received):
            envelope = Envelope.parse(signal.data)
            if envelope.sender.user == self.user:
                self.outbox.seen(signal.channel, Ident(self.user, envelope.id), place_of(envelope, signal))

    def _link_changed(self) -> None:
        self.states.append(self.link.state.public)
        self._linked.set()
        self.publishing.changed()
        if self.link.state is LinkState.CONNECTED:
            self.outbox.wake()
            if self.echo:
                self.context.tasks.spawn(self._attach(), "attach")

    async def _attach(self) -> None:
        session = self.link.live
        for channel in sorted(self.channels):
            try:
                if session is not None:
                    await session.attach(channel, None, presence=False)
            except ChatkitError:
                return

    def _woke(self) -> None:
        self.wakes += 1

    def _delivery_changed(self, entry: OutboxEntry, late: bool, reason: str | None) -> None:
        try:
            text = text_of(Envelope.parse(entry.row.data))
        except InvalidMessage:
            text = "unreadable"
        self.changes.append((text, entry.shown.status, late, reason))

    async def _reauthenticate(self) -> None:
        self.refreshes += 1
        if self.on_refresh is not None:
            await self.on_refresh()


def text_of(envelope: Envelope) -> str:
    """Return the text of an envelope."""
    return str((envelope.body or {}).get("text"))


def place_of(envelope: Envelope, signal: Received) -> OrderKey:
    """Return the place that a frame tells."""
    if signal.stamp is not None:
        return signal.stamp.key
    assert envelope.hlc is not None
    return clock_key(envelope.hlc, envelope.sender.user, envelope.sender.device, envelope.id)


# -- doubles


class Fixed:
    """Chance that is always the same."""

    def __init__(self, chance: float) -> None:
        self._chance = chance
        self._bits = 0

    def random(self) -> float:
        return self._chance

    def getrandbits(self, k: int, /) -> int:
        self._bits += 1
        return self._bits


class FaultyStore(MemoryStore):
    """A store in memory that fails on demand."""

    def __init__(self, clock: VirtualClock, *, seed: int = 1) -> None:
        super().__init__(limits=OutboxLimits(), clock=clock, random=Random(seed))
        self.failing: dict[str, int] = {}
        """How many of the next calls fail, by the name of the call."""
        self.during: dict[str, Callable[[], Awaitable[None]]] = {}
        """What happens while a call is carried out."""
        self.left: tuple[Row, ...] = ()
        """What a dead process left."""

    async def _call(self, name: str) -> None:
        if name in self.during:
            await self.during.pop(name)()
        if self.failing.get(name, 0):
            self.failing[name] -= 1
            raise StoreError(f"{name} failed")

    async def add(self, rows: Sequence[Row], /) -> Sequence[Row]:
        await self._call("add")
        return await super().add(rows)

    async def rows(self, **given: Any) -> Sequence[Row]:
        await self._call("rows")
        return await super().rows(**given)

    async def attempt(self, batch: Batch, rows: Sequence[Row], /, *, hlc: str) -> None:
        await self._call("attempt")
        await super().attempt(batch, rows, hlc=hlc)

    async def settle(self, rows: Sequence[Row], /) -> None:
        await self._call("settle")
        await super().settle(rows)

    async def renew_device(self, old: str, new: str, /) -> None:
        await self._call("renew_device")
        await super().renew_device(old, new)

    async def adopt(self) -> Sequence[Row]:
        await self._call("adopt")
        adopted, self.left = self.left, ()
        return adopted

    async def batches(self) -> Mapping[str, tuple[Ident, ...]]:
        await self._call("batches")
        return await super().batches()

    async def prune(self, before: datetime, /) -> int:
        await self._call("prune")
        return await super().prune(before)


CAPABLE = Capabilities(
    ack="accepted",
    announce="stream",
    order="provider",
    erase="none",
    resume_window=0.0,
    history=0.0,
    frame_bytes=10_000,
    batch=10,
    duplicate_window=120.0,
    liveness=20.0,
)

Answer = Callable[[Batch], Awaitable[Sequence[Ack]]]


class FakeSession:
    """A session that a test drives: what it hears, how it answers, when it dies."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.user = "ada"
        self.answer = answer
        self.published: list[Batch] = []
        self.heard: asyncio.Queue[Signal | Exception | None] = asyncio.Queue()
        self.probes = 0
        self.on_probe: Callable[[], Awaitable[None]] | None = None
        self.on_close: Callable[[], Awaitable[None]] | None = None
        self.closed = 0

    async def signals(self) -> AsyncIterator[Signal]:
        while True:
            signal = await self.heard.get()
            if signal is None:
                return
            if isinstance(signal, Exception):
                raise signal
            yield signal

    async def publish(self, batch: Batch, stamps: Sequence[object], /) -> Sequence[Ack]:
        self.published.append(batch)
        await asyncio.sleep(0)
        assert self.answer is not None
        return await self.answer(batch)

    async def probe(self) -> None:
        self.probes += 1
        if self.on_probe is not None:
            await self.on_probe()

    async def aclose(self) -> None:
        self.closed += 1
        if self.on_close is not None:
            await self.on_close()


class FakeAdapter:
    """An adapter whose sessions a test hands out."""

    realm = "fake://test"
    trusted = False

    def __init__(
        self,
        capabilities: Capabilities = CAPABLE,
        *,
        log: Log | None = None,
        publisher: Publisher | None = None,
        answer: Answer | None = None,
    ) -> None:
        self.capabilities = capabilities
        self.log = log
        self.publisher = publisher
        self.answer = answer
        self.sessions: list[FakeSession] = []
        self.opens: list[float] = []
        self.script: list[Exception | Callable[[], Awaitable[FakeSession]]] = []
        """What becomes of the next calls of `open`, in order; afterwards they succeed."""
        self.time: Callable[[], Awaitable[datetime | None]] | None = None

    async def open(self) -> Session:
        self.opens.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        session = FakeSession(self.answer) if step is None else await step()
        self.sessions.append(session)
        return session  # type: ignore[return-value]  # as much of a session as the sending half uses

    def measure(self, channel: str, data: bytes) -> int:
        return len(data)

    async def server_time(self) -> datetime | None:
        return None if self.time is None else await self.time()

    async def aclose(self) -> None:
        return None


async def for_ever() -> Any:
    """Never answer."""
    await asyncio.get_running_loop().create_future()


def accept(batch: Batch) -> list[Ack]:
    """Return the answers of a provider that takes everything, and numbers nothing."""
    return [Ack(out.ident, "new") for out in batch.entries]


def refuse(
    error: ChatkitError | None = None,
    *,
    outcome: Outcome = "refused",
    scope: Scope = "entry",
    again: Again = "never",
    after: float | None = None,
    only: Iterable[str] | None = None,
) -> Callable[[Batch], list[Ack]]:
    """Return an answer that refuses: all entries, or `only` those with these texts, accepting the others."""
    texts = None if only is None else set(only)

    def answer(batch: Batch) -> list[Ack]:
        return [
            Ack(out.ident, outcome, error=error, scope=scope, again=again, after=after)
            if texts is None or text_of(Envelope.parse(out.data)) in texts
            else Ack(out.ident, "new")
            for out in batch.entries
        ]

    return answer


class FakeLog:
    """A log that is asked for ids alone: what it has, how far it reaches back, what it raises."""

    def __init__(self, *features: LogFeature) -> None:
        self.capabilities = frozenset(features)
        self.has: set[Ident] = set()
        self.reaches: datetime | None = None
        self.errors: list[ChatkitError] = []
        self.asked: list[tuple[Ident, ...]] = []

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        self.asked.append(tuple(idents))
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        state = LogState("log", 1, None, None, datetime(2026, 1, 1, tzinfo=UTC))
        found = {ident: OrderKey(1, "7") for ident in idents if ident in self.has}
        return Found(state, found, self.reaches)


class Provider:
    """Answers publishes from a script; when it has come to its end, it accepts."""

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.batches: list[Batch] = []
        self.at: list[float] = []

    @property
    def texts(self) -> list[list[str]]:
        return [[text_of(Envelope.parse(out.data)) for out in batch.entries] for batch in self.batches]

    async def answer(self, batch: Batch) -> Sequence[Ack]:
        """Take the next step: an error is raised, a callable is asked, `None` is silence."""
        self.batches.append(batch)
        self.at.append(asyncio.get_running_loop().time())
        step = self.script.pop(0) if self.script else accept
        if isinstance(step, Exception):
            raise step
        if step is None:
            raise TransportError("no answer")
        found: Any = step(batch)  # type: ignore[operator]
        acks: Sequence[Ack] = await found if asyncio.iscoroutine(found) else found
        return acks

    async def publish(self, batch: Batch, stamps: Sequence[object], /) -> Sequence[Ack]:
        """Be a `Publisher`."""
        await asyncio.sleep(0)
        return await self.answer(batch)

    def adapter(self, **options: Any) -> FakeAdapter:
        """Return an adapter that publishes here."""
        capabilities = replace(CAPABLE, **options.pop("capable", {}))
        return FakeAdapter(capabilities, answer=self.answer, **options)
