"""A timeline is what the facts say, however they come (I2, I5, I7, D1, D2, D22)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.held import Held
from chatkit.model.message import Attested, Message
from chatkit.model.order import Ident
from tests.core.folding import (
    arrivals,
    change,
    channels,
    create,
    envelope,
    fact,
    key,
    page,
    state,
    timeline,
    uuid,
)

STRENGTHS: tuple[Attested, ...] = ("provider", "backend", "none")
VISIBLE = {"created", "updated", "deleted", "restored", "reacted", "unreacted"}
WORDS = ("update", "delete", "restore")


# -- convergence


@given(st.data())
def test_any_arrival_order_and_any_repeats_give_the_same_timeline(data: st.DataObject) -> None:
    """Messages, changes before and after them, replies, copies, all ways to vouch (I5, D2, D3)."""
    facts = data.draw(channels(attested=STRENGTHS, copies=True))
    arrived = data.draw(arrivals(facts))

    in_order = timeline(*sorted(facts, key=lambda one: one.key))

    assert state(timeline(*arrived)) == state(in_order)


@given(st.data())
def test_pages_and_live_facts_in_any_interleaving_give_the_fold_of_everything(data: st.DataObject) -> None:
    """Pages as of different places, of some messages or all, between facts and repeats (I5, I8)."""
    facts = data.draw(channels(causal=True))
    idents = sorted({one.ident for one in facts if one.envelope.kind == "message.create"})
    steps: list[Any] = list(data.draw(arrivals(facts)))
    for _ in range(data.draw(st.integers(1, 3))):
        as_of = data.draw(st.integers(0, 20))
        only = data.draw(st.lists(st.sampled_from(idents), unique=True))
        steps.insert(data.draw(st.integers(0, len(steps))), (as_of, page(facts, as_of, only)))

    merged = timeline()
    for step in steps:
        if isinstance(step, Fact):
            merged.apply(step)
        else:
            merged.load(step[1], as_of=key(step[0]))

    assert state(merged) == state(timeline(*facts))


@given(st.data())
def test_a_page_stands_for_all_facts_up_to_its_place(data: st.DataObject) -> None:
    """Who loads a page and hears only what is newer sees what those see who heard all (I8, D24)."""
    facts = data.draw(channels(causal=True))
    as_of = data.draw(st.integers(0, 20))
    later = [one for one in facts if one.key > key(as_of)]
    arrived = data.draw(arrivals(later))
    loaded_after = data.draw(st.integers(0, len(arrived)))

    merged = timeline(*arrived[:loaded_after])
    merged.load(page(facts, as_of), as_of=key(as_of))
    for one in arrived[loaded_after:]:
        merged.apply(one)

    assert state(merged) == state(timeline(*facts))


@given(st.data())
def test_the_window_is_the_newest_messages_in_any_arrival_order(data: st.DataObject) -> None:
    """What falls out depends on places alone, and what fell out is known to be missing (I5, I10)."""
    facts = [create(serial) for serial in range(1, data.draw(st.integers(1, 12)) + 1)]
    keep = data.draw(st.integers(1, 12))

    window = timeline(*data.draw(st.permutations(facts)), keep=keep)

    assert [message.serial for message in window] == [one.key.serial for one in facts[-keep:]]
    assert window.window.has_older == (len(facts) > keep)


@given(st.data())
def test_what_is_told_last_of_a_message_is_how_it_looks(data: st.DataObject) -> None:
    """Each fact shows at most once, and nothing looks different without being told (I2, I7)."""
    folded = timeline()
    told_of: list[Fact] = []
    looks: dict[Ident, tuple[Any, ...]] = {}
    facts = data.draw(channels())
    for one in data.draw(arrivals(facts)):
        for applied in folded.apply(one):
            if applied.outcome in VISIBLE:
                assert applied.message is not None
                assert applied.fact not in told_of
                told_of.append(applied.fact)
                looks[applied.target] = face(applied.message)
        assert looks == {message.ident: face(message) for message in folded}


def face(message: Message) -> tuple[Any, ...]:
    return message.body, message.deleted, message.edited, message.reactions


@given(st.permutations(range(3)))
def test_which_of_two_creations_at_one_place_stands_does_not_depend_on_when_they_were_erased(
    order: list[int],
) -> None:
    """A delete between the two copies changes nothing (I5, D26)."""
    copies = [create(1, text=text, meta={"of": of}) for text, of in (("a", "z"), ("b", "y"))]
    facts = [*copies, change(2, "delete", copies[0])]

    room = timeline(*(facts[at] for at in order))

    assert state(room) == state(timeline(*facts))
    assert [message.meta for message in room] == [{"of": "y"}]


# -- outcomes of a creation


def test_a_new_message_is_created_and_told() -> None:
    """What is told is what the sender wrote, in its place."""
    hello = create(1, text="Hello")

    (applied,) = timeline().apply(hello)

    assert (applied.outcome, applied.fact, applied.kept) == ("created", hello, True)
    assert applied.message is not None
    assert (applied.message.text, applied.message.key) == ("Hello", key(1))


def test_a_repeat_is_a_duplicate_and_tells_the_message_as_it_is() -> None:
    """A second copy shows nothing new, whatever happened to the message since (I2)."""
    hello = create(1)
    room = timeline(hello, change(2, "update", hello))

    (applied,) = room.apply(hello)

    assert applied.outcome == "duplicate"
    assert applied.message is not None
    assert applied.message.text == "edit 2"
    assert len(room) == 1


def test_a_repeat_with_another_body_is_a_conflict_and_the_first_stands() -> None:
    """First-wins by order key, not by arrival (D1)."""
    first, second = create(1, text="first", number=7), create(2, text="second", number=7)

    room = timeline(second)
    (applied,) = room.apply(first)

    assert applied.outcome == "conflict"
    assert [message.text for message in room] == ["first"]
    assert room.counts["conflict"] == 1


def test_a_copy_with_a_lower_place_moves_the_message_there() -> None:
    """Receivers keep the lowest serial (D10)."""
    room = timeline(create(5, number=7, text="x"), create(3))

    room.apply(create(1, number=7, text="x"))

    assert [message.serial for message in room] == [key(1).serial, key(3).serial]


def test_a_copy_that_belongs_below_the_window_takes_its_message_out_of_it() -> None:
    """The window is a stretch without holes."""
    room = timeline(create(3), create(5, number=7, text="x"))
    room.window.has_older = True

    (applied,) = room.apply(create(1, number=7, text="x"))

    assert not applied.kept
    assert [message.serial for message in room] == [key(3).serial]


def test_a_repeat_of_a_deleted_message_leaves_it_at_the_end_of_the_window() -> None:
    """That it still has the text which ours has lost makes it no other copy (I2, D26)."""
    facts = [create(serial) for serial in range(1, 5)]
    room = timeline(*facts, change(5, "delete", facts[1]), keep=3)
    before = state(room)

    (applied,) = room.apply(facts[1])

    assert (applied.outcome, applied.kept, room.window.has_older) == ("duplicate", True, True)
    assert state(room) == before


def test_another_copy_at_the_same_place_leaves_it_at_the_end_of_the_window() -> None:
    """Which of the two stands is another question than where (D1)."""
    first = create(2, text="b", meta={"of": "z"})
    room = timeline(create(1), first, create(3), keep=2)

    room.apply(create(2, text="a", meta={"of": "y"}))

    assert [message.meta for message in room] == [{"of": "y"}, {}]


def test_the_same_id_from_two_users_is_two_messages() -> None:
    """Nobody swallows a message by repeating its id (D1)."""
    room = timeline(create(1, "ada", number=7), create(2, "bob", number=7))

    assert [message.sender.user for message in room] == ["ada", "bob"]


def test_of_two_messages_with_one_id_one_may_leave() -> None:
    """The other stays findable (D1)."""
    room = timeline(create(1, "ada", number=7), create(2, "bob", number=7), keep=1)

    found = room.find(uuid(7))

    assert found is not None
    assert found.sender.user == "bob"


@pytest.mark.parametrize(("viewer", "found"), [("bob", "bob"), ("eve", "ada")])
def test_a_bare_id_finds_the_viewers_own_message_first(viewer: str, found: str) -> None:
    """Otherwise the first in order (D1)."""
    room = timeline(create(1, "ada", number=7), create(2, "bob", number=7), viewer=viewer)

    message = room.find(uuid(7))

    assert message is not None
    assert message.sender.user == found


def test_a_stronger_copy_takes_the_place_of_a_forged_one_and_weaker_changes_with_it() -> None:
    """Whoever guessed an id cannot own the message, nor change it (D2)."""
    forged = create(1, number=7, text="forged", attested="none")
    genuine = create(2, number=7, text="genuine")
    room = timeline(forged, change(3, "update", forged, attested="none"))

    room.apply(genuine)

    (message,) = room
    assert (message.text, message.attested, message.version) == ("genuine", "provider", 1)


def test_what_nobody_has_is_not_found() -> None:
    """An unknown message is `None`, in whatever way it is asked for."""
    room = timeline()

    assert room.get(Ident("ada", uuid(1))) is None
    assert room.find(uuid(1)) is None
    assert room.folded(Ident("ada", uuid(1))) is None
    assert Ident("ada", uuid(1)) not in room


# -- outcomes of a change


def test_an_edit_tells_the_message_before_and_after() -> None:
    """The event of an edit shows both."""
    hello = create(1, text="Hello")

    (applied,) = timeline(hello).apply(change(2, "update", hello))

    assert applied.outcome == "updated"
    assert applied.previous is not None
    assert applied.message is not None
    assert (applied.previous.text, applied.message.text) == ("Hello", "edit 2")


def test_a_stale_edit_shows_nothing_but_counts() -> None:
    """Versions never go back, and are counted as far as seen (I7)."""
    hello = create(1)
    room = timeline(hello, change(3, "update", hello))

    (applied,) = room.apply(change(2, "update", hello))

    assert (applied.outcome, applied.message) == ("stale", None)
    (message,) = room
    assert (message.text, message.version) == ("edit 3", 3)


def test_a_reaction_tells_its_emoji_and_user() -> None:
    """What an app needs for its event is in the fact."""
    hello = create(1)

    (applied,) = timeline(hello).apply(change(2, "add", hello, "bob"))

    assert applied.outcome == "reacted"
    assert (applied.target, applied.fact.user, applied.fact.envelope.emoji) == (hello.ident, "bob", "👍")
    assert applied.message is not None
    assert applied.message.reactions == {"👍": frozenset({"bob"})}


def test_a_change_of_somebody_elses_message_is_refused_where_nobody_checked_rights() -> None:
    """Authorship is all that can be known then (D2)."""
    hello = create(1, "ada")
    room = timeline(hello, rights=False)

    outcomes = [
        room.apply(change(serial, word, hello, "eve"))[0].outcome for serial, word in enumerate(WORDS, 2)
    ]

    assert outcomes == ["refused", "refused", "refused"]
    assert room.counts["refused"] == 3


def test_a_moderators_delete_is_believed_where_a_log_checks_rights() -> None:
    """The log refused it otherwise (D2)."""
    hello = create(1, "ada")

    (applied,) = timeline(hello, rights=True).apply(change(2, "delete", hello, "eve"))

    assert applied.outcome == "deleted"


def test_a_moderators_delete_that_no_log_numbered_is_refused() -> None:
    """Only stamped entries were checked (D2)."""
    hello = create(1, "ada")

    (applied,) = timeline(hello, rights=True).apply(change(2, "delete", hello, "eve", stamped=False))

    assert applied.outcome == "refused"


def test_a_change_attested_more_weakly_than_its_target_is_refused() -> None:
    """Nobody edits under a name that somebody vouched for (D2)."""
    hello = create(1)

    (applied,) = timeline(hello).apply(change(2, "update", hello, attested="none"))

    assert applied.outcome == "refused"


def test_a_change_by_a_backend_counts_for_what_the_provider_vouches_for() -> None:
    """Whoever holds the secret could have the provider vouch for it: a bot's reaction is shown (D2)."""
    hello = create(1)

    (applied,) = timeline(hello).apply(change(2, "add", hello, "bot", attested="backend"))

    assert applied.outcome == "reacted"


