"""What a message was before: its versions, and deleted ones brought back (D2, D23, D24, D26)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.core.message import ERASED
from chatkit.ports import Register

if TYPE_CHECKING:
    from tests.api.kit import Stage


def told(versions: tuple[chatkit.Message, ...]) -> list[tuple[int, str, bool]]:
    """Return number, text and whether it is deleted, of each version."""
    return [(message.version, message.text, message.deleted) for message in versions]


async def test_each_version_is_told_as_it_was(stage: Stage) -> None:
    """Created, edited, deleted, brought back and edited again; a reaction makes no version (D24)."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        delivery = await support.send("first")
        await support.edit(delivery, "second")
        await support.react(delivery, "👍")
        await ada.outbox.flush(timeout=60)
        before = await support.versions(delivery)
        await support.delete(delivery)
        await support.undelete(delivery)
        await support.edit(delivery, "third")
        await ada.outbox.flush(timeout=60)
        after = await support.versions(delivery.message_id)

    assert told(before) == [(1, "first", False), (2, "second", False)]
    assert [message.edited for message in before] == [False, True]
    # A delete erases what was written before it, for good (D26).
    assert told(after) == [(1, "", False), (2, "", False), (3, "", True), (4, "", False), (5, "third", False)]
    assert {(message.sender.user, message.own) for message in after} == {("ada", True)}


@pytest.mark.parametrize("like", ["pusher", "ably"])
async def test_without_a_log_nobody_tells_versions(stage: Stage, like: str) -> None:
    """Raw history alone cannot, either; both say so."""
    async with stage.chat("ada", config={"like": like}) as ada:
        delivery = await ada.channel("support").send("one")
        with pytest.raises(chatkit.CapabilityError):
            await ada.channel("support").versions(delivery)


async def test_versions_are_the_log_s_to_tell(stage: Stage) -> None:
    """What it cannot be asked for, or does not have, is an error that says so."""
    stage.hub.network.cut("cleo")
    async with stage.chat("cleo", drain=0) as cleo:
        queued = await cleo.channel("support").send("still here")
        with pytest.raises(chatkit.TransportError):
            await cleo.channel("support").versions(queued)
        stage.hub.network.heal("cleo")
    async with stage.chat("dora") as dora:
        with pytest.raises(chatkit.MessageNotFound):
            await dora.channel("support").versions("01935820-0000-7000-8000-000000000000")


async def test_middleware_sees_each_version(stage: Stage) -> None:
    """What it hides of one message is not told, and a message that it hides whole is not there (I13)."""

    class Prudish:
        async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
            return draft

        async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
            rude = isinstance(event, chatkit.MessageEvent) and "damn" in event.message.text
            return None if rude else event

    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        changed = await ada.channel("support").send("damn")
        hidden = await ada.channel("support").send("damn it all")
        await ada.channel("support").edit(changed, "dear me")
        await ada.outbox.flush(timeout=60)
        bob.use(Prudish())

        versions = await bob.channel("support").versions(changed.message_id)
        with pytest.raises(chatkit.MessageNotFound):
            await bob.channel("support").versions(hidden.message_id)

    assert told(versions) == [(2, "dear me", False)]
    assert not versions[0].own


@pytest.mark.parametrize("offline", [True, False])
async def test_a_deleted_message_is_brought_back(stage: Stage, offline: bool) -> None:
    """Shown at once and offline too, for everyone when it is sent; its erased text is not (D23, D26)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        support, theirs = ada.channel("support"), bob.channel("support")
        events = theirs.events(chatkit.MessageUpdated)
        await asyncio.gather(support.attach(timeout=10), theirs.attach(timeout=10))
        delivery = await support.send("sorry")
        await support.delete(delivery)
        await ada.outbox.flush(timeout=60)
        assert [m.deleted for m in support.timeline.view.messages] == [True]
        if offline:
            stage.hub.network.cut("ada")
            await asyncio.sleep(1)

        await support.undelete(delivery)

        assert [(m.deleted, m.text) for m in support.timeline.view.messages] == [(False, "")]
        stage.hub.network.heal("ada")
        event = await events.next(timeout=60)
        assert (event.message.deleted, event.message.body) == (False, ERASED)
        assert [m.deleted for m in theirs.timeline.view.messages] == [False]


async def test_bringing_back_is_for_authors_and_moderators(stage: Stage) -> None:
    """As deleting is: a log knows moderators, without one only the author may (D2)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        delivery = await ada.channel("support").send("mine")
        await delivery.wait(timeout=10)
        await ada.channel("support").delete(delivery)
        await ada.outbox.flush(timeout=60)
        with pytest.raises(chatkit.NotAllowed):
            await bob.channel("support").undelete(delivery.message_id)
        stage.hub.log.core.put([Register("support", "bob", "role", "moderator", "newest", None)])
        await asyncio.sleep(3)
        allowed = await bob.channel("support").undelete(delivery.message_id)
        assert not (await allowed.wait(timeout=60)).deleted


