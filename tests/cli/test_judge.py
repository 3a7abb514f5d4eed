"""The judge sees every way to break the promise, and nothing where it was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.cli.demo.judge import LOG, Finding, Verdict, judge
from chatkit.cli.demo.record import Heard, Logged, Said, Visit
from chatkit.model.order import OrderKey

if TYPE_CHECKING:
    from collections.abc import Sequence

Event = str | tuple[str, bool]
"""A line that a listener was given; with True: marked late."""


def said(*lines: str, user: str = "ada") -> list[Said]:
    return [Said(line, user, 0.0, f"id-{line}") for line in lines]


def place(number: int) -> OrderKey:
    return OrderKey(1, f"{number:020d}")


def logged(*lines: str, user: str = "ada") -> list[Logged]:
    return [Logged(line, user, f"id-{line}", place(number)) for number, line in enumerate(lines, 1)]


def visit(*events: Event, since: int | None = None) -> Visit:
    pairs = [(event, False) if isinstance(event, str) else event for event in events]
    heard = [Heard(line, f"id-{line}", late, 0.0) for line, late in pairs]
    return Visit("bob", None if since is None else place(since), heard)


def heard(*events: Event) -> dict[str, Sequence[Visit]]:
    return {"bob": [visit(*events)]}


def at_log(*lines: str) -> tuple[Finding, ...]:
    return tuple(Finding(f"id-{line}", LOG) for line in lines)


def at_bob(*lines: str) -> tuple[Finding, ...]:
    return tuple(Finding(f"id-{line}", "bob") for line in lines)


def test_a_promise_that_was_kept_is_not_broken() -> None:
    """Everything is in the log once, in order, and was given once, in order."""
    verdict = judge(said("a", "b"), logged("a", "b"), heard("a", "b"))

    assert verdict == Verdict(sent=2, logged=2, once={"bob": 2})
    assert not verdict.broken


def test_what_the_log_lacks_is_lost() -> None:
    """Accepted, and neither in the log nor queued any more; at no listener is it counted again."""
    verdict = judge(said("a", "b"), logged("a"), heard("a"))

    assert verdict.lost == at_log("b")
    assert verdict.broken


def test_what_a_listener_was_not_given_is_lost() -> None:
    """The log holds it, and the listener never heard of it."""
    verdict = judge(said("a", "b"), logged("a", "b"), heard("b"))

    assert verdict.lost == at_bob("a")
    assert verdict.once == {"bob": 1}


def test_what_waits_in_an_outbox_is_queued() -> None:
    """It is not lost, and at the end of the story it is a broken promise all the same."""
    verdict = judge(said("a"), [], heard(), queued={"id-a"})

    assert (verdict.queued, verdict.lost) == (at_log("a"), ())
    assert verdict.broken


def test_what_is_in_the_log_is_not_queued() -> None:
    """An outbox that has not heard the answer yet holds what was sent."""
    verdict = judge(said("a"), logged("a"), heard("a"), queued={"id-a"})

    assert not verdict.broken


def test_a_second_entry_of_a_line_is_doubled() -> None:
    """Under the same id or, where the key did not make it the same message, under another."""
    again = Logged("a", "ada", "id-a", place(2))
    other = Logged("a", "ada", "id-other", place(2))

    assert judge(said("a"), [*logged("a"), again], heard("a")).doubled == at_log("a")
    assert judge(said("a"), [*logged("a"), other], heard("a")).doubled == (Finding("id-other", LOG),)


def test_an_entry_under_another_id_is_not_what_was_promised() -> None:
    """`send()` named an id, and the log has the line under another: one is lost, one is too many."""
    verdict = judge(said("a"), [Logged("a", "ada", "id-other", place(1))], heard())

    assert verdict.lost == at_log("a")
    assert verdict.doubled == (Finding("id-other", LOG),)


def test_an_entry_that_nobody_said_is_doubled() -> None:
    """It can only be a copy of something."""
    assert judge([], logged("a"), heard()).doubled == at_log("a")


def test_what_a_listener_is_given_twice_is_doubled() -> None:
    """Each time but the first; it does not count as given once."""
    verdict = judge(said("a", "b"), logged("a", "b"), heard("a", "b", "a"))

    assert verdict.doubled == at_bob("a")
    assert verdict.once == {"bob": 1}
    assert not verdict.shuffled


def test_a_copy_that_is_marked_late_is_doubled() -> None:
    """Late is a word about order."""
    assert judge(said("a"), logged("a"), heard("a", ("a", True))).doubled == at_bob("a")


def test_what_a_listener_is_given_and_nobody_said_is_doubled() -> None:
    """As in the log."""
    assert judge([], [], heard("a")).doubled == at_bob("a")


def test_what_comes_back_above_the_place_kept_is_given_again_rightly() -> None:
    """A cursor may lie below the last event handled: then the next stream begins there (D17)."""
    visits = {"bob": [visit("a", "b"), visit("b", "c", since=1)]}

    verdict = judge(said("a", "b", "c"), logged("a", "b", "c"), visits)

    assert not verdict.broken
    assert verdict.again == 1
    assert verdict.once == {"bob": 3}


@pytest.mark.parametrize("since", [None, 2])
def test_what_comes_back_from_below_the_place_kept_is_doubled(since: int | None) -> None:
    """Whoever comes back with a cursor was given all up to it."""
    visits = {"bob": [visit("a", "b"), visit("b", since=since)]}

    assert judge(said("a", "b"), logged("a", "b"), visits).doubled == at_bob("b")


def test_what_is_given_against_the_order_of_the_log_is_shuffled() -> None:
    """Where two senders meet the log alone says who was first."""
    spoken = [*said("a"), *said("b", user="cleo")]
    kept = [logged("a")[0], Logged("b", "cleo", "id-b", place(2))]

    assert judge(spoken, kept, heard("b", "a")).shuffled == at_bob("a")


def test_what_is_marked_late_is_not_shuffled() -> None:
    """The listener was told that it stands below (D21)."""
    verdict = judge(said("a", "b"), logged("a", "b"), heard("b", ("a", True)))

    assert not verdict.broken
    assert verdict.late == 1


def test_what_stands_below_the_place_of_a_return_is_shuffled() -> None:
    """A stream begins above the place it was asked for."""
    visits = {"bob": [visit("b"), visit("a", since=2)]}

    assert judge(said("a", "b"), logged("a", "b"), visits).shuffled == at_bob("a")


def test_a_log_that_swaps_the_messages_of_one_sender_is_shuffled() -> None:
    """I4: one device's messages stand in the order in which they were sent."""
    verdict = judge(said("a", "b"), logged("b", "a"), heard("b", "a"))

    assert verdict.shuffled == at_log("a")


