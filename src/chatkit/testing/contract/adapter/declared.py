"""The contract of adapters: what one declares of itself."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from chatkit.errors import CapabilityError, MessageTooLarge
from chatkit.model.capabilities import Feature
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, stage

LIVENESS = 300.0
"""Most seconds that may pass until a dead stream is noticed."""


class DeclaredContract(AdapterPart):
    """Capabilities, realm, time and size."""

    async def test_capabilities_never_change(self, kit: AdapterKit) -> None:
        """They are configured: the same before and after connecting, for every client of one kind."""
        async with stage(kit) as on:
            adapter, other = on.adapter("ada"), on.adapter("bob")
            before = adapter.capabilities

            await adapter.open()

            assert adapter.capabilities == before == other.capabilities
            assert adapter.publisher is adapter.publisher
            assert adapter.log is adapter.log

    async def test_capabilities_do_not_contradict_one_another(self, kit: AdapterKit) -> None:
        """Whoever reads one of them may rely on what follows from it."""
        async with stage(kit) as on:
            adapter = on.adapter("ada")
            declared = adapter.capabilities

            assert set(declared.features) <= set(get_args(Feature))
            assert declared.batch >= 1
            assert declared.frame_bytes > 0
            assert declared.publish_rate is None or declared.publish_rate > 0
            assert declared.channels_per_connection is None or declared.channels_per_connection > 0
            assert declared.presence_members is None or declared.presence_members > 0
            assert declared.resume_window >= 0
            assert declared.duplicate_window >= 0
            assert 0 < declared.liveness <= LIVENESS
            assert (declared.history == 0) == (adapter.log is None)
            assert (declared.support("history") == "none") == (declared.history == 0)
            if declared.order == "clock":
                assert (declared.history, declared.resume_window) == (0, 0)
            if declared.contiguous:
                assert declared.order == "log"
            if declared.announce != "stream":
                assert adapter.log is not None
                assert "append" in adapter.log.capabilities
            if not adapter.trusted:
                assert declared.support("as_user") == "none"

    async def test_the_realm_is_scheme_and_project(self, kit: AdapterKit) -> None:
        """One for all clients of it: a store is bound to it (D27)."""
        async with stage(kit) as on:
            realm = on.adapter("ada").realm

            assert on.adapter("bob").realm == realm
            assert realm.partition("://")[2]

    async def test_server_time_is_near_or_none(self, kit: AdapterKit) -> None:
        """With its zone: deadlines and the hybrid clock lean on it (D4)."""
        async with stage(kit) as on:
            found = await on.adapter("ada").server_time()

            if found is not None:
                assert found.utcoffset() == timedelta(0)
                assert abs(found - kit.clock.wall()) < timedelta(minutes=1)

    async def test_what_fits_by_measure_is_carried(self, kit: AdapterKit) -> None:
        """Up to the last byte of `frame_bytes`, unchanged."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            text = "x" * _room(ada)

            await ada.say(text)

            await bob.hears(text)

    async def test_what_does_not_fit_is_refused_by_name(self, kit: AdapterKit) -> None:
        """`MessageTooLarge`, for good, and nobody hears it; the connection lives."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            large = ada.says("x" * (_room(ada) + 1))
            assert ada.adapter.measure(on.channel, large.data) > ada.adapter.capabilities.frame_bytes

            (ack,) = await ada.publish(ada.batch(large))

            assert (ack.outcome, ack.scope, ack.again) == ("refused", "entry", "never")
            assert isinstance(ack.error, MessageTooLarge)
            await ada.say("small")
            await bob.hears("small")

    async def test_measuring_is_in_the_providers_units(self, kit: AdapterKit) -> None:
        """At least the bytes of the envelope, and more for more."""
        async with stage(kit) as on:
            adapter = on.adapter("ada")
            sizes = [adapter.measure(on.channel, b'"' + b"x" * length + b'"') for length in (1, 10, 100)]

            assert sizes == sorted(set(sizes))
            assert sizes[0] >= 3

    async def test_there_is_one_way_to_publish(self, kit: AdapterKit) -> None:
        """Where it is not the session, the session declines: one lane, one path (D29)."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob", on.channel)
            batch = ada.batch(ada.says("by the session"))

            if ada.adapter.publisher is None and ada.adapter.capabilities.announce != "transactional":
                (ack,) = await ada.publish(batch)
                assert ack.outcome == "new"
                await bob.hears("by the session")
            else:
                with pytest.raises(CapabilityError):
                    await ada.session.publish(batch, [None])
                await bob.hears()


def _room(client: Client) -> int:
    """Return how many characters of text still fit."""
    adapter, channel = client.adapter, client.stage.channel
    low, high = 0, adapter.capabilities.frame_bytes
    while low < high:
        middle = (low + high + 1) // 2
        data = client.says("x" * middle).data
        if adapter.measure(channel, data) <= adapter.capabilities.frame_bytes:
            low = middle
        else:
            high = middle - 1
    return low