@pytest.mark.parametrize("kind", ["message.pin", "message.update"])
def test_a_change_that_this_version_cannot_read_is_refused(kind: str) -> None:
    """Of a later version's envelope not even the target is known."""
    hello = create(1)
    room = timeline(hello)
    made = envelope(kind, uuid(2), "ada", min=2, ref={"id": hello.ident.id, "user": "ada"})

    (applied,) = room.apply(fact(2, made))

    assert applied.outcome == "refused"


# -- changes of unseen messages


def test_changes_wait_for_their_message_and_are_told_after_it() -> None:
    """In the order of their places; what was beaten meanwhile is not told (D22)."""
    hello = create(1)
    room = timeline()
    late = [change(5, "add", hello, "bob"), change(4, "update", hello), change(3, "update", hello)]
    outcomes = [room.apply(one)[0].outcome for one in late]

    applied = room.apply(hello)

    assert outcomes == ["held", "held", "held"]
    assert [one.outcome for one in applied] == ["created", "updated", "reacted"]
    assert [one.message.text for one in applied if one.message] == ["text 1", "edit 4", "edit 4"]
    assert [one.fact.key for one in applied] == [key(1), key(4), key(5)]
    assert applied[1].fact.envelope.body == {"type": "text", "text": "edit 4"}


