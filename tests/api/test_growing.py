"""Messages that grow while their text is being made: paced, replaced while queued, whole at the end (D7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.model.envelope import Envelope

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.kit import Stage


async def words(*given: str, pause: float = 0.2, then: BaseException | None = None) -> AsyncIterator[str]:
    """Give words one after the other, and perhaps break."""
    for word in given:
        yield word
        await asyncio.sleep(pause)
    if then is not None:
        raise then


def kept(stage: Stage, channel: str = "support") -> list[tuple[str, bool]]:
    """Return text and whether it is incomplete of each envelope that the log took, in order."""
    entries = stage.hub.log.core.entries(channel, after=None, limit=1_000).items
    bodies = [Envelope.parse(entry.data).body or {} for entry in entries]
    return [(str(body.get("text")), body.get("incomplete") is True) for body in bodies]


async def test_a_message_grows_by_paced_edits_and_is_whole_at_the_end(stage: Stage) -> None:
    """The first words at once, then what has come every half second; the last edit says that it is all."""
    async with stage.chat("ada") as ada, stage.chat("bob") as bob:
        events = bob.channel("support").events(chatkit.MessageEvent)
        await bob.channel("support").attach(timeout=10)
        await ada.connection.wait(timeout=10)

        delivery = await ada.channel("support").send_stream(words("I ", "would ", "say ", "yes", pause=0.3))
        await ada.outbox.flush(timeout=10)

        seen = [await events.next(timeout=10) for _ in range(4)]
        assert [event.message.text for event in seen] == [
            "I ",
            "I would ",
            "I would say yes",
            "I would say yes",
        ]
        assert [event.message.incomplete for event in seen] == [True, True, True, False]
        assert {event.message.message_id for event in seen} == {delivery.message_id}
        assert (delivery.message.text, delivery.message.incomplete) == ("I would say yes", False)


async def test_what_came_is_shown_though_the_next_word_is_long_in_coming(stage: Stage) -> None:
    """The pace is kept by the clock, not by the words."""

    async def slow() -> AsyncIterator[str]:
        yield "one "
        await asyncio.sleep(0.1)
        yield "two "
        await asyncio.sleep(60)
        yield "three"

    async with stage.chat("ada") as ada:
        growing = asyncio.ensure_future(ada.channel("support").send_stream(slow(), every=1.0))
        await asyncio.sleep(30)
        assert kept(stage) == [("one ", True), ("one two ", True)]
        await growing
    assert kept(stage)[-1] == ("one two three", False)


async def test_offline_only_the_newest_edit_is_kept(stage: Stage) -> None:
    """Edits that were never attempted give way to newer ones, and one goes out (D7)."""
    stage.hub.network.cut("ada")
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        delivery = await support.send_stream(words(*"abcdefgh", pause=1.0), key="answer-1", every=0.5)

        assert ada.outbox.depth == 2
        assert [m.text for m in support.timeline.view.messages] == ["abcdefgh"]
        stage.hub.network.heal("ada")
        await delivery.wait(timeout=120)
        await ada.outbox.flush(timeout=120)
    assert kept(stage) == [("a", True), ("abcdefgh", False)]


@pytest.mark.parametrize("how", ["raises", "cancelled"])
async def test_what_ends_early_stays_incomplete_with_all_that_came(stage: Stage, how: str) -> None:
    """The caller hears why; readers see that more was to come."""
    broken = RuntimeError("the model is gone") if how == "raises" else None
    async with stage.chat("ada") as ada:
        await ada.connection.wait(timeout=10)
        source = words("one ", "two", pause=0.1, then=broken)
        if how == "raises":
            with pytest.raises(RuntimeError, match="the model is gone"):
                await ada.channel("support").send_stream(source, every=5.0)
        else:
            growing = asyncio.ensure_future(ada.channel("support").send_stream(source, every=5.0))
            await asyncio.sleep(0.15)
            growing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await growing
        await ada.outbox.flush(timeout=10)
        [message] = [m async for m in ada.channel("support").scan()]

    assert (message.text, message.incomplete) == ("one two", True)
    assert kept(stage) == [("one ", True), ("one two", True)]


async def test_a_generator_is_closed_where_its_reader_fails(stage: Stage) -> None:
    """What the text came from may let go of what it holds."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 20_000
                await asyncio.sleep(1)
        finally:
            closed.set()

    async with stage.chat("ada", config={"like": "pusher"}) as ada:
        with pytest.raises(chatkit.MessageTooLarge) as refused:
            await ada.channel("support").send_stream(endless(), every=0.5)
        assert closed.is_set()
        assert refused.value.channel == "support"


