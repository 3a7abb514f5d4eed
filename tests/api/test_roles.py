"""Roles and broadcasts: who may do what, and what is not believed of whom (D2, D25)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.model.names import EVERYONE
from chatkit.model.registers import KIND, ROLE, Register

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.api.kit import Stage

LOGGED = ("memory", "supabase")
PROFILES = ("memory", "supabase", "ably", "pusher")


def like(profile: str, **fields: Any) -> dict[str, Any]:
    """Return options of a client of one profile."""
    return {"config": {"like": profile, **fields}}


def news(chat: chatkit.Chat, *owners: str) -> chatkit.Channel:
    """Return a broadcast channel."""
    return chat.channel("news", kind="broadcast", owners=owners)


async def done(change: chatkit.Change) -> None:
    """Wait until the log has a change."""
    await change.wait(timeout=30)


def texts(channel: chatkit.Channel) -> list[str]:
    """Return what a timeline shows."""
    return [message.text for message in channel.timeline.view.messages]


def log_put(stage: Stage, *registers: Register) -> None:
    """Set registers in the hub's log, as a backend does."""
    stage.hub.log.core.put(registers)


def role(user: str, value: str, channel: str = "news") -> Register:
    return Register(channel, user, ROLE, value, "newest", None)


# -- broadcasts


@pytest.mark.parametrize("profile", PROFILES)
async def test_owners_publish_and_others_react(stage: Stage, profile: str) -> None:
    """Others get `NotAllowed` before anything is queued; reactions are everyone's own."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        mine, theirs = news(ada, "ada"), news(bob, "ada")
        await mine.attach(timeout=10)
        await theirs.attach(timeout=10)
        message = await (await mine.send("Hello")).wait(timeout=10)
        answers = theirs.thread(message)
        for refused in (theirs.send("me too"), theirs.send_stream(_chunks()), answers.send("so?")):
            with pytest.raises(chatkit.NotAllowed, match="owner") as error:
                await refused
            assert error.value.channel == "news"
        assert bob.outbox.depth == 0
        await asyncio.sleep(1)
        await (await theirs.react(message.message_id, "👍")).wait(timeout=10)
        await asyncio.sleep(1)
        assert texts(theirs) == texts(mine) == ["Hello"]
        assert mine.timeline.view.messages[0].reactions == {"👍": frozenset({"bob"})}
        assert (await theirs.role(), await theirs.role("ada")) == (None, "owner")
        assert await mine.roles() == {"ada": "owner"}


async def _chunks() -> Any:
    yield "a"
    yield "b"


@pytest.mark.parametrize("profile", PROFILES)
async def test_what_others_publish_is_dropped_and_counted(stage: Stage, profile: str) -> None:
    """D2: whoever sends it around the client's check is attested, and owns nothing; pages have nothing of it."""
    async with (
        stage.chat("ada", **like(profile)) as ada,
        stage.chat("bob", **like(profile)) as bob,
        stage.chat("eve", **like(profile)) as eve,
    ):
        mine, theirs = news(ada, "ada"), news(eve, "ada")
        foreign = theirs.events(chatkit.ForeignFrame)
        created = theirs.events(chatkit.MessageCreated)
        await mine.attach(timeout=10)
        await theirs.attach(timeout=10)
        await asyncio.sleep(1)
        forged = await (await bob.channel("news").send("a forgery")).wait(timeout=10)
        await (await mine.send("Hello")).wait(timeout=10)
        await asyncio.sleep(2)
        assert texts(theirs) == texts(mine) == ["Hello"]
        assert (await created.next(timeout=1)).message.text == "Hello"
        assert (await foreign.next(timeout=1)).reason == "not_owner"
        assert eve.health().checks["counters"]["foreign:not_owner"] == 1
        if profile != "pusher":
            assert [m.text for m in (await theirs.history()).items] == ["Hello"]
        if profile in LOGGED:
            with pytest.raises(chatkit.MessageNotFound):
                await theirs.get(forged.message_id)
            assert (await theirs.search("forgery")).items == ()
            replayed = theirs.events(chatkit.MessageCreated, since=chatkit.START)
            assert (await replayed.next(timeout=5)).message.text == "Hello"
            async with stage.chat("zoe", **like(profile)) as zoe:
                late = news(zoe, "ada")
                await late.attach(timeout=10)
                await asyncio.sleep(2)
                assert texts(late) == ["Hello"]


