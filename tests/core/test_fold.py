"""One message is what its creation and its changes make of it (D1, D2, D22, D24, D26)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.timeline_changes import Change, Changes, Register, change_of
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from tests.core.folding import LOG, START, arrivals, change, create, envelope, fact, key, told, uuid

PROVIDER = Voucher("provider", LOG, stamped=True)
HELLO = create(1, text="Hello")


def fold(*changes: Fact, of: Fact = HELLO) -> MessageFold:
    made = MessageFold.created(of, PROVIDER._replace(attested=of.attested))
    for one in changes:
        apply(made, one)
    return made


def apply(to: MessageFold, one: Fact, counts: Counter[str] | None = None) -> str:
    found = change_of(one)
    assert found is not None
    return to.change(*found, Counter() if counts is None else counts)


def folded(of: MessageFold) -> Any:
    return of.folded(replies=0, last_reply=None)


def text(data: bytes | None) -> str:
    assert data is not None
    return str(json.loads(data)["body"]["text"])


# -- edits, deletes, restores


def test_a_message_that_was_only_created_is_its_bytes_and_its_place() -> None:
    """Version 1, nothing else."""
    made = fold()

    assert (made.data, made.key, made.version, made.changed) == (HELLO.data, key(1), 1, key(1))
    assert (made.deleted, made.edit, made.reactions(), made.plain) == (False, None, {}, True)
    assert (made.replies, made.last_reply, made.flags) == (0, None, frozenset())


def test_the_time_at_hand_stands_only_where_no_sequencer_told_one() -> None:
    """Else it is read from the envelope: both are when the sender pressed send (D4)."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    accepted = at + timedelta(seconds=1)
    stamped, unstamped = fold(of=HELLO._replace(sent_at=accepted)), fold(of=HELLO._replace(sent_at=None))

    assert stamped.folded(replies=0, last_reply=None, at=at).stamp.at == accepted
    assert unstamped.folded(replies=0, last_reply=None, at=at).stamp.at == at
    assert unstamped.folded(replies=0, last_reply=None).stamp.at == HELLO.envelope.at


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_the_newest_edit_by_place_shows(order: tuple[int, int]) -> None:
    """Not the one that came last (I7)."""
    made = fold(*(change(serial, "update", HELLO) for serial in order))

    assert (text(made.edit), made.version, made.changed) == ("edit 3", 3, key(3))


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_hidden_is_that_the_newest_of_delete_and_restore_is_delete(order: tuple[int, int]) -> None:
    """By place (I7)."""
    words = {2: "restore", 3: "delete"}
    made = fold(*(change(serial, words[serial], HELLO) for serial in order))

    assert made.deleted


def test_a_delete_erases_the_text_and_a_restore_does_not_bring_it_back() -> None:
    """Gone is gone, in the log as here (D26)."""
    made = fold(change(2, "update", HELLO), change(3, "delete", HELLO))
    erased = made.data

    effect = apply(made, change(4, "restore", HELLO))

    assert b"Hello" not in erased
    assert effect == "restored"
    assert (made.deleted, made.edit, made.data, made.version) == (False, None, erased, 4)


def test_a_restore_brings_back_what_was_written_after_the_delete() -> None:
    """An edit under a tombstone shows nothing until then."""
    made = fold(change(2, "delete", HELLO))

    effects = [apply(made, change(3, "update", HELLO)), apply(made, change(4, "restore", HELLO))]

    assert effects == ["stale", "restored"]
    assert text(made.edit) == "edit 3"


def test_a_delete_that_comes_after_its_restore_still_erases() -> None:
    """The same as in the other order, so it shows as a change of the text (I5, D26)."""
    made = fold(change(3, "restore", HELLO))

    effect = apply(made, change(2, "delete", HELLO))

    assert effect == "updated"
    assert not made.deleted
    assert b"Hello" not in made.data


def test_a_delete_that_erases_an_edit_told_by_a_log_leaves_none() -> None:
    """What a log folded is older than what is newer than its word (D26)."""
    edit = change(2, "update", HELLO)
    made = MessageFold.told(folded(fold(edit)), PROVIDER, as_of=key(5), provisional=False)

    apply(made, change(6, "delete", HELLO))
    apply(made, change(7, "restore", HELLO))

    assert made.edit is None


