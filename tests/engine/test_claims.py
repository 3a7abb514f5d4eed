"""What is too large for a frame: the log has it whole, and a claim check announces it (D29)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit import MessageCreated, MessageTooLarge, MessageUpdated, UnavailableBody
from chatkit.engine.claims import SUMMARY, claim_check
from chatkit.model.envelope import Envelope
from tests.engine.kit import Apart, C, Down, Stage, counters, engine, frame, later, odd_log, shown, texts
from tests.engine.kit import ready as attached

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock

REF = {"id": "01890a5d-ac96-774b-bcce-b302099a8057", "user": "cleo"}
MINUTES = "Minutes of the meeting: " + "so it was said. " * 2_000
"""Three frames of Pusher, half a frame of Ably."""


@pytest.fixture
def apart(clock: VirtualClock) -> Apart:
    """A provider of small frames beside a log."""
    return Apart(clock, "pusher")


async def test_a_message_larger_than_a_frame_arrives_whole(apart: Apart) -> None:
    """Its announcement prompts a read of the log, at once; all is told in order, once (D21, D29)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageCreated)
        await attached(ada, bob)

        deliveries = [await ada.channel(C).send(text) for text in ("before", MINUTES, "after")]
        for delivery in deliveries:
            _ = await delivery.wait(timeout=5)

        assert texts(await later(events, 1)) == ["before", MINUTES, "after"]
        assert shown(ada) == shown(bob) == apart.kept == ["before", MINUTES, "after"]
        assert counters(bob)["claim_check"] == 1


async def test_an_edit_larger_than_a_frame_shows_whole(apart: Apart) -> None:
    """Changes are announced likewise; what they change stays one message (D23, D29)."""
    async with apart.chat("ada") as ada, apart.chat("bob") as bob:
        events = bob.channel(C).events(MessageUpdated)
        await attached(ada, bob)
        message = await (await ada.channel(C).send("draft")).wait(timeout=5)

        _ = await (await ada.channel(C).edit(message, MINUTES)).wait(timeout=5)

        assert [event.message.text for event in await later(events, 1)] == [MINUTES]
        assert shown(ada) == shown(bob) == [MINUTES]


async def test_a_frame_says_how_the_words_begin_and_no_more(apart: Apart) -> None:
    """All else is the sender's, so that a page can tell who wrote what kind of message where (D29)."""
    with apart.captured() as frames:
        async with apart.chat("ada") as ada:
            _ = await (await ada.channel(C).send(MINUTES, mentions=["bob"])).wait(timeout=5)
            _ = await ada.outbox.flush(timeout=5)
    (frame,) = frames
    claim, whole = Envelope.parse(frame.data), kept_envelope(apart)
    assert claim.body == {
        "type": "claim",
        "bytes": len(json.dumps(whole.body, separators=(",", ":"))),
        "summary": MINUTES[:SUMMARY],
    }
    assert claim.model_copy(update={"body": whole.body}) == whole
    assert frame.stamp is not None


async def test_a_reader_without_the_log_is_told_what_is_missing(apart: Apart) -> None:
    """`UnavailableBody` says why, how large it is and how it begins; it cannot be sent on (D29)."""
    async with apart.chat("ada") as ada, apart.chat("eve", log=None) as eve:
        events = eve.channel(C).events(MessageCreated)
        await attached(ada, eve)
        _ = await (await ada.channel(C).send(MINUTES)).wait(timeout=5)

        (event,) = await later(events, 1)

        body = event.message.body
        assert isinstance(body, UnavailableBody)
        assert (body.reason, event.message.text) == ("in_log", MINUTES[:SUMMARY])
        assert body.to_dict() == {"type": "claim", "bytes": body.bytes, "summary": body.summary}
        assert body.bytes > len(MINUTES)
        with pytest.raises(chatkit.InvalidMessage, match="'claim' cannot be forwarded"):
            _ = await eve.channel(C).forward(event.message)


def test_what_has_no_body_has_no_claim_check(clock: VirtualClock) -> None:
    """There is nothing that a check could stand for: it is announced as it is (D29)."""
    message = Stage(clock).peer("cleo").envelope("message.delete", ref=REF)

    assert claim_check(message.encode()) == message.encode()


