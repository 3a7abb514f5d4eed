"""Clients of one server, for tests of adapters: they publish, and keep all that they hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any

from chatkit.engine.publishing import REFUSALS, refused
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import (
    Adapter,
    Attachment,
    Moved,
    Present,
    Publisher,
    Received,
    Roster,
    Session,
    SessionClosed,
    Signal,
)
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Ack, Batch, Outgoing
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.base import Contract
from chatkit.testing.wishes import text_of, wish

TIMEOUTS = 3.0
"""How many times the kit's patience one call may take."""


class AdapterPart(Contract):
    """Tests of adapters; each asserts what the declared capabilities say, be it an error."""


class Stage:
    """Makes clients and ends them. Numbers, ids and batches are unique within it."""

    def __init__(self, kit: AdapterKit) -> None:
        self.kit = kit
        self.numbers = count(1)
        self.channel = kit.channel("support")
        """Where things are said unless another one is named."""
        self.adapters: list[Adapter] = []
        self.readers: list[asyncio.Task[None]] = []
        self.last: OrderKey | None = None
        """The last place that was heard before a loss."""

    def adapter(self, user: str, *, trusted: bool = False) -> Adapter:
        """Return an adapter that is closed with the stage."""
        adapter = self.kit.adapter(user, trusted=trusted)
        self.adapters.append(adapter)
        return adapter

    async def join(self, user: str, *channels: str, presence: bool = False, trusted: bool = False) -> Client:
        """Return another client of a user, attached."""
        return await self.open(user, self.adapter(user, trusted=trusted), *channels, presence=presence)

    async def open(self, user: str, adapter: Adapter, *channels: str, presence: bool = False) -> Client:
        """Return a client on another session of an adapter, attached."""
        async with asyncio.timeout(self.kit.patience * TIMEOUTS):
            client = Client(self, user, adapter, await adapter.open())
            self.readers.append(asyncio.create_task(client.read(), name=f"{user} reads"))
            for channel in channels:
                await client.session.attach(channel, None, presence=presence)
        return client


@asynccontextmanager
async def stage(kit: AdapterKit) -> AsyncGenerator[Stage]:
    """A stage; after the block its adapters are closed, and every reader must have ended."""
    found = Stage(kit)
    try:
        yield found
    finally:
        done = False
        with suppress(TimeoutError):
            async with asyncio.timeout(kit.patience * TIMEOUTS):
                for adapter in found.adapters:
                    await adapter.aclose()
                await asyncio.gather(*found.readers)
                done = True
        assert done, "closing the adapters did not end the signals of every session"


