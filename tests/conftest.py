"""Plumbing that every test shares: this machine only, async tests on virtual time, nothing left behind."""

from __future__ import annotations

import gc
import inspect
import ipaddress
import os
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

from chatkit.testing.clock import VirtualClock
from chatkit.testing.running import Running

if TYPE_CHECKING:
    from collections.abc import Generator

# The same examples in every run; a slow machine is no failure.
hypothesis.settings.register_profile(
    "chatkit", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("chatkit")
# It also tries constants of whichever modules are loaded: other examples in each worker and for a test alone.
_none = providers._local_constants
providers._get_local_constants = lambda: _none

GRACE: Final = 1.0
"""Real seconds in which a thread or a task that has been told to end may do so."""


# -- this machine only


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_the_outside(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: it also sees what goes past the `socket` module's own functions."""
    if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}:
        sock, address = args
        if address is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        host = address[0]
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = args[0]
    else:
        return
    if not _is_here(host):
        raise AssertionError(f"a test may only reach this machine: {event} {host}")


sys.addaudithook(_refuse_the_outside)


# -- servers


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """The DSN of a PostgreSQL server; each worker has its own."""
    from tests.logs import postgres_server  # needs the extra `postgres`

    with postgres_server.server() as dsn:
        yield dsn


# -- async tests


@pytest.fixture
def clock() -> VirtualClock:
    """The virtual clock that drives the test's loop, for a test or fixture that reads or moves it."""
    return VirtualClock()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run `async def` tests: on virtual time, or on a plain loop if marked `realtime`."""
    given = getattr(pyfuncitem.obj, "hypothesis", None)
    inner = pyfuncitem.obj if given is None else given.inner_test
    if not inspect.iscoroutinefunction(inner):
        return (yield)

    clock = pyfuncitem.funcargs.get("clock")
    realtime = pyfuncitem.get_closest_marker("realtime") is not None
    virtual = clock if isinstance(clock, VirtualClock) else VirtualClock()
    test = Running(None if realtime else virtual, grace=GRACE)

    def call(*args: Any, **kwargs: Any) -> None:
        test.run(inner(*args, **kwargs))

    if given is None:
        pyfuncitem.obj = call
    else:  # Hypothesis calls this once an example, each on a loop of its own
        given.inner_test = call
    try:
        result = yield
    finally:  # else every test that has run keeps its loop's clock and what it complained of
        if given is None:
            pyfuncitem.obj = inner
        else:
            given.inner_test = inner
    test.finish()
    return result


# -- nothing left behind


@dataclass(frozen=True)
class _Standing:
    """The threads and open files of this process."""

    threads: frozenset[threading.Thread]
    files: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> _Standing:
        return cls(frozenset(threading.enumerate()), _open_files())

    def left_by_now(self) -> list[str]:
        """What stands now and did not then."""
        left = []
        for thread in threading.enumerate():
            if thread not in self.threads and (not thread.daemon or thread.name.startswith("chatkit-")):
                thread.join(GRACE)
                if thread.is_alive():
                    left.append(f"thread {thread.name}")
        files = _open_files() - self.files
        if files:
            gc.collect()  # an owner may be waiting in a cycle: dropped, not kept
            files = _open_files() - self.files
        return left + [f"file {target}" for _, target in sorted(files)]


def _open_files() -> frozenset[tuple[str, str]]:
    """Descriptors and what they stand for; where there is no listing, unclosed files go unnoticed."""
    listing = "/proc/self/fd"
    found = set()
    with suppress(FileNotFoundError):
        for descriptor in os.listdir(listing):  # noqa: PTH208  # twice a test: paths are slow, and garbage
            with suppress(OSError):  # the listing's own
                found.add((descriptor, os.readlink(f"{listing}/{descriptor}")))  # noqa: PTH115  # likewise
    return frozenset(found)


_BEFORE = pytest.StashKey[_Standing]()


# -- garbage collection: each async test ends with a whole one, which costs by all that is alive

SEASON: Final = 20
"""Tests after which what they have left alive is old: modules loaded late, caches, what pytest keeps of them."""

_seasoned = 0


def _keep_out_of_collections() -> None:
    """Take all that is alive out of the collections to come, in each of which it would be most of the time."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """Once the tests are collected, they and what they import are old."""
    _keep_out_of_collections()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Remember what stood before the test, unless it fails: its traceback keeps things alive."""
    before = _Standing.now()
    yield
    item.stash[_BEFORE] = before


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that leaves threads, files or sockets, once its fixtures have cleaned up."""
    global _seasoned  # noqa: PLW0603
    yield
    if _BEFORE in item.stash:
        before = item.stash[_BEFORE]
        del item.stash[_BEFORE]
        left = before.left_by_now()
        assert not left, f"left behind: {left}"
    _seasoned += 1
    if _seasoned % SEASON == 0:
        _keep_out_of_collections()
