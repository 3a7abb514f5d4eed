"""The plumbing of the tests itself: each of its promises can be broken, and is then noticed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project with this one's conftest and pytest settings."""
    conftest = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    pytester.makeconftest(conftest.replace("GRACE: Final = 1.0", "GRACE: Final = 0.01"))
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return pytester


def outcome(project: pytest.Pytester, source: str) -> pytest.RunResult:
    return project.runpytest_inprocess(project.makepyfile(source), "-p", "no:cacheprovider")


def test_other_machines_are_out_of_reach() -> None:
    """A socket to anywhere but loopback is refused before a packet leaves."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(AssertionError, match=r"only reach this machine: socket.connect 192\.0\.2\.1"),
    ):
        sock.connect(("192.0.2.1", 9))


def test_other_machines_are_not_looked_up() -> None:
    """A name is refused before a resolver hears of it."""
    with pytest.raises(AssertionError, match="only reach this machine"):
        socket.getaddrinfo("chat.example", 443)


def test_nobody_else_can_reach_a_test() -> None:
    """A test server listens on loopback only."""
    with socket.socket() as sock, pytest.raises(AssertionError, match="only reach this machine"):
        sock.bind(("0.0.0.0", 0))


def test_loopback_is_free() -> None:
    """A server and a client of one test can talk."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(("localhost", server.getsockname()[1])) as client,
        server.accept()[0] as accepted,
    ):
        assert accepted.getsockname() == client.getpeername()


def test_an_async_test_runs_on_virtual_time(project: pytest.Pytester) -> None:
    """A day passes at once, on the clock that the test or a fixture of it asked for."""
    outcome(
        project,
        """
        import asyncio
        import pytest

        async def test_without_clock():
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(86_400)
            assert asyncio.get_running_loop().time() - before == 86_400

        async def test_with_clock(clock):
            await asyncio.sleep(86_400)
            assert clock.monotonic() == 86_400

        @pytest.fixture
        def through_a_fixture(clock):
            return clock

        async def test_with_a_fixture_on_the_clock(through_a_fixture):
            await asyncio.sleep(86_400)
            assert through_a_fixture.monotonic() == 86_400
        """,
    ).assert_outcomes(passed=3)


def test_an_async_test_marked_realtime_runs_on_a_plain_loop(project: pytest.Pytester) -> None:
    """The marker takes the virtual loop away."""
    outcome(
        project,
        """
        import asyncio
        import pytest
        from chatkit.testing.clock import VirtualLoop

        @pytest.mark.realtime
        async def test_plain():
            assert not isinstance(asyncio.get_running_loop(), VirtualLoop)
        """,
    ).assert_outcomes(passed=1)


def test_an_async_property_runs_each_example_on_a_fresh_loop(project: pytest.Pytester) -> None:
    """Hypothesis sees an ordinary function, shrinks and reports as ever."""
    result = outcome(
        project,
        """
        import asyncio
        import pytest
        from hypothesis import given, strategies as st

        loops = []

        @pytest.mark.parametrize("least", [0, 1])
        @given(number=st.integers(0, 9))
        async def test_holds(least, number):
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(number + least)

        @given(number=st.integers(0, 9))
        async def test_fails_from_three_on(number):
            await asyncio.sleep(number)
            assert number < 3

        def test_loops():
            assert len(loops) == len(set(loops)) == 20
        """,
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*number=3*"])


def test_a_failing_async_test_fails(project: pytest.Pytester) -> None:
    """Its assertion is what is reported."""
    result = outcome(project, "async def test_wrong():\n    assert 1 == 2, 'as planned'\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*as planned*"])


@pytest.mark.parametrize("mark", ["", "@pytest.mark.realtime"])
def test_a_left_task_fails_the_test(project: pytest.Pytester, mark: str) -> None:
    """On either loop; it is named."""
    result = outcome(
        project,
        f"""
        import asyncio
        import pytest

        tasks = []

        {mark}
        async def test_leaves():
            tasks.append(asyncio.create_task(asyncio.sleep(3600), name="forgotten"))
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*tasks left running: ?'forgotten'?*"])


def test_an_exception_that_nobody_saw_fails_the_test(project: pytest.Pytester) -> None:
    """What the event loop would only log is an error, and in this test, not in a later one."""
    result = outcome(
        project,
        """
        import asyncio

        async def fail():
            raise ValueError("unheard")

        async def test_drops():
            task = asyncio.create_task(fail())
            await asyncio.sleep(1)

        async def test_after():
            pass
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*ValueError: unheard*", "*Task exception was never retrieved*"])


def test_an_unclosed_resource_fails_the_test(project: pytest.Pytester) -> None:
    """A transport that was dropped instead of closed is an error."""
    result = outcome(
        project,
        """
        import asyncio
        import pytest

        @pytest.mark.realtime
        async def test_drops():
            server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            server.close()
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ResourceWarning: unclosed*"])


def test_a_left_file_fails_the_test(project: pytest.Pytester) -> None:
    """A database that somebody still holds is named."""
    result = outcome(
        project,
        """
        import sqlite3

        held = []

        async def test_holds(tmp_path):
            held.append(sqlite3.connect(tmp_path / "chat.db"))
            held[0].execute("create table t (x)")

        def test_lets_go():
            held.pop().close()
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*left behind: *chat.db*"])


@pytest.mark.parametrize(
    ("daemon", "name", "errors"), [(False, "any", 1), (True, "chatkit-writer", 1), (True, "any", 0)]
)
def test_a_left_thread_fails_the_test(
    project: pytest.Pytester, *, daemon: bool, name: str, errors: int
) -> None:
    """Ours always, another's if it would keep the process alive."""
    result = outcome(
        project,
        f"""
        import threading

        end = threading.Event()
        thread = threading.Thread(target=end.wait, daemon={daemon}, name="{name}")

        async def test_leaves():
            thread.start()

        def test_lets_go():
            end.set()
            thread.join()
        """,
    )
    result.assert_outcomes(passed=2, errors=errors)


def test_what_fixtures_close_is_not_left(project: pytest.Pytester) -> None:
    """The count is made when the fixtures have cleaned up."""
    outcome(
        project,
        """
        import sqlite3
        import pytest

        @pytest.fixture
        def opened():
            found = []
            yield found
            for connection in found:
                connection.close()

        def test_opens(opened, tmp_path):
            opened.append(sqlite3.connect(tmp_path / "chat.db"))
        """,
    ).assert_outcomes(passed=1)


def test_the_hundredth_test_is_collected_as_fast_as_the_first(project: pytest.Pytester) -> None:
    """What pytest keeps of tests that have run is not gone through again at the end of each later one."""
    outcome(
        project,
        """
        import gc
        import pytest

        gone_through = []

        @pytest.mark.parametrize("number", range(100))
        async def test_one_more(number):
            gone_through.append(len(gc.get_objects()))
            assert max(gone_through[40:], default=0) <= 2 * max(gone_through[:40])
        """,
    ).assert_outcomes(passed=100)