def test_senders_are_ordered_each_for_itself() -> None:
    """Nothing orders two senders but the log."""
    spoken = [*said("a", "b"), *said("c", user="cleo")]
    kept = [Logged("c", "cleo", "id-c", place(1)), *logged("-", "a", "b")[1:]]

    assert not judge(spoken, kept, heard("c", "a", "b")).broken


def test_what_the_log_has_lost_is_in_no_order() -> None:
    """A listener that heard it is not blamed."""
    verdict = judge(said("a", "b"), logged("-", "b")[1:], heard("b", "a"))

    assert (verdict.lost, verdict.shuffled) == (at_log("a"), ())


def test_an_interrupted_story_loses_nothing() -> None:
    """What is missing may have been on its way; what is doubled or shuffled is so for ever."""
    verdict = judge(said("a", "b", "c"), logged("a", "b"), heard("b"), queued={"id-c"}, finished=False)

    assert (verdict.lost, verdict.queued, verdict.pending) == ((), (), 2)
    assert judge(said("a"), logged("a"), heard("a", "a"), finished=False).doubled == at_bob("a")


def test_a_line_whose_send_never_returned_may_be_there_or_not() -> None:
    """Nothing was promised; one copy of it is still the most."""
    unsure = [Said("a", "ada", 0.0, None)]

    assert not judge(unsure, [], heard(), finished=False).broken
    assert judge(unsure, logged("a"), heard("a"), finished=False).sent == 0
    assert judge(unsure, [*logged("a"), *logged("a")], heard(), finished=False).doubled == at_log("a")


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[str], list[Event]]:
    """Lines, and an order in which a listener may rightly be given them."""
    lines = [str(number) for number in range(draw(st.integers(0, 8)))]
    events: list[Event] = []
    newest = -1
    for line in draw(st.permutations(lines)):
        events.append((line, int(line) < newest))
        newest = max(newest, int(line))
    return lines, events


@given(scenes())
def test_any_order_that_says_what_is_late_is_right(scene: tuple[list[str], list[Event]]) -> None:
    """I5: arrival may differ, as long as handlers are told."""
    lines, events = scene

    assert not judge(said(*lines), logged(*lines), heard(*events)).broken


@given(scenes().filter(lambda scene: bool(scene[0])), st.data())
def test_one_event_less_or_more_is_seen(scene: tuple[list[str], list[Event]], data: st.DataObject) -> None:
    """Whichever it is."""
    lines, events = scene
    index = data.draw(st.integers(0, len(events) - 1))
    line = str(events[index][0])

    less = judge(said(*lines), logged(*lines), heard(*events[:index], *events[index + 1 :]))
    more = judge(said(*lines), logged(*lines), heard(*events, events[index]))

    assert at_bob(line)[0] in less.lost
    assert more.doubled == at_bob(line)
