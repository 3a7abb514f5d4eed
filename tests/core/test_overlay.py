"""My pending wishes show over the confirmed messages and end one by one (D7, D23, I8)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_view import Reader, ViewFeed
from chatkit.errors import NotAllowed
from chatkit.model.message import Message
from tests.core.folding import change, channels, create, timeline, wish

MUTED = NotAllowed("muted")


class Room:
    """A timeline of ada's, her overlay, and how both look together."""

    def __init__(self, *facts: Fact) -> None:
        self.timeline: Timeline = timeline(*facts, viewer="ada", rights=False)
        self.overlay = Overlay("ada")
        self.view = ViewFeed(self.timeline, self.overlay)

    def wish(self, *facts: Fact) -> None:
        for one in facts:
            wish(self.overlay, one.envelope.id, one)

    def confirm(self, one: Fact) -> None:
        self.timeline.apply(one)
        self.overlay.confirm(one.envelope.id)

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.view.read(Reader()).messages

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]


@given(st.data())
def test_when_every_wish_is_confirmed_the_view_is_the_confirmed_timeline(data: st.DataObject) -> None:
    """In whatever order wishes are made and others' facts come between (I8, D23)."""
    facts = data.draw(channels(causal=True))
    room = Room()
    mine = [one for one in facts if one.user == "ada"]
    room.wish(*mine)

    for one in data.draw(st.permutations(facts)):
        if one in mine:
            room.confirm(one)
        else:
            room.timeline.apply(one)

    assert len(room.overlay) == 0
    assert room.messages == tuple(message for message in room.timeline if message.thread is None)


@given(st.data())
def test_when_every_wish_is_dropped_or_fails_the_confirmed_messages_are_untouched(
    data: st.DataObject,
) -> None:
    """Overlays are never written into the fold (D23)."""
    facts = data.draw(channels(causal=True))
    half = len(facts) // 2
    room = Room(*facts[:half])
    before = room.messages

    mine = [one for one in facts[half:] if one.user == "ada"]
    room.wish(*mine)
    for one in mine:
        room.overlay.status(one.envelope.id, "failed", MUTED)
    failed = [message for message in room.messages if message.key is not None]
    for one in mine:
        room.overlay.drop(one.envelope.id)

    shown = [(message.text, message.deleted, message.reactions) for message in failed]
    assert shown == [(message.text, message.deleted, message.reactions) for message in before]
    assert room.messages == before


def test_pending_messages_stand_after_all_confirmed_ones_in_lane_order() -> None:
    """They have no place yet (D3)."""
    room = Room(create(50, "bob", "confirmed"))

    room.wish(create(9, "ada", "first"), create(2, "ada", "second"))
    room.timeline.apply(create(60, "bob", "later"))

    assert room.texts == ["confirmed", "later", "first", "second"]


def test_a_confirmed_message_takes_its_place_once() -> None:
    """One visible copy (I2)."""
    mine = create(1, "ada", "mine")
    room = Room(create(2, "bob", "his"))
    room.wish(mine)

    room.confirm(mine)

    assert room.texts == ["mine", "his"]
    assert [message.status for message in room.messages] == ["sent", "sent"]


def test_an_echo_before_the_acknowledgement_confirms() -> None:
    """The wish that is still there changes nothing (D6)."""
    mine = create(1, "ada", "mine")
    room = Room()
    room.wish(mine)
    room.overlay.status(mine.envelope.id, "sending")

    room.timeline.apply(mine)

    assert [(message.text, message.status) for message in room.messages] == [("mine", "sent")]


def test_a_pending_edit_shows_at_once_with_its_status() -> None:
    """Others' messages are always sent; of mine, the status of my newest change (D23)."""
    mine, his = create(1, "ada"), create(2, "bob")
    room = Room(mine, his)

    room.wish(change(3, "update", mine), change(4, "add", his, "ada"))
    room.overlay.status(change(3, "update", mine).envelope.id, "sending")

    assert room.texts == ["edit 3", "text 2"]
    assert [message.status for message in room.messages] == ["sending", "queued"]
    assert room.messages[1].reactions == {"👍": {"ada"}}


def test_a_failed_edit_rolls_back_visibly() -> None:
    """The message says so until the wish is pruned (D23)."""
    mine = create(1, "ada")
    edit = change(2, "update", mine)
    room = Room(mine)
    room.wish(edit)

    room.overlay.status(edit.envelope.id, "failed", MUTED)
    failed = room.messages
    room.overlay.drop(edit.envelope.id)

    assert [(message.text, message.status, message.error) for message in failed] == [
        ("text 1", "failed", MUTED)
    ]
    assert [(message.text, message.status, message.error) for message in room.messages] == [
        ("text 1", "sent", None)
    ]


