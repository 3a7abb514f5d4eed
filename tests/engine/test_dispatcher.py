"""Who hears what: readers by channel, and words that nobody hears (I6, I13, D18)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

import chatkit
from chatkit.engine.dispatcher import Dispatcher
from chatkit.engine.screening import Screen
from chatkit.engine.subscription import Subscription
from chatkit.engine.track import Told
from chatkit.errors import NotAllowed
from chatkit.model.order import Ident, OrderKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state(channel: str | None) -> chatkit.Event:
    if channel is None:
        view = chatkit.ConnectionView(state="connected", since=NOW)
        return chatkit.ConnectionChanged(event_id="c", at=NOW, view=view)
    return chatkit.ChannelChanged(event_id=channel, channel=channel, at=NOW, state="attached")


def gap(channel: str = "a") -> chatkit.Discontinuity:
    return chatkit.Discontinuity(event_id="gap", channel=channel, at=NOW, reason="backfill")


def reader(dispatcher: Dispatcher, channel: str | None, *kinds: type[chatkit.Event]) -> Subscription:
    found = Subscription(kinds, channel, buffer=10, overflow="raise")
    dispatcher.add(found)
    return found


def heard(*readers: Subscription) -> list[list[str]]:
    return [[event.event_id for event in found._queue] for found in readers]


def test_a_channel_is_heard_by_its_readers_and_by_those_of_all() -> None:
    """What is of no channel is heard by the latter alone."""
    dispatcher = Dispatcher(Screen([], "ada"))
    a, b, wide = reader(dispatcher, "a"), reader(dispatcher, "b"), reader(dispatcher, None)
    for event in (state("a"), state("b"), state(None)):
        dispatcher.tell(event)
    assert heard(a, b, wide) == [["a"], ["b"], ["a", "b", "c"]]


def test_who_comes_and_goes_is_heard_of_at_once() -> None:
    """Who hears a channel is known anew with each reader that comes or goes, of it or of all."""
    dispatcher = Dispatcher(Screen([], "ada"))
    first = reader(dispatcher, "a")
    assert dispatcher.readers("a") == (first,)
    wide = reader(dispatcher, None)
    assert dispatcher.readers("a") == (first, wide)
    dispatcher.remove(first)
    assert dispatcher.readers("a") == (wide,)
    dispatcher.close()
    assert dispatcher.readers("a") == ()


def test_who_left_hears_nothing_and_may_leave_again() -> None:
    """Leaving is idempotent, for one of several readers and for the last."""
    dispatcher = Dispatcher(Screen([], "ada"))
    first, second = reader(dispatcher, "a"), reader(dispatcher, "a")
    dispatcher.remove(first)
    dispatcher.tell(state("a"))
    dispatcher.remove(second)
    dispatcher.remove(second)
    dispatcher.tell(state("a"))
    assert heard(first, second) == [[], ["a"]]
    assert dispatcher.readers("a") == ()


def test_a_type_is_heard_if_any_reader_asked_for_it() -> None:
    """So that nothing is fetched for an event that nobody wants (D22)."""
    dispatcher = Dispatcher(Screen([], "ada"))
    reader(dispatcher, "a", chatkit.MessageCreated)
    assert dispatcher.hears("a", chatkit.MessageCreated)
    assert not dispatcher.hears("a", chatkit.MessageUpdated)
    reader(dispatcher, None, chatkit.MessageEvent)
    assert dispatcher.hears("a", chatkit.MessageUpdated)
    assert not dispatcher.hears("a", chatkit.ForeignFrame)


@pytest.mark.parametrize("covered", [False, True])
def test_a_gap_that_nobody_takes_is_a_warning(covered: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A `Discontinuity` is never silent (I6); one that somebody takes, or reads in the log, is no warning."""
    dispatcher = Dispatcher(Screen([], "ada"))
    deaf = reader(dispatcher, "a", chatkit.MessageCreated)
    for expected in (1, 1):
        with caplog.at_level(logging.WARNING, "chatkit"):
            if covered:
                dispatcher.tell_gap(gap(), "a", None)
            else:
                dispatcher.tell(gap())
        assert len(caplog.records) == expected
        reader(dispatcher, "a", chatkit.Discontinuity)
    assert deaf.gaps == 2


def test_a_fact_goes_to_who_has_it_not() -> None:
    """A reader that came from the log is not given twice what it was read (I2)."""
    dispatcher = Dispatcher(Screen([], "ada"))
    live, joined = reader(dispatcher, "a"), reader(dispatcher, "a")
    joined.track("a").after = OrderKey(1, "5")
    for serial in ("5", "6"):
        event = chatkit.ChannelChanged(event_id=serial, channel="a", at=NOW, state="attached")
        dispatcher.tell_fact("a", Told(event, Ident("cleo", serial), OrderKey(1, serial), None))
    assert heard(live, joined) == [["5", "6"], ["6"]]
    dispatcher.forget("a", OrderKey(1, "0"), None)
    dispatcher.tell_fact("a", Told(state("a"), Ident("cleo", "1"), OrderKey(1, "1"), None))
    assert heard(joined) == [["6", "a"]]


def test_a_refused_channel_ends_its_streams_and_no_others() -> None:
    """Handlers stay for a later attach, readers of all channels go on."""
    dispatcher = Dispatcher(Screen([], "ada"))
    stream, wide = reader(dispatcher, "a"), reader(dispatcher, None)
    handler = Subscription((), "a", buffer=1, overflow="reread")
    dispatcher.add(handler)
    error = NotAllowed("not you")
    dispatcher.refuse("a", error)
    dispatcher.refuse("b", error)
    assert [found.error for found in (stream, wide, handler)] == [error, None, None]
    assert [found.closed for found in (stream, wide, handler)] == [True, False, False]


def test_closing_ends_every_stream() -> None:
    """With a reason where there is one; nobody hears anything afterwards."""
    dispatcher = Dispatcher(Screen([], "ada"))
    stream, wide = reader(dispatcher, "a"), reader(dispatcher, None)
    dispatcher.close()
    dispatcher.tell(state("a"))
    assert [found.closed for found in (stream, wide)] == [True, True]
    assert heard(stream, wide) == [[], []]
