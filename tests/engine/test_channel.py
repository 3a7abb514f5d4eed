"""A channel is attached while it is wanted, whatever becomes of link, provider and wish (D12, D32)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.core.attachment import State
from chatkit.engine.attaching import ATTACH_TIMEOUT
from chatkit.errors import (
    AuthenticationError,
    NotAllowed,
    ProviderError,
    RateLimited,
    StateError,
    TransportError,
)
from chatkit.model.order import Ident, OrderKey
from chatkit.ports import Attachment, Lost, SessionClosed
from tests.engine.kit import (
    C,
    Down,
    Stage,
    engine,
    later,
    odd_log,
    ready,
    shown,
    taken,
    texts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock

GAPS = (chatkit.MessageCreated, chatkit.Discontinuity)


def states(events: list[Any]) -> list[str]:
    return [event.state for event in events if isinstance(event, chatkit.ChannelChanged)]


class OddSession:
    """Changes what a live session does when it is asked."""

    def __init__(self, session: Any) -> None:
        self.calls: list[str] = []
        self.attaching: list[Any] = []
        """What the next attaches do: raise, wait for ever (`None`) or for an event, or come through."""
        attach, detach = session.attach, session.detach

        async def attaching(channel: str, after: Any, *, presence: bool) -> Attachment:
            self.calls.append("attach")
            todo = self.attaching.pop(0) if self.attaching else True
            if todo is None:
                await asyncio.Event().wait()
            if isinstance(todo, asyncio.Event):
                await todo.wait()
            if isinstance(todo, Exception):
                raise todo
            found: Attachment = await attach(channel, after, presence=presence)
            return found

        async def detaching(channel: str) -> None:
            self.calls.append("detach")
            await detach(channel)

        async def reauthenticating() -> None:
            self.calls.append("reauthenticate")

        session.attach, session.detach, session.reauthenticate = attaching, detaching, reauthenticating


def live(chat: chatkit.Chat) -> Any:
    return chat._shared.engine.link.live


async def connected(chat: chatkit.Chat) -> None:
    while live(chat) is None:  # virtual time
        await asyncio.sleep(0.01)


async def odd_session(chat: chatkit.Chat) -> OddSession:
    """Return what changes a client's session, once it has one."""
    await connected(chat)
    return OddSession(live(chat))


# -- attaching ------------------------------------------------------------------------------------------


async def test_a_wish_waits_for_the_link_and_is_granted_again_after_each_loss(stage: Stage) -> None:
    """Wanted once, a channel is attached on every connection that follows."""
    stage.cut("ada")
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.ChannelChanged)
        await asyncio.sleep(10)
        assert ada.channel(C).state == "attaching"
        stage.heal("ada")
        assert states(await later(stream, 60)) == ["attached"]
        stage.cut("ada")
        stage.heal("ada")

        assert states(await later(stream, 60)) == ["attaching", "attached"]