@pytest.mark.parametrize("profile", LOGGED)
async def test_what_was_missed_is_judged_too(stage: Stage, profile: str) -> None:
    """The log of a channel that nobody has claimed holds what others sent: catching up leaves it out."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("eve", **like(profile)) as eve:
        theirs = news(eve, "ada")
        await theirs.attach(timeout=10)
        await asyncio.sleep(1)
        stage.hub.network.cut("eve")
        async with stage.chat("bob", **like(profile)) as bob:
            for text in ("one", "two"):
                await (await bob.channel("news").send(text)).wait(timeout=10)
        await (await news(ada, "ada").send("Hello")).wait(timeout=10)
        stage.hub.network.heal("eve")
        await asyncio.sleep(60)
        assert texts(theirs) == ["Hello"]
        assert eve.health().checks["counters"]["foreign:not_owner"] == 2


async def test_nobody_vouches_for_nobody_owns(stage: Stage) -> None:
    """D2: `attested="none"` owns nothing, whoever the sender claims to be."""
    nobody = like("pusher", capabilities={"attested": "none"})
    async with stage.chat("ada", **nobody) as ada, stage.chat("eve", **like("pusher")) as eve:
        theirs = news(eve, "ada")
        await theirs.attach(timeout=10)
        await (await news(ada, "ada").send("Hello")).wait(timeout=10)
        await asyncio.sleep(1)
        assert texts(theirs) == []
        assert eve.health().checks["counters"]["foreign:not_owner"] == 1


@pytest.mark.parametrize("profile", LOGGED)
async def test_a_claimed_broadcast_is_refused_by_the_log(stage: Stage, profile: str) -> None:
    """D9: the log knows the owners and the kind; who goes around the client's check is refused there."""
    options = like(profile, trusted=False)
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        mine = news(ada)
        await ada.connection.wait(timeout=5)
        with pytest.raises(chatkit.NotAllowed, match="owner"):
            await mine.send("not yet")
        await done(await mine.grant("ada", "owner"))
        await (await mine.send("Hello")).wait(timeout=10)
        delivery = await bob.channel("news").send("me too")
        with pytest.raises(chatkit.DeliveryFailed) as failed:
            await delivery.wait(timeout=10)
        cause = failed.value.__cause__
        assert isinstance(cause, chatkit.NotAllowed)
        assert f"NotAllowed: {cause.args[0]} (channel news, message {delivery.message_id})" in str(
            failed.value
        )
        assert failed.value.hint.startswith(cause.hint)
        await done(await mine.grant("bob", "owner"))
        await (await bob.channel("news").send("me too")).wait(timeout=10)
        await done(await mine.revoke("ada"))
        with pytest.raises(chatkit.NotAllowed):
            await mine.send("no more")
    assert stage.texts("news") == ["Hello", "me too"]


async def test_what_a_former_owner_published_stays(stage: Stage) -> None:
    """The log checked it by the roles of that moment: no reader judges it anew (D2)."""
    async with stage.chat("ada") as ada, stage.chat("eve") as eve:
        await done(await news(ada).grant("ada", "owner"))
        await done(await news(ada).grant("bob", "owner"))
        async with stage.chat("bob") as bob:
            await (await news(bob).send("mine")).wait(timeout=10)
        await done(await news(ada).revoke("bob"))
        await news(eve).attach(timeout=10)
        await asyncio.sleep(2)
        assert texts(news(eve)) == ["mine"]
        assert [m.text for m in (await news(eve).history()).items] == ["mine"]


