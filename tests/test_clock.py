"""The virtual clock: time passes at once, in order, and only when nothing else can happen."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest

from chatkit.testing.clock import VirtualClock, VirtualLoop, run, settle


def test_a_year_passes_at_once_and_the_wall_clock_follows() -> None:
    """Sleeping moves both clocks by just that much."""
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))

    run(asyncio.sleep(365 * 86_400), clock=clock)

    assert clock.monotonic() == pytest.approx(365 * 86_400)
    assert clock.wall() == datetime(2027, 1, 1, tzinfo=UTC)


def test_timers_fire_in_order_whatever_order_they_were_set_in() -> None:
    """A later timer never overtakes an earlier one."""
    seen: list[float] = []

    async def story() -> None:
        async def after(delay: float) -> None:
            await asyncio.sleep(delay)
            seen.append(delay)

        await asyncio.gather(*(after(d) for d in (3.0, 1.0, 2.0)))

    run(story())

    assert seen == [1.0, 2.0, 3.0]


def test_settle_lets_no_time_pass() -> None:
    """All that can run has run, and the clock has not moved."""
    seen: list[int] = []

    async def story() -> float:
        async def work() -> None:
            for step in range(50):
                await asyncio.sleep(0)
                seen.append(step)

        task = asyncio.create_task(work())
        sleeper = asyncio.create_task(asyncio.sleep(1))
        await settle()
        now = asyncio.get_running_loop().time()
        await task
        await sleeper
        return now

    assert run(story()) == 0.0
    assert len(seen) == 50


def test_advance_is_a_loop_that_was_blocked() -> None:
    """Timers that fell due meanwhile fire afterwards."""
    clock = VirtualClock()

    async def story() -> None:
        timer = asyncio.create_task(asyncio.sleep(1))
        await asyncio.sleep(0)
        clock.advance(10)
        await timer

    run(story(), clock=clock)
    assert clock.monotonic() == 10


def test_a_jump_moves_the_time_of_day_alone() -> None:
    """A laptop that slept: the wall clock runs ahead of the monotonic one (D32)."""
    clock = VirtualClock()
    before = clock.wall()

    clock.jump(3_600)

    assert clock.wall() - before == timedelta(hours=1)
    assert clock.monotonic() == 0


def test_a_left_task_is_named() -> None:
    """A story that leaves a task behind fails with its name."""

    async def story() -> None:
        task = asyncio.create_task(asyncio.sleep(60), name="forgotten")
        task.add_done_callback(lambda _: None)

    with pytest.raises(AssertionError, match="forgotten"):
        run(story())


def test_a_thread_may_answer_when_no_timer_is_left() -> None:
    """Real work in a thread is waited for, without virtual time passing."""

    async def story() -> tuple[int, float]:
        found = await asyncio.to_thread(lambda: 42)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return found, loop.time()

    assert run(story()) == (42, 0.0)


def test_a_deadlock_is_said_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task waits and no timer is left: an error, not a hang."""
    monkeypatch.setattr("chatkit.testing.clock.PATIENCE", 0.01)

    async def story() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="deadlock"):
        run(story())


def test_the_end_waits_for_threads_that_still_work() -> None:
    """Closing the loop gives threads of the executor real time, whatever virtual time says."""
    done: list[int] = []
    begun = threading.Event()

    def work() -> None:
        begun.set()
        threading.Event().wait(0.05)
        done.append(1)

    async def story() -> None:
        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(lambda _: None)
        begun.wait()

    run(story())

    assert done == [1]


def test_time_stands_still_while_something_beyond_the_loop_works() -> None:
    """A server's answer overtakes a timer that is due before; what it tells afterwards comes before it, too."""
    seen: list[str] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            loop.call_later(1.0, seen.append, "a second")

            def tell() -> None:
                for word in (b"answered", b"told"):
                    threading.Event().wait(0.05)
                    theirs.send(word)

            thread = threading.Thread(target=tell)
            thread.start()
            with loop.still(lingering=5.0):
                seen.append((await loop.sock_recv(ours, 100)).decode())
            seen.append((await loop.sock_recv(ours, 100)).decode())
            thread.join()
            assert loop.time() == 0.0

    run(story())

    assert seen == ["answered", "told"]