def test_a_repeated_change_is_a_duplicate() -> None:
    """It was in already (I5)."""
    repeats = [change(2, "update", HELLO), change(3, "add", HELLO)]
    made = fold(*repeats)

    assert [apply(made, one) for one in repeats] == ["duplicate", "duplicate"]
    assert made.version == 2


def test_a_reaction_stands_until_it_is_taken_back() -> None:
    """Each user for themselves, the newest of giving and taking."""
    made = fold(change(2, "add", HELLO, "bob"), change(3, "add", HELLO, "eve"))

    effects = [apply(made, change(5, "remove", HELLO, "bob")), apply(made, change(4, "add", HELLO, "bob"))]

    assert effects == ["unreacted", "stale"]
    assert made.reactions() == {"👍": frozenset({"eve"})}
    assert made.version == 1


def test_a_reaction_given_twice_shows_once() -> None:
    """A second add changes nothing that shows."""
    made = fold(change(2, "add", HELLO, "bob"))

    assert apply(made, change(3, "add", HELLO, "bob")) == "stale"


@pytest.mark.parametrize("flip", [False, True])
def test_of_two_changes_at_one_place_the_same_wins_in_either_order(flip: bool) -> None:
    """A writer who numbers two changes alike cannot make clients differ (I5)."""
    edits = [change(2, "update", HELLO, body={"type": "text", "text": letter}) for letter in "ab"]
    reactions = [change(3, "add", HELLO, "eve"), change(3, "remove", HELLO, "eve")]
    ends = [change(4, "delete", HELLO), change(4, "restore", HELLO)]
    made = fold(*(one for pair in (edits, reactions) for one in (pair[::-1] if flip else pair)))

    assert (text(made.edit), made.reactions()) == ("b", {})

    for one in ends[::-1] if flip else ends:
        apply(made, one)
    assert made.deleted


# -- who vouches


def test_a_weaker_delete_does_not_erase_for_good_what_a_stronger_creation_brings() -> None:
    """When the genuine creation turns up, the forged delete was nothing (D2, I5)."""
    forged = create(1, text="Hello", attested="none")
    made = fold(change(2, "update", forged), change(3, "delete", forged, attested="none"), of=forged)

    made.yield_to(HELLO, PROVIDER)

    assert (made.deleted, text(made.edit), made.version) == (False, "edit 2", 2)


def test_a_weaker_edit_does_not_push_out_a_stronger_one_for_good() -> None:
    """It wins while the message itself is not attested more strongly (D2, I5)."""
    forged = create(1, text="Hello", attested="none")
    made = fold(change(2, "update", forged), change(3, "update", forged, attested="none"), of=forged)
    before = text(made.edit)

    made.yield_to(HELLO, PROVIDER)

    assert (before, text(made.edit), made.version) == ("edit 3", "edit 2", 2)


def test_an_edit_older_than_a_weaker_delete_does_not_show_after_a_restore() -> None:
    """It is kept for the case that the delete was forged, and erased until then (D2, D26)."""
    forged = create(1, text="Hello", attested="none")
    words = [change(3, "delete", forged, attested="none"), change(4, "restore", forged, attested="none")]

    made = fold(change(2, "update", forged), *words, of=forged)

    assert (made.deleted, made.edit) == (False, None)


# -- copies of the creation


def test_a_copy_that_differs_only_around_its_body_is_no_conflict() -> None:
    """A retry under another number says the same (D7, D9)."""
    again = fact(
        2, envelope("message.create", HELLO.ident.id, "ada", seq=7, body={"type": "text", "text": "Hello"})
    )

    assert not fold().conflicts(again)


def test_a_copy_with_the_body_of_a_later_version_is_no_conflict_and_stays_out() -> None:
    """Raw history may have nothing older; the one that is known is the one that was sent (D1, D24)."""
    revised = create(1, text="as it is now")._replace(revised=True, ident=HELLO.ident)

    assert fold().conflicts(revised._replace(revised=False))
    assert not fold().conflicts(revised)
    assert not fold().yields_to(revised)
    assert not fold(of=revised).yields_to(revised._replace(data=HELLO.data))


