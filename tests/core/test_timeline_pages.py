"""What a log tells is merged with what was heard, and told again when the log changed (D18, D24)."""

from __future__ import annotations

from typing import Any

import pytest

from chatkit.core.fact import Fact
from chatkit.core.timeline import Timeline
from tests.core.folding import (
    change,
    create,
    key,
    page,
    state,
    timeline,
    told,
    uuid,
)

# -- pages


def test_a_page_tells_messages_with_all_that_is_folded_in() -> None:
    """Edits, deletes, reactions, replies, version (D24)."""
    root, gone = create(1), create(2)
    reply = create(3, "bob", thread={"id": root.ident.id, "user": "ada"})
    facts = [root, gone, reply, change(4, "update", root), change(5, "add", root), change(6, "delete", gone)]
    room = timeline()

    loaded = room.load(page(facts, 9), as_of=key(9))

    assert loaded.messages == 3
    first, second, _ = room
    assert (first.text, first.edited, first.version, first.replies) == ("edit 4", True, 2, 1)
    assert first.reactions == {"👍": frozenset({"ada"})}
    assert (second.deleted, second.text, second.version) == (True, "", 2)


def test_a_fact_that_a_page_contains_is_a_duplicate_of_it() -> None:
    """It tells the message as the page has it, for whoever was not told yet."""
    hello = create(1)
    edit = change(2, "update", hello)
    room = timeline()
    room.load(page([hello, edit], 5), as_of=key(5))

    (created,), (edited,) = room.apply(hello), room.apply(edit)

    assert (created.outcome, edited.outcome) == ("duplicate", "duplicate")
    assert created.message == edited.message == room.get(hello.ident)


def test_a_page_older_than_what_is_known_changes_nothing() -> None:
    """Two reads may answer in the wrong order (I7)."""
    hello = create(1)
    edit = change(5, "update", hello)
    room = timeline()
    room.load(page([hello, edit], 9), as_of=key(9))

    room.load(page([hello], 3), as_of=key(3))

    assert [message.text for message in room] == ["edit 5"]


def test_a_page_that_cannot_say_how_new_it_is_is_provisional_and_yields_to_what_was_heard() -> None:
    """Raw history adds messages and overrules none that was heard live (D24)."""
    heard, old = create(2), create(1)
    room = timeline(heard, change(3, "update", heard))

    room.load([told(old), told(heard)], as_of=None)

    first, second = room
    assert first.flags == {"provisional"}
    assert (second.flags, second.text) == (frozenset(), "edit 3")


def test_a_newer_raw_page_overrules_an_older_one() -> None:
    """What came from raw history is told again by it."""
    hello = create(1)
    edit = change(5, "update", hello)
    room = timeline()
    room.load([told(hello)], as_of=None)

    room.load(page([hello, edit], 9), as_of=None)

    (message,) = room
    assert message.text == "edit 5"
    assert message.flags == {"provisional"}


def test_a_page_from_before_what_was_shown_is_provisional() -> None:
    """A replica that lags brings an edit back that had left the window: the older text says so (I7, D22)."""
    hello = create(1)
    facts = [hello, change(2, "update", hello)]
    room = timeline()
    room.load(page(facts, 2), as_of=key(2))
    room.unload()

    room.load(page(facts, 1), as_of=key(1))
    (stale,) = room
    room.load(page(facts, 2), as_of=key(2))
    (again,) = room

    assert [stale.text, again.text] == ["text 1", "edit 2"]
    assert [stale.flags, again.flags] == [{"provisional"}, frozenset()]


def test_a_page_that_lags_less_does_not_end_the_doubt() -> None:
    """Only one that holds what was forgotten does (I7, D22)."""
    hello = create(1)
    facts = [hello, create(2), create(3), change(4, "update", hello)]
    room = timeline(*facts)
    room.unload()

    flags = []
    for as_of in (2, 3, 4):
        room.load(page(facts, as_of, [hello.ident]), as_of=key(as_of))
        flags.append([message.flags for message in room])

    assert flags == [[{"provisional"}], [{"provisional"}], [frozenset()]]


def test_a_page_marked_provisional_is_shown_so_until_another_tells_its_messages() -> None:
    """A page not contiguous with the head may miss later changes (D24)."""
    hello = create(1)
    room = timeline()
    room.load(page([hello], 5), as_of=key(5), provisional=True)
    flags = [message.flags for message in room]

    room.load(page([hello], 5), as_of=key(5))

    assert flags == [{"provisional"}]
    assert [message.flags for message in room] == [frozenset()]


def test_one_bad_row_never_costs_the_page() -> None:
    """What cannot be read is counted and passed over."""
    good, bad = create(1), create(2)
    room = timeline()

    loaded = room.load(
        [told(bad, data=b"nonsense"), told(good), told(create(3), edit=b"nonsense")], as_of=key(9)
    )

    assert loaded.messages == 1
    assert room.counts["refused"] == 2


