"""The contract of adapters: coming back, with nothing missed or a word that something may be (D17, I6)."""

from __future__ import annotations

import pytest

from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, Stage, stage


class ResumingContract(AdapterPart):
    """`resumed` is the truth."""

    async def test_who_comes_back_resumes_or_is_told(self, kit: AdapterKit) -> None:
        """Within the window all that was missed comes first, in order; without one nothing is vouched for."""
        async with stage(kit) as on:
            ada, bob, found = await _broken_off(kit, on, "missed 1", "missed 2")

            await bob.say("live")

            if bob.adapter.capabilities.resume_window > 0:
                assert found.resumed
                await ada.hears("missed 1", "missed 2", "live")
            else:
                assert not found.resumed
                await ada.hears("live")

    async def test_what_was_missed_can_be_read_up_to_the_start(self, kit: AdapterKit) -> None:
        """From the log, from the last place heard: with what comes live there is no hole and no double."""
        async with stage(kit) as on:
            ada, bob, found = await _broken_off(kit, on, "missed 1", "missed 2")
            await bob.say("live")
            await kit.until(lambda: "live" in ada.texts(), "live goes on")

            if bob.adapter.capabilities.history == 0:
                assert ada.adapter.log is None
                assert found.start is None or bob.adapter.capabilities.order != "clock"
                return
            entries = (await ada.log.entries(on.channel, after=on.last, limit=100)).items
            assert len(entries) == 3
            assert found.start is not None
            live = [frame.stamp.key for frame in ada.heard() if frame.stamp is not None]
            read = [entry.stamp.key for entry in entries if entry.stamp.key <= found.start]
            if found.resumed:
                read = []  # they came
            assert read + live == [entry.stamp.key for entry in entries]

    async def test_too_late_is_not_resumed(self, kit: AdapterKit) -> None:
        """After the window the provider no longer vouches, and says so."""
        async with stage(kit) as on:
            window = on.adapter("ada").capabilities.resume_window
            if window > kit.patience:
                await kit.advance(0)
            ada, bob, found = await _broken_off(kit, on, "missed", wait=window + 1 if window else 0.0)

            await bob.say("live")

            assert not found.resumed
            await ada.hears("live")

    @pytest.mark.parametrize("place", ["none", "epoch", "strange"])
    async def test_a_place_that_was_never_given_is_not_resumed(self, kit: AdapterKit, place: str) -> None:
        """Nobody could say what is missing after it."""
        async with stage(kit) as on:
            ada, bob, found = await _broken_off(kit, on, "missed", place=place)

            await bob.say("live")

            assert not found.resumed
            await ada.hears("live")

    async def test_what_was_detached_is_not_resumed(self, kit: AdapterKit) -> None:
        """Only what was attached when the connection was lost can be."""
        async with stage(kit) as on:
            adapter, bob = on.adapter("ada"), await on.join("bob")
            ada = await on.open("ada", adapter, on.channel)
            (ack,) = await bob.say("before")
            await ada.hears("before")
            await ada.session.detach(on.channel)
            await bob.say("missed")
            await ada.session.aclose()

            again = await on.open("ada", adapter)
            found = await again.attach(ack.key)
            await bob.say("live")

            assert not found.resumed
            await again.hears("live")


async def _broken_off(
    kit: AdapterKit, on: Stage, *missed: str, wait: float = 0.0, place: str = "last"
) -> tuple[Client, Client, Attachment]:
    """Attach ada, break her connection, let bob speak, and attach her again on another session."""
    adapter, bob = on.adapter("ada"), await on.join("bob")
    before = await on.open("ada", adapter, on.channel)
    (ack,) = await bob.say("before")
    await before.hears("before")
    kit.cut("ada")
    await before.end()
    for text in missed:
        await bob.say(text)
    if wait:
        await kit.advance(wait)
    kit.heal("ada")
    ada = await on.open("ada", adapter)
    last = ack.key or OrderKey(1, "never")
    places = {
        "last": last,
        "none": None,
        "epoch": last._replace(epoch=last.epoch + 1),
        "strange": last._replace(serial="zzzz"),
    }
    on.last = ack.key
    return ada, bob, await ada.attach(places[place])