async def test_the_app_says_who_owns_where_no_log_does(stage: Stage) -> None:
    """`connect(roles=)`: asked by channel and user, for the sender and for what arrives; an answer holds a while."""
    asked: list[tuple[str, str]] = []

    async def roles(channel: str, user: str) -> chatkit.Role | None:
        asked.append((channel, user))
        return "owner" if user == "ada" else None

    options = {**like("pusher"), "roles": roles}
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        mine, theirs = news(ada), news(bob)
        await theirs.attach(timeout=10)
        await (await mine.send("one")).wait(timeout=10)
        await (await mine.send("two")).wait(timeout=10)
        with pytest.raises(chatkit.NotAllowed):
            await theirs.send("me too")
        await asyncio.sleep(1)
        assert texts(theirs) == ["one", "two"]
        assert sorted(asked) == [("news", "ada"), ("news", "ada"), ("news", "bob")]
        assert (await theirs.role("ada"), await theirs.role()) == ("owner", None)
        with pytest.raises(chatkit.CapabilityError, match="roles"):
            await mine.grant("bob", "owner")
        assert await mine.roles() == {}


@pytest.mark.parametrize("profile", PROFILES)
async def test_capabilities_say_who_keeps_roles_and_pins(stage: Stage, profile: str, tmp_path: Path) -> None:
    """The log, the app or nobody: `require=` refuses a set-up that lacks them."""

    async def roles(channel: str, user: str) -> chatkit.Role | None:
        return None

    kept = "native" if profile in LOGGED else "none"
    bare, told = stage.chat("ada", **like(profile)), stage.chat("ada", roles=roles, **like(profile))
    logged = stage.chat("ada", log=f"sqlite:///{tmp_path / 'log.db'}", **like(profile))
    assert [chat.capabilities.support("roles") for chat in (bare, told, logged)] == [
        kept,
        "emulated" if kept == "none" else kept,
        "emulated",
    ]
    assert [chat.capabilities.support("pins") for chat in (bare, told, logged)] == [kept, kept, "emulated"]


async def test_a_callback_that_breaks_has_said_nothing(stage: Stage) -> None:
    """It raises, hangs or answers nonsense: nobody owns for it, and it is asked again (I13)."""
    answers: list[Any] = [ValueError("secret"), "king", None, "hang", "owner"]

    async def roles(channel: str, user: str) -> Any:
        answer = answers.pop(0)
        if answer == "hang":
            await asyncio.sleep(60)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with stage.chat("ada", roles=roles, **like("pusher")) as ada:
        for _ in range(2):
            with pytest.raises(chatkit.NotAllowed):
                await news(ada).send("Hello")
            await asyncio.sleep(61)
        await (await news(ada).send("Hello")).wait(timeout=10)
        assert ada.health().checks["counters"]["roles_failed"] == 2


