"""The hub's log over its network: what it lets whom do, and what a link loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from chatkit.adapters.memory import Faults
from chatkit.errors import NotAllowed, RateLimited, TransportError
from chatkit.model.names import EVERYONE
from chatkit.model.order import OrderKey
from chatkit.model.registers import KIND, PINS, READ, ROLE, UNREAD, Register
from chatkit.ports.log import Log
from chatkit.testing.wishes import wish
from tests.adapters.world import World, attached, received


def log_of(world: World, user: str = "ada", *, trusted: bool = True, link: str = "") -> Log:
    log = world.adapter(user, trusted=trusted, link=link).log
    assert log is not None
    return log


def mark(user: str, name: str = READ, value: str = "x") -> Register:
    return Register("support", user, name, value, "newest", None)


async def stop(changes: AsyncIterator[str]) -> None:
    assert isinstance(changes, AsyncGenerator)
    await changes.aclose()


# -- who may do what


async def test_a_user_sets_their_own_registers_only(world: World) -> None:
    """Nobody reads for another, and nothing of a refused call is kept (D2, D25)."""
    log = log_of(world, trusted=False)
    await log.put([mark("ada")])

    with pytest.raises(NotAllowed, match="own"):
        await log.put([mark("ada", value="y"), mark("bob")])

    assert list(await log.registers("support", [READ])) == [mark("ada")]


async def test_a_channel_belongs_to_whoever_claims_it_first(world: World) -> None:
    """Where nobody else has written, and nobody ever had a role (D2)."""
    ada, bob = (log_of(world, user, trusted=False) for user in ("ada", "bob"))
    await log_of(world).append("sales", [wish(1, channel="sales")])
    with pytest.raises(NotAllowed, match="roles"):
        await ada.put([mark("ada", ROLE, "moderator")])
    await ada.put([mark("ada", ROLE, "owner")])

    for mine in (mark("bob", ROLE, "owner"), mark("bob", ROLE, "member"), mark("ada", ROLE, "")):
        with pytest.raises(NotAllowed, match="owner"):
            await bob.put([mine])
    with pytest.raises(NotAllowed, match="claimed"):
        await bob.put([mark("bob", ROLE, "owner")._replace(channel="sales")])
    await ada.put([mark("ada", ROLE, "owner")._replace(channel="sales")])


async def test_an_owner_gives_and_takes_roles(world: World) -> None:
    """Each row of a call sees those before it; what is no role is given to nobody (D2)."""
    ada, bob = (log_of(world, user, trusted=False) for user in ("ada", "bob"))
    roles = [mark("ada", ROLE, "owner"), mark("bob", ROLE, "moderator"), mark("eve", ROLE, "member")]
    await ada.put([*roles, mark(EVERYONE, KIND, "broadcast")])
    for wrong in (mark("eve", ROLE, "moderator"), mark("eve", ROLE, ""), mark(EVERYONE, KIND, "group")):
        with pytest.raises(NotAllowed, match="owner"):
            await bob.put([wrong])
    with pytest.raises(NotAllowed, match="role"):
        await ada.put([mark("eve", ROLE, "king")])
    with pytest.raises(NotAllowed, match="last owner"):
        await ada.put([mark("ada", ROLE, "")])

    await bob.put([mark("bob", ROLE, "")])
    await ada.put([mark("bob", ROLE, "owner"), mark("ada", ROLE, "")])

    found = await ada.registers("support", [ROLE])
    assert [(cell.user, cell.value) for cell in found] == [("ada", ""), ("bob", "owner"), ("eve", "member")]


async def test_moderators_pin_where_somebody_owns(world: World) -> None:
    """Else everyone does (D25); no other register of everyone is a member's to set."""
    ada, bob = (log_of(world, user, trusted=False) for user in ("ada", "bob"))
    await bob.put([mark(EVERYONE, PINS[0])])
    with pytest.raises(NotAllowed, match="own"):
        await bob.put([mark(EVERYONE, "topic")])
    await ada.put([mark("ada", ROLE, "owner"), mark("eve", ROLE, "moderator")])

    with pytest.raises(NotAllowed, match="pins"):
        await bob.put([mark(EVERYONE, PINS[1])])

    await log_of(world, "eve", trusted=False).put([mark(EVERYONE, PINS[1])])


