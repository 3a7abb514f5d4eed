"""Two members of a channel who talk, whatever goes wrong: one speaks, the other listens, both are there."""

from __future__ import annotations

import asyncio
from typing import Final

import chatkit
from chatkit import Discontinuity, MessageCreated

LONG: Final = 600.0
"""Seconds of virtual time in which all must have come right."""


class Talk:
    """Ada speaks, bob listens, both are there."""

    def __init__(self, ada: chatkit.Chat, bob: chatkit.Chat, *, present: bool) -> None:
        self._present = present
        self.mine, self.theirs = ada.channel("support"), bob.channel("support")
        self.said: list[str] = []
        self._events = self.theirs.events(MessageCreated, Discontinuity)
        self._deliveries: list[chatkit.Delivery] = []

    async def begin(self) -> None:
        """Be there, and say something."""
        for channel in (self.mine, self.theirs):
            _ = channel.timeline
            if self._present:
                await channel.presence.enter()
            await channel.attach(timeout=LONG)
        await self.say(2)

    async def say(self, count: int) -> None:
        """Say so many, a moment after one another; and tell how many as a member."""
        for _ in range(count):
            self.said.append(f"message {len(self.said):03}")
            self._deliveries.append(await self.mine.send(self.said[-1]))
            await asyncio.sleep(0.3)
        if self._present:
            await self.mine.presence.update(data={"said": len(self.said)})

    async def sent(self) -> None:
        """Wait until all is sent, and a while longer."""
        for delivery in self._deliveries:
            _ = await delivery.wait("sent", timeout=LONG)
        await asyncio.sleep(60)

    async def heard(self) -> list[MessageCreated | Discontinuity]:
        """Return what bob was told, in its order."""
        found: list[MessageCreated | Discontinuity] = []
        while True:
            try:
                event = await self._events.next(timeout=1)
            except chatkit.WaitTimeout:
                return found
            assert isinstance(event, (MessageCreated, Discontinuity))
            found.append(event)

    def nothing_is_missing(self, heard: list[MessageCreated | Discontinuity]) -> None:
        """Assert that all said was told, once, in order, and shown by both."""
        messages = [event for event in heard if isinstance(event, MessageCreated)]
        told = [event.message.text for event in messages]
        on_time = [event.message.text for event in messages if not event.late]
        assert sorted(told) == sorted(self.said), "none lost, none told twice (I1, I2)"
        assert on_time == sorted(on_time), "in order, but for what is said to be late (I4, D21)"
        assert texts(self.mine) == texts(self.theirs) == self.said, "and shown in order by both (I4, I5)"

    def gaps_are_announced(
        self, heard: list[MessageCreated | Discontinuity], *, hinted: bool = False
    ) -> None:
        """Assert that nothing was told twice, and whatever was not told was announced before what follows.

        Args:
            heard: By bob.
            hinted: Only numbers of messages hint at what is missing: that is told soon afterwards (D5).
        """
        messages = [event for event in heard if isinstance(event, MessageCreated)]
        told = [event.message.text for event in messages]
        assert len(told) == len(set(told)), "none told twice (I2)"
        on_time = [event.message.text for event in messages if not event.late]
        assert on_time == sorted(on_time), "in order, but for what is said to be late (I4, D21)"
        hint = hinted and any(isinstance(event, Discontinuity) and not event.certain for event in heard)
        place, gap = -1, hint
        for event in heard:
            if isinstance(event, Discontinuity):
                gap = True
            elif not event.late:
                number = self.said.index(event.message.text)
                missing = set(self.said[place + 1 : number]) - set(told)
                assert gap or not missing, f"{missing} are missing before {number}, and nobody said so (I6)"
                place, gap = number, hint
        assert gap or not set(self.said[place + 1 :]) - set(told), (
            "what is missing last is announced, too (I6)"
        )
        assert texts(self.mine) == self.said, "who speaks shows all of it (I5)"
        assert texts(self.theirs) == sorted(told), "who listens what was told (I5)"

    def both_are_there(self) -> None:
        """Assert that each shows both, and what ada said of herself last (D32)."""
        for channel in (self.mine, self.theirs):
            there = channel.presence.members
            assert {name for name in there if there[name].status != "offline"} == {"ada", "bob"}
            assert there["ada"].data == {"said": len(self.said)}


def texts(channel: chatkit.Channel) -> list[str]:
    """Return what a channel's timeline shows, in order."""
    return [message.text for message in channel.timeline.view.messages]
