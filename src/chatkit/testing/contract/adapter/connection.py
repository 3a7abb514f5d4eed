"""The contract of adapters: sessions begin, live side by side, and end once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from chatkit.ports.adapter import Present, SessionClosed
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, stage


class ConnectionContract(AdapterPart):
    """One live connection that dies once."""

    async def test_a_session_says_whose_it_is(self, kit: AdapterKit) -> None:
        """The user of the credential, or nobody where the provider knows nobody (D2)."""
        async with stage(kit) as on:
            assert (await on.join("ada")).session.user in {"ada", None}

    async def test_a_clean_end_asks_for_no_new_connection(self, kit: AdapterKit) -> None:
        """The reader ends by `SessionClosed("never")`; closing again does nothing (I12)."""
        async with stage(kit) as on:
            ada = await on.join("ada", on.channel)

            await ada.session.aclose()
            await ada.session.aclose()

            assert (await ada.end()).again == "never"

    async def test_a_dead_session_refuses_every_call(self, kit: AdapterKit) -> None:
        """By `SessionClosed`, at once: nothing waits for what cannot come."""
        async with stage(kit) as on:
            ada = await on.join("ada", on.channel)
            await ada.session.aclose()
            session, member = ada.session, Present("ada", "", {})
            calls: list[Coroutine[Any, Any, object]] = [
                session.attach(on.channel, None, presence=False),
                session.detach(on.channel),
                session.emit(on.channel, ada.says("gone").data),
                session.probe(),
                session.reauthenticate(),
            ]
            if ada.adapter.capabilities.support("presence") == "native":
                calls += [session.enter(on.channel, member), session.leave(on.channel, member)]
            if ada.publisher is session and ada.adapter.capabilities.announce != "transactional":
                calls += [session.publish(ada.batch(ada.says("gone")), [None])]

            for call in calls:
                with pytest.raises(SessionClosed):
                    await asyncio.wait_for(call, kit.patience)

    async def test_sessions_of_one_adapter_live_apart(self, kit: AdapterKit) -> None:
        """A provider may need several for one client; the end of one is not that of another."""
        async with stage(kit) as on:
            adapter = on.adapter("ada")
            one, two = await on.open("ada", adapter, on.channel), await on.open("ada", adapter, on.channel)

            await one.session.aclose()
            await two.say("still here")

            await two.session.probe()
            await (await on.join("bob")).session.probe()
            assert two.ended is None
            assert one.texts() == []

    async def test_an_adapter_survives_its_sessions(self, kit: AdapterKit) -> None:
        """It opens another when one has died."""
        async with stage(kit) as on:
            adapter, bob = on.adapter("ada"), await on.join("bob", on.channel)
            await (await on.open("ada", adapter, on.channel)).session.aclose()

            await (await on.open("ada", adapter, on.channel)).say("again")

            await bob.hears("again")

    async def test_closing_an_adapter_ends_its_sessions(self, kit: AdapterKit) -> None:
        """All that are still open; closing again does nothing (I12)."""
        async with stage(kit) as on:
            adapter = on.adapter("ada")
            clients = [await on.open("ada", adapter) for _ in range(2)]

            await adapter.aclose()
            await adapter.aclose()

            for client in clients:
                assert (await client.end()).again == "never"

    async def test_a_probe_proves_life(self, kit: AdapterKit) -> None:
        """The peer answers, and each answer gives a signal: liveness is judged by them (I11)."""
        async with stage(kit) as on:
            ada = await on.join("ada")
            within = min(kit.patience, ada.adapter.capabilities.liveness / 2)
            for _ in range(2):
                before = len(ada.signals)

                await asyncio.wait_for(ada.session.probe(), within)

                await kit.until(lambda before=before: len(ada.signals) > before, "a sign of life")  # type: ignore[misc]

    async def test_a_fresh_token_leaves_the_session_as_it_was(self, kit: AdapterKit) -> None:
        """Or it says that a new connection is needed, and ends."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada", on.channel), await on.join("bob")
            ended: SessionClosed | None = None
            try:
                await asyncio.wait_for(ada.session.reauthenticate(), kit.patience)
            except SessionClosed as closed:
                ended = closed

            if ended is None:
                await bob.say("unbroken")
                await ada.hears("unbroken")
            assert (ended.again if ended is not None else "now") in {"now", "reauthenticate"}
            assert (ended is None) == (ada.ended is None)
