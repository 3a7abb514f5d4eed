"""Presence of the hub, as each provider has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.adapters.memory.rosters import HALF_OPEN
from chatkit.errors import CapabilityError, NotAllowed, RateLimited
from chatkit.ports.adapter import Moved, Present, Roster
from tests.adapters.world import World, attached, heard

if TYPE_CHECKING:
    from chatkit.adapters.memory import MemorySession
    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def world(clock: VirtualClock) -> World:
    """A hub."""
    return World(clock)


async def there(world: World, user: str, **config: Any) -> MemorySession:
    """Return a session that hears who is there."""
    session = await world.session(user, **config)
    await session.attach("support", None, presence=True)
    return session


async def told(session: MemorySession) -> list[tuple[str, ...]]:
    """Return what a session was told of presence since."""
    found: list[tuple[str, ...]] = []
    for signal in await heard(session):
        if isinstance(signal, Roster):
            found.append(("roster", *(one.user for one in signal.members)))
        elif isinstance(signal, Moved):
            found.append((signal.change, signal.member.user))
    return found


@pytest.mark.parametrize("like", ["memory", "supabase", "ably"])
async def test_members_enter_with_data_and_leave(world: World, like: str) -> None:
    """Everybody who hears is told, the one who enters too; who comes later gets the whole set."""
    ada, bob = await there(world, "ada", like=like), await there(world, "bob", like=like)
    await ada.enter("support", Present("ada", "", {"status": "away"}))
    await ada.enter("support", Present("ada", "", {}))
    assert await told(ada) == await told(bob) == [("roster",), ("enter", "ada"), ("update", "ada")]
    cleo = await there(world, "cleo", like=like)
    assert await told(cleo) == [("roster", "ada")]
    await ada.leave("support", Present("ada", "", {}))
    await ada.leave("support", Present("ada", "", {}))
    await bob.enter("support", Present("bob", "", {}))
    await bob.detach("support")
    assert await told(cleo) == [("leave", "ada"), ("enter", "bob"), ("leave", "bob")]
    assert await told(bob) == []


async def test_pusher_takes_whoever_hears(world: World) -> None:
    """One member a user, told when the first connection comes and when the last is gone, never to itself."""
    ada = await there(world, "ada", like="pusher")
    one, two = await there(world, "bob", like="pusher"), await there(world, "bob", like="pusher")
    assert await told(one) == [("roster", "ada", "bob")]
    assert await told(ada) == [("roster", "ada"), ("enter", "bob")]
    await one.aclose()
    assert await told(ada) == []
    await two.aclose()
    assert await told(ada) == [("leave", "bob")]
    with pytest.raises(CapabilityError):
        await ada.enter("support", Present("ada", "", {}))


async def test_a_full_channel_refuses(world: World) -> None:
    """By members where they enter, by users where hearing is entering; who is in may change what it says."""
    few: dict[str, Any] = {"capabilities": {"presence_members": 1}}
    ada, bob = await there(world, "ada", **few), await there(world, "bob", **few)
    await ada.enter("support", Present("ada", "", {}))
    await ada.enter("support", Present("ada", "", {"status": "away"}))
    with pytest.raises(CapabilityError, match="1 members"):
        await bob.enter("support", Present("bob", "", {}))
    other = World(world.clock)
    await there(other, "ada", like="pusher", **few)
    await there(other, "ada", like="pusher", **few)
    with pytest.raises(CapabilityError):
        await there(other, "bob", like="pusher", **few)
    none = World(world.clock)
    for full in ({"presence_members": 0}, {"features": {"presence": "none"}}):
        with pytest.raises(CapabilityError):
            await there(none, "ada", like="pusher", capabilities=full)


async def test_only_a_trusted_credential_enters_for_others(world: World) -> None:
    """Each of its users is a member of its own."""
    ada, eve = await there(world, "ada", trusted=True), await there(world, "eve", trusted=False)
    await ada.enter("support", Present("bob", "", {}))
    with pytest.raises(NotAllowed):
        await eve.enter("support", Present("bob", "", {}))
    assert await told(eve) == [("roster",), ("enter", "bob")]


async def test_supabase_counts_presence_calls(world: World) -> None:
    """Five in thirty seconds; the refusal says how long to wait."""
    ada = await there(world, "ada", like="supabase")
    for _ in range(5):
        await ada.enter("support", Present("ada", "", {}))
    with pytest.raises(RateLimited) as refused:
        await ada.enter("support", Present("ada", "", {}))
    assert refused.value.retry_after == pytest.approx(30, abs=1)
    await asyncio.sleep(31)
    await ada.enter("support", Present("ada", "", {}))


@pytest.mark.parametrize(
    ("like", "half_open", "seconds"),
    [("memory", False, 0), ("memory", True, HALF_OPEN), ("ably", False, 15), ("pusher", False, 75)],
)
async def test_ghosts_leave_late(world: World, like: str, half_open: bool, seconds: float) -> None:
    """A connection that ends without a word is noticed after the provider's time, never before."""
    ada, bob = await there(world, "ada", like=like), await there(world, "bob", like=like)
    if like != "pusher":
        await bob.enter("support", Present("bob", "", {}))
    await told(ada)
    world.network.cut("bob", half_open=half_open)
    if seconds:
        await asyncio.sleep(seconds - 1)
        assert await told(ada) == []
        await asyncio.sleep(2)
    assert await told(ada) == [("leave", "bob")]


async def test_a_client_that_comes_back_takes_its_ghosts_place(world: World) -> None:
    """It is no second device."""
    ada, adapter = await there(world, "ada", like="ably"), world.adapter("bob", like="ably")
    bob = await attached(adapter)
    await bob.attach("support", None, presence=True)
    await bob.enter("support", Present("bob", "", {}))
    world.network.cut("bob")
    world.network.heal("bob")
    bob = await attached(adapter)
    await bob.attach("support", None, presence=True)
    await bob.enter("support", Present("bob", "", {}))
    await asyncio.sleep(60)
    assert await told(ada) == [("roster",), ("enter", "bob"), ("update", "bob")]


async def test_without_a_listener_a_ghost_goes_at_the_next_look(world: World) -> None:
    """Nobody has to be told."""
    bob = await there(world, "bob", like="ably")
    await bob.enter("support", Present("bob", "", {}))
    world.network.cut("bob")
    await asyncio.sleep(20)
    assert await told(await there(world, "ada", like="ably")) == [("roster",)]