async def test_a_broadcast_waits_until_it_knows_its_owners(stage: Stage) -> None:
    """I1: what comes before the log has said who owns is neither believed nor lost."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await done(await news(ada).grant("ada", "owner"))
        stage.hub.network.refuse("bob", chatkit.RateLimited("slow"), calls={"read"})
        theirs = news(bob)
        await theirs.attach(timeout=10)
        await (await news(ada).send("Hello")).wait(timeout=10)
        await asyncio.sleep(5)
        assert texts(theirs) == []
        stage.hub.network.refuse("bob", None)
        await asyncio.sleep(60)
        assert texts(theirs) == ["Hello"]


# -- roles


@pytest.mark.parametrize("profile", LOGGED)
async def test_roles_are_told_and_survive(stage: Stage, profile: str, tmp_path: Path) -> None:
    """A register each: everyone sees it, offline and after a restart too (D25)."""
    store: dict[str, Any] = {"store": str(tmp_path / "bob.db")}
    async with stage.chat("ada", **like(profile)) as ada:
        async with stage.chat("bob", **like(profile), **store) as bob:
            theirs = bob.channel("room")
            changes = theirs.events(chatkit.RoleChanged)
            await theirs.attach(timeout=10)
            await asyncio.sleep(1)
            room = ada.channel("room")
            await done(await room.grant("ada", "owner"))
            change = await room.grant("bob", "moderator")
            assert await room.roles() == {"ada": "owner", "bob": "moderator"}
            await done(change)
            assert (change.status, change.error, change.channel) == ("sent", None, "room")
            first, second = await changes.next(timeout=10), await changes.next(timeout=10)
            assert (first.user, first.role, first.previous, first.own) == ("ada", "owner", None, False)
            assert (second.user, second.role, second.own) == ("bob", "moderator", True)
            await done(await room.grant(chatkit.User(id="bob"), "member"))
            again = await changes.next(timeout=10)
            assert (again.role, again.previous) == ("member", "moderator")
            await done(await theirs.revoke("bob"))
            assert (await changes.next(timeout=10)).role is None
            await asyncio.sleep(3)
        async with stage.chat("bob", **like(profile, offline=True), **store, drain=0) as bob:
            assert await bob.channel("room").roles() == {"ada": "owner"}


async def test_what_was_missed_while_away_is_told(stage: Stage) -> None:
    """Live begins anew with a look into the log: announcements do not wait for anybody (D25)."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        changes = bob.channel("room").events(chatkit.RoleChanged, chatkit.PinChanged)
        await bob.channel("room").attach(timeout=10)
        await asyncio.sleep(3)
        stage.hub.network.cut("bob")
        await asyncio.sleep(1)
        message = await (await ada.channel("room").send("one")).wait(timeout=10)
        await done(await ada.channel("room").grant("ada", "owner"))
        await done(await ada.channel("room").pin(message))
        stage.hub.network.heal("bob")
        found = {type(await changes.next(timeout=60)) for _ in range(2)}
        assert found == {chatkit.RoleChanged, chatkit.PinChanged}


async def test_roles_are_wished_offline(stage: Stage, tmp_path: Path) -> None:
    """Safe on return; the newest about a user counts, over a restart; it shows meanwhile (D25)."""
    store: dict[str, Any] = {"store": str(tmp_path / "ada.db")}
    offline = like("memory", offline=True)
    async with stage.chat("ada", **store) as ada:
        await done(await ada.channel("room").grant("ada", "owner"))
    async with stage.chat("ada", **offline, **store, drain=0) as ada:
        room = ada.channel("room")
        older = await room.grant("bob", "owner")
        newer = await room.grant("bob", "moderator")
        assert await room.roles() == {"ada": "owner", "bob": "moderator"}
        assert (older.status, newer.status) == ("discarded", "queued")
        with pytest.raises(chatkit.StateError, match="newer"):
            await older.wait()
        with pytest.raises(chatkit.WaitTimeout):
            await newer.wait(timeout=1)
        waiting = asyncio.ensure_future(newer.wait())
        await asyncio.sleep(1)
    with pytest.raises(chatkit.StateError, match="closed"):
        await waiting
    async with stage.chat("ada", **store) as ada:
        room = ada.channel("room")
        assert await room.roles() == {"ada": "owner", "bob": "moderator"}
        await asyncio.sleep(5)
        found = stage.hub.log.core.registers("room", [ROLE])
        assert [(cell.user, cell.value) for cell in found] == [("ada", "owner"), ("bob", "moderator")]


async def test_what_the_log_refuses_is_rolled_back(stage: Stage) -> None:
    """I8: another was first; what was shown is as before, and the refusal is told."""
    options = like("memory", trusted=False)
    async with stage.chat("ada", **options) as ada, stage.chat("bob", **options) as bob:
        await ada.connection.wait(timeout=5)
        stage.hub.network.cut("bob")
        await asyncio.sleep(1)
        change = await bob.channel("room").grant("bob", "owner")
        assert await bob.channel("room").role() == "owner"
        await done(await ada.channel("room").grant("ada", "owner"))
        stage.hub.network.heal("bob")
        with pytest.raises(chatkit.NotAllowed):
            await change.wait(timeout=60)
        assert change.status == "failed"
        assert await bob.channel("room").roles() == {"ada": "owner"}
        assert bob.health().checks["counters"]["refused_register"] == 1
        assert "failed" in repr(change)