class Client:
    """A session, and what it was told."""

    def __init__(self, stage: Stage, user: str, adapter: Adapter, session: Session) -> None:
        self.stage = stage
        self.kit = stage.kit
        self.user = user
        self.adapter = adapter
        self.session = session
        self.signals: list[Signal] = []
        self.ended: SessionClosed | None = None
        self._device = f"device{next(stage.numbers)}"
        self._seq = count(1)
        self._free_at = 0.0

    async def read(self) -> None:
        """Keep all signals; ends with the session."""
        try:
            async for signal in self.session.signals():
                self.signals.append(signal)
        except SessionClosed as error:
            self.ended = error

    # -- speaking

    def says(self, text: str, channel: str = "", *, user: str = "", **fields: Any) -> Outgoing:
        """Return a message on its way out, the next of this client's lane."""
        return wish(
            next(self.stage.numbers),
            user=user or self.user,
            device=self._device,
            channel=channel or self.stage.channel,
            seq=next(self._seq),
            body={"type": "text", "text": text},
            **fields,
        )

    def batch(self, *entries: Outgoing, channel: str = "") -> Batch:
        """Return entries as one publish, under a name of its own."""
        return Batch(f"batch-{next(self.stage.numbers)}", channel or self.stage.channel, entries)

    async def say(self, *texts: str, channel: str = "") -> list[Ack]:
        """Publish messages as one batch; all of them are taken."""
        acks = await self.publish(self.batch(*(self.says(t, channel) for t in texts), channel=channel))
        assert [ack.outcome for ack in acks] == ["new"] * len(texts), acks
        return acks

    async def publish(self, batch: Batch) -> list[Ack]:
        """Publish as the engine does by `capabilities.announce`, at the rate that is declared.

        An entry whose announcement is refused counts as refused.
        """
        await self._turn(len(batch.entries))
        async with asyncio.timeout(self.kit.patience * TIMEOUTS):
            how = self.adapter.capabilities.announce
            if how == "stream":
                acks = await self.publisher.publish(batch, [None] * len(batch.entries))
                return self._checked(batch, acks)
            try:
                appended = await self.log.append(batch.channel, batch.entries)
            except REFUSALS as refusal:
                return [refused(entry, refusal) for entry in batch.entries]
            acks = self._checked(batch, appended.acks)
            if how == "transactional":
                return acks
            placed = [
                (entry, Stamp(ack.key, ack.prev, appended.state.log_id, entry.ident.user, ack.sent_at))
                for entry, ack in zip(batch.entries, acks, strict=True)
                if ack.key is not None and ack.sent_at is not None
            ]
            told = batch._replace(entries=tuple(entry for entry, _ in placed))
            answers = self._checked(told, await self.publisher.publish(told, [stamp for _, stamp in placed]))
            untold = {answer.ident: answer for answer in answers if answer.outcome in ("refused", "unsent")}
            return [untold.get(ack.ident, ack) for ack in acks]

    async def _turn(self, entries: int) -> None:
        """Wait until the rate allows another publish."""
        now, rate = asyncio.get_running_loop().time(), self.adapter.capabilities.publish_rate
        if rate is not None:
            await asyncio.sleep(max(0.0, self._free_at - now))
            self._free_at = max(now, self._free_at) + entries / rate

    @property
    def publisher(self) -> Publisher:
        """What publishes here."""
        return self.adapter.publisher or self.session

    @property
    def log(self) -> Log:
        """The log that there must be."""
        assert self.adapter.log is not None, "capabilities say that there is a log"
        return self.adapter.log

    def _checked(self, batch: Batch, acks: Sequence[Ack]) -> list[Ack]:
        """Return acks that are one for each entry, in order."""
        assert [ack.ident for ack in acks] == [entry.ident for entry in batch.entries]
        return list(acks)

    # -- hearing

    def heard(self, channel: str = "") -> list[Received]:
        """Return the envelopes that came."""
        wanted = channel or self.stage.channel
        return [s for s in self.signals if isinstance(s, Received) and s.channel == wanted]

    def texts(self, channel: str = "") -> list[str | None]:
        """Return what they say."""
        return [text_of(frame.data) for frame in self.heard(channel)]

    async def hears(self, *texts: str, channel: str = "") -> list[Received]:
        """Wait until exactly these were heard, and nothing more comes; return their frames."""
        try:
            await self.kit.until(lambda: len(self.texts(channel)) >= len(texts), f"{self.user} hears {texts}")
        finally:
            assert self.texts(channel)[: len(texts)] == list(texts)[: len(self.texts(channel))]
        await self.kit.settle()
        assert self.texts(channel) == list(texts)
        return self.heard(channel)

    def present(self, channel: str = "") -> Mapping[str, Present]:
        """Return who is there as far as was told, by client."""
        wanted = channel or self.stage.channel
        found: dict[str, Present] = {}
        for signal in self.signals:
            if isinstance(signal, Roster) and signal.channel == wanted:
                found = {member.client: member for member in signal.members}
            elif isinstance(signal, Moved) and signal.channel == wanted:
                found.pop(signal.member.client, None)
                if signal.change != "leave":
                    found[signal.member.client] = signal.member
        return found

    async def sees(self, *users: str) -> list[Present]:
        """Wait until these are there, one for each of their clients, and nobody else comes; return them."""

        def there() -> list[str]:
            return sorted(member.user for member in self.present().values())

        await self.kit.until(lambda: there() == sorted(users), f"{self.user} sees {users}")
        await self.kit.settle()
        assert there() == sorted(users)
        return list(self.present().values())

    async def attach(
        self, after: OrderKey | None = None, *, channel: str = "", presence: bool = False
    ) -> Attachment:
        """Attach, within the time a call may take."""
        async with asyncio.timeout(self.kit.patience * TIMEOUTS):
            return await self.session.attach(channel or self.stage.channel, after, presence=presence)

    async def end(self) -> SessionClosed:
        """Wait until the session has ended; return how."""
        await self.kit.until(lambda: self.ended is not None, f"the session of {self.user} ends")
        assert self.ended is not None
        return self.ended
