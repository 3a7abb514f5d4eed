"""What processes do until they are killed, and what the one that comes after them does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final

import chatkit
from chatkit import Discontinuity, MessageCreated
from chatkit.adapters.memory import MemoryConfig
from chatkit.adapters.memory.hubs import new_hub
from chatkit.engine import catchup, engine
from chatkit.errors import TransportError
from chatkit.logs.sqlite.log import SqliteLog
from chatkit.model.options import OutboxLimits
from chatkit.ports.context import Unobserved
from chatkit.sqlite.connection import ConnectionFactory, connect
from chatkit.stores import file, open_store
from tests.crash.bugs import BUGS
from tests.crash.fasttime import FastClock
from tests.crash.plan import Killer, Plan, Trail

if TYPE_CHECKING:
    from chatkit.adapters.memory.hub import Hub
    from chatkit.ports import Observer

CHANNELS: Final = ("support", "random", "busy")
LOG: Final = "log.db"
SPEED: Final = {"speak": 10.0, "orphan": 10.0, "founder": 10.0, "survivor": 4.0}
"""The survivor must end by its deadlines, on a busy machine too: it is given more time."""
PATIENCE: Final = 30.0
"""Real seconds within which a life gets on."""


class FaultyLog:
    """A log whose answers get lost where that is asked for."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log
        self.down = False
        self.answers_to_lose = dict[str, int]()
        self.reads_to_lose = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, channel: str, entries: Any, /) -> Any:
        if self.down:
            raise TransportError("there is no way to the log")
        found = await self._log.append(channel, entries)
        if self.answers_to_lose.get(channel):
            self.answers_to_lose[channel] -= 1
            raise TransportError("the answer got lost")
        return found

    async def entries(self, channel: str, /, **options: Any) -> Any:
        if self.reads_to_lose:
            self.reads_to_lose -= 1
            raise TransportError("the answer got lost")
        return await self._log.entries(channel, **options)


class World:
    """A provider in this process, and a log that outlives it."""

    def __init__(self, plan: Plan, clock: FastClock) -> None:
        self.plan = plan
        self.clock = clock
        self.random = Random(plan.seed)
        self.killer = Killer(plan.point, plan.nth)
        self.trail = Trail(plan.path / plan.trail)
        self.hub: Hub = new_hub("provider", clock=clock, random=Random(plan.seed))
        self.hub.network.set_timeout(1.0)
        self.patience = PATIENCE * clock.speed

    @asynccontextmanager
    async def log(self, observer: Observer) -> AsyncGenerator[FaultyLog]:
        chance = Random(self.random.random())
        path = str(self.plan.path / LOG)
        log = SqliteLog(path, clock=self.clock, random=chance, durability="process", observer=observer)
        yield FaultyLog(log)
        await log.aclose()

    def connect(self, user: str, log: FaultyLog, *, store: str, observer: Observer) -> chatkit.Chat:
        plan, chance = self.plan, Random(self.random.random())
        kept = open_store(
            store if store == ":memory:" else f"{plan.path}/{store}",
            durability=plan.durability,
            limits=OutboxLimits(),
            clock=self.clock,
            random=chance,
            connect=self._disk(),
            observer=observer,
        )
        config = MemoryConfig(hub=self.hub, like="pusher")
        seed = self.random.getrandbits(32)
        return chatkit.connect(
            config, user=user, store=kept, log=log, clock=self.clock, seed=seed, observer=observer
        )

    def _disk(self) -> ConnectionFactory:
        if self.plan.disk == "plain":
            return connect
        from tests.crash.volatile import VolatileDisk

        early = Random(self.plan.seed) if self.plan.disk == "torn" else None
        return VolatileDisk(early).connect