def test_a_waiting_repeat_is_a_duplicate() -> None:
    """A held change is held once (I5)."""
    hello = create(1)
    room = timeline(change(2, "update", hello))

    (applied,) = room.apply(change(2, "update", hello))

    assert applied.outcome == "duplicate"


def test_a_message_deleted_before_it_was_seen_never_shows_its_text() -> None:
    """Not even the event of its creation does, nor the one of its delete (D26)."""
    hello = create(1, text="secret")
    room = timeline(change(2, "delete", hello), change(3, "add", hello))

    applied = room.apply(hello)

    assert [one.outcome for one in applied] == ["created", "deleted", "reacted"]
    assert all(one.message is not None and not one.message.text for one in applied)
    assert applied[1].previous is None


def test_a_waiting_change_weaker_than_its_message_is_dropped() -> None:
    """How strongly a message is attested is known when it comes (D2)."""
    hello = create(1)
    room = timeline(change(2, "update", hello, attested="none"))

    applied = room.apply(hello)

    assert [one.outcome for one in applied] == ["created"]


def test_changes_older_than_a_page_are_in_it_and_newer_ones_are_told() -> None:
    """A page releases what waited (D22, D24)."""
    hello = create(1)
    edit, reaction = change(2, "update", hello), change(9, "add", hello, "bob")
    room = timeline(edit, reaction)

    loaded = room.load(page([hello, edit], 5), as_of=key(5))

    assert [one.outcome for one in loaded.applied] == ["reacted"]
    (message,) = room
    assert (message.text, message.version, message.reactions) == ("edit 2", 2, {"👍": frozenset({"bob"})})