def test_a_page_without_word_on_who_vouches_trusts_a_log_and_nothing_else() -> None:
    """Otherwise all later changes would be attested too weakly (D2)."""
    logged, plain = timeline(rights=True), timeline(rights=False)
    for room in (logged, plain):
        room.load([told(create(1))], as_of=key(1))

    assert [next(iter(room)).attested for room in (logged, plain)] == ["provider", "none"]


def test_a_page_raises_how_strongly_a_message_is_attested_and_never_lowers_it() -> None:
    """And weaker changes go when it does, in whatever order the copies come (D2, I5)."""
    hello = create(1, attested="none")
    weak = change(9, "update", hello, attested="none")
    raised, kept = timeline(hello, weak), timeline(create(1), weak)

    raised.load([told(hello)], as_of=key(5), attested="provider")
    kept.load([told(hello)], as_of=key(5), attested="none")

    assert state(raised).messages == state(kept).messages
    assert [(message.attested, message.version) for message in kept] == [("provider", 1)]


def test_a_copy_that_is_vouched_for_more_strongly_than_the_page_raises_its_message() -> None:
    """As if the copy had come first (D2, I5)."""
    hello = create(1)
    weak = change(9, "update", hello, attested="none")
    page_first, copy_first = timeline(), timeline(hello)
    page_first.load([told(hello)], as_of=key(5), attested="none")
    page_first.apply(weak)

    page_first.apply(hello)
    copy_first.load([told(hello)], as_of=key(5), attested="none")

    assert state(page_first).messages == state(copy_first).messages


def test_a_copy_raises_a_message_without_changes_too() -> None:
    """The rule does not need anything to drop (D2)."""
    hello = create(1)
    room = timeline()
    room.load([told(hello)], as_of=key(5), attested="none")

    room.apply(hello)

    assert [message.attested for message in room] == ["provider"]


# -- replies


def test_a_reply_counts_once_for_its_root_before_or_after_it_shows() -> None:
    """Distinct replies, by whatever way the root came (D24)."""
    root = create(1)
    thread = {"id": root.ident.id, "user": "ada"}
    room = timeline(create(2, "bob", thread=thread), root, create(3, "eve", thread=thread))

    room.apply(create(3, "eve", thread=thread))

    assert [message.replies for message in room] == [2, 0, 0]


@pytest.mark.parametrize("order", [(2, 5), (5, 2)])
def test_copies_of_a_reply_count_once_at_the_lowest_place(order: tuple[int, int]) -> None:
    """As the reply itself stands there (D10)."""
    root = create(1)
    thread = {"id": root.ident.id, "user": "ada"}
    room = timeline(root, *(create(serial, number=7, text="x", thread=thread) for serial in order))

    folded = room.folded(root.ident)

    assert folded is not None
    assert (folded.replies, folded.last_reply) == (1, key(2))


def test_replies_newer_than_a_page_add_to_what_it_counted() -> None:
    """The log's count includes all up to its place (D24)."""
    root = create(1)
    thread = {"id": root.ident.id, "user": "ada"}
    old, new = create(2, "bob", thread=thread), create(9, "eve", thread=thread)
    room = timeline(old, new)

    room.load(page([root, old], 5, [root.ident]), as_of=key(5))

    message, folded = room.get(root.ident), room.folded(root.ident)
    assert message is not None
    assert folded is not None
    assert (message.replies, folded.replies, folded.last_reply) == (2, 2, key(9))


def in_thread(root: Fact, serial: int, **fields: Any) -> Fact:
    return create(serial, "bob", thread={"id": root.ident.id, "user": root.user}, **fields)


def test_replies_that_a_log_counted_are_not_remembered_one_by_one() -> None:
    """Its number stands for them (I10)."""
    root = create(1)
    facts = [root, in_thread(root, 2), in_thread(root, 3)]
    room = timeline(*facts)

    room.load(page(facts, 5), as_of=key(5))

    assert (replies(room, root), room._replies._threads, room._replies._known) == (2, {}, 0)


def replies(room: Timeline, root: Fact) -> int:
    found = room.get(root.ident)
    assert found is not None
    return found.replies


def test_replies_beyond_those_known_one_by_one_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeat below them is taken for counted, and a log's word takes the place of all (I10)."""
    monkeypatch.setattr("chatkit.core.timeline_replies.MAX_REPLIES", 3)
    root = create(1)
    facts = [root, *(in_thread(root, serial) for serial in range(2, 9))]
    room = timeline(*facts, keep=4)

    room.apply(facts[1])
    counts = []
    for as_of in (3, 6, 9):
        room.load(page(facts, as_of, [root.ident]), as_of=key(as_of), extend=True)
        counts.append(replies(room, root))

    assert counts == [7, 7, 7]
    assert replies(timeline(*facts), root) == 7