async def test_who_gives_roles(stage: Stage) -> None:
    """Owners; the first claims, or is named by a backend; the last owner stays."""
    options = like("memory", trusted=False)
    async with (
        stage.chat("ada", **options) as ada,
        stage.chat("bob", **options) as bob,
        stage.chat("app") as app,
    ):
        room = ada.channel("room")
        with pytest.raises(chatkit.NotAllowed, match="nobody owns"):
            await room.grant("ada", "moderator")
        with pytest.raises(chatkit.NotAllowed, match="nobody owns"):
            await room.grant("bob", "owner")
        with pytest.raises(chatkit.ConfigError, match="moderator"):
            await room.grant("ada", "king")  # type: ignore[arg-type]
        with pytest.raises(chatkit.InvalidMessage) as bad:
            await room.grant("", "owner")
        assert bad.value.channel == "room"
        await done(await app.channel("room").grant("ada", "owner"))
        await done(await room.grant("bob", "moderator"))
        for refused in (bob.channel("room").grant("eve", "member"), room.revoke("ada")):
            with pytest.raises(chatkit.NotAllowed, match="owner"):
                await refused
        await done(await bob.channel("room").revoke("bob"))
        await asyncio.sleep(31)
        assert await room.roles() == {"ada": "owner"}


async def test_owners_that_the_app_names_come_with_the_first_role(stage: Stage) -> None:
    """What the app said goes into the log with it: from then on the log decides, for everybody."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        with pytest.raises(chatkit.NotAllowed, match="owner"):
            await news(bob, "ada", "zoe").grant("bob", "owner")
        await done(await news(ada, "ada", "zoe").grant("bob", "moderator"))
        found = {cell.user: cell.value for cell in stage.hub.log.core.registers("news", [ROLE])}
        assert found == {"ada": "owner", "bob": "moderator", "zoe": "owner"}
        assert [cell.value for cell in stage.hub.log.core.registers("news", [KIND])] == ["broadcast"]


@pytest.mark.parametrize("profile", LOGGED)
async def test_moderators_delete_and_restore_messages_of_others(stage: Stage, profile: str) -> None:
    """Edits stay their author's; who moderates nothing is refused before anything is queued (D2)."""
    log_put(stage, role("mona", "moderator", "room"))
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("mona", **like(profile)) as mona:
        message = await (await mona.channel("room").send("mine")).wait(timeout=10)
        other = await (await ada.channel("room").send("hers")).wait(timeout=10)
        with pytest.raises(chatkit.NotAllowed, match="moderator") as refused:
            await ada.channel("room").delete(message)
        assert refused.value.message_id == message.message_id
        assert ada.outbox.depth == 0
        await (await mona.channel("room").delete(other)).wait(timeout=10)
        await (await mona.channel("room").undelete(other)).wait(timeout=10)
        with pytest.raises(chatkit.NotAllowed, match="author"):
            await mona.channel("room").edit(other, "changed")


@pytest.mark.parametrize("profile", ["ably", "pusher"])
async def test_without_a_log_that_checks_its_author_alone_deletes(stage: Stage, profile: str) -> None:
    """A fold that read roles would depend on when they arrived (D2)."""
    async with stage.chat("ada", **like(profile)) as ada, stage.chat("bob", **like(profile)) as bob:
        await bob.channel("room").attach(timeout=5)
        message = await (await ada.channel("room").send("mine")).wait(timeout=10)
        await asyncio.sleep(1)
        with pytest.raises(chatkit.NotAllowed, match="author"):
            await bob.channel("room").delete(message.message_id)