async def test_a_claim_check_that_comes_again_is_a_duplicate(apart: Apart) -> None:
    """What was read is known by its place: the log is not asked again (D20)."""
    async with apart.chat("ada") as ada:
        bob = apart.chat("bob")
        log = odd_log(bob)
        async with bob:
            events = bob.channel(C).events(MessageCreated)
            await attached(ada, bob)
            with apart.captured() as frames:
                _ = await (await ada.channel(C).send(MINUTES)).wait(timeout=5)
                _ = await ada.outbox.flush(timeout=5)
            apart.deliver(*frames)
            assert texts(await later(events, 1)) == [MINUTES]
            reads = log.count("entries")

            apart.deliver(*frames, *frames)

            assert await later(events, 5) == []
            assert log.count("entries") == reads
            assert counters(bob)["duplicate"] == 2


async def test_a_claim_check_waits_for_a_log_that_gives_no_answer(apart: Apart) -> None:
    """The mark stays below it meanwhile, and what comes after it is told when its time is over (D17, D21)."""
    async with apart.chat("ada") as ada:
        bob = apart.chat("bob")
        log = odd_log(bob)
        async with bob:
            events = bob.channel(C).events(MessageCreated)
            await attached(ada, bob)
            log.error = Down("the log is away")
            for text in (MINUTES, "after"):
                _ = await (await ada.channel(C).send(text)).wait(timeout=5)

            assert texts(await later(events, 5)) == ["after"]
            log.error = None

            found = await later(events, 60)
            assert [(event.message.text, event.late) for event in found] == [(MINUTES, True)]
            assert shown(bob) == [MINUTES, "after"]


async def test_a_log_that_holds_a_claim_check_is_not_asked_for_ever(apart: Apart) -> None:
    """Somebody else's log may hold anything: what it says is shown as it is (I10)."""

    def without_bodies(name: str, answer: Any) -> Any:
        if name != "entries":
            return answer
        return answer._replace(
            items=tuple(entry._replace(data=claim_check(entry.data)) for entry in answer.items)
        )

    async with apart.chat("ada") as ada:
        bob = apart.chat("bob")
        log = odd_log(bob)
        log.edit = without_bodies
        async with bob:
            events = bob.channel(C).events(MessageCreated)
            await attached(ada, bob)
            _ = await (await ada.channel(C).send(MINUTES)).wait(timeout=5)
            (event,) = await later(events, 1)
            assert isinstance(event.message.body, UnavailableBody)
            reads = log.count("entries")

            assert await later(events, 25) == []
            assert log.count("entries") == reads


async def test_a_claim_check_of_another_path_only_prompts_a_read(apart: Apart) -> None:
    """What members can write says nothing of places: no hole opens, and nothing is shown (D17)."""
    async with apart.chat("bob") as bob:
        events = bob.channel(C).events(chatkit.MessageEvent)
        await attached(bob)
        forged = apart.peer("eve").envelope(text="none")
        apart.deliver(frame(forged, user="eve", serial=9, data=claim_check(forged.encode())))

        assert await later(events, 5) == []
        assert shown(bob) == []
        assert engine(bob).caught_up


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("x" * 1_048_576, {}, "a log keeps at most 1,048,476"),
        (MINUTES, {"mentions": [f"{n:02d}" + '"' * 126 for n in range(50)]}, "without its body"),
    ],
    ids=["an entry of the log", "a frame without a body"],
)
async def test_what_cannot_be_announced_is_refused(
    apart: Apart, content: str, options: dict[str, Any], words: str
) -> None:
    """Before anything is queued, with channel and id named and nothing of what it says (I16)."""
    async with apart.chat("ada") as ada:
        with pytest.raises(MessageTooLarge, match=words) as refused:
            _ = await ada.channel(C).send(content, **options)
        assert refused.value.channel == C
        assert refused.value.message_id
        assert await ada.outbox.entries() == ()


async def test_without_a_log_beside_it_a_frame_is_the_limit(clock: VirtualClock) -> None:
    """Nobody could read the rest (D30)."""
    async with Stage(clock, like="pusher").chat("ada") as ada:
        with pytest.raises(MessageTooLarge, match="a frame of this provider carries"):
            _ = await ada.channel(C).send(MINUTES)


def kept_envelope(apart: Apart) -> Envelope:
    """Return the first envelope of the log."""
    return Envelope.parse(apart.log.core.entries(C, after=None, limit=1).items[0].data)
