"""`seq` and `pred` hint at what was lost, and are never more than hints (D5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.hints import LANES, MISSING, PATIENCE, Hints


def heard(hints: Hints, *pairs: tuple[int, int], now: float = 0.0) -> list[bool]:
    return [hints.note("ada", "k3v9x2", seq, pred, now) for seq, pred in pairs]


def test_a_lane_without_holes_says_nothing() -> None:
    """Each names the one before it, and numbers may be missing where nothing was sent (D5)."""
    hints = Hints()

    assert heard(hints, (1, 0), (2, 1), (5, 2), (6, 5)) == [False] * 4
    assert hints.wait(0.0) is None


def test_the_first_word_of_a_lane_proves_no_loss() -> None:
    """What came before it may have been before our time."""
    assert heard(Hints(), (42, 41)) == [False]


def test_a_predecessor_that_was_not_seen_prompts_a_look() -> None:
    """At once for the log, after five seconds for the user (D5)."""
    hints = Hints()

    assert heard(hints, (1, 0), (3, 2), now=10.0) == [False, True]
    assert hints.wait(11.0) == PATIENCE - 1.0
    assert not hints.due(10.0 + PATIENCE - 0.001)
    assert hints.due(10.0 + PATIENCE)
    assert not hints.due(10.0 + PATIENCE)


def test_a_predecessor_that_comes_after_all_is_not_missed() -> None:
    """Providers may reorder (D5)."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2), (2, 1))

    assert hints.wait(0.0) is None
    assert not hints.due(PATIENCE)


def test_each_missing_one_has_its_own_patience() -> None:
    """A steady loss is told after five seconds, and one that comes late does not excuse another (D5)."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2), now=0.0)
    heard(hints, (5, 4), now=4.0)
    heard(hints, (2, 1), now=4.5)

    assert hints.wait(5.0) == 4.0
    assert not hints.due(PATIENCE)
    assert hints.due(4.0 + PATIENCE)


def test_a_repeat_changes_nothing() -> None:
    """The second copy of an envelope neither prompts again nor puts off the word (D5)."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2), now=0.0)

    assert heard(hints, (3, 2), (1, 0), now=4.0) == [False, False]
    assert hints.due(PATIENCE)


def test_a_sender_whose_numbers_lie_cannot_put_off_the_word() -> None:
    """Naming one predecessor again and again waits from the first time on (D5)."""
    hints = Hints()
    heard(hints, (1, 0), (2, 9), now=0.0)

    assert heard(hints, (3, 9), now=4.0) == [True]
    assert hints.wait(4.0) == PATIENCE - 4.0


def test_lanes_are_apart() -> None:
    """Neither another user nor another device of the same fills a hole (D8)."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2))

    assert not hints.note("bob", "k3v9x2", 2, 1, 0.0)
    assert not hints.note("ada", "zzzzzz", 2, 1, 0.0)
    assert hints.due(PATIENCE)


def test_an_envelope_may_omit_both() -> None:
    """A web page need not count (D5)."""
    hints = Hints()
    heard(hints, (1, 0))

    assert not hints.note("ada", "k3v9x2", None, 7, 0.0)
    assert not hints.note("ada", "k3v9x2", 9, None, 0.0)
    assert hints.wait(0.0) is None


def test_what_was_announced_is_forgotten() -> None:
    """A gap was told, or the log was read: one word is enough."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2))

    hints.clear()

    assert hints.wait(0.0) is None
    assert heard(hints, (5, 4)) == [True]


def test_senders_are_remembered_up_to_a_bound() -> None:
    """The one heard of longest ago is forgotten first, and then begins anew (I10)."""
    hints = Hints()
    for number in range(LANES):
        hints.note(f"user{number}", "k3v9x2", 1, 0, 0.0)
    hints.note("user0", "k3v9x2", 2, 1, 0.0)
    hints.note("one more", "k3v9x2", 1, 0, 0.0)

    assert not hints.note("user1", "k3v9x2", 9, 8, 0.0)
    assert hints.note("user0", "k3v9x2", 9, 8, 0.0)


def test_a_forgotten_sender_is_still_missed() -> None:
    """What was noticed is told, however many have spoken since (D5)."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2))
    for number in range(LANES):
        hints.note(f"user{number}", "k3v9x2", 1, 0, 0.0)

    assert hints.due(PATIENCE)


def test_missing_ones_are_waited_for_up_to_a_bound() -> None:
    """Further ones still prompt a look; the word after five seconds is theirs too (I10)."""
    hints = Hints()
    heard(hints, (1, 0))
    prompts = heard(hints, *((number * 2 + 1, number * 2) for number in range(1, MISSING + 1)))
    assert all(prompts)

    assert hints.note("ada", "k3v9x2", 9_999, 9_998, 1.0)
    assert hints.due(PATIENCE)
    assert hints.wait(PATIENCE) is None


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 11), st.floats(0.0, 3.0)), max_size=30))
def test_a_hint_is_never_about_what_was_seen(notes: list[tuple[int, int, float]]) -> None:
    """In any order, with any repeats and lies (D5)."""
    hints, seen, now = Hints(), set[int](), 0.0
    for seq, pred, pause in notes:
        now += pause
        prompted = hints.note("ada", "k3v9x2", seq, pred, now)
        seen.add(seq)
        assert not (prompted and pred in seen - {seq})


@given(st.floats(0.0, 1e9))
def test_waiting_as_told_ends_the_wait(now: float) -> None:
    """On a clock that moves exactly by the wait, whatever is lost in rounding."""
    hints = Hints()
    heard(hints, (1, 0), (3, 2), now=now)

    for _ in range(3):
        wait = hints.wait(now)
        assert wait is not None
        now += wait
        if hints.due(now):
            return
        assert hints.wait(now) != 0.0
    raise AssertionError("still waiting")
