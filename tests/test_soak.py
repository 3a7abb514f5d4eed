"""The soak judges what it measures, and a leak that is planted turns it red, with its name."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

import chatkit
from tests.soak.__main__ import told
from tests.soak.judge import LEAST, Sample, TooShort, judge, table
from tests.soak.measure import beyond, sample
from tests.soak.run import Plan, Result, soak, traced

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit import Chat

MB: Final = 1_000_000
FLAT: Final = Sample(
    seconds=1.0,
    done=1,
    rss={"the process": 70 * MB},
    memory={"fold.py:9": 3 * MB, "everywhere else": 2 * MB},
    tasks={"chatkit:lane": 60, "chatkit:reader": 40},
    threads={"store": 8, "MainThread": 2},
    files={"log.db": 30, "socket": 10},
)


def with_more(one: Sample, series: str, name: str, more: float) -> Sample:
    """The sample with more under a name."""
    found = dict(getattr(one, series))
    found[name] = found.get(name, 0) + round(more)
    changes: dict[str, Any] = {series: found}
    return replace(one, **changes)


# -- the verdict, of made-up series


@pytest.mark.parametrize(
    ("series", "name", "a_round"),
    [
        ("rss", "the process", 0.8 * MB),
        ("memory", "leaky.py:7", 50_000),
        ("tasks", "kept", 2),
        ("threads", "worker", 1),
        ("files", "ada.db", 1),
        ("files", "socket", 1),
    ],
)
def test_what_grows_round_by_round_is_a_breach_with_its_name(series: str, name: str, a_round: float) -> None:
    """Whatever it is, and nothing else is accused (I10, I12)."""
    samples = [with_more(FLAT, series, name, number * a_round) for number in range(15)]

    [breach] = judge(samples).breaches

    assert breach.startswith(f"{series}: ")
    assert f"{name} +" in breach


@pytest.mark.parametrize(
    ("series", "name", "more"),
    [
        ("rss", "the process", 3 * MB),
        ("memory", "fold.py:9", 0.2 * MB),
        ("tasks", "chatkit:lane", 4),
        ("files", "log.db", 1),
    ],
)
def test_less_than_five_percent_is_flat(series: str, name: str, more: float) -> None:
    """Between the first third after warming up and the last."""
    samples = [*[FLAT] * 8, *[with_more(FLAT, series, name, more)] * 7]

    verdict = judge(samples)

    assert verdict.breaches == ()
    assert 1.0 < max(verdict.growth.values()) < 1.05


def test_warming_up_is_not_counted() -> None:
    """Caches fill."""
    young = replace(
        FLAT, rss={"the process": 30 * MB}, memory={"fold.py:9": 1 * MB}, tasks={"chatkit:lane": 9}
    )

    assert judge([young, young, *[FLAT] * 10]).breaches == ()


@pytest.mark.parametrize("at", range(2, LEAST))
def test_one_odd_sample_is_no_verdict(at: int) -> None:
    """A peak that passes, wherever it is: each third has at least three samples, and their median counts."""
    odd = with_more(with_more(FLAT, "tasks", "burst", 90), "memory", "burst.py:1", 9 * MB)
    samples = [FLAT] * LEAST
    samples[at] = odd

    assert judge(samples).breaches == ()


def test_the_verdict_does_not_depend_on_time() -> None:
    """A loaded machine takes longer for a round; what counts is what was done in it."""
    samples = [with_more(FLAT, "tasks", "kept", 2 * number) for number in range(15)]
    slow = [replace(one, seconds=1_000.0 * number) for number, one in enumerate(samples)]

    assert judge(slow) == judge(samples)


@pytest.mark.parametrize("count", [0, 1, LEAST - 1])
def test_too_few_rounds_give_no_verdict(count: int) -> None:
    """Neither flat nor not: it is said, with a code of its own."""
    samples = [FLAT] * count

    with pytest.raises(TooShort, match=f"{count} rounds, a verdict takes {LEAST}"):
        judge(samples)
    text, code = told(Result(samples=samples))

    assert code == 2
    assert text.startswith(table(samples))
    assert text.endswith(f"too short to judge: {count} rounds, a verdict takes {LEAST}\nNO VERDICT")


def test_enough_rounds_give_one() -> None:
    """As few as that."""
    text, code = told(Result(samples=[FLAT] * LEAST))

    assert code == 0
    assert text.splitlines()[-1].startswith("FLAT")


@pytest.mark.parametrize("count", [3, LEAST], ids=["short", "whole"])
@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"left": ["task x"]}, "left behind: task x"), ({"broken": ["a defect in lane"]}, "a defect in lane")],
)
def test_what_is_left_or_broken_is_a_breach(wrong: dict[str, Any], named: str, count: int) -> None:
    """However flat all else is, and however short it was."""
    text, code = told(Result(samples=[FLAT] * count, **wrong))

    assert code == 1
    assert f"BROKEN  {named}" in text
    assert text.endswith("BREACH")


# -- what is measured, of real things


Leak = Callable[[list[Any]], object]


def keep_a_task(kept: list[Any]) -> None:
    kept.append(asyncio.get_running_loop().create_task(asyncio.sleep(3_600), name="kept for nothing"))


def keep_a_kilobyte(kept: list[Any]) -> None:
    kept.append(bytes(1_000))


def keep_a_file(kept: list[Any]) -> None:
    kept.append(open(__file__, "rb"))  # noqa: PTH123, SIM115  # not closed, and that is the point


def keep_a_socket(kept: list[Any]) -> None:
    kept.append(socket.socket())


LEAKS: Final[dict[Leak, tuple[str, str]]] = {
    keep_a_task: ("tasks", "kept for nothing"),
    keep_a_kilobyte: ("memory", "test_soak.py"),
    keep_a_file: ("files", "test_soak.py"),
    keep_a_socket: ("files", "socket"),
}
"""Where each shows, and by which name."""


@contextmanager
def keeping() -> Iterator[list[Any]]:
    """What a leak keeps; let go of in the end."""
    kept: list[Any] = []
    try:
        yield kept
    finally:
        for one in kept:
            getattr(one, "close", getattr(one, "cancel", int))()


@pytest.fixture
def alone() -> Iterator[None]:
    """What the tests before hold is not looked through at each sample."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def rounds(*leaks: Leak) -> list[Sample]:
    """Do the same work in each round, with leaks in it."""
    samples: list[Sample] = []
    with traced(), keeping() as kept:
        ballast = [bytes(1_000) for _ in range(1_000)]
        for number in range(LEAST):
            work = [str(n) * 10 for n in range(100)]
            for leak in leaks * 10:
                leak(kept)
            await asyncio.sleep(0)
            del work
            samples.append(sample(float(number), number))
        ballast.clear()
    return samples


