"""The hybrid clock never goes back and remembers what it has seen (D4)."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.hlc import MAX_AHEAD_MS, HybridClock
from chatkit.errors import InvalidMessage, StateError

NOW = 1_795_428_000_000


def reading(ms: int, counter: int = 0) -> str:
    return f"{ms:012x}-{counter:04x}"


# A wall clock that jumps both ways, and readings of others around it.
times = st.integers(NOW - 100_000, NOW + 100_000) | st.just(NOW)
remotes = st.builds(reading, times, st.sampled_from([0, 1, 0xFFFE, 0xFFFF]))
steps = st.lists(
    st.tuples(st.just("tick"), times, st.none())
    | st.tuples(st.just("observe"), times, remotes)
    | st.tuples(st.just("restart"), st.none(), st.none())
)


@given(steps)
def test_every_reading_is_greater_than_all_before_it(
    steps: list[tuple[Literal["tick", "observe", "restart"], int, str]],
) -> None:
    """Own and merged readings, over jumps of the wall clock and restarts from the store (D4)."""
    clock = HybridClock()
    greatest = ""
    for what, now_ms, remote in steps:
        if what == "tick":
            made = clock.tick(now_ms)
            assert re.fullmatch("[0-9a-f]{12}-[0-9a-f]{4}", made)
            assert made > greatest
            assert made >= reading(now_ms)
            greatest = made
        elif what == "observe":
            if clock.observe(remote, now_ms):
                greatest = max(greatest, remote)
        else:
            clock = HybridClock(clock.last)
        assert (clock.last or "") == greatest


@given(times, remotes, remotes)
def test_merging_is_bounded_by_server_time(now_ms: int, last: str, remote: str) -> None:
    """A reading is merged up to 60 s ahead of server time, whatever our own last one is (D4)."""
    clock = HybridClock(last)
    ahead = int(remote[:12], 16) - now_ms

    merged = clock.observe(remote, now_ms)

    assert merged == (ahead <= MAX_AHEAD_MS)
    assert clock.last == (max(last, remote) if merged else last)


@given(times, st.integers(1, 200_000))
def test_a_quiet_clock_tells_the_time(now_ms: int, later: int) -> None:
    """Where nothing pushes it, a reading is the millisecond it was taken in (D4)."""
    clock = HybridClock()

    assert clock.tick(now_ms) == reading(now_ms)
    assert clock.tick(now_ms + later) == reading(now_ms + later)


def test_a_full_counter_carries_into_the_milliseconds() -> None:
    """65,536 readings in one millisecond borrow the next (D4)."""
    clock = HybridClock()
    made = [clock.tick(NOW) for _ in range(0x10001)]

    assert made[0xFFFF] == reading(NOW, 0xFFFF)
    assert made[0x10000] == reading(NOW + 1)
    assert clock.tick(NOW + 1) == reading(NOW + 1, 1)


def test_a_new_clock_has_no_last_reading() -> None:
    """What the store keeps is nothing until the first tick or merge (D4)."""
    clock = HybridClock()

    assert clock.last is None
    assert not clock.observe(reading(NOW + MAX_AHEAD_MS + 1), NOW)
    assert clock.last is None
    assert clock.observe(reading(0), NOW)
    assert clock.last == reading(0)


@pytest.mark.parametrize(
    "text", ["", "0193581fa2c0", "0193581FA2C0-0003", "0193581fa2c0-0003\n", "0x93581fa2c0-0003"]
)
def test_what_is_no_reading_is_refused(text: str) -> None:
    """From a damaged store or a stranger: named, never repeated, and the clock is as before (D4)."""
    clock = HybridClock(reading(NOW))

    with pytest.raises(InvalidMessage) as caught:
        HybridClock(text)
    with pytest.raises(InvalidMessage, match=r"^hlc: "):
        clock.observe(text, NOW)
    assert clock.last == reading(NOW)
    assert str(caught.value) == "hlc: is not a reading of the hybrid clock"


def test_the_clock_ends_rather_than_wraps() -> None:
    """A reading that no longer fits would sort before all others (D4)."""
    clock = HybridClock("ffffffffffff-fffe")

    assert clock.tick(NOW) == "ffffffffffff-ffff"
    with pytest.raises(StateError, match="at its end"):
        clock.tick(NOW)
    with pytest.raises(StateError):
        HybridClock().tick(2**48)
    assert clock.last == "ffffffffffff-ffff"
