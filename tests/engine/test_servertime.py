"""Server time: an offset on the monotonic clock, confirmed by contacts, questioned by sleep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chatkit.engine.servertime import SLEPT, ServerTime
from chatkit.testing.clock import VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_before_any_contact_the_own_clock_must_do() -> None:
    """Time runs from the device's clock, and is known to be unconfirmed (D13)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)

    clock.advance(5)

    assert time.now() == START + timedelta(seconds=5)
    assert time.now_ms() == int(START.timestamp() * 1000) + 5_000
    assert not time.confirmed


def test_a_contact_sets_the_offset() -> None:
    """From then on the monotonic clock counts on from what the server said (D4)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)

    time.confirm(START + HOUR)
    clock.advance(5)

    assert time.now() == START + HOUR + timedelta(seconds=5)
    assert time.confirmed


def test_a_provider_without_a_clock_confirms_our_own() -> None:
    """Where there is nobody to ask the device's clock counts as confirmed (D13)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    clock.jump(-60)

    time.confirm(None)

    assert (time.now(), time.confirmed) == (START - timedelta(seconds=60), True)


def test_setting_the_device_clock_back_changes_nothing() -> None:
    """Server time hangs on the monotonic clock (D4)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    time.confirm(START)

    clock.jump(-3_600)

    assert (time.now(), time.sleeps(), time.confirmed) == (START, 0, True)


def test_a_machine_that_slept_is_noticed() -> None:
    """The wall clock ran ahead of the monotonic one: time is put forward, and in question (D13, D32)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    time.confirm(START)

    clock.jump(3_600)

    assert time.sleeps() == 1
    assert (time.now(), time.confirmed) == (START + HOUR, False)


def test_each_who_watches_learns_of_each_sleep() -> None:
    """A look takes nothing away from another's: it counts sleeps (D32)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)

    clock.jump(60)
    first = time.sleeps(), time.sleeps()
    clock.jump(60)

    assert (first, time.sleeps()) == ((1, 1), 2)


def test_a_little_drift_is_no_sleep() -> None:
    """Up to five seconds are what clocks do (D32)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)

    clock.jump(SLEPT - 0.1)

    assert time.sleeps() == 0


def test_a_contact_after_a_sleep_does_not_hide_it() -> None:
    """A publish that is answered before anybody looked leaves the sleep to be found (D32)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    time.confirm(START)

    clock.jump(3_600)
    time.confirm(START + HOUR)

    assert time.sleeps() == 1
    assert (time.now(), time.confirmed) == (START + HOUR, True)


def test_who_waits_for_time_is_told_once_it_is_confirmed() -> None:
    """Again after each sleep, and not at every contact (D13)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    told: list[datetime] = []
    time.on_confirmed = lambda: told.append(time.now())

    time.confirm(START)
    time.confirm(START)
    clock.jump(60)
    time.confirm(START + HOUR)

    assert told == [START, START + HOUR]


def test_milliseconds_say_what_the_time_says() -> None:
    """After contacts and sleeps as before them: the clocks of messages follow these (D4)."""
    clock = VirtualClock(START)
    time = ServerTime(clock)
    told: list[tuple[int, int]] = []

    def look() -> None:
        _ = time.sleeps()
        told.append((time.now_ms(), int(time.now().timestamp() * 1000)))

    look()
    time.confirm(START + 3 * HOUR)
    look()
    clock.jump(600)
    look()
    time.confirm(None)
    look()

    assert [milliseconds for milliseconds, _ in told] == [moment for _, moment in told]
    assert len({moment for _, moment in told}) == 4
