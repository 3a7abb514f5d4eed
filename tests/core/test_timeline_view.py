"""What readers are shown is the timeline under the overlay, and every change of it is told (D3, D23, I10)."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_dirty import Dirty
from chatkit.core.timeline_view import Reader, ViewFeed
from chatkit.errors import NotAllowed
from chatkit.model.bodies import Text
from chatkit.model.message import Message, Status
from chatkit.model.order import Ident
from chatkit.model.views import TimelineChange
from tests.core.folding import change, channels, create, key, page, timeline, wish


def hide(message: Message) -> None:
    del message


def shout(message: Message) -> Message:
    return replace(message, body=Text(text=message.text.upper()))


def replay(messages: list[Message], changes: tuple[TimelineChange, ...]) -> None:
    """Do what an app does with changes, and check that each can be done."""
    for step in changes:
        match step.op:
            case "insert":
                assert 0 <= step.index <= len(messages)
                messages.insert(step.index, step.message)
            case "update":
                assert messages[step.index].ident == step.message.ident
                messages[step.index] = step.message
            case "remove":
                assert messages.pop(step.index).ident == step.message.ident


class Screen:
    """A reader that draws all once and then follows the changes."""

    def __init__(self, view: ViewFeed) -> None:
        self.view = view
        self.reader = Reader()
        self.messages: list[Message] = []
        self.redrawn = 0

    def follow(self) -> tuple[TimelineChange, ...] | None:
        shown = self.view.read(self.reader)
        if shown.changes is None:
            self.messages, self.redrawn = list(shown.messages), self.redrawn + 1
        else:
            replay(self.messages, shown.changes)
        assert tuple(self.messages) == shown.messages
        return shown.changes


def room(*facts: Fact, thread: Ident | None = None) -> tuple[Timeline, Overlay, ViewFeed]:
    of = timeline(*facts, viewer="ada", keep=8)
    overlay = Overlay("ada")
    return of, overlay, ViewFeed(of, overlay, thread=thread)


def follow(*facts: Fact, thread: Ident | None = None) -> tuple[Timeline, Overlay, Screen]:
    """A room with a screen that has drawn it."""
    of, overlay, view = room(*facts, thread=thread)
    screen = Screen(view)
    assert screen.follow() is None
    return of, overlay, screen


def ops(changes: tuple[TimelineChange, ...] | None) -> list[tuple[str, int, str]]:
    assert changes is not None
    return [(one.op, one.index, one.message.text) for one in changes]


# -- the feed replays to the view


def step(random: Random, facts: list[Fact], of: Timeline, overlay: Overlay, view: ViewFeed) -> None:
    """Have something happen to a view."""
    one, as_of = random.choice(facts), random.randrange(20)
    match random.randrange(12):
        case 0 if one.user == "ada":
            wish(overlay, one.envelope.id, one)
        case 1:
            overlay.status(one.envelope.id, random.choice(STATUSES), NotAllowed("muted"))
        case 2:
            of.apply(one)
            overlay.confirm(one.envelope.id)
        case 3:
            overlay.drop(one.envelope.id)
        case 4:
            view.mask(one.ident, random.choice([hide, shout, None]))
        case 5:
            of.load(page(facts, as_of), as_of=key(as_of))
        case 6:
            of.mark_orphaned()
        case 7 if as_of == 0:
            of.unload()
        case 7 if as_of == 1:
            of.reset(another=True)
        case 7 if as_of == 2:
            view.rest()
        case _:
            of.apply(one)


STATUSES: list[Status] = ["queued", "sending", "sent", "failed", "expired", "discarded"]


@given(st.data())
def test_replaying_the_changes_gives_the_view(data: st.DataObject) -> None:
    """Whatever happens between two looks, for readers who look often and seldom (I8)."""
    facts = data.draw(channels())
    random = data.draw(st.randoms(use_true_random=False))
    of, overlay, view = room()
    often, seldom = Screen(view), Screen(view)
    for _ in range(random.randrange(30)):
        step(random, facts, of, overlay, view)
        if random.random() < 0.6:
            often.follow()
        if random.random() < 0.1:
            seldom.follow()

    for screen in (often, seldom):
        screen.follow()
        assert screen.messages == expected(of, overlay, view)


def expected(of: Timeline, overlay: Overlay, view: ViewFeed) -> list[Message]:
    """The view, built anew."""
    pending = [wish.target for wish in overlay.creations()]
    idents = dict.fromkeys([*(message.ident for message in of), *pending])
    found = [view.get(ident) for ident in idents]
    return [message for message in found if message is not None and message.thread is None]


# -- readable examples


def test_the_first_look_draws_all_and_the_next_tells_what_changed() -> None:
    """Steps are valid when applied in order."""
    of, _, screen = follow(create(2))

    of.apply(create(3))
    of.apply(create(1))
    changes = screen.follow()

    assert sorted(ops(changes)) == [("insert", 0, "text 1"), ("insert", 2, "text 3")]
    assert [message.text for message in screen.messages] == ["text 1", "text 2", "text 3"]


def test_nothing_new_is_no_change() -> None:
    """A repeat is not worth drawing (I2)."""
    of, _, screen = follow(create(1))

    of.apply(create(1))
    of.load(page([create(1)], 5), as_of=key(5))

    assert screen.follow() == ()


def test_a_sent_message_is_updated_where_it_stands() -> None:
    """The optimistic message becomes the confirmed one without leaving its line."""
    of, overlay, screen = follow(create(1, "bob"))
    mine = create(2, "ada", "mine")

    wish(overlay, "e1", mine)
    written = screen.follow()
    of.apply(mine)
    overlay.confirm("e1")
    sent = screen.follow()

    assert ops(written) == [("insert", 1, "mine")]
    assert ops(sent) == [("update", 1, "mine")]


def test_a_sent_message_that_others_overtook_moves() -> None:
    """It takes its place (D3)."""
    of, overlay, screen = follow()
    first, second = create(5, "ada", "first"), create(2, "ada", "second")
    wish(overlay, "e1", first)
    wish(overlay, "e2", second)
    screen.follow()

    of.apply(second)

    assert ops(screen.follow()) == [("remove", 1, "second"), ("insert", 0, "second")]


def test_a_message_that_falls_out_of_the_window_is_removed() -> None:
    """The view is bounded as the timeline is (I10)."""
    of, _, screen = follow(*(create(serial) for serial in range(1, 9)))

    of.apply(create(9))

    assert sorted(ops(screen.follow())) == [("insert", 7, "text 9"), ("remove", 0, "text 1")]


def test_a_reader_that_falls_behind_the_feed_draws_all() -> None:
    """The feed is bounded; readers that keep up follow it still (I10)."""
    hello = create(1)
    of, _, quick = follow(hello)
    slow = Screen(quick.view)
    slow.follow()

    for serial in range(2, 1_010):
        of.apply(change(serial, "update", hello))
        quick.follow()
    slow.follow()

    assert (quick.redrawn, slow.redrawn) == (1, 2)


def test_many_changes_between_two_looks_draw_all() -> None:
    """Telling them one by one would cost more (I10)."""
    of = timeline(keep=5_000)
    screen = Screen(ViewFeed(of, Overlay("ada")))
    screen.follow()

    for serial in range(1, 1_200):
        of.apply(create(serial))

    assert screen.follow() is None


def test_two_bounded_sets_of_changes_may_be_too_many_together() -> None:
    """Then too all is drawn (I10)."""
    of, overlay = timeline(keep=5_000), Overlay("ada")
    screen = Screen(ViewFeed(of, overlay))
    screen.follow()

    for serial in range(1, 700):
        of.apply(create(serial))
        wish(overlay, f"e{serial}", create(serial + 5_000, "ada"))

    assert screen.follow() is None
    assert len(screen.messages) == 2 * 699


def test_whether_there_is_anything_to_draw_can_be_asked_without_drawing() -> None:
    """At first all is; then what was folded since."""
    dirty = Dirty()
    states = [bool(dirty)]
    dirty.take()
    states.append(bool(dirty))

    dirty.add(create(1).ident)
    states.append(bool(dirty))

    assert states == [True, False, True]


# -- masks


def test_a_hidden_message_is_not_shown_and_still_folded() -> None:
    """Middleware hides from views, never from the fold."""
    hello = create(1)
    of, _, screen = follow(hello, create(2))

    screen.view.mask(hello.ident, hide)
    hidden = screen.follow()
    of.apply(change(3, "update", hello))
    meanwhile = screen.follow()
    screen.view.mask(hello.ident, None)

    assert ops(hidden) == [("remove", 0, "text 1")]
    assert meanwhile == ()
    assert ops(screen.follow()) == [("insert", 0, "edit 3")]


def test_a_replaced_message_stays_so_through_its_changes() -> None:
    """A mask is applied to the message as it is now."""
    hello = create(1)
    of, _, screen = follow(hello)

    screen.view.mask(hello.ident, shout)
    of.apply(change(2, "update", hello))

    assert ops(screen.follow()) == [("update", 0, "EDIT 2")]


def test_a_mask_goes_with_its_message() -> None:
    """Masks are no more than messages (I10)."""
    facts = [create(serial) for serial in range(1, 10)]
    of, _, screen = follow(*facts[:8])
    screen.view.mask(facts[0].ident, hide)
    screen.follow()

    of.apply(facts[8])
    screen.follow()
    of.load(page(facts[:1], 9), as_of=key(9), extend=True)
    of.window.bound = 9
    of.load(page(facts[:1], 9), as_of=key(9))
    screen.follow()

    assert screen.messages[0].text == "text 1"


def test_masks_of_what_is_not_there_do_not_pile_up() -> None:
    """Even if nobody looks (I10)."""
    of, _, view = room(create(1))
    del of

    for serial in range(2, 3_000):
        view.mask(create(1, number=2).ident._replace(id=str(serial)), hide)

    assert len(view._masks) <= 1_003


# -- threads


def test_replies_show_in_their_thread_and_in_the_channel_only_if_sent_there_too() -> None:
    """`also` shows a reply in the channel."""
    root = create(1, text="root")
    about: dict[str, Any] = {"thread": {"id": root.ident.id, "user": root.user}}
    facts = [root, create(2, text="reply", **about), create(3, text="both", also=True, **about)]

    _, _, channel = follow(*facts)
    _, _, thread = follow(*facts, thread=root.ident)

    assert [message.text for message in channel.messages] == ["root", "both"]
    assert [message.text for message in thread.messages] == ["reply", "both"]
    assert channel.messages[0].replies == 2


def test_a_message_can_be_asked_for_in_whichever_thread_it_is() -> None:
    """As this view would show it."""
    reply = create(2, thread={"id": create(1).ident.id, "user": "ada"})
    of, overlay, view = room(reply)
    wish(overlay, "e1", change(3, "update", reply))
    del of

    found, absent = view.get(reply.ident), view.get(create(9).ident)

    assert found is not None
    assert (found.text, found.status, absent) == ("edit 3", "queued", None)


@pytest.mark.parametrize("look", [True, False])
def test_a_resting_view_lets_go_and_draws_all_for_the_next_reader(look: bool) -> None:
    """Built messages are kept for readers alone."""
    of, _, screen = follow(create(1))

    screen.view.rest()
    assert screen.view._messages == []
    if look:
        of.apply(create(2))

    assert screen.follow() is None
    assert len(screen.messages) == 1 + look
