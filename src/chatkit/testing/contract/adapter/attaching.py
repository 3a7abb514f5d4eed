"""The contract of adapters: what an attached channel brings, and from where on."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.errors import NotAllowed, ProviderError
from chatkit.ports.adapter import Moved, Received, Roster, Shed
from chatkit.ports.outgoing import Ack
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, stage

MANY = 300
"""Most channels that a connection is tried with."""


class AttachingContract(AdapterPart):
    """Live begins and ends where it is said to."""

    async def test_who_is_not_attached_hears_nothing(self, kit: AdapterKit) -> None:
        """Channels are apart (D2)."""
        async with stage(kit) as on:
            other = kit.channel("sales")
            ada, bob, eve = (
                await on.join("ada"),
                await on.join("bob", on.channel),
                await on.join("eve", other),
            )

            await ada.say("here")
            await ada.say("there", channel=other)

            assert [frame.channel for frame in await bob.hears("here")] == [on.channel]
            assert [frame.channel for frame in await eve.hears("there", channel=other)] == [other]
            assert bob.texts(other) == eve.texts() == ada.texts() == []

    async def test_live_begins_after_the_start(self, kit: AdapterKit) -> None:
        """Nothing from before comes, all after it does; where there are numbers, `start` is the line (D17)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob")
            empty = await bob.attach()
            await bob.session.detach(on.channel)
            (before,) = await ada.say("before")

            found = await bob.attach()
            (after,) = await ada.say("after")

            await bob.hears("after")
            assert (empty.channel, found.channel) == (on.channel, on.channel)
            assert (empty.resumed, found.resumed) == (False, False)
            if ada.adapter.capabilities.order == "clock":
                assert empty.start is found.start is before.key is None
            else:
                assert empty.start is not None
                assert before.key is not None
                assert found.start is not None
                assert after.key is not None
                assert empty.start < before.key <= found.start < after.key

    async def test_what_is_published_while_attaching_is_before_or_after(self, kit: AdapterKit) -> None:
        """Each message is before the start and never comes, or after it and comes: none between (I6)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob")
            said = [f"message {number}" for number in range(20)]
            attaching = asyncio.create_task(bob.attach())
            acks: list[Ack] = []
            for text in said:
                acks += await ada.say(text)
                await asyncio.sleep(0)
            start = (await attaching).start
            acks += await ada.say("last")

            await kit.until(lambda: "last" in bob.texts(), "the last message is heard")
            await kit.settle()

            heard = bob.texts()
            assert heard == [*said, "last"][-len(heard) :]
            if start is not None:
                after = sum(ack.key > start for ack in acks if ack.key is not None)
                told_later = ada.adapter.capabilities.announce == "after"  # than it was appended
                assert len(heard) >= after if told_later else len(heard) == after

    async def test_after_a_detach_nothing_follows(self, kit: AdapterKit) -> None:
        """Of that channel: neither what was under way nor what comes later; others go on."""
        async with stage(kit) as on:
            other = kit.channel("sales")
            ada, bob = await on.join("ada"), await on.join("bob", on.channel, other)
            await ada.say("before")
            await bob.hears("before")
            await ada.say("under way")

            await bob.session.detach(on.channel)
            told = _told(bob, on.channel)
            await ada.say("later")
            await ada.say("elsewhere", channel=other)

            await bob.hears("elsewhere", channel=other)
            assert _told(bob, on.channel) == told

    async def test_a_second_attachment_begins_anew(self, kit: AdapterKit) -> None:
        """What was missed between them is not vouched for and does not come."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            await bob.session.detach(on.channel)
            await ada.say("between")
            await kit.settle()

            found = await bob.attach()
            await ada.say("live")

            assert not found.resumed
            await bob.hears("live")

    async def test_attaching_what_is_attached_doubles_nothing(self, kit: AdapterKit) -> None:
        """It gives a verdict, and each message still comes once (I2)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)

            assert (await bob.attach()).channel == on.channel

            await ada.say("once")
            await bob.hears("once")

    async def test_a_refused_attach_is_not_allowed(self, kit: AdapterKit) -> None:
        """The error says so and names the channel; the connection lives, and hears nothing of it."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob")
            kit.forbid("bob")

            with pytest.raises(NotAllowed):
                await bob.attach()

            await ada.say("secret")
            await bob.session.probe()
            await bob.hears()
            assert bob.ended is None

    async def test_a_connection_takes_as_many_channels_as_declared(self, kit: AdapterKit) -> None:
        """One more is refused, and leaves the others as they were; a detach makes room."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob")
            most = bob.adapter.capabilities.channels_per_connection
            names = [kit.channel(f"room-{number}") for number in range(min(most or 10, MANY))]
            for name in names:
                await bob.attach(channel=name)
            if most is not None and most <= MANY:
                with pytest.raises(ProviderError):
                    await bob.attach()
                await bob.session.detach(names[0])
                await bob.attach()

            await ada.say("in the last", channel=names[-1])
            await bob.hears("in the last", channel=names[-1])


def _told(client: Client, channel: str) -> int:
    return sum(
        isinstance(signal, (Received, Roster, Moved, Shed)) and signal.channel == channel
        for signal in client.signals
    )
