"""Changes of unseen messages wait within bounds, and what was dropped is known (D22)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.held import Held
from chatkit.core.timeline_changes import change_of
from chatkit.model.order import Ident
from tests.core.folding import arrivals, change, key, uuid

ADA = Ident("ada", uuid(1))
BOB = Ident("bob", uuid(2))
EVE = Ident("eve", uuid(3))


def hold(held: Held, *facts: Fact) -> list[bool]:
    return [held.hold(of(one), one, *read) for one in facts if (read := change_of(one)) is not None]


def of(one: Fact) -> Ident:
    assert one.envelope.ref is not None
    return Ident(one.envelope.ref.user, one.envelope.ref.id)


def waiting(held: Held, target: Ident) -> list[Fact]:
    """The facts that wait for a message, by place."""
    released = held.release(target)
    assert released is not None
    return [one.held.parse() for _, one in released.steps() if one.held is not None]


def test_what_waits_comes_out_as_it_went_in() -> None:
    """The fact itself, for the event it will give."""
    edit = change(2, "update", ADA)
    held = Held()

    hold(held, edit)
    (found,) = waiting(held, ADA)

    assert found == edit
    assert held.release(ADA) is None


@given(st.data())
def test_only_the_winner_of_each_register_waits_in_whatever_order_they_come(data: st.DataObject) -> None:
    """And the places of the others, for the version (D22, I5)."""
    edits = [change(serial, "update", ADA) for serial in (2, 4, 6)]
    reactions = [change(serial, word, ADA, "bob") for serial, word in ((3, "add"), (5, "remove"))]
    held = Held()

    hold(held, *data.draw(arrivals([*edits, *reactions])))
    released = held.release(ADA)

    assert released is not None
    assert [one.key for _, one in released.steps()] == [key(5), key(6)]
    assert set(released.keys) == {key(2), key(4), key(6)}


def test_the_message_that_has_waited_longest_goes_first_and_is_counted() -> None:
    """Up to where changes were dropped is known then (D22, I10)."""
    held = Held(targets=2)

    hold(
        held, change(9, "update", ADA), change(3, "update", BOB), change(4, "add", EVE), change(5, "add", BOB)
    )

    assert (len(held), held.evicted, held.mark) == (2, 1, key(9))
    assert held.release(ADA) is None
    assert [one.key for one in waiting(held, BOB)] == [key(3), key(5)]


def test_bytes_are_bounded_too() -> None:
    """Ten thousand large edits would be gigabytes (I10)."""
    held = Held(size=10_000)

    for serial in range(1, 40):
        hold(
            held,
            change(serial, "update", Ident("ada", uuid(serial)), body={"type": "text", "text": "x" * 2_000}),
        )

    assert 0 < len(held) < 5
    assert held.evicted == 39 - len(held)


def test_released_and_dropped_bytes_are_free_again() -> None:
    """The bound is on what waits now."""
    held = Held(size=5_000)

    for serial in range(1, 40):
        hold(held, change(serial, "update", ADA))
        held.release(ADA)

    assert held.evicted == 0


def test_one_sender_cannot_fill_the_memory_of_one_message() -> None:
    """Of a user's reactions the newest 32 wait, others' stay (D22)."""
    held = Held()
    hold(held, change(2, "add", ADA, "bob"))

    hold(held, *(change(serial, "add", ADA, "eve", emoji=f"e{serial}") for serial in range(3, 103)))

    assert [one.user for one in waiting(held, ADA)].count("eve") == 32
    assert held.evicted == 68
    assert held.mark == key(70)


def test_a_forged_far_off_clock_does_not_put_every_message_in_doubt() -> None:
    """What is too far ahead moves the mark not (D4)."""
    held = Held(targets=1)

    hold(held, change(900, "update", ADA, suspect=True), change(2, "update", BOB))

    assert (held.evicted, held.mark) == (1, None)


def test_the_mark_never_goes_back() -> None:
    """It is the newest change that was dropped (D22)."""
    held = Held(targets=1)

    hold(held, change(9, "update", ADA), change(2, "update", BOB), change(3, "update", EVE))

    assert (held.evicted, held.mark) == (2, key(9))


def test_a_new_log_starts_with_nothing_held() -> None:
    """The count of what was dropped stays (D18)."""
    held = Held(targets=1)
    hold(held, change(9, "update", ADA), change(2, "update", BOB))

    held.clear()

    assert (len(held), held.mark, held.evicted) == (0, None, 1)
    assert hold(held, change(2, "update", BOB)) == [True]


def test_what_waits_shows_no_body_when_it_is_printed() -> None:
    """A traceback or a log line may print it (I16)."""
    held = Held()
    hold(held, change(2, "update", ADA, body={"type": "text", "text": "secret"}))

    released = held.release(ADA)

    assert released is not None
    assert "secret" not in repr(released.steps())
    assert "'ada'" in repr(released.steps())