async def test_without_a_log_only_its_author_brings_a_message_back(stage: Stage) -> None:
    """Nobody is there who would know moderators (D2)."""
    config: dict[str, Any] = {"like": "pusher"}
    async with stage.chat("ada", config=config) as ada, stage.chat("bob", config=config) as bob:
        events = bob.channel("support").events(chatkit.MessageCreated)
        await bob.channel("support").attach(timeout=10)
        await ada.channel("support").send("mine")
        message = (await events.next(timeout=10)).message
        with pytest.raises(chatkit.NotAllowed):
            await bob.channel("support").undelete(message)


@pytest.mark.parametrize("offline", [True, False])
async def test_what_a_message_says_is_forwarded_with_whose_it_was(stage: Stage, offline: bool) -> None:
    """A new message of the one who forwards, in whichever channel, kept as any other (I1)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        card = chatkit.Card(title="Order 17", fields={"state": "lost"})
        sent = await (await ada.channel("support").send(card, meta={"trace": "t1"})).wait(timeout=10)
        message = await bob.channel("support").get(sent.message_id)
        if offline:
            stage.hub.network.cut("bob")
            await asyncio.sleep(1)

        delivery = await bob.channel("escalation").forward(message, key="forward-17")
        again = await bob.channel("escalation").forward(message, key="forward-17")
        stage.hub.network.heal("bob")
        found = await delivery.wait(timeout=60)

        assert again is delivery
        assert (found.channel, found.sender.user, found.body) == ("escalation", "bob", card)
        assert found.message_id != message.message_id
        assert dict(found.meta) == {
            "forwarded.user": "ada",
            "forwarded.channel": "support",
            "forwarded.id": message.message_id,
        }


async def test_what_is_forwarded_again_names_where_it_came_from(stage: Stage) -> None:
    """Not the one who forwarded it before."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        sent = await (await ada.channel("support").send("look")).wait(timeout=10)
        first = await bob.channel("hall").forward(await bob.channel("support").get(sent.message_id))
        await first.wait(timeout=10)
        second = await ada.channel("attic").forward(await ada.channel("hall").get(first.message_id))
        found = await second.wait(timeout=10)

    assert found.meta["forwarded.user"] == "ada"
    assert (found.meta["forwarded.channel"], found.meta["forwarded.id"]) == ("support", sent.message_id)


async def test_a_message_is_forwarded_by_its_delivery_or_its_id(stage: Stage) -> None:
    """By its id within its own channel."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        first = await support.send("one")
        await first.wait(timeout=10)
        await (await support.forward(first.message_id)).wait(timeout=10)
        await (await ada.channel("hall").forward(first)).wait(timeout=10)
        with pytest.raises(chatkit.MessageNotFound):
            await ada.channel("hall").forward(first.message_id)
        assert (stage.texts("support"), stage.texts("hall")) == (["one", "one"], ["one"])


async def test_what_was_deleted_or_is_not_known_is_not_forwarded(stage: Stage) -> None:
    """There is nothing to send, and it is said which message (I16)."""
    async with stage.chat("ada") as ada:
        delivery = await ada.channel("support").send("gone")
        await ada.channel("support").delete(delivery)
        await ada.outbox.flush(timeout=60)
        with pytest.raises(chatkit.InvalidMessage, match="'deleted'") as refused:
            await ada.channel("hall").forward(delivery)
        assert refused.value.message_id == delivery.message_id
        assert ada.outbox.depth == 0