@pytest.mark.realtime
@pytest.mark.usefixtures("alone")
async def test_leaks_in_this_process_are_seen() -> None:
    """A task, memory, a file, a socket that nobody lets go of; the verdict says which they are (I10, I12)."""
    verdict = judge(await rounds(*LEAKS))

    named = {breach.partition(":")[0]: breach for breach in verdict.breaches}
    assert set(named) == {"memory", "tasks", "files"}
    for series, name in LEAKS.values():
        assert name in named[series]


@pytest.mark.realtime
@pytest.mark.usefixtures("alone")
async def test_work_without_a_leak_is_flat() -> None:
    """The same rounds, and nothing is kept; nothing is left behind either."""
    samples = await rounds()

    assert judge(samples).breaches == ()
    assert beyond(samples[-1], samples[0]) == []


# -- people who chat

SEED: Final = 20
"""Its first five blows cut, kick and kill, and leave no socket half-open: that is noticed late, whatever a test does."""
MANY, FEW = 100, 30
"""Things done in a round: with many of them all that chatkit keeps is full when warming up ends."""


@pytest.mark.long
@pytest.mark.realtime
async def test_a_round_leaves_nothing(tmp_path: Path) -> None:
    """No task, thread, file, lock or client; no defect, nothing lost or doubled; too short to say what grows."""
    result = await soak(Plan(tmp_path, rounds=1, acts=FEW, quiet=0.1, seed=SEED))

    assert (result.left, result.broken) == ([], [])
    assert [one.done >= FEW for one in result.samples] == [True]
    assert told(result)[1] == 2


def leaking(leak: Leak, kept: list[Any]) -> Callable[[Chat], None]:
    """An app whose handler leaks at each message."""

    def plant(chat: Chat) -> None:
        @chat.on(chatkit.MessageCreated)
        async def hear(event: chatkit.MessageCreated) -> None:
            leak(kept)

    return plant


@pytest.mark.nightly
@pytest.mark.realtime
async def test_a_short_soak_is_flat(tmp_path: Path) -> None:
    """Rounds of work, as many as a verdict takes, on however loaded a machine."""
    text, code = told(await soak(Plan(tmp_path, acts=MANY, quiet=0.1)))

    assert code == 0, text


@pytest.mark.nightly
@pytest.mark.realtime
@pytest.mark.parametrize("leak", LEAKS)
async def test_a_leak_in_an_app_is_found(tmp_path: Path, leak: Leak) -> None:
    """A handler that keeps something of each message: the same soak is a breach, with the name of what grew."""
    with keeping() as kept:
        text, code = told(await soak(Plan(tmp_path, acts=FEW, quiet=0.1, plant=leaking(leak, kept))))

    series, name = LEAKS[leak]
    assert code == 1
    [breach] = [line for line in text.splitlines() if line.startswith(f"BROKEN  {series}: ")]
    assert name in breach