def test_a_claim_check_and_its_body_are_no_conflict_and_the_body_stands() -> None:
    """The announcement of a large message holds a stand-in for it."""
    claim = fact(1, envelope("message.create", HELLO.ident.id, "ada", body={"type": "claim", "bytes": 9}))

    assert not fold().conflicts(claim)
    assert not fold(of=claim).conflicts(HELLO)
    assert fold(of=claim).yields_to(HELLO)
    assert not fold().yields_to(claim)


def test_a_copy_of_an_erased_creation_brings_no_text_back() -> None:
    """Even one that stands lower (D26)."""
    late = create(2, text="Hello", number=1)
    made = fold(change(3, "delete", late), of=late)

    assert not made.conflicts(HELLO)
    made.yield_to(HELLO, PROVIDER)

    assert (made.key, b"Hello" in made.data) == (key(1), False)


@given(st.permutations([create(1, text=letter, number=1) for letter in "abc"]))
def test_of_creations_at_one_place_the_same_stands_in_any_order(copies: list[Fact]) -> None:
    """A writer who numbers two messages alike cannot make clients differ (I5)."""
    made = fold(of=copies[0])
    for copy in copies[1:]:
        if made.yields_to(copy):
            made.yield_to(copy, PROVIDER)

    assert text(made.data) == "a"


def test_a_clock_too_far_ahead_marks_the_message_until_a_log_orders_it() -> None:
    """The mark goes with the creation that stands (D4)."""
    ahead = create(9, text="Hello", number=1, suspect=True)
    made = fold(of=ahead)
    flags = made.flags

    made.yield_to(HELLO, PROVIDER)

    assert flags == {"clock_suspect"}
    assert made.flags == frozenset()

    made = fold(of=ahead)
    made.merge(told(ahead), PROVIDER, as_of=key(20), provisional=False)
    assert made.flags == frozenset()


# -- as a log tells it


def test_an_unnumbered_message_is_told_without_a_log() -> None:
    """Nobody's clock said when it was accepted: its writer's stands in."""
    plain = create(1, stamped=False)
    made = MessageFold.created(plain, Voucher("none", LOG, stamped=False))

    stamp = folded(made).stamp

    assert (stamp.log_id, stamp.at) == (None, START)


def test_a_message_of_a_later_version_without_a_time_can_be_kept() -> None:
    """Nothing is known of it but its name and place."""
    later = Envelope.parse(
        json.dumps(
            {
                "v": 2,
                "min": 2,
                "id": uuid(1),
                "kind": "message.create",
                "channel": "support",
                "sender": {"user": "ada", "device": "k3v9x2"},
            }
        ).encode()
    )

    made = fold(of=fact(1, later, stamped=False))

    assert folded(made).stamp.at.year == 1970


def test_a_deleted_message_that_a_log_still_has_the_text_of_is_kept_without_it() -> None:
    """Caches are redacted too (D26)."""
    made = MessageFold.told(told(HELLO, deleted=True), PROVIDER, as_of=key(5), provisional=False)

    assert b"Hello" not in made.data


def test_reactions_that_a_log_counted_can_be_taken_back() -> None:
    """What is newer than its word comes on top (D24)."""
    made = MessageFold.told(
        told(HELLO, reactions={"👍": ("bob", "eve")}), PROVIDER, as_of=key(5), provisional=False
    )

    effects = [apply(made, change(6, "remove", HELLO, "bob")), apply(made, change(7, "add", HELLO, "eve"))]

    assert effects == ["unreacted", "stale"]
    assert made.reactions() == {"👍": frozenset({"eve"})}


def test_losers_count_for_the_version_only_where_the_log_did_not_count_them() -> None:
    """Held changes give their number too (D22)."""
    made = MessageFold.told(told(HELLO, version=3, changed=key(3)), PROVIDER, as_of=key(5), provisional=False)

    made.count({key(4): 2, key(6): 2, key(7): 0})

    assert made.version == 4


# -- bounds


def keys(of: Changes) -> set[tuple[Register, OrderKey]]:
    return {(register, one.key) for register, front in of.fronts.items() for one in front}