async def test_a_text_that_outgrows_a_frame_stays_as_far_as_it_was_sent(stage: Stage) -> None:
    """Nothing that was accepted is lost, and the message says that it is not whole."""
    async with stage.chat("ada") as ada:
        limit = ada.capabilities.frame_bytes
        source = words("short, ", "x" * limit, pause=1.0)
        with pytest.raises(chatkit.MessageTooLarge):
            await ada.channel("support").send_stream(source)
        await ada.outbox.flush(timeout=10)
    assert kept(stage) == [("short, ", True)]


@pytest.mark.parametrize("given", [(), ("", "  ", "\n")])
async def test_a_stream_without_text_is_refused(stage: Stage, given: tuple[str, ...]) -> None:
    """As an empty message is: nothing was queued."""
    async with stage.chat("ada") as ada:
        with pytest.raises(chatkit.InvalidMessage, match="no text"):
            await ada.channel("support").send_stream(words(*given))
        assert ada.outbox.depth == 0


async def test_what_is_no_stream_of_text_is_refused(stage: Stage) -> None:
    """Said at once, or where it shows, with what came before kept."""
    async with stage.chat("ada") as ada:
        support = ada.channel("support")
        wrong: Any = ["a", "list"]
        with pytest.raises(chatkit.ConfigError, match="async for"):
            await support.send_stream(wrong)
        for every in (0, -1.0, "often"):
            with pytest.raises(chatkit.ConfigError, match="seconds above 0"):
                await support.send_stream(words("x"), every=every)  # type: ignore[arg-type]
        mixed: Any = words("fine, ", 17)  # type: ignore[arg-type]
        with pytest.raises(chatkit.InvalidMessage, match="something else"):
            await support.send_stream(mixed)
        await ada.outbox.flush(timeout=10)
    assert kept(stage) == [("fine, ", True)]


async def test_any_async_iterator_gives_a_text(stage: Stage) -> None:
    """It need not be a generator: the answer of another SDK, say."""

    class Chunks:
        left = 3

        def __aiter__(self) -> Chunks:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return f"{self.left} "

    async with stage.chat("ada") as ada:
        delivery = await ada.channel("support").send_stream(Chunks())
        assert delivery.message.text == "2 1 0 "


async def test_under_its_key_a_stream_goes_on_in_the_next_life(stage: Stage, tmp_path: Path) -> None:
    """The same message, grown anew from its start: no second answer beside the first (D14)."""
    path = tmp_path / "ada.db"
    async with stage.chat("ada", store=path) as ada:
        await ada.connection.wait(timeout=10)
        with pytest.raises(RuntimeError):
            await ada.channel("support").send_stream(
                words("one ", "two", then=RuntimeError("crash")), key="answer-1"
            )
    async with stage.chat("ada", store=path) as again:
        delivery = await again.channel("support").send_stream(words("one ", "two ", "three"), key="answer-1")
        await again.outbox.flush(timeout=10)
        messages = [m async for m in again.channel("support").scan()]

    assert [(m.text, m.incomplete, m.message_id) for m in messages] == [
        ("one two three", False, delivery.message_id)
    ]


async def test_a_growing_message_quotes_and_passes_middleware(stage: Stage) -> None:
    """Each of its versions is seen before it is queued, and it may answer a message."""

    class Loud:
        async def outgoing(self, draft: chatkit.Draft) -> chatkit.Draft:
            return chatkit.Draft(
                channel=draft.channel, content=str(draft.content).upper(), meta={"by": "loud"}
            )

        async def incoming(self, event: chatkit.Event) -> chatkit.Event | None:
            return event

    async with stage.chat("ada") as ada:
        asked = await ada.channel("support").send("why?")
        ada.use(Loud())
        delivery = await ada.channel("support").send_stream(words("be", "cause"), reply_to=asked)
        message = delivery.message

    assert (message.text, message.reply_to, message.meta["by"]) == ("BECAUSE", asked.message_id, "loud")