async def until(world: World, true: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(world.patience):
            while not true():
                await asyncio.sleep(0.3)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def live(plan: Plan) -> tuple[FastClock, Coroutine[Any, Any, None]]:
    """The clock of a life, and the life."""
    file.CHECKPOINT_JOBS = 20  # type: ignore[misc]  # a life of some seconds is to reach a checkpoint
    if plan.small:
        catchup.CAP, catchup.PAGE = 8, 4  # type: ignore[misc]
    for bug in plan.bugs:
        BUGS[bug]()
    clock = FastClock(SPEED[plan.life], plan.since)
    world = World(plan, clock)
    return clock, {"speak": speak, "orphan": orphan, "founder": founder, "survivor": survive}[plan.life](
        world
    )


# -- what is there before


async def founder(world: World) -> None:
    """Bob talks; ada reads all of it, says something and leaves."""
    nobody = Unobserved()
    async with world.log(nobody) as log:
        async with world.connect("bob", log, store=":memory:", observer=nobody) as bob:
            for n in range(world.plan.amount):
                await bob.channel("random").send(f"{world.plan.trail} {n}")
            for n in range(8):
                await bob.channel("support").send(f"{world.plan.trail} {n}")
            await bob.outbox.flush(timeout=world.patience)
        async with world.connect("ada", log, store=world.plan.store, observer=nobody) as ada:
            for name in CHANNELS:
                await ada.channel(name).attach()
            await until(world, lambda: _live(ada), "caught up")
            await _send(world, ada, "support", f"{world.plan.trail} of ada")
            await ada.outbox.flush(timeout=world.patience)


async def orphan(world: World) -> None:
    """Take a file of the directory, queue what cannot be sent, and wait for the end."""
    nobody = Unobserved()
    async with world.log(nobody) as log:
        log.down = True
        ada = await world.connect("ada", log, store=world.plan.store, observer=nobody)
        for n in range(world.plan.amount):
            await _send(world, ada, CHANNELS[n % 2], f"{world.plan.trail} {n}")
        await asyncio.sleep(1)  # the first of each channel is attempted, and in doubt
        world.trail.say("ready")
        await asyncio.sleep(3_600)


# -- the story


async def speak(world: World) -> None:
    """Everything that a client does in its life; dies where the plan says, or ends cleanly."""
    nobody = Unobserved()
    async with world.log(nobody) as bobs, world.log(world.killer) as log:
        bob = await world.connect("bob", bobs, store=":memory:", observer=nobody)
        for name in CHANNELS:
            await bob.channel(name).attach()
        ada = await world.connect("ada", log, store=world.plan.store, observer=world.killer)
        reading = asyncio.create_task(_read(world, ada))
        with suppress(asyncio.CancelledError):
            await _speak(world, ada, bob, log)
        report = await ada.aclose()
        world.trail.say("closed", clean=report.clean, queued=report.queued)
        reading.cancel()
        await bob.aclose()
    world.trail.say("end", counts=world.killer.counts)


async def _speak(world: World, ada: chatkit.Chat, bob: chatkit.Chat, log: FaultyLog) -> None:
    support, random = ada.channel("support"), ada.channel("random")
    _handle(world, ada)

    # Sending: one by one, together, in doubt, cancelled, changed.
    first = [await _send(world, ada, "support", f"a{n}", key=f"k{n}") for n in range(3)]
    log.answers_to_lose["busy"] = 1
    await asyncio.gather(*(_send(world, ada, "busy", f"b{n}") for n in range(6)))
    first.append(await _send(world, ada, "random", "c0"))
    await _cancelled(world, ada)
    for delivery in first:
        await delivery.wait("sent", timeout=world.patience)
        world.trail.say("sent", id=delivery.message_id)
    world.hub.network.lose_ack("ada")  # of an announcement
    await _changes(world, support, first)

    # Receiving: live, marks, pins.
    for n in range(4):
        await bob.channel("support").send(f"bob {n}")
    await bob.outbox.flush(timeout=world.patience)
    await until(world, lambda: _shows(support, "bob 3"), "bob is heard")
    await _mark(world, support, "bob 3")
    found = next(message for message in support.timeline.view.messages if message.text == "bob 1")
    await support.pin(found)
    world.trail.say("pinned", channel="support", id=found.message_id)
    await bob.channel("support").receipts.mark_read()
    bobs = next(m for m in reversed(bob.channel("support").timeline.view.messages) if not m.own)
    await until(world, lambda: "bob" in support.receipts.read_by(bobs), "bob's mark is heard")
    await asyncio.sleep(3)  # marks are said and saved every two seconds

    # Away: others go on, and so does ada; what was missed is read.
    world.hub.network.cut("ada")
    for n in range(18):
        await bob.channel("support").send(f"meanwhile {n}")
    await bob.channel("random").send("meanwhile")
    await _send(world, ada, "support", "offline")
    await bob.outbox.flush(timeout=world.patience)
    log.reads_to_lose = 1
    world.hub.network.heal("ada")
    ada.connection.retry_now()
    await until(world, lambda: _shows(support, "meanwhile 17") and _shows(random, "meanwhile"), "caught up")
    await _mark(world, support, "meanwhile 17")
    await random.timeline.load_older(10)
    await asyncio.sleep(1)
    await _send(world, ada, "support", "last", key="last")
    await _send(world, ada, "busy", "last too")


async def _send(
    world: World, chat: chatkit.Chat, channel: str, text: str, key: str | None = None
) -> chatkit.Delivery:
    world.trail.say("wished", channel=channel, text=text, key=key)
    delivery = await chat.channel(channel).send(text, key=key)
    world.trail.say("promised", channel=channel, text=text, key=key, id=delivery.message_id)
    return delivery


async def _cancelled(world: World, ada: chatkit.Chat) -> None:
    """Give a wish up before its caller knows that it is safe: it is taken back."""
    counts = world.killer.counts
    before = counts.get("outbox.added", 0)
    sending = asyncio.create_task(_send(world, ada, "random", "never mind"))
    while counts.get("outbox.added", 0) == before:
        await asyncio.sleep(0)
    sending.cancel()  # it is safe, and has not heard of it yet: it gave others a turn
    with suppress(asyncio.CancelledError):
        await sending
    await ada.engine.outbox.acceptor.taken(30)
    if sending.cancelled():
        world.trail.say("withdrawn", text="never mind")


async def _changes(world: World, support: chatkit.Channel, own: list[chatkit.Delivery]) -> None:
    edited, deleted, liked = own[0].message_id, own[1].message_id, own[2].message_id
    for n in range(2):
        await support.edit(edited, f"edited {n}")
        world.trail.say("edited", channel="support", id=edited, text=f"edited {n}")
    await support.delete(deleted)
    world.trail.say("deleted", channel="support", id=deleted)
    await support.react(liked, "👍")
    world.trail.say("reacted", channel="support", id=liked)


async def _mark(world: World, channel: chatkit.Channel, text: str) -> None:
    found = next(message for message in channel.timeline.view.messages if message.text == text)
    await channel.receipts.mark_read(found)
    world.trail.say("marked", channel=channel.name, serial=found.serial)


async def _read(world: World, ada: chatkit.Chat) -> None:
    """An app with a durable cursor: takes an event, does what it is there for, saves its cursor."""
    since: Any = world.plan.cursor or chatkit.START
    point = world.killer.point
    async for event in ada.channel("support").events(MessageCreated, Discontinuity, since=since):
        if isinstance(event, Discontinuity):
            world.trail.say("gap", reason=event.reason)
            continue
        point("app.in_hand")
        world.trail.say("effect", id=event.message.message_id, serial=event.message.serial, late=event.late)
        point("app.effect")
        if event.cursor is not None:
            world.trail.say("saved", cursor=event.cursor)
            point("app.saved")


def _handle(world: World, ada: chatkit.Chat) -> None:
    @ada.channel("random").on(MessageCreated)
    async def handle(event: MessageCreated) -> None:
        world.trail.say("handled", id=event.message.message_id, serial=event.message.serial, late=event.late)


def _shows(channel: chatkit.Channel, text: str) -> bool:
    return any(message.text == text for message in channel.timeline.view.messages)


def _live(chat: chatkit.Chat) -> bool:
    return all(chat.channel(name).timeline.view.state == "live" for name in CHANNELS)


# -- the next life


async def survive(world: World) -> None:
    """Come back on the same file, wish again what has a key, bring all to an end, and say what there is."""
    nobody, plan = Unobserved(), world.plan
    engine.CLOSING = world.patience  # type: ignore[misc]  # three seconds that run fast are too few on a busy machine
    async with world.log(nobody) as log:
        ada = await world.connect("ada", log, store=plan.store, observer=nobody)
        reading = asyncio.create_task(_read(world, ada))
        for name in CHANNELS:
            await ada.channel(name).attach()
        for channel, key, text in plan.keyed:
            await _send(world, ada, channel, text, key=key)
        flushed = await ada.outbox.flush(timeout=world.patience)
        await until(world, lambda: _live(ada), "caught up")
        for name in CHANNELS:
            await _show_all(ada.channel(name))
        last = await _last_create(log)
        await until(world, lambda: last in {None, plan.done, *_effects(world)}, "all is told")
        await ada.engine.outbox.adopt()  # as every half minute
        await ada.outbox.flush(timeout=world.patience)  # what was taken over is to be announced still
        await asyncio.sleep(3)  # marks
        for name in CHANNELS:
            messages = ada.channel(name).timeline.view.messages
            world.trail.say("shown", channel=name, messages=[_seen(message) for message in messages])
        world.trail.say("pins", ids=[pin.message_id for pin in await ada.channel("support").pins()])
        left = [entry.status for entry in await ada.outbox.entries() if entry.status != "sent"]
        report = await ada.aclose()
        reading.cancel()
        world.trail.say("end", queued=flushed.queued, left=left, clean=report.clean, stayed=list(report.left))


async def _show_all(channel: chatkit.Channel) -> None:
    """Have the timeline show all there is, down to the oldest."""
    while channel.timeline.view.has_older and await channel.timeline.load_older(1_000):
        pass


async def _last_create(log: FaultyLog) -> str | None:
    page = await log.messages("support", limit=1)
    return page.items[-1].ident.id if page.items else None


def _effects(world: World) -> set[str]:
    from tests.crash.plan import told

    return {one["id"] for one in told(world.plan.path / world.plan.trail) if one["what"] == "effect"}


def _seen(message: chatkit.Message) -> dict[str, Any]:
    return {
        "id": message.message_id,
        "text": message.text,
        "deleted": message.deleted,
        "serial": message.serial,
        "status": message.status,
        "orphaned": "orphaned" in message.flags,
        "reactions": {emoji: sorted(users) for emoji, users in message.reactions.items()},
    }