@pytest.mark.parametrize("bound", ["MAX_ROOTS", "MAX_KNOWN"])
def test_the_thread_that_began_first_is_forgotten_first(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its count is what the log told of it then, and what was dropped is counted (I10)."""
    monkeypatch.setattr(f"chatkit.core.timeline_replies.{bound}", 1)
    first, second = create(1), create(2)

    room = timeline(first, second, in_thread(first, 3), in_thread(second, 4))

    assert (replies(room, first), replies(room, second)) == (0, 1)
    assert room.counts["evicted"] == 1


# -- another log


def test_messages_that_a_reset_log_tells_again_are_as_before_and_others_are_flagged() -> None:
    """What the log lacks stays, orphaned (D18)."""
    kept, lost = create(1), create(2)
    room = timeline(kept, lost)

    room.reset(another=False)
    before = [message.flags for message in room]
    (again,) = room.apply(kept)
    gone = room.mark_orphaned()

    assert before == [frozenset(), frozenset()]
    assert (again.outcome, gone) == ("duplicate", 1)
    assert room.former == {lost.ident}
    assert [message.flags for message in room] == [frozenset(), {"orphaned"}]


def test_only_what_was_looked_for_is_flagged() -> None:
    """A re-read has its own bound (D18, D19)."""
    first, second = create(1), create(2)
    room = timeline(first, second)
    room.reset(another=False)

    room.mark_orphaned([second.ident])

    assert [message.flags for message in room] == [frozenset(), {"orphaned"}]


def test_an_orphan_that_turns_up_after_all_is_none_any_more() -> None:
    """By a page as by a fact (D18)."""
    hello = create(1)
    room = timeline(hello, change(7, "update", hello))
    room.reset(another=False)
    room.mark_orphaned()

    loaded = room.load(page([hello], 3), as_of=key(3))

    (message,) = room
    assert (message.flags, message.text, loaded.messages) == (frozenset(), "text 1", 0)


def test_what_a_log_took_before_the_present_one_stands_before_all_and_is_flagged() -> None:
    """Its number says nothing beside those of the present one, which may tell it after all (D18)."""
    mine, theirs = create(2), create(1)
    room = timeline(theirs)

    assert room.orphan(mine)
    assert not room.orphan(mine)
    assert not room.orphan(theirs)
    assert not room.orphan(change(3, "update", theirs))

    assert [(message.text, message.flags) for message in room] == [
        ("text 2", {"orphaned"}),
        ("text 1", frozenset()),
    ]
    (told,) = room.apply(mine)
    assert told.outcome == "duplicate"
    assert [(message.text, message.flags) for message in room] == [
        ("text 1", frozenset()),
        ("text 2", frozenset()),
    ]


def test_what_the_present_log_may_hold_beside_the_window_is_no_orphan() -> None:
    """Nor is there room for one where the window is full of what is in the log (D18, I10)."""
    mine = create(2, number=1)
    below, above, full = (timeline(create(3, number=2), create(4, number=3), keep=2) for _ in range(3))
    below.window.bound = above.window.bound = 10
    below.window.has_older = above.window.has_newer = True

    assert not any(room.orphan(mine) for room in (below, above, full))


def test_changes_wait_while_their_message_is_not_told_by_the_log_that_numbered_them() -> None:
    """Numbers of two logs are never compared (D18)."""
    hello = create(1)
    room = timeline(hello)
    room.reset(another=True)

    (held,) = room.apply(change(2, "update", hello))
    applied = room.apply(hello)

    assert held.outcome == "held"
    assert [one.outcome for one in applied] == ["duplicate", "updated"]


def test_what_another_log_told_stands_before_all_that_the_new_one_tells() -> None:
    """A log that starts anew counts from one again (D3, D18)."""
    room = timeline(create(500, number=1), create(501, number=2), keep=2)
    room.window.has_older = True

    room.reset(another=True)
    room.apply(create(1, number=3))

    assert [message.message_id for message in room] == [uuid(2), uuid(3)]


def test_a_reset_forgets_held_changes_and_counted_replies() -> None:
    """They bear the numbers of what was lost (D18)."""
    root = create(1)
    room = timeline(
        create(3, thread={"id": root.ident.id, "user": "ada"}), change(4, "update", root), create(9)
    )

    room.reset(another=True)
    applied = room.apply(root)

    assert [one.outcome for one in applied] == ["created"]
    assert [message.replies for message in room if message.ident == root.ident] == [0]


def test_what_was_dropped_under_the_numbers_of_another_log_casts_no_doubt() -> None:
    """Marks of a log go with it (D18, D22)."""
    hello = create(1)
    room = timeline(hello, change(500, "add", hello), create(501), keep=1)

    room.reset(another=True)
    room.load(page([hello], 2), as_of=key(2), extend=True)

    assert room.lacking == frozenset()


def test_a_message_that_falls_out_of_the_window_is_not_looked_for_any_more() -> None:
    """What is to be told again is never more than the window (I10)."""
    room = timeline(create(1), keep=1)

    room.reset(another=False)
    room.apply(create(2))

    assert room.former == frozenset()