async def test_a_channel_without_a_connection_for_long_is_suspended(stage: Stage) -> None:
    """It is still wanted, and attached once there is a connection again."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.ChannelChanged)
        await ready(ada)
        stage.cut("ada")
        await asyncio.sleep(150)
        assert ada.channel(C).state == "suspended"
        assert ada.channel(C).timeline.view.state == "stale"
        stage.heal("ada")

        heard = states(await later(stream, 60))
        assert heard == ["attached", "attaching", "suspended", "attaching", "attached"]


async def test_a_refusal_for_good_is_raised_and_ends_the_streams(stage: Stage) -> None:
    """Who waits and who reads hears why, at once; a handler stays for a later attach (law 2)."""
    stage.hub.network.refuse("ada", NotAllowed("not you"), calls={"attach"}, count=1)
    async with stage.chat("ada") as ada:
        channel = ada.channel(C)
        heard: list[str] = []

        @channel.on(chatkit.MessageCreated)
        async def hear(event: chatkit.MessageCreated) -> None:
            heard.append(event.message.text)

        stream = channel.events(chatkit.MessageCreated)
        wide = ada.events(chatkit.MessageCreated)
        with pytest.raises(NotAllowed) as refused:
            await channel.attach(timeout=5)
        with pytest.raises(NotAllowed):
            await stream.next(timeout=5)
        assert refused.value.channel == C
        assert (channel.state, channel.error, channel.timeline.view.state) == (
            "failed",
            refused.value,
            "failed",
        )
        await channel.attach(timeout=5)
        assert channel.error is None
        stage.peer("cleo").say("one")
        await asyncio.sleep(1)

        assert heard == ["one"]
        assert texts(await taken(wide)) == ["one"]


async def test_a_refused_channel_is_not_tried_again_by_a_reconnect(stage: Stage) -> None:
    """Only wanting it anew tries again."""
    stage.hub.network.refuse("ada", NotAllowed("not you"), calls={"attach"})
    async with stage.chat("ada") as ada:
        with pytest.raises(NotAllowed):
            await ada.channel(C).attach(timeout=5)
        stage.hub.network.refuse("ada", None)
        stage.cut("ada")
        stage.heal("ada")
        await asyncio.sleep(60)

        assert ada.channel(C).state == "failed"


async def test_an_attach_that_passes_is_tried_again(stage: Stage) -> None:
    """What repeating can help is repeated with a growing wait; a pause that is asked for is kept (D12)."""
    async with stage.chat("ada") as ada:
        session = await odd_session(ada)
        session.attaching = [Down("busy"), Down("busy"), RateLimited("slow down", retry_after=30.0)]
        stream = ada.channel(C).events(chatkit.ChannelChanged)
        found = states(await later(stream, 20))
        assert found[-1] == "suspended"
        assert len(session.calls) == 3
        assert isinstance(ada.channel(C).error, RateLimited)

        assert states(await later(stream, 31))[-1] == "attached"
        assert session.calls.count("attach") == 4


async def test_an_attach_that_hangs_is_given_up_and_its_answer_counts_all_the_same(stage: Stage) -> None:
    """After the time-out another one is made (I11)."""
    async with stage.chat("ada") as ada:
        session = await odd_session(ada)
        session.attaching = [None]
        with pytest.raises(chatkit.WaitTimeout):
            await ada.channel(C).attach(timeout=5)
        await asyncio.sleep(ATTACH_TIMEOUT)

        await ada.channel(C).attach(timeout=10)
        assert session.calls == ["attach", "attach"]


async def test_an_expired_credential_is_refreshed_once(stage: Stage) -> None:
    """A first refusal fetches a fresh one and tries again, a second one is final (D12)."""
    async with stage.chat("ada") as ada:
        session = await odd_session(ada)
        session.attaching = [AuthenticationError("expired")]
        await ada.channel(C).attach(timeout=5)
        assert session.calls == ["attach", "reauthenticate", "attach"]
        session.attaching = [AuthenticationError("expired"), AuthenticationError("still")]
        stage.hub.inject(C, Lost(C, AuthenticationError("expired"), "reauthenticate", None))
        await asyncio.sleep(0.1)
        with pytest.raises(AuthenticationError):
            await ada.channel(C).attach(timeout=5)

        assert session.calls[3:] == ["reauthenticate", "attach"]


async def test_whatever_an_adapter_raises_the_channel_goes_on_trying(stage: Stage) -> None:
    """An exception that is not ours is an attempt that failed (I13)."""
    async with stage.chat("ada") as ada:
        (await odd_session(ada)).attaching = [ZeroDivisionError(), SessionClosed("dead", again="now")]
        with pytest.raises(chatkit.WaitTimeout):
            await ada.channel(C).attach(timeout=5)  # a dead session waits for the next one
        stage.cut("ada")
        stage.heal("ada")

        await ada.channel(C).attach(timeout=20)


async def test_an_answer_of_a_session_that_is_gone_means_nothing(stage: Stage) -> None:
    """An attach that ends, well or not, after its session was replaced is not this one's (D17)."""
    answer = Attachment(C, resumed=False, start=OrderKey(1, ""), may_publish=True)
    for late in (answer, TransportError("too late")):
        async with stage.chat("ada") as ada:
            await connected(ada)
            gate = asyncio.Event()

            async def attach(*_: Any, late: Any = late, gate: asyncio.Event = gate, **__: Any) -> Any:
                await gate.wait()
                if isinstance(late, Exception):
                    raise late
                return late

            live(ada).attach = attach
            ada.channel(C).events()
            await asyncio.sleep(1)
            stage.cut("ada")
            stage.heal("ada")
            await connected(ada)
            gate.set()

            await ada.channel(C).attach(timeout=20)
            assert ada.channel(C).error is None