async def test_private_marks_are_shown_to_their_owner_alone(world: World) -> None:
    """Public ones to everyone (D25)."""
    await log_of(world, "app").put([mark(user, name) for user in ("ada", "bob") for name in (READ, UNREAD)])

    seen = await log_of(world, trusted=False).registers("support", [READ, UNREAD])

    assert [(cell.name, cell.user) for cell in seen] == [(READ, "ada"), (READ, "bob"), (UNREAD, "ada")]
    assert len(await log_of(world, "app").registers("support", [READ, UNREAD])) == 4


async def test_a_user_counts_their_own_messages_only(world: World) -> None:
    """What another has read is theirs to know."""
    log = log_of(world, trusted=False)

    assert (await log.unread("ada", ["support"]))["support"].messages == 0
    with pytest.raises(NotAllowed, match="own"):
        await log.unread("bob", ["support"])


async def test_a_user_trims_nothing(world: World) -> None:
    """Retention is the app's (D26)."""
    with pytest.raises(NotAllowed, match="trims"):
        await log_of(world, trusted=False).trim("support", OrderKey(1, ""))


# -- what a link loses


async def test_a_put_that_was_not_answered_is_repeated_in_safety(world: World) -> None:
    """It may have been carried out: the same again changes nothing (D25)."""
    world.network.set_faults(Faults(lose_ack=1.0), "ada")
    log = log_of(world)
    with pytest.raises(TransportError):
        await log.put([mark("ada")])
    world.network.set_faults(Faults(), "ada")

    await log.put([mark("ada")])

    assert list(await log.registers("support", [READ])) == [mark("ada")]


async def test_writing_is_refused_apart_from_reading(world: World) -> None:
    """Registers and trims are calls of their own, which nothing else is answered for."""
    log = log_of(world)
    world.network.refuse("ada", RateLimited("slow"), calls={"write"})

    for call in (log.put([mark("ada")]), log.trim("support", OrderKey(1, ""))):
        with pytest.raises(RateLimited):
            await call
    assert list(await log.registers("support", [READ])) == []
    assert (await log.append("support", [wish(1)])).acks[0].outcome == "new"


async def test_a_cut_ends_what_is_listened_to(world: World) -> None:
    """The listener hears of it and calls again (D16)."""
    log = log_of(world)
    changes = log.changes()
    assert await anext(changes) == ""
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(1)

    world.network.cut("ada")

    with pytest.raises(TransportError):
        await waiting
    with pytest.raises(TransportError):
        await anext(log.changes())
    world.network.heal("ada")
    again = log.changes()
    assert await anext(again) == ""
    await stop(again)
    assert world.hub.log.core.listeners._told == {}


async def test_a_half_open_link_tells_nothing(world: World) -> None:
    """No news and no end: what a poll of heads is for (D16)."""
    changes = log_of(world).changes()
    assert await anext(changes) == ""
    world.network.cut("ada", half_open=True)
    await log_of(world, "bob").append("support", [wish(1)])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await anext(changes)


async def test_news_is_lost_as_frames_are(world: World) -> None:
    """A hint may be missed (D16)."""
    changes = log_of(world).changes()
    assert await anext(changes) == ""
    other = log_of(world, "bob")
    world.network.set_faults(Faults(drop=1.0), "ada")
    await other.append("lost", [wish(1, channel="lost")])
    world.network.set_faults(Faults(), "ada")
    await other.append("support", [wish(1)])

    assert await anext(changes) == "support"
    await stop(changes)


async def test_news_of_one_channel_waits_once(world: World) -> None:
    """However much is appended before anybody looks: a name says all (I10)."""
    changes = log_of(world).changes()
    assert await anext(changes) == ""
    other = log_of(world, "bob")
    for number in range(1, 10):
        await other.append("support", [wish(number)])
    await other.append("sales", [wish(10, channel="sales")])

    assert [await anext(changes), await anext(changes)] == ["support", "sales"]
    await stop(changes)


async def test_publishing_over_a_session_is_news_too(world: World) -> None:
    """Whatever way an entry came (D16)."""
    changes = log_of(world).changes()
    assert await anext(changes) == ""
    session = await attached(world.adapter("bob"), "support")
    await log_of(world, "bob").append("support", [wish(1)])

    assert await anext(changes) == "support"
    assert len(await received(session)) == 1
    await stop(changes)
