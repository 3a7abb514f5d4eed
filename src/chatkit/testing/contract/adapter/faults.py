"""The contract of adapters: what breaks, and what is made of it (D6, D12, I11)."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.errors import ChatkitError, TransportError
from chatkit.ports.adapter import Lost, SessionClosed
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, stage

IN_DOUBT = (TransportError, SessionClosed, TimeoutError)
"""How a publish ends whose outcome is unknown; the last of them is the caller's own."""


class FaultsContract(AdapterPart):
    """Cuts, silence, lost answers, closings and refusals."""

    async def test_a_broken_connection_ends_its_session(self, kit: AdapterKit) -> None:
        """The reader is told, and asked to come again; calls are refused; others live on."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)

            kit.cut("ada")

            assert (await ada.end()).again in {"now", "later"}
            for call in (ada.session.probe(), ada.session.emit(on.channel, b"{}")):
                with pytest.raises(SessionClosed):
                    await asyncio.wait_for(call, kit.patience)
            await bob.session.probe()
            assert bob.ended is None

    async def test_without_a_network_nothing_opens(self, kit: AdapterKit) -> None:
        """`SessionClosed`, which asks to try again; once it is back the same adapter opens."""
        async with stage(kit) as on:
            adapter, bob = on.adapter("ada"), await on.join("bob", on.channel)
            kit.cut("ada")

            with pytest.raises(SessionClosed) as refused:
                await adapter.open()
            assert refused.value.again in {"now", "later"}
            kit.heal("ada")

            await (await on.open("ada", adapter)).say("back")
            await bob.hears("back")

    async def test_a_publish_without_a_network_is_in_doubt(self, kit: AdapterKit) -> None:
        """It raises, it is never acknowledged; repeated when the network is back, it is heard (D11)."""
        async with stage(kit) as on:
            adapter, bob = on.adapter("ada"), await on.join("bob", on.channel)
            ada = await on.open("ada", adapter)
            batch = ada.batch(ada.says("message"))
            kit.cut("ada")

            with pytest.raises(IN_DOUBT):
                await ada.publish(batch)

            kit.heal("ada")
            ada.session = (await on.open("ada", adapter)).session
            (ack,) = await ada.publish(batch)
            assert ack.outcome in {"new", "duplicate"}
            await bob.hears("message")

    async def test_a_lost_answer_is_no_answer(self, kit: AdapterKit) -> None:
        """The publish is in doubt; its identical repeat is known again within the window (D6, D10)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            batch = ada.batch(ada.says("message"))
            kit.lose_ack("ada")

            with pytest.raises(IN_DOUBT):
                await asyncio.wait_for(ada.publish(batch), kit.patience)

            if ada.ended is not None:
                ada.session = (await on.open("ada", ada.adapter)).session
            (ack,) = await ada.publish(batch)
            assert ack.outcome in {"new", "duplicate"}
            declared = ada.adapter.capabilities  # what is announced again, receivers know
            twice = declared.announce == "after" or declared.duplicate_window == 0
            await bob.hears(*["message"] * (2 if twice else 1))

    async def test_a_silent_connection_gives_no_sign_of_life(self, kit: AdapterKit) -> None:
        """Nothing is made up: no signal comes and no probe is answered, so that it is found out (I11)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob")
            await ada.session.probe()
            await kit.settle()
            kit.cut("ada", half_open=True)
            await kit.settle()  # what had come through before is heard
            before = list(ada.signals)
            await bob.say("unheard")

            with pytest.raises(IN_DOUBT):
                await asyncio.wait_for(ada.session.probe(), kit.patience)

            assert ada.signals == before

    async def test_the_servers_closings_are_obeyed(self, kit: AdapterKit) -> None:
        """Each says whether and when to come again (D12); others are not closed."""
        async with stage(kit) as on:
            bob = await on.join("bob")
            for closing in kit.closings():
                ada = await on.join("ada", on.channel)

                kit.close("ada", closing)

                ended = await ada.end()
                assert (closing.name, ended.again, ended.after) == closing
            assert {closing.again for closing in kit.closings()} == {
                "never",
                "now",
                "later",
                "reauthenticate",
            }
            await bob.session.probe()

    async def test_after_a_closing_the_adapter_opens_again(self, kit: AdapterKit) -> None:
        """With a fresh credential where the closing asked for one, and only there."""
        async with stage(kit) as on:
            bob = await on.join("bob", on.channel)
            for closing in kit.closings():
                if closing.again == "never":
                    continue
                adapter = on.adapter("ada")
                ada, before = await on.open("ada", adapter, on.channel), kit.refreshed("ada")
                kit.close("ada", closing)
                await ada.end()

                await (await on.open("ada", adapter)).say(closing.name)

                after = kit.refreshed("ada")
                if before is not None and after is not None:
                    assert (closing.name, after - before) == (closing.name, closing.again == "reauthenticate")
                else:
                    assert before is after is None
            said = [closing.name for closing in kit.closings() if closing.again != "never"]
            await bob.hears(*said)

    async def test_a_channel_can_be_lost_alone(self, kit: AdapterKit) -> None:
        """`Lost` says so, with its reason; nothing of it follows, others go on, and attaching begins anew."""
        async with stage(kit) as on:
            other = kit.channel("sales")
            ada, bob = await on.join("ada"), await on.join("bob", on.channel, other)

            kit.revoke("bob", on.channel)

            await kit.until(lambda: any(isinstance(s, Lost) for s in bob.signals), "the loss is told")
            (lost,) = (signal for signal in bob.signals if isinstance(signal, Lost))
            assert lost.channel == on.channel
            assert lost.again in {"never", "now", "later", "reauthenticate"}
            assert isinstance(lost.error, ChatkitError)
            await ada.say("unheard")
            await ada.say("elsewhere", channel=other)
            await bob.hears("elsewhere", channel=other)
            assert bob.heard() == []
            assert not (await bob.attach()).resumed
            await ada.say("again")
            await bob.hears("again")

    async def test_refusals_reach_as_far_as_they_say(self, kit: AdapterKit) -> None:
        """Outcome, scope, what to do and when; every row is answered so, and nobody hears any (D12)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            for refusal in kit.refusals():
                kit.refuse("ada", refusal)
                for ack in await ada.publish(ada.batch(ada.says("no"), ada.says("nor this"))):
                    made = (ack.outcome, type(ack.error), ack.scope, ack.again, ack.after)
                    assert (refusal.name, *made) == refusal
            await bob.hears()

            kit.refuse("ada", None)
            await ada.say("taken")
            await bob.hears("taken")