async def test_a_new_role_counts_at_once(stage: Stage) -> None:
    """Who seems to lack a right is looked up again before they are refused."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        message = await (await ada.channel("room").send("mine")).wait(timeout=10)
        with pytest.raises(chatkit.NotAllowed):
            await bob.channel("room").delete(message)
        log_put(stage, role("bob", "moderator", "room"))
        await asyncio.sleep(3)
        await (await bob.channel("room").delete(message)).wait(timeout=10)


async def test_a_backend_gives_roles_for_others(stage: Stage) -> None:
    """`as_user`: checked as that user; options of a channel are those of the client."""
    async with stage.chat("app") as app:
        ada, bob = app.as_user("ada"), app.as_user("bob")
        await done(await ada.channel("room").grant("ada", "owner"))
        with pytest.raises(chatkit.NotAllowed):
            await bob.channel("room").grant("bob", "owner")
        await done(await ada.channel("room").grant("bob", "member"))
        events = bob.channel("room").events(chatkit.RoleChanged)
        await done(await bob.channel("room").revoke("bob"))
        assert (await events.next(timeout=10)).own
        with pytest.raises(chatkit.StateError, match="other options"):
            bob.channel("room", kind="broadcast")
        with pytest.raises(chatkit.StateError, match="other options"):
            app.channel("room", owners=["ada"])


async def test_options_that_cannot_be(stage: Stage) -> None:
    """Said at once, with what would do."""
    async with stage.chat("ada") as ada:
        for wrong in ({"owners": "ada"}, {"owners": [str(n) for n in range(1_001)]}, {"kind": "direct"}):
            with pytest.raises(chatkit.ConfigError):
                ada.channel("room", **wrong)
        with pytest.raises(chatkit.InvalidMessage):
            ada.channel("room", owners=["*"])
    with pytest.raises(chatkit.ConfigError, match="roles"):
        _ = stage.chat("ada", roles="owner")


async def test_what_nobody_could_ask_is_not_made_up(stage: Stage) -> None:
    """Offline and never asked: no roles are said; a message may be queued, and the log decides."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada", drain=0) as ada:
        with pytest.raises(chatkit.TransportError):
            await news(ada).roles()
        with pytest.raises(chatkit.TransportError):
            await news(ada).pins()
        assert await news(ada).role() is None
        delivery = await news(ada).send("perhaps")
        assert delivery.status == "queued"


async def test_hostile_registers_are_left_out(stage: Stage) -> None:
    """A log that others write to may hold anything; what is no role or pin is counted (I10)."""
    log_put(
        stage,
        role("ada", "king"),
        role("*", "owner"),
        role("bob", "owner"),
        Register("news", "ada", KIND, "broadcast", "newest", None),
        *(Register("news", EVERYONE, f"pin.0{n}", value, "newest", None) for n, value in enumerate(PINNED)),
    )
    async with stage.chat("ada") as ada:
        assert await ada.channel("news").roles() == {"bob": "owner"}
        assert await ada.channel("news").pins() == ()
        assert ada.health().checks["counters"]["refused_register"] == 3 + len(PINNED)


PINNED = (
    "x",
    "{",
    "{}",
    '{"id":"1","user":"ada","by":"ada","at":"2026-01-01T00:00:00Z"}',
    '{"id":"018f6c1e-0000-7000-8000-000000000000","user":"*","by":"ada","at":"2026-01-01T00:00:00Z"}',
    '{"id":"018f6c1e-0000-7000-8000-000000000000","user":"ada","by":"ada","at":"soon"}',
)


async def test_the_ones_who_cry_wolf_cost_a_read_in_two_seconds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement is a hint from anybody: it has the log read, seldom (D25)."""
    async with stage.chat("ada") as ada, stage.chat("eve") as eve:
        room = ada.channel("room")
        await room.attach(timeout=5)
        await eve.channel("room").attach(timeout=5)
        await room.roles()
        asked: list[str] = []
        registers = stage.hub.log.core.registers

        def counted(channel: str, names: Sequence[str], **options: Any) -> Sequence[Register]:
            asked.append(channel)
            return registers(channel, names, **options)

        monkeypatch.setattr(stage.hub.log.core, "registers", counted)
        for _ in range(100):
            await emit_role(eve)
            await asyncio.sleep(0.1)
        assert 4 <= len(asked) <= 6


async def emit_role(chat: chatkit.Chat) -> None:
    """Announce a change of roles."""
    from chatkit.passing import emit

    await emit(chat.engine, chat.user.id, "room", "state.role", {"type": "changed"})