# -- being lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("again", "after"), [("later", None), ("now", None), ("later", 25.0)])
async def test_a_channel_that_the_provider_closed_is_attached_again(
    stage: Stage, again: Any, after: float | None
) -> None:
    """Soon or later as it asks, and what was missed is read (D12, D17)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(*GAPS, chatkit.ChannelChanged)
        await ready(ada)
        await taken(stream)
        stage.hub.inject(C, Lost(C, Down("closed"), again, after))
        await asyncio.sleep(0.01)
        assert ada.channel(C).state == "suspended"
        assert ada.channel(C).timeline.view.state == "stale"
        with stage.lost():
            stage.peer("cleo").say("missed")
        if after is not None:
            assert await later(stream, after - 1) != []
            assert ada.channel(C).state == "suspended"
        elif again == "now":
            await asyncio.sleep(0.25)
            assert ada.channel(C).state == "attached"
        await asyncio.sleep(5)

        assert ada.channel(C).state == "attached"
        assert ada.channel(C).timeline.view.state == "live"
        assert shown(ada) == ["missed"]


async def test_a_channel_that_is_closed_at_once_each_time_is_tried_ever_less_often(stage: Stage) -> None:
    """A backoff starts anew only after an attachment has proved itself (D12)."""
    async with stage.chat("ada") as ada:
        session = await odd_session(ada)
        stream = ada.channel(C).events(chatkit.ChannelChanged)
        for _ in range(3_000):
            if ada.channel(C).state == "attached":
                stage.hub.inject(C, Lost(C, Down("again"), "now", None))
            await asyncio.sleep(0.1)
        assert len(session.calls) < 60
        await asyncio.sleep(60)
        assert ada.channel(C).state == "attached"
        stage.hub.inject(C, Lost(C, Down("once"), "now", None))
        await later(stream, 0.3)

        assert ada.channel(C).state == "attached"


async def test_a_loss_of_a_channel_that_is_not_attached_means_nothing(stage: Stage) -> None:
    """What the provider says late changes no wish."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        await ada.channel(C).detach()
        engine(ada).signal(Lost(C, Down("closed"), "later", None))

        assert (ada.channel(C).state, ada.channel(C).error) == ("detached", None)


# -- detaching ------------------------------------------------------------------------------------------


async def test_a_detached_channel_hears_nothing_until_it_is_attached_again(stage: Stage) -> None:
    """Then what was missed is read (D17); the provider is told when a channel is not wanted."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        session = await odd_session(ada)
        await ada.channel(C).detach()
        await ada.channel(C).detach()
        stage.peer("cleo").say("missed")
        assert await later(stream, 60) == []
        assert session.calls == ["detach"]
        await ada.channel(C).attach(timeout=5)

        assert texts(await later(stream, 5)) == ["missed"]


async def test_an_attach_that_ends_after_the_detach_is_undone(stage: Stage) -> None:
    """What nobody wants is not received, however late the answer comes."""
    async with stage.chat("ada") as ada:
        session = await odd_session(ada)
        gate = asyncio.Event()
        session.attaching = [gate]
        ada.channel(C).events()
        await asyncio.sleep(0.1)
        detached = asyncio.ensure_future(ada.channel(C).detach())
        await asyncio.sleep(0.1)
        gate.set()
        await detached
        await asyncio.sleep(1)

        assert session.calls == ["attach", "detach", "detach"]
        assert ada.channel(C).state == "detached"
        assert C not in stage.hub._channels


async def test_a_wish_that_returns_at_once_is_granted(stage: Stage) -> None:
    """An attach waits for the detach before it, which would undo it."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        channel = ada.channel(C)
        detached = asyncio.ensure_future(channel.detach())
        await asyncio.sleep(0)
        await channel.attach(timeout=5)
        await detached
        stream = channel.events(chatkit.MessageCreated)
        stage.peer("cleo").say("one")

        assert texts(await later(stream, 1)) == ["one"]


