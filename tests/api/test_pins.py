"""Pins: what is kept in sight for everybody, as registers of the channel (D25)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.model.registers import PINS, ROLE, Register

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage

LOGGED = ("memory", "supabase")
PROFILES = ("memory", "supabase", "ably", "pusher")


def like(profile: str, **fields: Any) -> dict[str, Any]:
    """Return options of a client of one profile."""
    return {"config": {"like": profile, **fields}}


async def say(chat: chatkit.Chat, *texts: str) -> list[chatkit.Message]:
    """Send messages, and return them as sent."""
    return [await (await chat.channel("room").send(text)).wait(timeout=30) for text in texts]


async def done(change: chatkit.Change) -> None:
    """Wait until the log has a change."""
    await change.wait(timeout=60)


async def shown(chat: chatkit.Chat) -> list[str | None]:
    """Return the texts of what is pinned."""
    pins = await chat.channel("room").pins()
    return [None if pin.message is None else pin.message.text for pin in pins]


@pytest.mark.parametrize("profile", PROFILES)
async def test_everyone_sees_what_is_pinned(stage: Stage, profile: str, tmp_path: Path) -> None:
    """Newest first, told as events, with a log of one's own beside any provider (D25)."""
    options = like(profile) | ({} if profile in LOGGED else {"log": f"sqlite:///{tmp_path / 'log.db'}"})
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        theirs = bob.channel("room")
        changes = theirs.events(chatkit.PinChanged)
        await ada.channel("room").attach(timeout=10)
        await theirs.attach(timeout=10)
        await asyncio.sleep(1)
        one, two = await say(ada, "one", "two")
        await done(await ada.channel("room").pin(one))
        await asyncio.sleep(1)
        await done(await theirs.pin(two.message_id))
        await done(await theirs.pin(one))  # is pinned already
        first, second = await changes.next(timeout=10), await changes.next(timeout=10)
        assert (first.message_id, first.user, first.added, first.own) == (one.message_id, "ada", True, False)
        assert (second.message_id, second.user, second.added, second.own) == (
            two.message_id,
            "bob",
            True,
            True,
        )
        await asyncio.sleep(5)
        for chat in (ada, bob):
            assert await shown(chat) == ["two", "one"]
        pin = (await theirs.pins())[1]
        assert (pin.message_id, pin.author, pin.by) == (one.message_id, "ada", "ada")
        await done(await theirs.unpin(one))
        gone = await changes.next(timeout=10)
        assert (gone.message_id, gone.user, gone.added) == (one.message_id, "ada", False)
        await asyncio.sleep(5)
        assert await shown(ada) == await shown(bob) == ["two"]
        await done(await theirs.unpin(one))  # is not pinned


@pytest.mark.parametrize("profile", ["ably", "pusher"])
async def test_nobody_pins_where_no_log_keeps_it(stage: Stage, profile: str) -> None:
    """`CapabilityError` says what to do; nothing is queued."""
    async with stage.chat("ada", **like(profile)) as ada:
        await ada.channel("room").attach(timeout=5)
        (message,) = await say(ada, "one")
        for refused in (ada.channel("room").pin(message), ada.channel("room").pins()):
            with pytest.raises(chatkit.CapabilityError, match="log"):
                await refused