def test_a_message_whose_waiting_changes_were_dropped_is_provisional_until_a_page_tells_it() -> None:
    """What lies below the mark of the newest change dropped may lack some (D22)."""
    hello, other = create(1), create(2)
    edit = change(5, "update", hello)
    room = timeline()
    room._held = Held(targets=1)
    room.apply(edit)
    room.apply(change(6, "update", other))

    room.apply(hello)

    (message,) = room
    assert message.flags == {"provisional"}
    assert room.lacking == {hello.ident}
    assert room.counts["evicted"] == 1

    room.load(page([hello, edit], 4), as_of=key(4))
    assert room.lacking == {hello.ident}, "the page is too old"

    room.load(page([hello, edit], 9), as_of=key(9))
    (message,) = room
    assert (message.text, message.flags, room.lacking) == ("edit 5", frozenset(), frozenset())


def test_a_page_older_than_what_was_dropped_is_provisional() -> None:
    """Changes of messages that fell out of the window were dropped with them (D22)."""
    hello = create(1)
    room = timeline(hello, change(5, "add", hello), create(6), keep=1)

    loaded = room.load(page([hello], 4), as_of=key(4), extend=True)

    assert loaded.messages == 1
    assert room.lacking == {hello.ident}


def test_what_falls_out_of_the_window_is_not_lacking_any_more() -> None:
    """The set of messages to read again is never larger than the window (I10)."""
    hello = create(1)
    room = timeline(hello, change(5, "add", hello), create(6), keep=1)
    room.load(page([hello], 4), as_of=key(4), extend=True)

    room.unload()

    assert room.lacking == frozenset()


# -- housekeeping


def test_counters_tell_what_facts_came_to() -> None:
    """Health shows them by name (I10)."""
    hello = create(1)
    room = timeline(hello, hello, change(3, "update", hello), change(2, "update", hello))

    room.apply(change(4, "update", Ident("ada", uuid(99))))

    assert room.counts == {"duplicate": 1, "conflict": 0, "held": 1, "stale": 1, "refused": 0, "evicted": 0}


def test_users_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharing names between messages costs no more than a table of fixed size (I10)."""
    monkeypatch.setattr("chatkit.core.timeline_kept._USERS", 2)

    room = timeline(*(create(serial, f"user{serial}") for serial in range(1, 6)))

    assert [message.sender.user for message in room] == [f"user{serial}" for serial in range(1, 6)]


def test_what_the_store_is_given_loads_as_it_was() -> None:
    """A timeline outlives its process (D20)."""
    hello = create(1)
    room = timeline(hello, change(2, "update", hello), change(3, "add", hello, "bob"))
    folded = room.folded(hello.ident)
    assert folded is not None

    again = timeline()
    again.load([folded], as_of=key(3))

    assert state(again) == state(room)


def test_what_another_timeline_has_is_taken_over_and_changes_apart() -> None:
    """With what changed it; what then happens in the one is not in the other (I5)."""
    hello = create(1, text="Hello")
    room, other = timeline(hello, change(2, "update", hello), change(3, "add", hello)), timeline()

    other.adopt(room.window)

    before = state(room)
    assert state(other) == before
    for later in (change(4, "update", hello), change(5, "remove", hello), change(6, "delete", hello)):
        _ = other.apply(later)
    assert state(room) == before
    assert [message.deleted for message in other] == [True]
