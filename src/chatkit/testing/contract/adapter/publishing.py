"""The contract of adapters: one attempt at a batch, what is answered, and what is heard of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from chatkit.errors import MessageTooLarge, ProviderError
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, stage
from chatkit.testing.wishes import text_of


class PublishingContract(AdapterPart):
    """Acks, order, repeats, batches."""

    async def test_every_member_hears_what_is_published(self, kit: AdapterKit) -> None:
        """To the byte, in order, with the stamps that the acks told; its sender too, if the provider echoes."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            batch = ada.batch(
                *(ada.says(f"\u00fc \U0001f600 \\ {number}", odd="kept") for number in range(3))
            )

            acks = await ada.publish(batch)

            frames = await bob.hears(*(str(text_of(entry.data)) for entry in batch.entries))
            assert [frame.data for frame in frames] == [entry.data for entry in batch.entries]
            places = [None if frame.stamp is None else frame.stamp.key for frame in frames]
            assert places == [ack.key for ack in acks]
            assert len(ada.heard()) == (3 if kit.echoes else 0)

    async def test_each_row_is_answered_in_its_place(self, kit: AdapterKit) -> None:
        """`new`, with a place that rises where the provider numbers, and its time (D11)."""
        async with stage(kit) as on:
            ada = await on.join("ada")
            numbered = ada.adapter.capabilities.order != "clock"

            acks = [*await ada.say("one", "two"), *await ada.say("three")]

            keys = [ack.key for ack in acks]
            if numbered:
                assert None not in keys
                assert keys == sorted(set(keys), key=str)
                assert [key for key in keys if key is not None] == sorted(key for key in keys if key)
            else:
                assert keys == [None] * 3
            for ack in acks:
                assert (ack.error, ack.scope, ack.again) == (None, "entry", "never")
                if ack.sent_at is not None:
                    assert ack.sent_at.utcoffset() == timedelta(0)
                    assert abs(ack.sent_at - kit.clock.wall()) < timedelta(minutes=1)

    async def test_frames_are_stamped_as_declared(self, kit: AdapterKit) -> None:
        """Numbered ones name their predecessor where the provider is contiguous, and come unforgeable (D17)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            declared = ada.adapter.capabilities

            acks = [*await ada.say("one"), *await ada.say("two")]

            frames = await bob.hears("one", "two")
            if declared.order == "clock":
                assert [frame.stamp for frame in frames] == [None, None]
                return
            one, two = (frame.stamp for frame in frames)
            assert one is not None
            assert two is not None
            assert {frame.unforgeable for frame in frames} == {True}
            assert two.prev == (one.key.serial if declared.contiguous else None)
            assert (one.user, two.user) == ("ada", "ada")
            assert [stamp.at for stamp in (one, two)] == [ack.sent_at for ack in acks]
            if declared.order == "log":
                assert one.log_id is not None

    async def test_all_members_hear_one_order(self, kit: AdapterKit) -> None:
        """Whoever speaks at once: each message once, and where there are numbers in their order (I4, I5)."""
        async with stage(kit) as on:
            speakers = [await on.join(user, on.channel) for user in ("ada", "bob", "eve")]
            listeners = [await on.join(user, on.channel) for user in ("ada", "dan")]

            async def speak(client: Client) -> None:
                for number in range(5):
                    await client.say(f"{client.user} {number}")

            async with asyncio.TaskGroup() as tasks:
                for speaker in speakers:
                    tasks.create_task(speak(speaker))

            one, two = listeners
            await kit.until(lambda: len(one.heard()) >= 15 <= len(two.heard()), "all is heard")
            await kit.settle()
            said = sorted(f"{user} {number}" for user in ("ada", "bob", "eve") for number in range(5))
            assert sorted(map(str, one.texts())) == sorted(map(str, two.texts())) == said
            if one.adapter.capabilities.order != "clock":
                assert one.texts() == two.texts()
                keys = [frame.stamp.key for frame in one.heard() if frame.stamp is not None]
                assert len(set(keys)) == 15
                if one.adapter.capabilities.announce != "after":  # there each speaker announces by itself
                    assert keys == sorted(keys)

    async def test_an_identical_repeat_is_dropped_within_the_window(self, kit: AdapterKit) -> None:
        """And answered with the first one's places; without a window it is another message (D10)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            batch = ada.batch(ada.says("one"), ada.says("two"))
            first = await ada.publish(batch)
            await kit.settle()

            again = await ada.publish(batch)

            declared = ada.adapter.capabilities
            if declared.duplicate_window == 0:
                assert [ack.outcome for ack in again] == ["new", "new"]
                await bob.hears("one", "two", "one", "two")
                return
            assert {ack.outcome for ack in again} <= {"new", "duplicate"}
            assert [ack.key for ack in again] == [ack.key for ack in first]
            if declared.announce != "after":  # else it is announced again, and receivers know it
                await bob.hears("one", "two")

    async def test_a_log_knows_each_row_again(self, kit: AdapterKit) -> None:
        """However it is batched, for good: where the window has no end (D9)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            one, two = ada.says("one"), ada.says("two")
            (first,) = await ada.publish(ada.batch(one))

            again = await ada.publish(ada.batch(one, two))

            declared = ada.adapter.capabilities
            assert again[1].outcome == "new"
            if declared.duplicate_window == float("inf"):
                assert (again[0].outcome, again[0].key) == ("duplicate", first.key)
            if declared.announce != "after" and declared.duplicate_window == float("inf"):
                await bob.hears("one", "two")
            else:
                await kit.until(lambda: "two" in bob.texts(), "what is new is heard")

    async def test_a_batch_holds_as_much_as_declared(self, kit: AdapterKit) -> None:
        """All of it is taken, answered and heard in order."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            texts = [f"message {number}" for number in range(ada.adapter.capabilities.batch)]

            await ada.say(*texts)

            await bob.hears(*texts)

    async def test_a_batch_too_long_is_refused(self, kit: AdapterKit) -> None:
        """Every row is answered by an error, and nobody hears any of it: no part is quietly taken."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            most = ada.adapter.capabilities.batch

            acks = await ada.publish(ada.batch(*(ada.says(str(number)) for number in range(most + 1))))

            assert {ack.outcome for ack in acks} == {"refused"}
            assert all(isinstance(ack.error, ProviderError) for ack in acks)
            await ada.say("next")
            await bob.hears("next")

    async def test_a_bad_row_takes_nothing_down_unsaid(self, kit: AdapterKit) -> None:
        """It is refused; the others are taken and heard, or answered as not sent (D9)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            if ada.adapter.capabilities.batch < 3:
                pytest.skip("a batch of the provider has no room for three")
            texts = ["first", "x" * ada.adapter.capabilities.frame_bytes, "last"]

            acks = await ada.publish(ada.batch(*map(ada.says, texts)))

            assert acks[1].outcome == "refused"
            assert isinstance(acks[1].error, MessageTooLarge)
            others = {ack.outcome for ack in (acks[0], acks[2])}
            assert others in ({"new"}, {"unsent"})
            await bob.hears(*(["first", "last"] if others == {"new"} else []))

    async def test_a_publish_that_is_given_up_harms_no_other(self, kit: AdapterKit) -> None:
        """It may have happened; the session lives, and the next is answered by its own acks."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            given_up = asyncio.create_task(ada.publish(ada.batch(ada.says("given up"))))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up

            (ack,) = await ada.say("next")

            await kit.until(lambda: "next" in bob.texts(), "the next is heard")
            await ada.session.probe()
            heard = {text_of(frame.data): frame.stamp for frame in bob.heard()}
            stamp = heard["next"]
            assert (stamp.key if stamp is not None else None) == ack.key
            assert bob.texts().count("given up") <= 1

    async def test_the_adapters_log_holds_what_was_published(self, kit: AdapterKit) -> None:
        """Under the same places, to the byte; without history there is none (D24)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob")
            batch = ada.batch(ada.says("one"), ada.says("two"))
            acks = await ada.publish(batch)

            if ada.adapter.capabilities.history == 0:
                assert bob.adapter.log is None
                return
            head = (await bob.log.heads([on.channel]))[on.channel].head
            found = await bob.log.entries(on.channel, after=None, limit=10)
            assert [entry.data for entry in found.items] == [entry.data for entry in batch.entries]
            assert [entry.stamp.key for entry in found.items] == [ack.key for ack in acks]
            assert head == found.items[-1].stamp.key.serial
            assert (await bob.log.find(on.channel, [batch.entries[0].ident])).items
