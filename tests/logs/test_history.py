"""Raw history: a window on entries that nobody checked or folded (D10, D24)."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from chatkit.errors import CapabilityError
from chatkit.logs.core import LogCore
from chatkit.logs.history import RawHistory
from chatkit.logs.record import as_kept
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.log import Messages
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import change, text_of, wish


def lettered(stamp: Stamp) -> Stamp:
    """Show a place in another notation, as Ably does."""
    return stamp._replace(key=OrderKey(1, f"s-{stamp.key.serial}"), prev=None, log_id=None)


def key(number: int) -> OrderKey:
    return OrderKey(1, f"s-{number:020d}")


@pytest.fixture
def core(clock: VirtualClock) -> LogCore:
    """An empty log."""
    return LogCore(clock, Random(1), keep=100)


@pytest.fixture
def history(core: LogCore) -> RawHistory:
    """Two minutes of it."""
    return core.history(120.0, lettered)


def note(core: LogCore, *entries: Outgoing) -> None:
    for entry in entries:
        core.note("support", entry.ident, entry.data)


def texts(page: Messages) -> list[str | None]:
    return [text_of(item.data) for item in page.items]


def test_every_envelope_is_numbered_unseen(core: LogCore, history: RawHistory) -> None:
    """No fence, no rights: a repeat and a forgery are entries like all others."""
    note(core, wish(1), wish(1), change(2, "message.update", wish(9), user="bob"))
    core.note("support", wish(3).ident, b"no envelope")

    found = history.entries("support", after=None, limit=10)

    assert [item.stamp.key for item in found.items] == [key(number) for number in (1, 2, 3, 4)]
    assert found.items[0].stamp.prev is None


def test_places_are_shown_and_taken_in_the_providers_own_notation(core: LogCore, history: RawHistory) -> None:
    """Serials are opaque: what comes out can go in again."""
    note(core, wish(1), wish(2), wish(3))

    found = history.entries("support", after=key(1), limit=1)

    assert [text_of(item.data) for item in found.items] == ["text 2"]
    assert found.more
    assert found.state.head == key(3).serial


def test_what_is_older_than_the_window_is_gone(
    core: LogCore, history: RawHistory, clock: VirtualClock
) -> None:
    """The floor rises with time, and the head stays known (D18)."""
    note(core, wish(1))
    clock.advance(100)
    note(core, wish(2))
    assert history.heads(["support"])["support"].floor is None
    clock.advance(21)

    page = history.messages("support", limit=10)

    assert texts(page) == ["text 2"]
    assert (page.state.head, page.state.floor) == (key(2).serial, key(1).serial)
    clock.advance(100)
    assert history.messages("support", limit=10).items == ()
    assert history.heads(["support"])["support"].head == key(2).serial


def test_the_newest_page_is_folded_for_good(core: LogCore, history: RawHistory) -> None:
    """It touches the head, so every change is in it (D24)."""
    first, second = wish(1), wish(2, user="bob")
    note(core, first, second, change(3, "message.delete", first))

    page = history.messages("support", limit=10)

    assert [item.deleted for item in page.items] == [True, False]
    assert (page.provisional, page.as_of) == (False, key(3))
    assert page.items[0].stamp.key == key(1)


def test_a_page_away_from_the_head_is_provisional(core: LogCore, history: RawHistory) -> None:
    """Changes that come after its last message are not in it, and it says so (D24)."""
    first, second, third = wish(1), wish(2), wish(3)
    note(core, first, change(4, "message.update", first), second, third, change(5, "message.delete", second))

    page = history.messages("support", before=key(4), limit=10)

    assert [(item.version, item.deleted) for item in page.items] == [(2, False), (1, False)]
    assert (page.provisional, page.as_of, page.after) == (True, None, key(3))


def test_only_authors_change_a_message(core: LogCore, history: RawHistory) -> None:
    """Nobody checked, so authorship is all that can be known (D2)."""
    created = wish(1)
    note(core, created, change(2, "message.delete", created, user="bob"))
    note(core, change(3, "reaction.add", created, user="bob"))

    (found,) = history.messages("support", limit=10).items

    assert (found.deleted, found.reactions) == (False, {"👍": ("bob",)})


def test_a_repeated_creation_shows_once(core: LogCore, history: RawHistory) -> None:
    """The lowest serial stands (D10)."""
    note(core, wish(1), wish(2), wish(1))

    page = history.messages("support", limit=10)

    assert [item.stamp.key for item in page.items] == [key(1), key(2)]


def test_what_is_no_envelope_is_passed_over(core: LogCore, history: RawHistory) -> None:
    """A channel may hold what others wrote."""
    note(core, wish(1))
    core.note("support", wish(2).ident, b"no envelope")

    assert texts(history.messages("support", limit=10)) == ["text 1"]


def test_ids_are_found_within_the_window(core: LogCore, history: RawHistory, clock: VirtualClock) -> None:
    """With the first place of each, and word of how far that reaches (D10)."""
    note(core, wish(1))
    clock.advance(121)
    note(core, wish(2), wish(2))

    found = history.find("support", [wish(1).ident, wish(2).ident])

    assert found.items == {wish(2).ident: key(2)}
    assert found.reaches == clock.wall() - timedelta(seconds=120)


def test_without_a_window_it_reaches_as_far_as_entries_are_kept(clock: VirtualClock) -> None:
    """Persistence for ever, but for the log's own bound."""
    core = LogCore(clock, Random(1), keep=2)
    history = core.history(None, as_kept)
    note(core, wish(1))
    reached = history.find("support", []).reaches
    clock.advance(1_000_000)
    note(core, wish(2), wish(3))

    found = history.find("support", [])

    assert reached is not None
    assert found.reaches == clock.wall() - timedelta(seconds=1_000_000)
    assert reached < found.reaches
    assert texts(history.messages("support", limit=10)) == ["text 2", "text 3"]


def test_an_unused_channel_is_empty(history: RawHistory) -> None:
    """There is nothing to show and nothing missing."""
    state = history.heads(["support"])["support"]
    page = history.messages("support", limit=10)

    assert (state.head, state.floor) == (None, None)
    assert (page.items, page.as_of, page.provisional) == ((), OrderKey(1, ""), False)


def test_raw_history_knows_no_threads(history: RawHistory) -> None:
    """Reading by thread is what a log is for."""
    with pytest.raises(CapabilityError):
        history.messages("support", limit=10, thread=wish(1).ident)
