"""The contract of adapters: who is there."""

from __future__ import annotations

import pytest

from chatkit.errors import CapabilityError, NotAllowed
from chatkit.ports.adapter import Moved, Present, Roster
from chatkit.testing.contract.adapter.kit import AdapterKit
from chatkit.testing.contract.adapter.stage import AdapterPart, Client, stage

FULL = 20
"""Most members that a channel is filled with."""


def member(user: str, **data: str) -> Present:
    return Present(user, "", data)


class PresenceContract(AdapterPart):
    """Members enter, change and leave; or whoever hears is in; or there is no presence, and it says so."""

    async def test_presence_is_what_is_declared(self, kit: AdapterKit) -> None:
        """None: asking for it is declined, and the channel is not attached. Emulated: nobody enters by name."""
        async with stage(kit) as on:
            ada, bob = await on.join("ada"), await on.join("bob")
            kind = ada.adapter.capabilities.support("presence")
            if kind == "none":
                with pytest.raises(CapabilityError):
                    await ada.attach(presence=True)
                await bob.say("unheard")
                await ada.hears()
                await ada.attach()
                with pytest.raises(CapabilityError):
                    await ada.session.leave(on.channel, member("ada"))
            else:
                await ada.attach(presence=True)
                await kit.until(lambda: any(isinstance(s, Roster) for s in ada.signals), "the roster comes")
            if kind == "native":
                await ada.session.enter(on.channel, member("ada"))
                await ada.sees("ada")
            else:
                with pytest.raises(CapabilityError):
                    await ada.session.enter(on.channel, member("ada"))

    async def test_members_come_and_go(self, kit: AdapterKit) -> None:
        """Everybody who hears is told, and who comes later is told the whole set."""
        async with stage(kit) as on:
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            await ada.attach(presence=True)
            bob = await on.join("bob", on.channel, presence=True)
            await _enter(ada, bob)
            await ada.sees("ada", "bob")
            await bob.sees("ada", "bob")
            eve = await on.join("eve", on.channel, presence=True)
            await _enter(eve)
            await eve.sees("ada", "bob", "eve")

            await bob.session.detach(on.channel)
            await ada.sees("ada", "eve")
            await eve.session.aclose()

            await ada.sees("ada")
            return None

    async def test_members_say_something(self, kit: AdapterKit) -> None:
        """Data comes as it was given, and is replaced by the next; where none is carried, none is shown."""
        async with stage(kit) as on:
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            await ada.attach(presence=True)
            bob = await on.join("bob", on.channel, presence=True)
            if _native(ada):
                await ada.session.enter(on.channel, member("ada", status="away"))
                (seen,) = await bob.sees("ada")
                assert (seen.user, dict(seen.data)) == ("ada", {"status": "away"})
                await ada.session.enter(on.channel, member("ada", status="\u00fcber"))
                await kit.until(lambda: len(_moves(bob)) == 2, "the update comes")
                assert [dict(found.data) for found in await bob.sees("ada")] == [{"status": "\u00fcber"}]
                assert [move.change for move in _moves(bob)] == ["enter", "update"]
            else:
                assert [dict(found.data) for found in await bob.sees("ada", "bob")] == [{}, {}]
            return None

    async def test_leaving_is_told_once(self, kit: AdapterKit) -> None:
        """Leaving again is nothing, and one still hears."""
        async with stage(kit) as on:
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            await ada.attach(presence=True)
            bob = await on.join("bob", on.channel, presence=True)
            if not _native(ada):
                with pytest.raises(CapabilityError):
                    await ada.session.leave(on.channel, member("ada"))
                return None
            await ada.session.enter(on.channel, member("ada"))
            await bob.sees("ada")

            await ada.session.leave(on.channel, member("ada"))
            await ada.session.leave(on.channel, member("ada"))

            await bob.sees()
            assert [move.change for move in _moves(bob)] == ["enter", "leave"]
            await bob.say("still heard")
            await ada.hears("still heard")
            return None

    async def test_devices_of_a_user_are_told_apart_or_merged(self, kit: AdapterKit) -> None:
        """Where members enter each is one of its own; else a user is there until the last has gone."""
        async with stage(kit) as on:
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            await ada.attach(presence=True)
            one = await on.join("bob", on.channel, presence=True)
            two = await on.join("bob", on.channel, presence=True)
            await _enter(one, two)
            bobs = ["bob", "bob"] if _native(ada) else ["bob"]
            me = [] if _native(ada) else ["ada"]
            await ada.sees(*me, *bobs)

            await one.session.aclose()
            await ada.sees(*me, "bob")
            await two.session.aclose()

            await ada.sees(*me)
            return None

    async def test_who_does_not_ask_is_not_told(self, kit: AdapterKit) -> None:
        """Of messages alone; and is seen by nobody, unless the provider shows whoever is attached."""
        async with stage(kit) as on:
            bob = await on.join("bob", on.channel)
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            await ada.attach(presence=True)
            await _enter(ada)
            await ada.sees("ada", *(["bob"] if kit.shows_all else []))

            await ada.say("message")

            await bob.hears("message")
            assert [s for s in bob.signals if isinstance(s, (Roster, Moved))] == []
            return None

    async def test_nobody_enters_as_another(self, kit: AdapterKit) -> None:
        """But a trusted credential, each of whose users is a member of its own (D2)."""
        async with stage(kit) as on:
            eve, app = await on.join("eve"), await on.join("app", trusted=True)
            if not _native(eve):
                return await _declined(eve)
            await eve.attach(presence=True)
            await app.attach(presence=True)
            entered: list[str] = []
            for client in (eve, app):
                if client.adapter.trusted:
                    await client.session.enter(on.channel, member("ada"))
                    await client.session.enter(on.channel, member("bob"))
                    entered += ["ada", "bob"]
                else:
                    with pytest.raises(NotAllowed):
                        await client.session.enter(on.channel, member("ada"))

            await eve.sees(*entered)
            return None

    async def test_a_full_channel_says_so(self, kit: AdapterKit) -> None:
        """One more than declared is declined, and those who are in stay."""
        async with stage(kit) as on:
            if _none(ada := await on.join("ada")):
                return await _declined(ada)
            most = ada.adapter.capabilities.presence_members
            users = [f"user{number}" for number in range(min(most or FULL, FULL))]
            clients = [await on.join(user, on.channel, presence=True) for user in users]
            await _enter(*clients)
            if most is None or most > FULL:
                await ada.attach(presence=True)
                await ada.sees(*users, *([] if _native(ada) else ["ada"]))
                return None
            if _native(ada):
                await ada.attach(presence=True)

            with pytest.raises(CapabilityError):
                await (
                    ada.session.enter(on.channel, member("ada"))
                    if _native(ada)
                    else ada.attach(presence=True)
                )

            await clients[0].sees(*users)
            return None


def _none(client: Client) -> bool:
    return client.adapter.capabilities.support("presence") == "none"


def _native(client: Client) -> bool:
    return client.adapter.capabilities.support("presence") == "native"


async def _enter(*clients: Client) -> None:
    """Have clients be there; where hearing is being there, they are."""
    for client in clients:
        if _native(client):
            await client.session.enter(client.stage.channel, member(client.user))


async def _declined(client: Client) -> None:
    """Assert that a client cannot enter."""
    if _none(client):
        with pytest.raises(CapabilityError):
            await client.attach(presence=True)
    with pytest.raises(CapabilityError):
        await client.session.enter(client.stage.channel, member(client.user))


def _moves(client: Client) -> list[Moved]:
    return [signal for signal in client.signals if isinstance(signal, Moved)]
