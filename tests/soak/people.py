"""One user of a soak: a client on a file of its own, that does what people do, dies and comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import chatkit
from chatkit.testing.death import kill

if TYPE_CHECKING:
    from chatkit import Channel, Chat, Message
    from chatkit.ports import Log

CHANNELS: Final = ("hall", "lab")
KEEP: Final = 30
"""Messages that a timeline keeps: few, so that it is full before the first sample counts."""
WORDS: Final = ("tea", "ship", "moon", "later", "why", "yes", "no", "look", "green", "🌊", "ÿ")
EMOJI: Final = ("👍", "❤", "🎉")
LONGEST: Final = 8.0
"""Seconds for one thing to do; beyond it the network is in the way and something else is done."""
STALENESS: Final = 2.0
"""Seconds after which a quiet channel is compared with its log."""


class Person:
    """One user.

    Args:
        user: Who.
        source: What it connects to.
        log: Returns its log, anew for each life.
        store: Its file.
        chance: What it does.
        gate: Closed, it finishes what it does and waits.
        did: Called after each thing it did.
        plant: Called with each client that it opens.
    """

    def __init__(
        self,
        user: str,
        source: chatkit.MemoryConfig,
        log: Callable[[], Log | str],
        store: Path,
        chance: Random,
        gate: asyncio.Event,
        did: Callable[[], None],
        plant: Callable[[Chat], object],
    ) -> None:
        self.user = user
        self.done: Counter[str] = Counter()
        self.broken: list[str] = []
        """What it met that no user should."""
        self.chat: Chat | None = None
        self._source = source
        self._log = log
        self._store = store
        self._chance = chance
        self._gate = gate
        self._did = did
        self._plant = plant
        self._tasks: list[asyncio.Task[None]] = []
        self.idle = asyncio.Event()
        """Whether it waits at the gate."""

    # -- living and dying -------------------------------------------------------------------------------

    async def wake(self) -> None:
        """Open the client, and begin."""
        chat = chatkit.connect(
            self._source,
            user=self.user,
            log=self._log(),
            store=self._store,
            staleness=STALENESS,
            seed=self._chance.getrandbits(64),
            on_error=lambda _: self.done.update(("handler errors",)),
        )
        self.chat = await chat

        @chat.on(chatkit.MessageCreated)
        async def hear(event: chatkit.MessageCreated) -> None:
            self.done["heard"] += 1
            if event.message.text.endswith("why"):
                raise ValueError("this handler fails now and then")

        self._plant(chat)
        for name in CHANNELS:
            channel = chat.channel(name, keep=KEEP)
            await channel.presence.enter(data={"mood": "fine"})
        self._tasks = [
            asyncio.create_task(self._live(chat), name=f"soak:{self.user}:live"),
            asyncio.create_task(self._read(chat), name=f"soak:{self.user}:read"),
        ]

    async def die(self) -> None:
        """End as a killed process does."""
        chat, self.chat = self.chat, None
        if chat is not None:
            await kill(chat, *self._tasks)
            self.done["deaths"] += 1

    async def leave(self) -> None:
        """Close the client."""
        chat, self.chat = self.chat, None
        if chat is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        report = await chat.aclose(drain=1.0)
        assert report.clean, report
        self.done["closes"] += 1

    async def settle(self, timeout: float) -> None:
        """Wait until all is sent, and all channels are heard.

        Raises:
            ChatkitError: They are not in time.
        """
        assert self.chat is not None
        await self.chat.connection.wait("connected", timeout=timeout)
        for channel in self.chat.channels.values():
            await channel.attach(timeout=timeout)
            _ = await channel.history(limit=1)  # each life has its log open by now
        report = await self.chat.outbox.flush(timeout=timeout)
        assert not report.queued, (self.user, report)

    # -- what people do ---------------------------------------------------------------------------------

    async def _read(self, chat: Chat) -> None:
        """Hold one stream for life."""
        async with chat.events(overflow="gap") as stream:
            async for event in stream:
                self.done[type(event).__name__] += 1

    async def _live(self, chat: Chat) -> None:
        acts = (
            *[self._say] * 8, self._change, self._change, self._react, self._react, self._delete, self._mark, self._mark,
            self._type, self._move, self._stream, self._watch, self._page, *[self._reply] * 4, self._grow, self._emit, self._cancel,
        )  # fmt: skip
        while True:
            self.idle.set()
            await self._gate.wait()
            self.idle.clear()
            act = self._chance.choice(acts)
            channel = chat.channel(self._chance.choice(CHANNELS), keep=KEEP)
            try:
                async with asyncio.timeout(LONGEST):
                    await act(channel)
                self.done["acts"] += 1
            except TimeoutError:  # ours too: WaitTimeout
                self.done["too slow"] += 1
            except chatkit.ChatkitError as error:  # the network fails, what was meant is gone
                self.done[type(error).__name__] += 1
            except Exception as error:  # noqa: BLE001  # only errors of chatkit may reach a user
                self.broken.append(f"{self.user}: {act.__name__} raised {type(error).__name__}: {error}")
            self._did()
            await asyncio.sleep(self._chance.random() * 0.1)

    def _words(self) -> str:
        return " ".join(self._chance.choices(WORDS, k=self._chance.randint(1, 12)))

    def _some(self, channel: Channel, *, mine: bool = False) -> Message | None:
        """Return a message that shows."""
        messages = [
            one for one in channel.timeline.view.messages if not one.deleted and (one.own or not mine)
        ]
        return self._chance.choice(messages) if messages else None

    async def _say(self, channel: Channel) -> None:
        quote = self._some(channel) if self._chance.random() < 0.2 else None
        self.done["asked"] += 1
        _ = await channel.send(self._words(), reply_to=quote, mentions=("*",) if quote else ())
        self.done["accepted"] += 1

    async def _change(self, channel: Channel) -> None:
        message = self._some(channel, mine=True)
        if message is not None:
            _ = await channel.edit(message, self._words())

    async def _react(self, channel: Channel) -> None:
        message = self._some(channel)
        if message is not None:
            verb = channel.react if self._chance.random() < 0.7 else channel.unreact
            _ = await verb(message, self._chance.choice(EMOJI))

    async def _delete(self, channel: Channel) -> None:
        message = self._some(channel, mine=True)
        if message is not None:
            _ = await channel.delete(message)

    async def _mark(self, channel: Channel) -> None:
        await channel.receipts.mark_read()
        _ = channel.receipts.unread

    async def _type(self, channel: Channel) -> None:
        async with channel.typing.active():
            await asyncio.sleep(0.05)

    async def _move(self, channel: Channel) -> None:
        await channel.presence.update(status=self._chance.choice(("online", "away")))

    async def _stream(self, channel: Channel) -> None:
        """Open a stream, from the past or from now, read a little of it, and close or drop it."""
        since = self._some(channel) if self._chance.random() < 0.5 else None
        stream = channel.events(chatkit.MessageEvent, since=since)
        try:
            for _ in range(3):
                _ = await stream.next(timeout=0.2)
        except chatkit.WaitTimeout:
            pass
        if self._chance.random() < 0.8:
            await stream.aclose()

    async def _watch(self, channel: Channel) -> None:
        async with channel.timeline.watch() as views, channel.presence.watch() as members:
            _ = await views.next(timeout=1)
            _ = await members.next(timeout=1)

    async def _page(self, channel: Channel) -> None:
        page = await channel.history(limit=20)
        if page.next is not None:
            _ = await channel.history(before=page.next, limit=20)
        if self._chance.random() < 0.2:
            _ = await channel.timeline.load_older(20)
            await channel.timeline.jump("newest")
        _ = await channel.search("green", limit=10)

    async def _reply(self, channel: Channel) -> None:
        root = self._some(channel)
        if root is not None and root.thread is None:  # as many threads as a client keeps open are soon open
            thread = channel.thread(root)
            self.done["asked"] += 1
            _ = await thread.send(self._words())
            self.done["accepted"] += 1
            _ = await thread.info()

    async def _grow(self, channel: Channel) -> None:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(3):
                yield self._words() + " "
                await asyncio.sleep(0.02)

        self.done["asked"] += 1
        _ = await channel.send_stream(chunks(), every=0.05)
        self.done["accepted"] += 1

    async def _emit(self, channel: Channel) -> None:
        _ = await channel.emit("wave", {"to": "all"})

    async def _cancel(self, channel: Channel) -> None:
        """Wish something and be cancelled before it is kept, or after."""
        self.done["asked"] += 1
        sending = asyncio.create_task(channel.send(self._words()), name=f"soak:{self.user}:cancelled")
        sending.add_done_callback(lambda done: done.cancelled() or done.exception())  # as it may: it dies too
        await asyncio.sleep(self._chance.random() * 0.003)
        sending.cancel()
        await asyncio.wait({sending})