async def test_a_detach_that_fails_or_has_nobody_to_tell_is_one(stage: Stage) -> None:
    """The provider cannot keep a channel wanted."""
    async with stage.chat("ada") as ada:
        await ready(ada)

        async def fail(_: str) -> None:
            raise ZeroDivisionError

        live(ada).detach = fail
        await ada.channel(C).detach()
        assert ada.channel(C).state == "detached"
        stage.cut("ada")
        await asyncio.sleep(1)
        ada.channel("other").events()
        await ada.channel("other").detach()

        assert ada.channel("other").state == "detached"


# -- ending ---------------------------------------------------------------------------------------------


async def test_closing_ends_who_waits_for_an_attach(stage: Stage) -> None:
    """A client that is closed attaches nothing any more (I12)."""
    stage.cut("ada")
    ada = await stage.chat("ada")
    waiting = asyncio.ensure_future(ada.channel(C).attach())
    await asyncio.sleep(1)
    await ada.aclose()

    with pytest.raises(StateError):
        await waiting


async def test_closing_leaves_no_timer(stage: Stage) -> None:
    """Neither a channel that waits to be attached again nor one with work to do goes on (I12)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.hub.inject(C, Lost(C, Down("closed"), "later", 100.0))
        stage.peer("cleo").say("one")
    loop: Any = asyncio.get_running_loop()

    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
    assert engine(ada).state in State


# -- my own messages ------------------------------------------------------------------------------------


async def test_my_message_is_shown_as_sent_though_the_channel_is_not_received(stage: Stage) -> None:
    """What is proven is folded, whether anybody listens or not (D23)."""
    stage.hub.network.refuse("ada", Down("not yet"), calls={"attach"})
    async with stage.chat("ada") as ada:
        watched = ada.channel(C).timeline.watch()
        delivery = await ada.channel(C).send("mine")
        await delivery.wait(timeout=5)
        await asyncio.sleep(25)
        message = (await watched.next(timeout=1)).messages[0]

        assert (message.text, message.status, message.serial is not None) == ("mine", "sent", True)


async def test_while_live_messages_wait_my_own_are_shown_as_sent(stage: Stage) -> None:
    """A backfill that takes its time holds up what others wrote, not the word on what I did (D19, D23)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        stage.cut("ada")
        stage.peer("cleo").say("missed")
        await asyncio.sleep(1)
        gate = log.gate = asyncio.Event()
        stage.heal("ada")
        await ada.channel(C).attach(timeout=20)
        delivery = await ada.channel(C).send("mine")
        await delivery.wait(timeout=5)
        await asyncio.sleep(1)
        assert [(m.text, m.status) for m in ada.channel(C).timeline.view.messages] == [("mine", "sent")]
        assert await taken(stream) == []
        log.gate = None
        gate.set()

        assert texts(await later(stream, 5)) == ["missed", "mine"]
        assert shown(ada) == ["missed", "mine"]