@pytest.mark.parametrize("profile", LOGGED)
async def test_pins_are_wished_offline_and_survive(stage: Stage, profile: str, tmp_path: Path) -> None:
    """They show at once, survive a restart and come into the log when it can be reached (D25)."""
    store: dict[str, Any] = {"store": str(tmp_path / "ada.db")}
    async with stage.chat("ada", **like(profile), **store) as ada:
        await ada.channel("room").attach(timeout=5)
        one, two = await say(ada, "one", "two")
        await done(await ada.channel("room").pin(one))
        await asyncio.sleep(3)
    stage.hub.network.cut("ada")
    async with stage.chat("ada", **like(profile), **store, drain=0) as ada:
        room = ada.channel("room")
        assert await shown(ada) == ["one"]
        change = await room.pin(two.message_id)
        await room.unpin(one)
        assert await shown(ada) == ["two"]
        assert change.status == "queued"
    stage.hub.network.heal("ada")
    async with stage.chat("ada", **like(profile), **store) as ada, stage.chat("bob", **like(profile)) as bob:
        assert await shown(ada) == ["two"]
        await asyncio.sleep(5)
        assert await shown(bob) == ["two"]
    async with stage.chat("ada", **like(profile), **store) as ada:  # what came true is not wished again
        await done(await ada.channel("room").unpin(two.message_id))
    async with stage.chat("ada", **like(profile), **store) as ada:
        assert await shown(ada) == []
        await asyncio.sleep(5)
        assert await shown(ada) == []


async def test_moderators_pin_where_somebody_owns(stage: Stage) -> None:
    """Elsewhere everyone does; what the log refuses is as before (I8)."""
    options = like("memory", trusted=False)
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        await bob.channel("room").attach(timeout=5)
        await done(await ada.channel("room").grant("ada", "owner"))
        (one,) = await say(ada, "one")
        await asyncio.sleep(5)
        with pytest.raises(chatkit.NotAllowed, match="moderator") as refused:
            await bob.channel("room").pin(one)
        assert refused.value.message_id == one.message_id
        await done(await ada.channel("room").grant("bob", "moderator"))
        await asyncio.sleep(3)
        await done(await bob.channel("room").pin(one))
        stage.hub.network.cut("bob")
        await asyncio.sleep(1)
        await done(await ada.channel("room").revoke("bob"))
        change = await bob.channel("room").unpin(one)
        assert await shown(bob) == []
        stage.hub.network.heal("bob")
        with pytest.raises(chatkit.NotAllowed):
            await change.wait(timeout=60)
        assert await shown(bob) == ["one"]


async def test_the_app_says_who_pins_until_the_log_does(stage: Stage) -> None:
    """Owners named by the app own the pins, too."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        (one,) = await say(bob, "one")
        with pytest.raises(chatkit.NotAllowed):
            await bob.channel("hall", owners=["ada"]).pin(await hall(bob))
        await done(await ada.channel("hall", owners=["ada"]).pin(await hall(ada)))
        await done(await bob.channel("room").pin(one))


async def hall(chat: chatkit.Chat) -> str:
    """Send a message to the hall, and return its id."""
    return (await (await chat.channel("hall", owners=["ada"]).send("hi")).wait(timeout=10)).message_id


async def test_fifty_messages_are_pinned_at_most(stage: Stage) -> None:
    """I10: one more is refused, by the client that knows and by the log's places."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        room = ada.channel("room")
        messages = await say(ada, *(f"m{n}" for n in range(52)))
        theirs = bob.channel("room")
        late = await bob.channel("room").get(messages[51].message_id)
        await theirs.pins()
        stage.hub.network.cut("bob")
        await asyncio.sleep(1)
        for change in [await room.pin(message) for message in messages[:50]]:
            await done(change)
        assert len(await room.pins()) == 50
        with pytest.raises(chatkit.StateError, match="50 messages"):
            await room.pin(messages[50])
        await done(await room.pin(messages[3]))
        await done(await room.unpin(messages[3]))
        await done(await room.pin(messages[50]))
        assert (await room.pins())[0].message is not None
        assert len(stage.hub.log.core.registers("room", PINS)) == 50
        too_late = await theirs.pin(late)
        stage.hub.network.heal("bob")
        with pytest.raises(chatkit.StateError, match="50 messages"):
            await too_late.wait(timeout=60)


