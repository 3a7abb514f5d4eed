"""Typing indicators: throttled, timed out, cleared by the message, and never in the way of one (D25)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.core.typists import MOST
from chatkit.testing.clock import settle
from tests.engine.kit import C, Stage, counters, frame

if TYPE_CHECKING:
    from chatkit.adapters.memory import Like
    from chatkit.testing.clock import VirtualClock

LIKES: tuple[Like, ...] = ("memory", "supabase", "ably", "pusher")


@pytest.fixture(params=LIKES)
def stage(clock: VirtualClock, request: pytest.FixtureRequest) -> Stage:
    """A hub like each provider."""
    return Stage(clock, like=request.param)


async def met(*chats: chatkit.Chat) -> None:
    """Attach everyone."""
    for chat in chats:
        await chat.channel(C).attach(timeout=10)


def count_emits(chat: chatkit.Chat, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Collect what a client writes that is ephemeral."""
    written: list[bytes] = []
    session: Any = chat.engine.session
    emit = session.emit

    async def watched(channel: str, data: bytes) -> None:
        written.append(data)
        await emit(channel, data)

    monkeypatch.setattr(session, "emit", watched)
    return written


async def test_a_keystroke_is_seen_and_forgotten(stage: Stage) -> None:
    """Six seconds without a further one; the present value first, then each change."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)
        views = bob.channel(C).typing.watch()
        events = bob.channel(C).events(chatkit.TypingChanged)
        assert await views.next(timeout=1) == frozenset()

        await ada.channel(C).typing.keystroke()

        assert await views.next(timeout=1) == {"ada"}
        assert bob.channel(C).typing.users == {"ada"}
        assert ada.channel(C).typing.users == frozenset()
        began = stage.clock.monotonic()
        assert await views.next(timeout=30) == frozenset()
        assert 5.9 <= stage.clock.monotonic() - began <= 6.1
        told = [await events.next(timeout=1) for _ in range(2)]
        assert [(event.users, event.own, event.cursor) for event in told] == [
            ({"ada"}, False, None),
            (frozenset(), False, None),
        ]


async def test_keys_are_told_every_three_seconds(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast somebody types, and readers see one who types without a break."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)
        events = bob.channel(C).events(chatkit.TypingChanged)
        written = count_emits(ada, monkeypatch)
        for _ in range(100):
            await ada.channel(C).typing.keystroke()
            await asyncio.sleep(0.1)

        assert len(written) == 4
        assert bob.channel(C).typing.users == {"ada"}
        assert (await events.next(timeout=1)).users == {"ada"}
        assert (await events.next(timeout=30)).users == frozenset()


async def test_the_message_clears_the_word_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what was being typed; the next key is told again, without waiting for its time."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)
        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        assert bob.channel(C).typing.users == {"ada"}
        written = count_emits(ada, monkeypatch)

        await (await ada.channel(C).send("here it is")).wait(timeout=10)
        await asyncio.sleep(0.1)

        assert bob.channel(C).typing.users == frozenset()
        assert written == []
        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        assert len(written) == 1
        assert bob.channel(C).typing.users == {"ada"}


async def test_stopping_is_told_where_typing_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears of an end that had no beginning."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)
        written = count_emits(ada, monkeypatch)
        await ada.channel(C).typing.stop()
        assert written == []
        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        await ada.channel(C).typing.stop()
        await ada.channel(C).typing.stop()
        await asyncio.sleep(0.1)

        assert (len(written), bob.channel(C).typing.users) == (2, frozenset())


async def test_a_block_types_for_as_long_as_it_lasts(stage: Stage) -> None:
    """Renewed meanwhile, ended with it, whatever ends it."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)

        async def broken() -> None:
            async with ada.channel(C).typing.active():
                await asyncio.sleep(60)
                assert bob.channel(C).typing.users == {"ada"}
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await broken()
        await asyncio.sleep(0.1)
        assert bob.channel(C).typing.users == frozenset()


async def test_offline_nothing_is_told_or_queued(stage: Stage) -> None:
    """Back on the line the next key is told at once; who cannot be heard does not type."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        await met(ada, bob)
        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        stage.cut("bob")
        await asyncio.sleep(0.1)
        assert bob.channel(C).typing.users == frozenset()
        stage.heal("bob")
        stage.cut("ada")
        await asyncio.sleep(60)
        await ada.channel(C).typing.keystroke()
        await ada.channel(C).typing.stop()
        assert ada.outbox.depth == 0
        stage.heal("ada")
        await asyncio.sleep(120)
        await met(ada, bob)
        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        assert bob.channel(C).typing.users == {"ada"}


async def test_closing_ends_a_block_and_what_watches(stage: Stage) -> None:
    """The block that outlives its client is no error; its streams end (I12)."""
    ada = await stage.chat("ada")
    await met(ada)
    views = ada.channel(C).typing.watch()
    typing = ada.channel(C).typing
    async with typing.active():
        report = await ada.aclose()
    assert report.clean
    assert [view async for view in views] == [frozenset()]
    with pytest.raises(chatkit.StateError):
        await typing.keystroke()


async def test_for_a_second_user_of_a_client_it_is_their_own(stage: Stage) -> None:
    """Each speaks for themselves, and neither is told of their own typing."""
    async with stage.chat("backend") as backend, stage.chat("bob") as bob, stage.chat("ada") as phone:
        await met(backend, bob, phone)
        ada = backend.as_user("ada")
        assert ada.channel(C).typing is ada.channel(C).typing is not backend.channel(C).typing
        events = ada.channel(C).events(chatkit.TypingChanged)

        await ada.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        assert bob.channel(C).typing.users == {"ada"}

        await phone.channel(C).typing.keystroke()
        await bob.channel(C).typing.keystroke()
        await asyncio.sleep(0.1)
        assert backend.channel(C).typing.users == {"ada", "bob"}
        assert ada.channel(C).typing.users == {"bob"}
        assert [(await events.next(timeout=1)).users for _ in range(2)] == [frozenset(), {"bob"}]


async def test_hostile_words_are_bounded_and_believed_as_far_as_attested(clock: VirtualClock) -> None:
    """A forged sender is foreign, a flood of names is cut, a thread's word is not the channel's (D2, I10)."""
    stage = Stage(clock)
    async with stage.chat("bob") as bob:
        await met(bob)
        eve = stage.peer("eve")
        word: dict[str, Any] = {"kind": "typing", "body": {"type": "typing", "active": True}, "seq": None}
        forged = eve.envelope(**word, ttl=60_000)
        stage.deliver(frame(forged, user="mallory"))
        thread = {"id": "01935820-0000-7000-8000-000000000000", "user": "eve"}
        stage.deliver(frame(eve.envelope(**word, thread=thread), user="eve"))
        await settle()
        assert counters(bob)["foreign:forged_sender"] == 1
        assert bob.channel(C).typing.users == frozenset()

        bare = eve.envelope(kind="typing", body=None, seq=None)
        stage.deliver(frame(bare, user="eve"))
        await settle()
        assert bob.channel(C).typing.users == {"eve"}
        for number in range(3 * MOST):
            peer = stage.peer(f"user-{number}")
            stage.deliver(frame(peer.envelope(**word, ttl=60_000), user=f"user-{number}"))
        await settle()
        assert len(bob.channel(C).typing.users) == MOST
        await asyncio.sleep(61)
        assert bob.channel(C).typing.users == frozenset()
