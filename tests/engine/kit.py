"""A stage for the receiving half: clients on a hub, others who speak there, and logs that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any

import chatkit
from chatkit.adapters.memory import Hub, Like, MemoryConfig, new_hub
from chatkit.adapters.memory.config import profile_of
from chatkit.adapters.memory.pace import Pace
from chatkit.adapters.memory.peer import Caller
from chatkit.errors import ChatkitError
from chatkit.logs.memory import MemoryLog
from chatkit.model.entry import Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.ids import new_message_id
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import format_time
from chatkit.ports import Batch, Outgoing, Received
from chatkit.testing.clock import settle

if TYPE_CHECKING:
    from chatkit.engine.channel import ChannelEngine
    from chatkit.engine.subscription import Subscription
    from chatkit.ports import Log, LogState
    from chatkit.ports.log import LogFeature
    from chatkit.testing.clock import VirtualClock

C = "room"
NUMBERED: tuple[Like, ...] = ("memory", "supabase", "ably")
PROFILES: tuple[Like, ...] = (*NUMBERED, "pusher")


@dataclass
class Stage:
    """One hub, and clients that open on it."""

    clock: VirtualClock
    like: Like = "memory"
    keep: int = 100_000
    hub: Hub = field(init=False)
    ticks: int = 0
    """Counts envelopes, so that clock readings of all peers have an order."""
    _opened: int = 0

    def __post_init__(self) -> None:
        self.hub = new_hub("stage", clock=self.clock, random=Random(7), keep=self.keep)

    def chat(
        self, user: str, /, *, config: dict[str, Any] | None = None, seed: int | None = None, **options: Any
    ) -> chatkit.Chat:
        """Return a client that is not open yet; `config` holds fields of `MemoryConfig`."""
        self._opened += 1
        source: Any = MemoryConfig(hub=self.hub, like=self.like, **(config or {}))
        return chatkit.connect(source, user=user, clock=self.clock, seed=seed or self._opened, **options)

    def peer(self, user: str, device: str = "elsewhere") -> Peer:
        """Return somebody who speaks to the hub without a client."""
        return Peer(self, user, device)

    def cut(self, user: str) -> None:
        """Break a client's network until it is healed."""
        self.hub.network.cut(user)

    def heal(self, user: str) -> None:
        """Let it connect again."""
        self.hub.network.heal(user)

    @contextmanager
    def lost(self) -> Iterator[None]:
        """Nothing that is published meanwhile is announced, now or later."""
        self.hub.hold(lose=True)
        try:
            yield
        finally:
            self.hub.release()

    @contextmanager
    def captured(self) -> Iterator[list[Received]]:
        """Collect what is announced meanwhile, to be delivered by hand."""
        found: list[Received] = []
        self.hub.hold()
        try:
            yield found
        finally:
            held, self.hub._held = self.hub._held or (), None
            found.extend(frame for _, frame in held)

    def deliver(self, *frames: Received, to: str | None = None) -> None:
        """Hand frames to the sessions of the channel, in this order."""
        for frame in frames:
            self.hub.inject(frame.channel, frame, link=to)


class Silent(MemoryLog):
    """A log that tells nobody of changes."""

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        return super().capabilities - {"notify"}


class Apart(Stage):
    """A hub that only announces, beside a log that the clients share."""

    def __init__(self, clock: VirtualClock, like: Any) -> None:
        super().__init__(clock, like=like)
        self.log = Silent(clock, Random(5))

    def chat(self, user: str, /, **options: Any) -> chatkit.Chat:
        return super().chat(user, **{"log": self.log, **options})

    @property
    def kept(self) -> list[str]:
        """What the log holds, in order."""
        return [
            Envelope.parse(entry.data).body["text"]  # type: ignore[index]
            for entry in self.log.core.entries(C, after=None, limit=1000).items
        ]


@dataclass
class Peer:
    """Somebody else, on a device of their own."""

    stage: Stage
    user: str
    device: str
    seq: int = 0
    _ids: Random = field(default_factory=lambda: Random(99))

    @cached_property
    def _caller(self) -> Caller:
        config = MemoryConfig(hub=self.stage.hub, like=self.stage.like)
        return Caller(self.user, True, profile_of(config, log=False), Pace(None))

    def envelope(self, kind: str = "message.create", text: str | None = None, **fields: Any) -> Envelope:
        """Return the next envelope of this lane; fields of `None` are left out."""
        self.seq += 1
        self.stage.ticks += 1
        self._ids.seed(f"{self.user}{self.device}{self.seq}")
        now = self.stage.clock.wall()
        body = None if text is None else {"type": "text", "text": text}
        made = {
            "v": 1,
            "id": new_message_id(int(now.timestamp() * 1000), self._ids),
            "kind": kind,
            "channel": C,
            "sender": {"user": self.user, "device": self.device},
            "seq": self.seq,
            "pred": self.seq - 1,
            "hlc": f"{int(now.timestamp() * 1000):012x}-{self.stage.ticks:04x}",
            "epoch": 1,
            "at": format_time(now),
            "body": body,
        }
        return Envelope.from_dict(made | fields)

    def publish(self, *envelopes: Envelope) -> list[Ident]:
        """Send envelopes; returns their identities."""
        caller = self._caller
        entries = tuple(
            Outgoing(Ident(self.user, one.id), self.device, one.seq, one.encode(), None) for one in envelopes
        )
        if caller.profile.capabilities.announce == "transactional":
            acks = self.stage.hub.append(caller, C, entries).acks
        else:
            acks = self.stage.hub.publish(caller, Batch(f"batch-{self.seq}", C, entries))
        assert all(ack.outcome == "new" for ack in acks), acks
        return [entry.ident for entry in entries]

    def say(self, *texts: str, **fields: Any) -> list[Ident]:
        """Send messages; returns their identities."""
        return [self.publish(self.envelope(text=text, **fields))[0] for text in texts]

    def edit(self, target: Ident, text: str) -> Ident:
        """Edit a message."""
        return self.publish(self.envelope("message.update", text, ref=_ref(target)))[0]

    def delete(self, target: Ident) -> Ident:
        """Delete a message."""
        return self.publish(self.envelope("message.delete", ref=_ref(target)))[0]

    def react(self, target: Ident, emoji: str = "👍") -> Ident:
        """React to a message."""
        body = {"type": "reaction", "emoji": emoji}
        return self.publish(self.envelope("reaction.add", ref=_ref(target), body=body))[0]


