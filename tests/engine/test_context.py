"""What the engine's parts share: reads that are repeated, calls that are bounded, clocks and points."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.core import backoff
from chatkit.engine.context import READ_TIMEOUT, READS, Context, bounded, foreign
from chatkit.engine.system import LogObserver, SystemClock
from chatkit.errors import CapabilityError, NotAllowed, RateLimited, TransportError, WaitTimeout
from chatkit.model.options import OutboxLimits
from tests.engine.sending_kit import FakeAdapter, Watcher, for_ever, keep_memory

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


class Full:
    """Chance at its highest, so that a wait is as long as it can be."""

    def random(self) -> float:
        return 1.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def context(clock: VirtualClock, adapter: Any = None) -> Context:
    return Context(
        "ada", adapter or FakeAdapter(), keep_memory(clock), clock, Full(), Watcher(), OutboxLimits(), 30.0
    )


def script(*steps: object) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """Return a read that goes through steps, and the times at which it was made."""
    left, at = list(steps), list[float]()

    async def read() -> str:
        at.append(asyncio.get_running_loop().time())
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        if step is None:
            await for_ever()
        return str(step)

    return read, at


# -- reads


async def test_a_read_is_repeated_after_errors_that_pass(clock: VirtualClock) -> None:
    """With a growing wait between two attempts."""
    read, at = script(TransportError("gone"), TransportError("gone"), "found")

    assert await context(clock).read(read) == "found"
    assert at == [0.0, backoff.BASE, 3 * backoff.BASE]


async def test_a_read_is_given_up_after_the_last_attempt(clock: VirtualClock) -> None:
    """Its last error is what the caller gets."""
    read, at = script(*[TransportError(f"gone {n}") for n in range(READS)])

    with pytest.raises(TransportError, match=f"gone {READS - 1}"):
        await context(clock).read(read)
    assert len(at) == READS


async def test_a_read_that_was_refused_is_not_repeated(clock: VirtualClock) -> None:
    """Whether repeating can help is a property of the error."""
    read, at = script(NotAllowed("no"))

    with pytest.raises(NotAllowed):
        await context(clock).read(read)
    assert at == [0.0]


async def test_an_attempt_at_a_read_that_hangs_counts_as_unanswered(clock: VirtualClock) -> None:
    """It is bounded, and made again."""
    read, at = script(None, "found")

    assert await context(clock).read(read) == "found"
    assert at == [0.0, READ_TIMEOUT + backoff.BASE]


async def test_a_read_waits_as_long_as_it_is_asked_to(clock: VirtualClock) -> None:
    """`Retry-After` is obeyed where it is longer than the own backoff (D12)."""
    read, at = script(RateLimited("slowly", retry_after=7.0), RateLimited("slowly"), "found")

    assert await context(clock).read(read) == "found"
    assert at == [0.0, 7.0, 7.0 + 2 * backoff.BASE]


async def test_a_read_that_is_put_off_for_long_is_not_waited_for(clock: VirtualClock) -> None:
    """Nobody waits an hour for a page of history: the caller is told."""
    read, at = script(RateLimited("slowly", retry_after=3_600.0))

    with pytest.raises(RateLimited):
        await context(clock).read(read)
    assert at == [0.0]


async def test_what_a_foreign_library_raises_becomes_ours(clock: VirtualClock) -> None:
    """Its class is named and its text kept out; like any lost answer it is asked again (I16)."""
    error = KeyError("secret")
    read, at = script(*[error] * READS)

    with pytest.raises(TransportError, match="KeyError") as caught:
        await context(clock).read(read)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is error
    assert len(at) == READS


# -- bounded calls


async def test_a_call_gets_its_time(clock: VirtualClock) -> None:
    """One that answers in time is none the wiser."""

    async def answer() -> str:
        await asyncio.sleep(1)
        return "here"

    assert await bounded(answer, 2.0) == "here"


async def test_a_call_that_takes_longer_gives_no_answer(clock: VirtualClock) -> None:
    """It is cancelled, and its outcome is unknown (D6)."""
    with pytest.raises(TransportError, match="no answer within 2 s"):
        await bounded(for_ever, 2.0)
    assert clock.monotonic() == 2.0


async def test_an_error_of_ours_passes_though_it_is_a_timeout() -> None:
    """`WaitTimeout` is a `TimeoutError` too, and says more."""

    async def wait() -> None:
        raise WaitTimeout("not yet")

    with pytest.raises(WaitTimeout):
        await bounded(wait, 2.0)


def test_an_error_of_ours_stays_as_it_is() -> None:
    """Only what is foreign is wrapped."""
    error = NotAllowed("no")
    assert foreign(error) is error


# -- the context itself


async def test_a_provider_without_history_says_so(clock: VirtualClock) -> None:
    """What needs a log names what to do."""
    with pytest.raises(CapabilityError, match="no history") as caught:
        context(clock).need_log("room")
    assert caught.value.channel == "room"
    assert "log=" in caught.value.hint


async def test_where_nothing_numbers_the_provider_is_the_origin(clock: VirtualClock) -> None:
    """A place is then one of its realm."""
    assert context(clock).origin == "fake://test"


async def test_a_defect_is_counted_by_its_name(clock: VirtualClock) -> None:
    """However often a loop breaks, health stays bounded (I10)."""
    found = context(clock)

    for _ in range(3):
        found.tasks.broke("sweep", ValueError())

    assert found.defects == {"sweep": 3}


async def test_a_client_speaks_for_its_own_user(clock: VirtualClock) -> None:
    """Others join when a backend speaks for them."""
    assert context(clock).users == {"ada"}


# -- the system


def test_the_real_clock_tells_the_time() -> None:
    """Wall time is UTC, monotonic time never goes back."""
    clock = SystemClock()

    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert abs((datetime.now(UTC) - clock.wall()).total_seconds()) < 60
    assert clock.wall().tzinfo is UTC


def test_points_are_written_at_debug_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A program that logs at INFO is left in peace (I16)."""
    observer = LogObserver()

    with caplog.at_level(logging.INFO, "chatkit"):
        observer.point("outbox.added", channel="room")
    with caplog.at_level(logging.DEBUG, "chatkit"):
        observer.point("outbox.attempted", channel="room", entries=2)

    assert [record.getMessage() for record in caplog.records] == ["outbox.attempted channel=room entries=2"]
