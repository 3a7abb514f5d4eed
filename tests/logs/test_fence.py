"""Properties of the fence: whatever retries do, nothing is lost, doubled or shuffled (D9)."""

from __future__ import annotations

import threading
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chatkit.logs.core import LogCore
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import text_of, wish

LANES = 3


def entry(lane: int, number: int) -> Outgoing:
    return wish(lane * 1000 + number, device=f"device{lane}", seq=number)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Outgoing]]:
    """What a network makes of lanes that retry: batches in lane order, regrouped, repeated, out of date."""
    batches: list[list[Outgoing]] = []
    for lane in range(LANES):
        numbers = list(range(1, draw(st.integers(0, 8)) + 1))
        start = 0
        while start < len(numbers):
            size = draw(st.integers(1, 3))
            batches.append([entry(lane, number) for number in numbers[start : start + size]])
            # A retry may overlap what went before and stop before where the last attempt stopped.
            start += draw(st.integers(1, size))
    order = draw(st.permutations(batches))
    late = draw(st.lists(st.sampled_from(batches), max_size=6)) if batches else []
    return [*order, *late]


@given(deliveries())
def test_any_retries_give_each_lane_in_order_once(delivered: list[list[Outgoing]]) -> None:
    """No double, no disorder within a lane, and no gap in the numbers of the channel (I2, I4)."""
    core = LogCore(VirtualClock(), Random(1), keep=1000)
    accepted: set[str] = set()
    for entries in delivered:
        answer, new = core.append("support", entries)
        assert len(answer.acks) == len(entries)
        accepted |= {ack.ident.id for ack in answer.acks if ack.outcome == "new"}
        assert len(new) == sum(ack.outcome == "new" for ack in answer.acks)

    kept = core.entries("support", after=None, limit=1000).items

    assert [int(item.stamp.key.serial) for item in kept] == list(range(1, len(kept) + 1))
    serials = ["", *(item.stamp.key.serial for item in kept)]
    assert [item.stamp.prev for item in kept] == serials[:-1]
    assert len(kept) == len({item.data for item in kept}) == len(accepted)
    for lane in range(LANES):
        mine = [str(text_of(item.data)) for item in kept if f"device{lane}" in item.data.decode()]
        assert mine == sorted(mine, key=lambda text: int(text.split()[1]))


@given(st.data())
def test_a_patient_lane_loses_nothing(data: st.DataObject) -> None:
    """One publish in flight, repeated until it is answered: every entry is in, once and in order (I1, I4)."""
    core = LogCore(VirtualClock(), Random(1), keep=1000)
    count = data.draw(st.integers(1, 12))
    flying: list[list[Outgoing]] = []
    chances: st.SearchStrategy[bool] = st.booleans()
    done = 0
    while done < count:
        size = data.draw(st.integers(1, 4))
        entries = [entry(0, number) for number in range(done + 1, min(count, done + size) + 1)]
        for _ in range(data.draw(st.integers(0, 2))):  # attempts whose answers are lost, or that arrive later
            if data.draw(chances):
                core.append("support", entries)
            else:
                flying.append(entries)
        while flying and bool(data.draw(chances)):
            core.append("support", flying.pop())
        answer, _ = core.append("support", entries)
        assert {ack.outcome for ack in answer.acks} <= {"new", "duplicate"}
        done += len(entries)
    for entries in flying:
        answer, new = core.append("support", entries)
        assert new == ()
        assert {ack.outcome for ack in answer.acks} == {"duplicate"}

    kept = core.entries("support", after=None, limit=1000).items

    assert [text_of(item.data) for item in kept] == [f"text {number}" for number in range(1, count + 1)]


def test_threads_share_a_log() -> None:
    """Eight writers with overlapping retries: no double, gap or disorder (D9)."""
    core = LogCore(VirtualClock(), Random(1), keep=10_000)
    start = threading.Barrier(8)

    def write(lane: int) -> None:
        chance = Random(lane)
        start.wait()
        done = 0
        while done < 50:
            size = chance.randint(1, 5)
            numbers = range(max(1, done - 1), min(50, done + size) + 1)
            core.append("support", [entry(lane, number) for number in numbers])
            done = max(done, numbers[-1])

    threads = [threading.Thread(target=write, args=(lane,)) for lane in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    kept = core.entries("support", after=None, limit=1000).items
    assert [int(item.stamp.key.serial) for item in kept] == list(range(1, 401))
    for lane in range(8):
        mine = [text_of(item.data) for item in kept if f"device{lane}" in item.data.decode()]
        assert mine == [f"text {lane * 1000 + number}" for number in range(1, 51)]