def test_a_newer_wish_that_comes_true_clears_an_older_failure() -> None:
    """The status is that of my newest change (D23)."""
    mine = create(1, "ada")
    failed, good = change(2, "update", mine), change(3, "update", mine)
    room = Room(mine)
    room.wish(failed, good)
    room.overlay.status(failed.envelope.id, "failed", MUTED)

    room.confirm(good)

    assert [(message.text, message.status, message.error) for message in room.messages] == [
        ("edit 3", "sent", None)
    ]


def test_a_wish_that_comes_true_leaves_newer_ones_alone() -> None:
    """Each ends by itself (D23)."""
    mine = create(1, "ada")
    first, second = change(2, "update", mine), change(3, "update", mine)
    room = Room(mine)
    room.wish(first, second)

    room.confirm(first)

    assert [(message.text, message.status) for message in room.messages] == [("edit 3", "queued")]


def test_a_failure_after_a_wish_that_comes_true_still_marks_the_message() -> None:
    """It is the newer of the two (D23)."""
    mine = create(1, "ada")
    good, failed = change(2, "update", mine), change(3, "update", mine)
    room = Room(mine)
    room.wish(good, failed)
    room.overlay.status(failed.envelope.id, "failed", MUTED)

    room.confirm(good)

    assert [(message.text, message.status) for message in room.messages] == [("edit 2", "failed")]


def test_an_older_failure_that_is_sent_again_is_the_newest_change() -> None:
    """It goes to the end of the lane (D7)."""
    mine = create(1, "ada")
    failed, good = change(2, "update", mine), change(3, "update", mine)
    room = Room(mine)
    room.wish(failed, good)
    room.overlay.status(failed.envelope.id, "failed", MUTED)
    room.confirm(good)

    room.overlay.status(failed.envelope.id, "queued")

    assert [(message.text, message.status) for message in room.messages] == [("edit 2", "queued")]


def test_a_failed_message_goes_to_the_end_of_the_lane_when_it_is_sent_again() -> None:
    """Its old number would be refused for ever (D7)."""
    first, second = create(1, "ada", "first"), create(2, "ada", "second")
    room = Room()
    room.wish(first, second)
    room.overlay.status(first.envelope.id, "expired", MUTED)
    before = room.texts

    room.overlay.status(first.envelope.id, "queued")

    assert before == ["first", "second"]
    assert room.texts == ["second", "first"]
    assert [message.error for message in room.messages] == [None, None]


def test_a_wish_that_fails_twice_stays_where_it_is() -> None:
    """Only being queued again moves it (D7)."""
    first, second = create(1, "ada", "first"), create(2, "ada", "second")
    room = Room()
    room.wish(first, second)

    room.overlay.status(first.envelope.id, "expired")
    room.overlay.status(first.envelope.id, "failed", MUTED)

    assert [(message.text, message.status) for message in room.messages] == [
        ("first", "failed"),
        ("second", "queued"),
    ]


def test_a_discarded_wish_is_gone() -> None:
    """Its user withdrew it, or wrote it anew (D6)."""
    mine = create(1, "ada")
    room = Room()
    room.wish(mine)

    room.overlay.status(mine.envelope.id, "discarded")

    assert (room.messages, len(room.overlay), mine.envelope.id in room.overlay) == ((), 0, False)


def test_a_wish_that_is_shown_again_keeps_its_place() -> None:
    """Its envelope was completed at the first attempt (D7)."""
    first, second = create(1, "ada", "first"), create(2, "ada", "second")
    room = Room()
    room.wish(first, second)

    wish(room.overlay, first.envelope.id, create(1, "ada", "first, whole"), status="sending")

    assert room.texts == ["first, whole", "second"]
    assert first.envelope.id in room.overlay


def test_what_becomes_of_a_wish_that_is_not_shown_is_passed_over() -> None:
    """The outbox knows more than a timeline shows."""
    room = Room()

    room.overlay.status("unknown", "sent")
    room.overlay.confirm("unknown")
    room.overlay.drop("unknown")

    assert room.messages == ()


def test_a_change_known_to_stand_somewhere_is_dropped_when_that_is_reached() -> None:
    """A message that is made says more than a fold has of it, and stays until it is read itself (D10)."""
    one, two = create(1, "ada"), create(2, "ada")
    edit = change(3, "message.update", one, "edited")
    room = Room(one)
    room.wish(edit, two)
    room.overlay.sent(edit.envelope.id, edit.key)
    room.overlay.sent(two.envelope.id, two.key)

    room.overlay.reached(None)
    room.overlay.reached(one.key)
    assert edit.envelope.id in room.overlay

    room.overlay.reached(edit.key)
    assert edit.envelope.id not in room.overlay
    assert two.envelope.id in room.overlay


def test_a_change_of_a_message_that_is_not_loaded_shows_nothing() -> None:
    """It waits in the overlay for its message."""
    mine = create(1, "ada")
    room = Room()
    room.wish(change(2, "update", mine))
    before = room.texts

    room.timeline.apply(mine)

    assert before == []
    assert room.texts == ["edit 2"]