async def test_whoever_pins_at_the_same_moment_finds_another_place(stage: Stage) -> None:
    """Two clients that see the same free places lose neither message (I1)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        messages = await say(ada, *(f"m{n}" for n in range(20)))
        await ada.channel("room").pins()
        await bob.channel("room").pins()
        mine = [await ada.channel("room").pin(message) for message in messages[:10]]
        theirs = [await bob.channel("room").pin(message.message_id) for message in messages[10:]]
        for change in (*mine, *theirs):
            await done(change)
        await asyncio.sleep(31)
        assert len(await shown(ada)) == len(await shown(bob)) == 20


async def test_deleted_and_hidden_messages_are_not_shown(stage: Stage) -> None:
    """A pin of a deleted message stays in its place, and shows again when the message does."""

    class Hide:
        async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
            return draft

        async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
            hidden = isinstance(event, chatkit.MessageEvent) and event.message.text == "two"
            return None if hidden else event

    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        bob.use(Hide())
        room = ada.channel("room")
        for message in await say(ada, "one", "two", "three"):
            await done(await room.pin(message))
        assert await shown(bob) == ["three", "one"]
        deleted = (await room.pins())[0].message_id
        await (await room.delete(deleted)).wait(timeout=10)
        assert await shown(ada) == ["two", "one"]
        assert await shown(bob) == ["one"]
        await (await room.undelete(deleted)).wait(timeout=10)
        assert len(await shown(ada)) == 3


async def test_what_cannot_be_read_is_named(stage: Stage, tmp_path: Path) -> None:
    """Offline a pinned message that was never loaded has no text, and is there."""
    store: dict[str, Any] = {"store": str(tmp_path / "bob.db")}
    async with stage.chat("ada") as ada, stage.chat("bob", **store) as bob:
        (one,) = await say(ada, "one")
        await done(await ada.channel("room").pin(one))
        assert await shown(bob) == ["one"]
        stage.hub.network.cut("bob")
        (pin,) = await bob.channel("room").pins()
        assert (pin.message_id, pin.message) == (one.message_id, None)


async def test_another_log_takes_the_pins_with_it(stage: Stage, tmp_path: Path) -> None:
    """D18: what a former log said of the channel counts for nothing on the next."""
    store: dict[str, Any] = {"store": str(tmp_path / "ada.db")}
    logs = [f"sqlite:///{tmp_path / name}" for name in ("one.db", "two.db")]
    async with stage.chat("ada", **store, log=logs[0]) as ada:
        await ada.channel("room").attach(timeout=5)
        (one,) = await say(ada, "one")
        await done(await ada.channel("room").pin(one))
        await done(await ada.channel("room").grant("ada", "owner"))
        await asyncio.sleep(3)
    async with stage.chat("ada", **store, log=logs[1]) as ada:
        await ada.channel("room").attach(timeout=5)
        await asyncio.sleep(3)
        assert await shown(ada) == []
        assert await ada.channel("room").roles() == {}
    async with stage.chat("ada", **store, log=logs[0]) as ada:
        assert await ada.channel("room").roles() == {"ada": "owner"}


async def test_a_role_of_long_ago_wins_over_none(stage: Stage) -> None:
    """A register set by a clock far ahead can be set again: of equal places the later call stands (D25)."""
    from chatkit.model.order import OrderKey

    far = OrderKey(1, "ffffffffffff-0000")
    stage.hub.log.core.put([Register("room", "ada", ROLE, "owner", "newest", far)])
    stage.hub.log.core.put([Register("room", "bob", ROLE, "owner", "newest", far)])
    async with stage.chat("ada") as ada:
        await done(await ada.channel("room").revoke("bob"))
        assert await ada.channel("room").roles() == {"ada": "owner"}


async def test_too_many_wishes_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """I10: what waits for the log is bounded."""
    monkeypatch.setattr("chatkit.engine.registers.WISHES", 2)
    stage.hub.network.cut("ada")
    async with stage.chat("ada", drain=0) as ada:
        await ada.channel("room").grant("ada", "owner")
        await ada.channel("room").grant("bob", "member")
        with pytest.raises(chatkit.OutboxFull) as full:
            await ada.channel("room").grant("eve", "member")
        assert full.value.channel == "room"
