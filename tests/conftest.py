"""Plumbing that every test shares: this machine only, async tests on virtual time, nothing left behind."""

from __future__ import annotations

import gc
import inspect
import ipaddress
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import hypothesis
import pytest

from chatkit.testing.clock import VirtualClock
from chatkit.testing.running import Running

if TYPE_CHECKING:
    from collections.abc import Generator

# The same examples in every run; a slow machine is no failure.
hypothesis.settings.register_profile(
    "chatkit", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("chatkit")

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
        result = yield
    else:  # Hypothesis calls this once an example, each on a loop of its own
        given.inner_test = call
        try:
            result = yield
        finally:
            given.inner_test = inner
    test.finish()
    return result


# -- nothing left behind


@dataclass(frozen=True)
class _Standing:
    """The threads and open files of this process."""

    threads: frozenset[threading.Thread]
    files: frozenset[tuple[Path, Path]]

    @classmethod
    def now(cls) -> _Standing:
        return cls(frozenset(threading.enumerate()), frozenset(cls._open_files()))

    @staticmethod
    def _open_files() -> Generator[tuple[Path, Path]]:
        listing = Path("/proc/self/fd")  # where there is none, unclosed files go unnoticed
        for descriptor in listing.iterdir() if listing.exists() else ():
            with suppress(OSError):  # the listing's own
                yield descriptor, descriptor.readlink()

    def left_by_now(self) -> list[str]:
        """What stands now and did not then."""
        left = []
        for thread in threading.enumerate():
            if thread not in self.threads and (not thread.daemon or thread.name.startswith("chatkit-")):
                thread.join(GRACE)
                if thread.is_alive():
                    left.append(f"thread {thread.name}")
        if _Standing.now().files - self.files:
            gc.collect()  # an owner may be waiting in a cycle: dropped, not kept
        left += [f"file {target}" for _, target in sorted(_Standing.now().files - self.files)]
        return left


_BEFORE = pytest.StashKey[_Standing]()


def pytest_collection_finish() -> None:
    """Keep what every test shares out of each test's garbage collection: a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Remember what stood before the test, unless it fails: its traceback keeps things alive."""
    before = _Standing.now()
    yield
    item.stash[_BEFORE] = before


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test that leaves threads, files or sockets, once its fixtures have cleaned up."""
    yield
    if _BEFORE in item.stash:
        left = item.stash[_BEFORE].left_by_now()
        assert not left, f"left behind: {left}"