async def test_an_echo_before_its_answer_leaves_no_wish_behind(stage: Stage) -> None:
    """A pending edit whose answer is lost is dropped by its echo and hides no newer edit (D6, D23)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        delivery = await ada.channel(C).send("one")
        message = await delivery.wait(timeout=5)
        stage.hub.network.lose_ack("ada")
        await ada.channel(C).edit(message, "two")
        await asyncio.sleep(1)
        assert len(engine(ada).overlay) == 0
        elsewhere = stage.peer("ada")
        elsewhere.edit(message.ident, "three")
        await asyncio.sleep(1)

        assert shown(ada) == ["three"]


async def test_a_message_without_a_place_waits_for_its_frame(clock: VirtualClock) -> None:
    """Acknowledged, but nobody can say where: it shows as sent until its frame says it (D30)."""
    stage = Stage(clock, like="ably")
    async with stage.chat("ada") as ada:
        await ready(ada)
        hub: Any = stage.hub
        accept = hub._accept
        hub._accept = lambda *args: accept(*args)._replace(key=None)
        with stage.captured() as frames:
            delivery = await ada.channel(C).send("mine")
            await asyncio.sleep(1)
        before = ada.channel(C).timeline.view.messages[0]
        stage.deliver(*frames)
        await asyncio.sleep(1)
        (after,) = ada.channel(C).timeline.view.messages

        assert delivery.status == "sent"
        assert (before.status, before.serial) == ("sent", None)
        assert (after.status, after.serial is not None) == ("sent", True)
        assert len(engine(ada).overlay) == 0
        hub._accept = lambda *args: accept(*args)._replace(key=None)
        await ada.channel(C).send("echoed first")
        await asyncio.sleep(1)
        assert len(engine(ada).overlay) == 0


async def test_a_word_about_a_message_that_came_back_already_leaves_no_wish(stage: Stage) -> None:
    """An answer without a place after the echo, or to a repeat, drops the pending wish (D1, D23)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        elsewhere = stage.peer("ada")
        one = elsewhere.envelope(text="one")
        elsewhere.publish(one)
        await asyncio.sleep(1)
        channel = engine(ada)
        ident = Ident("ada", one.id)
        channel.overlay.add("entry", ident, ident, one.encode())
        channel.confirm("entry", ident, None)

        assert len(channel.overlay) == 0


async def test_a_change_that_was_looked_up_shows_until_its_place_is_read(stage: Stage) -> None:
    """Its frame does not come again, and left standing it would hide newer changes (D10, D23)."""
    peer = stage.peer("ada")
    (target,) = peer.say("one")
    edit = peer.envelope("message.update", "two", ref={"id": target.id, "user": target.user})
    peer.publish(edit)
    async with stage.chat("ada") as ada:
        await ready(ada)
        channel, ident = engine(ada), Ident("ada", edit.id)
        read = channel.progress.complete
        assert read is not None
        for name in ("read", "beyond"):
            channel.overlay.add(name, ident, target, edit.encode())

        channel.confirm("read", ident, read)
        channel.confirm("beyond", ident, OrderKey(1, "~"))

        assert [wish.entry_id for wish in channel.overlay.of(target)] == ["beyond"]


