"""A log that answers as now one log, now another: it is asked in measure, told once, and nothing is lost (D18)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import count, cycle
from random import Random
from typing import Any

import pytest

import chatkit
from chatkit.engine.steadiness import AGREE, FORGET, Steadiness
from chatkit.testing.clock import VirtualClock
from tests.engine.kit import C, OddLog, Stage, counters, later, odd_log, ready, shown, texts

GAPS = (chatkit.MessageCreated, chatkit.MessageDeleted, chatkit.Discontinuity)
OTHER = "f" * 32
READS = ("entries", "messages", "find", "heads")


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    return Stage(clock, like="supabase")


Say = Callable[[str, str], str]
"""What a log says that it is, by the call and by what it is."""


def by_turns() -> Say:
    """Of each call now the other log, now the one that is known."""
    turns: dict[str, Any] = {}
    return lambda name, own: next(turns.setdefault(name, cycle((OTHER, own))))


def by_call() -> Say:
    """Entries stand in the other log, messages in the one that is known."""
    return lambda name, own: own if name == "messages" else OTHER


def by_chance() -> Say:
    """One of two, at random."""
    random = Random(3)
    return lambda _, own: random.choice((OTHER, own))


def ever_another() -> Say:
    """Never the same one."""
    numbers = count(1)
    return lambda *_: f"{next(numbers):032x}"


ALL = (by_turns, by_call, by_chance, ever_another)


def waver(stage: Stage, log: OddLog, say: Say) -> None:
    """From now on each answer names a log as `say` has it."""
    own = stage.hub.log.core.log_id

    def edit(name: str, answer: Any) -> Any:
        if name == "heads":
            said = say(name, own)
            return {channel: state._replace(log_id=said) for channel, state in answer.items()}
        return (
            answer._replace(state=answer.state._replace(log_id=say(name, own))) if name in READS else answer
        )

    log.edit = edit


def reads(log: OddLog) -> int:
    return sum(map(log.count, READS))


def counted(told: list[Any]) -> dict[str, int]:
    """Return how often readers heard of each gap that is certain."""
    return dict(
        Counter(event.reason for event in told if isinstance(event, chatkit.Discontinuity) and event.certain)
    )


def messages(told: list[Any]) -> list[str]:
    return texts([event for event in told if not isinstance(event, chatkit.Discontinuity)])


@pytest.mark.parametrize("make", ALL)
async def test_a_log_that_wavers_is_asked_in_measure(stage: Stage, make: Callable[[], Say]) -> None:
    """Not as fast as it answers: some reads a minute; readers are told at most once that it was replaced."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("one", "two")
        await asyncio.sleep(3)
        waver(stage, log, make())
        before = reads(log)
        told = await later(stream, 600)

        assert reads(log) - before < 150
        assert counted(told) in ({}, {"log_reset": 1})
        assert counters(ada)["log_wavers"] > 0
        assert messages(told) == ["one", "two"]
        assert shown(ada) == ["one", "two"]


@pytest.mark.parametrize("make", ALL)
async def test_what_is_said_while_a_log_wavers_is_told_once_it_is_steady(
    stage: Stage, make: Callable[[], Say]
) -> None:
    """All of it, and none of it twice; in between, each message costs few reads."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        peer = stage.peer("cleo")
        peer.say("one")
        await asyncio.sleep(3)
        waver(stage, log, make())
        before = reads(log)
        for number in range(20):
            peer.say(f"live {number}")
            with stage.lost():
                peer.say(f"lost {number}")
            await asyncio.sleep(5)
        assert reads(log) - before < 250
        log.edit = lambda _, answer: answer
        told = await later(stream, 600)
        said = [f"{way} {number}" for number in range(20) for way in ("live", "lost")]

        assert counted(told).get("log_reset", 0) <= 2
        found = messages(told)
        assert len(found) == len(set(found))
        assert set(found) <= {"one", *said}
        assert set(found) == {"one", *said} or counted(told)  # what is behind a reset readers know to look up
        assert sorted(shown(ada)) == sorted(["one", *said])


async def test_a_log_that_is_another_for_good_is_believed_though_it_wavered(stage: Stage) -> None:
    """Once it has said so several times in a row: readers are told, and live goes on there (D18)."""
    chat = stage.chat("ada")
    log = odd_log(chat)
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS)
        await ready(ada)
        stage.peer("cleo").say("one")
        await asyncio.sleep(3)
        waver(stage, log, by_call())
        _ = await later(stream, 60)
        core: Any = stage.hub.log.core
        core._channels, core.log_id = {}, OTHER
        log.edit = lambda _, answer: answer
        dora = stage.peer("dora")
        dora.say("first of another")
        told = await later(stream, 300)
        dora.say("second")

        assert counted(told) == {"log_reset": 1}
        assert texts(await later(stream, 5)) == ["second"]
        assert shown(ada) == ["one", "first of another", "second"]


@pytest.mark.parametrize("make", ALL)
async def test_who_reads_from_a_place_asks_a_log_that_wavers_in_measure(
    stage: Stage, make: Callable[[], Say]
) -> None:
    """A stream with `since=` hears once that the log was replaced, not at each answer."""
    stage.peer("cleo").say(*map(str, range(5)))
    chat = stage.chat("ada")
    log = odd_log(chat)
    waver(stage, log, make())
    async with chat as ada:
        stream = ada.channel(C).events(*GAPS, since=chatkit.START)
        await ada.channel(C).attach(timeout=10)
        told = await later(stream, 600)

        assert reads(log) < 400
        assert counted(told).get("log_reset", 0) <= 2
        assert len(messages(told)) == len(set(messages(told)))


def test_the_first_word_of_another_log_is_believed() -> None:
    """So is that of a log that was steady for a while; of one that wavers the third in a row."""
    steady = Steadiness()
    assert steady.says("b", 0.0)
    waits = [steady.wavers(float(now)) for now in range(20)]
    assert waits[:3] == [2.0, 4.0, 8.0]
    assert max(waits) < 1_100

    assert [steady.says("b", 20.0) for _ in range(AGREE)] == [False, False, True]
    steady.fits()
    assert [steady.says(name, 20.0) for name in "bcbcb"] == [False] * 5
    assert steady.says("c", 20.0 + FORGET)