@given(st.data())
def test_which_reactions_are_kept_depends_on_no_order_of_arrival(data: st.DataObject) -> None:
    """The newest of each user, then the newest of all (I5, I10)."""
    random = data.draw(st.randoms(use_true_random=False))
    facts = [
        change(
            serial,
            random.choice(["add", "remove"]),
            HELLO,
            random.choice("abcd"),
            emoji=random.choice("ABCDEFG"),
        )
        for serial in range(2, 27)
    ]
    arrived = data.draw(arrivals(facts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatkit.core.timeline_changes.MAX_OF_USER", 3)
        patch.setattr("chatkit.core.timeline_changes.MAX_REACTIONS", 8)
        found = [changes(order) for order in (facts, arrived)]

    assert keys(found[0]) == keys(found[1])
    assert len(found[0].fronts) <= 8


def changes(facts: Sequence[Fact]) -> Changes:
    made = Changes()
    for one in facts:
        read = change_of(one)
        assert read is not None
        made.add(*read)
    return made


def test_one_user_cannot_push_out_the_reactions_of_others() -> None:
    """32 of each user, 1,000 of all; what has to go is counted (I10)."""
    counts: Counter[str] = Counter()
    made = fold(change(2, "add", HELLO, "bob"))

    for serial in range(3, 103):
        apply(made, change(serial, "add", HELLO, "eve", emoji=f"e{serial}"), counts)

    reactions = made.reactions()
    assert reactions["👍"] == {"bob"}
    assert sum("eve" in users for users in reactions.values()) == 32
    assert counts["evicted"] == 68


def test_reactions_of_many_users_are_bounded_and_the_newest_stay() -> None:
    """A message with more is counted by its log (I10)."""
    made = fold(*(change(serial, "add", HELLO, f"user{serial}") for serial in range(2, 1_012)))

    (users,) = made.reactions().values()
    assert len(users) == 1_000
    assert "user11" not in users
    assert "user12" in users


def test_versions_beyond_those_known_one_by_one_still_count() -> None:
    """A message that grows for hours costs a bounded memory (I10)."""
    made = fold(*(change(serial, "update", HELLO) for serial in range(2, 1_103)))

    late = apply(made, change(2, "update", HELLO))

    assert (made.version, late, text(made.edit)) == (1_102, "duplicate", "edit 1102")


@pytest.mark.parametrize(("as_of", "version"), [(2, 50 + 1_101), (1_050, 50 + 52)])
def test_a_log_that_counted_takes_the_place_of_what_was_counted_here(as_of: int, version: int) -> None:
    """All up to its place are in its number; below what is known one by one a repeat is not told apart."""
    made = fold(*(change(serial, "update", HELLO) for serial in range(2, 1_103)))

    made.merge(told(HELLO, version=50, changed=key(as_of)), PROVIDER, as_of=key(as_of), provisional=False)

    assert made.version == version


def test_a_delete_takes_what_was_written_before_out_of_memory() -> None:
    """Here too no text outlives it (D26)."""
    held = Changes()
    edit, delete = change(2, "update", HELLO), change(3, "delete", HELLO)

    for one in (edit, delete, edit):
        read = change_of(one)
        assert read is not None
        held.add(*read)

    assert "update" not in held.fronts
    assert (held.versions, held.last) == (2, key(3))


def test_what_is_no_change_reads_as_none() -> None:
    """A creation, a kind to come, a reaction of a later version."""
    later = envelope("reaction.add", uuid(2), "ada", min=2, ref={"id": uuid(1), "user": "ada"})

    assert change_of(HELLO) is None
    assert change_of(fact(2, envelope("message.pin", uuid(2), "ada"))) is None
    assert change_of(fact(2, later)) is None


def test_the_size_of_changes_follows_what_is_kept() -> None:
    """What waits is bounded by its bytes (D22)."""
    made = Changes()
    sizes = [made.size]
    for one in (change(2, "update", HELLO), change(3, "delete", HELLO)):
        read = change_of(one)
        assert read is not None
        made.add(*read)
        sizes.append(made.size)

    assert sizes[0] == 0
    assert sizes[1] > len(change(2, "update", HELLO).data)
    assert 0 < sizes[2] < sizes[1] + 1_100
    assert Change(key(1), b"", 2).size > 0
