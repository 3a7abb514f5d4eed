"""The contract of adapters: who says so (D2)."""

from __future__ import annotations

import json

from chatkit.errors import NotAllowed
from chatkit.ports.adapter import Received
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, stage


class SendersContract(AdapterPart):
    """Whom a frame is from is attested, or it is said that nobody attests it."""

    async def test_a_sender_is_attested(self, kit: AdapterKit) -> None:
        """As the one whose credential it was, as strongly as declared; where nobody vouches, nobody is named."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob", on.channel)
            await ada.say("message")
            (frame,) = await bob.hears("message")

            assert (frame.user, frame.attested) in {("ada", "provider"), ("ada", "backend"), (None, "none")}
            log, declared = ada.adapter.log, ada.adapter.capabilities.attested
            vouches = (
                log is not None and "fence" in log.capabilities
            )  # for its entries itself, whoever sent them
            assert vouches or frame.attested == declared

    async def test_an_entry_of_another_user_is_not_passed_on_as_theirs(self, kit: AdapterKit) -> None:
        """A trusted credential speaks for others (`as_user`); any other is refused, or found out."""
        async with stage(kit) as on:
            eve, bob = await on.join("eve"), await on.join("bob", on.channel)

            (ack,) = await eve.publish(eve.batch(eve.says("as ada", user="ada")))

            await kit.settle()
            frames = bob.heard()
            if eve.adapter.trusted:
                assert ack.outcome == "new"
                assert [(frame.user, frame.attested) for frame in frames] == [("ada", frames[0].attested)]
            elif ack.outcome == "refused":
                assert isinstance(ack.error, NotAllowed)
                assert frames == []
            else:
                assert _claims("ada", frames) == []

    async def test_a_trusted_credential_speaks_for_others(self, kit: AdapterKit) -> None:
        """Where there is one, `trusted` says so, and each sender is the one it names."""
        async with stage(kit) as on:
            backend, bob = await on.join("backend", trusted=True), await on.join("bob", on.channel)

            acks = [
                (await backend.publish(backend.batch(backend.says(f"for {user}", user=user))))[0]
                for user in ("ada", "eve")
            ]

            await kit.settle()
            if backend.adapter.trusted:
                assert [ack.outcome for ack in acks] == ["new", "new"]
                frames = await bob.hears("for ada", "for eve")
                assert [frame.user for frame in frames] == ["ada", "eve"]
            else:
                assert backend.adapter.capabilities.support("as_user") == "none"
                assert _claims("ada", bob.heard()) == []

    async def test_an_envelope_that_names_another_is_found_out(self, kit: AdapterKit) -> None:
        """Refused, or attested as its true sender's: the receiver compares (D2)."""
        async with stage(kit) as on:
            eve, bob = await on.join("eve"), await on.join("bob", on.channel)
            honest = eve.says("who am I")
            forged = honest._replace(data=_as("ada", honest.data))

            (ack,) = await eve.publish(eve.batch(forged))

            await kit.settle()
            assert ack.outcome in {"new", "refused"}
            assert len(bob.heard()) == (ack.outcome == "new")
            if not eve.adapter.trusted:
                assert _claims("ada", bob.heard()) == []

    async def test_an_emitted_envelope_that_names_another_is_found_out(self, kit: AdapterKit) -> None:
        """Ephemeral ones alike."""
        async with stage(kit) as on:
            eve, bob = await on.join("eve", on.channel), await on.join("bob", on.channel)

            await eve.session.emit(on.channel, _as("ada", eve.says("typing").data))

            if kit.hears_passing:
                await kit.until(lambda: bob.heard() != [], "the emitted envelope is heard")
            else:
                await bob.hears()
            if not eve.adapter.trusted:
                assert _claims("ada", bob.heard()) == []


def _claims(user: str, frames: list[Received]) -> list[Received]:
    """Return the frames that somebody vouches to be of a user."""
    return [frame for frame in frames if frame.user == user and frame.attested != "none"]


def _as(user: str, data: bytes) -> bytes:
    """Return an envelope with another sender in it."""
    envelope = json.loads(data)
    envelope["sender"]["user"] = user
    return json.dumps(envelope).encode()