def _ref(target: Ident) -> dict[str, str]:
    return {"id": target.id, "user": target.user}


def frame(
    envelope: Envelope,
    *,
    user: str | None = None,
    serial: int | None = None,
    prev: int | None = None,
    unforgeable: bool = False,
    stamped_for: str | None = None,
    channel: str = C,
    data: bytes | None = None,
) -> Received:
    """Return a frame as somebody forged it, or as a provider might send it."""
    stamp = None
    if serial is not None:
        stamp = Stamp(
            OrderKey(1, f"{serial:020d}"),
            None if prev is None else (f"{prev:020d}" if prev else ""),
            None,
            stamped_for or envelope.sender.user,
            datetime(2026, 1, 1, tzinfo=UTC),
        )
    raw = envelope.encode() if data is None else data
    return Received(channel, raw, user, "provider" if unforgeable else "none", stamp, unforgeable)


class OddLog:
    """A log whose answers a test delays, changes or refuses."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.calls: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        """While set and clear, answers wait for it, as they were when they were made."""
        self.edit: Callable[[str, Any], Any] = lambda _, answer: answer
        """Given the name of a call and its answer; returns what the client gets."""
        self.on: dict[str, Callable[[], object]] = {}
        """Called after an answer was made and before it travels, by the name of the call."""

    @property
    def capabilities(self) -> Any:
        return self._log.capabilities

    def changes(self) -> Any:
        return self._log.changes()

    def count(self, name: str) -> int:
        return self.calls.count(name)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            self.asked.append(kwargs)
            if self.error is not None:
                raise self.error
            answer = self.edit(name, await getattr(self._log, name)(*args, **kwargs))
            if name in self.on:
                self.on[name]()
            if self.gate is not None:
                await self.gate.wait()
            return answer

        return call


def odd_log(chat: chatkit.Chat) -> OddLog:
    """Put a log between a client that is not open yet and its own."""
    adapter: Any = chat._setup.context.adapter
    adapter._log = OddLog(adapter._log)
    log: OddLog = adapter._log
    return log


async def ready(*chats: chatkit.Chat) -> None:
    """Attach the channel of each client, and let all be caught up and quiet."""
    for chat in chats:
        await chat.channel(C).attach(timeout=10)
    await asyncio.sleep(3)


def engine(chat: chatkit.Chat, name: str = C) -> ChannelEngine:
    """Return the engine of a client's channel."""
    return chat._shared.engine.channels[name]


def counters(chat: chatkit.Chat) -> Any:
    """Return what a client counted."""
    return chat._setup.context.counters


def reader(stream: chatkit.Stream[Any]) -> Subscription:
    """Return the engine's side of a stream."""
    found: Subscription = stream._puller._reader  # type: ignore[attr-defined]  # of an event stream
    return found


async def taken(stream: chatkit.Stream[Any]) -> list[Any]:
    """Return what a stream holds once nothing happens any more without time passing."""
    await settle()
    found = []
    while reader(stream)._queue:
        found.append(await stream.next())
    return found


async def later(stream: chatkit.Stream[Any], seconds: float) -> list[Any]:
    """Return what a stream holds some time later."""
    await asyncio.sleep(seconds)
    return await taken(stream)


def texts(events: list[Any]) -> list[str]:
    """Return what the messages of events say; another event is named."""
    return [e.message.text if isinstance(e, chatkit.MessageEvent) else type(e).__name__ for e in events]


def in_order(events: list[Any]) -> bool:
    """Whether every message that is not late stands above all that were told before it."""
    highest = None
    for event in events:
        key = event.message.key
        if highest is not None and key < highest:
            if not event.late:
                return False
        else:
            highest = key
    return True


def shown(chat: chatkit.Chat, name: str = C) -> list[str]:
    """Return the texts that a client's timeline shows."""
    return [message.text for message in chat.channel(name).timeline.view.messages]


def older(state: LogState, head: int) -> LogState:
    """Return a log's word of itself as a replica says it that lags, or a log that was restored."""
    return state._replace(head=f"{head:020d}" if head else None)


class Down(ChatkitError):
    """Something does not answer; repeating may help."""

    retryable = True