async def test_a_pending_edit_outlives_the_word_on_its_message(stage: Stage) -> None:
    """Each wish is dropped by its own word (D23)."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        stage.cut("ada")
        delivery = await ada.channel(C).send("one")
        await ada.channel(C).edit(delivery, "two")
        ident = delivery.message.ident
        sent = stage.peer("ada", "elsewhere")
        with stage.lost():
            sent.publish(sent.envelope(text="one", id=ident.id))
        stage.hub.network.refuse("ada", ProviderError("busy"), calls={"publish"})
        stage.heal("ada")
        await asyncio.sleep(20)

        assert [wish.envelope.kind for wish in engine(ada).overlay.of(ident)] == ["message.update"]
        assert shown(ada) == ["two"]
        stage.hub.network.refuse("ada", None)


async def test_a_message_of_an_earlier_life_begins_no_stream(stage: Stage, tmp_path: Path) -> None:
    """An answer to what was sent, and received, before this life tells no reader of what was there (D15)."""
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        await ready(ada)
        delivery = await ada.channel(C).send("old")
        message = await delivery.wait(timeout=5)
        stage.peer("cleo").say("also old")
        await asyncio.sleep(2)
    async with stage.chat("ada", store=tmp_path / "ada.db") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await asyncio.sleep(0)
        assert message.key is not None
        engine(ada).began(message.key)
        await ready(ada)
        stage.peer("dora").say("new")

        assert texts(await later(stream, 1)) == ["new"]


# -- defects and idleness -------------------------------------------------------------------------------


async def test_a_defect_of_ours_stops_the_channel_for_a_moment_only(stage: Stage) -> None:
    """The task is run again, restores nothing twice, and is named in health (I11)."""
    async with stage.chat("ada") as ada:
        stream = ada.channel(C).events(chatkit.MessageCreated)
        await ready(ada)
        receiver: Any = engine(ada).receiver
        turn = receiver.turn

        async def broken() -> None:
            receiver.turn = turn
            raise ZeroDivisionError

        receiver.turn = broken
        stage.peer("cleo").say("one")

        assert texts(await later(stream, 5)) == ["one"]
        assert "channel:room" in str(ada.health().checks["defects"])


async def test_who_watches_is_not_woken_for_nothing(stage: Stage) -> None:
    """A view is told when it may look different, not whenever the channel has something to do."""
    async with stage.chat("ada") as ada:
        watched = ada.channel(C).timeline.watch()
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(3)
        while (await watched.next(timeout=1)).changes:
            pass
        while await changed(watched):
            pass
        stage.peer("dora").publish(stage.peer("dora").envelope("poll.vote"))

        assert not await changed(watched)


async def changed(watched: chatkit.Stream[Any]) -> bool:
    """Say whether a view changes within some seconds."""
    try:
        await watched.next(timeout=5)
    except chatkit.WaitTimeout:
        return False
    return True


async def test_a_timer_may_outlive_its_connection(stage: Stage) -> None:
    """A channel that is asked for where there is no session waits for the next one."""
    async with stage.chat("ada") as ada:
        await ready(ada)
        attacher: Any = engine(ada)._attacher
        session, attacher._session = attacher._session, lambda: None
        attacher.disconnected(overdue=False)
        attacher.connected()
        await asyncio.sleep(1)
        assert ada.channel(C).state == "attaching"
        attacher._session = session
        attacher.connected()

        await ada.channel(C).attach(timeout=5)


async def test_a_first_attach_without_an_answer_tells_what_it_missed(stage: Stage) -> None:
    """What came live before it was given up is told; what came until the next attach is a gap (I6)."""
    async with stage.chat("ada") as ada:
        await connected(ada)
        session = live(ada)
        attach = session.attach

        async def attaching(*args: Any, **kwargs: Any) -> Attachment:
            session.attach = attach
            await attach(*args, **kwargs)
            return await asyncio.Future[Attachment]()  # the answer is lost

        session.attach = attaching
        stream = ada.channel(C).events(*GAPS)
        await asyncio.sleep(1)
        stage.peer("cleo").say("heard")
        with stage.lost():
            stage.peer("dora").say("missed")
        await asyncio.sleep(ATTACH_TIMEOUT)
        await ready(ada)
        stage.peer("eve").say("new")

        assert texts(await later(stream, 30)) == ["heard", "Discontinuity", "new"]


async def test_a_provider_without_numbers_and_with_a_log_begins_at_what_is_read(stage: Stage) -> None:
    """Where an attach does not say where live begins, the first page does (D15)."""
    async with stage.chat("ada") as ada:
        await connected(ada)
        session = live(ada)
        attach = session.attach

        async def attaching(*args: Any, **kwargs: Any) -> Attachment:
            found: Attachment = await attach(*args, **kwargs)
            return found._replace(start=None)

        session.attach = attaching
        stage.peer("cleo").say("old")
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("dora").say("new")

        assert texts(await later(stream, 1)) == ["new"]
        assert shown(ada) == ["old", "new"]
