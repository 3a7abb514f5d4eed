"""What `store=` may name, and the small rules that all stores share."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chatkit.errors import ConfigError, StateError, StoreError
from chatkit.model.options import OutboxLimits
from chatkit.model.order import OrderKey
from chatkit.model.registers import Register, merged
from chatkit.sqlite.files import make_directory
from chatkit.sqlite.worker import ThreadWorker, run_calls
from chatkit.stores import DirectoryStore, MemoryStore, SqliteStore, open_store
from chatkit.stores.location import Location
from chatkit.testing.clock import VirtualClock
from tests.special import names, other


def chosen(spec: Any) -> Any:
    return open_store(spec, durability="power", limits=OutboxLimits(), clock=VirtualClock(), random=Random(7))


@pytest.mark.parametrize("spec", [None, ":memory:"])
def test_no_file_is_memory(spec: str | None) -> None:
    """Nothing outlives the process."""
    assert isinstance(chosen(spec), MemoryStore)


def test_a_path_is_a_file_and_nothing_is_read_or_written_yet(tmp_path: Path) -> None:
    """As text, as `Path`, as URI, with or without a mode."""
    path = tmp_path / "sub dir" / "ada.db"
    uri = "file:" + str(path).replace(" ", "%20")

    found = [chosen(spec).location for spec in (str(path), path, uri, f"{uri}?mode=ro", f"{uri}?mode=rw")]

    assert found == [Location(str(path), mode) for mode in ("rwc", "rwc", "rwc", "ro", "rw")]
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of the working directory moves no store."""
    monkeypatch.chdir(tmp_path)

    assert [chosen(spec).location.path for spec in ("ada.db", "file:ada.db")] == [
        str(tmp_path / "ada.db")
    ] * 2


def test_a_directory_is_told_by_its_slash_or_by_being_there(tmp_path: Path) -> None:
    """Either makes a store directory."""
    for spec in (f"{tmp_path}/outbox/", str(tmp_path), tmp_path):
        assert isinstance(chosen(spec), DirectoryStore)
    assert isinstance(chosen(tmp_path / "outbox"), SqliteStore)
    assert os.listdir(tmp_path) == []  # noqa: PTH208  # names alone


def test_a_store_is_taken_as_it_is() -> None:
    """An app may bring its own."""
    store = chosen(None)

    assert chosen(store) is store


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a socket"])
def test_what_is_no_file_is_refused_before_anything_is_made(tmp_path: Path, kind: str) -> None:
    """As a path, a URI and behind a symbolic link; SQLite would leave a lock and a journal beside it."""
    with other(tmp_path, kind) as path:
        (tmp_path / "link").symlink_to(path)
        before = names(tmp_path, Path("/dev"))
        for spec in (path, str(path), f"file:{path}", f"file:{path}?mode=rw", tmp_path / "link"):
            with pytest.raises(ConfigError, match=f"store: {path.name} is {kind}, not a file") as caught:
                chosen(spec)
            assert ":memory:" in caught.value.hint
        assert names(tmp_path, Path("/dev")) == before


async def test_a_device_is_no_directory() -> None:
    """Nothing is made beside it."""
    before = names(Path("/dev"))
    store = chosen("/dev/null/")

    with pytest.raises(StoreError):
        await store.open("ada", "memory:hub", rebind=False)

    await store.aclose()
    assert names(Path("/dev")) == before


async def test_a_name_too_long_for_a_file_is_told_when_it_is_opened() -> None:
    """As an error of the store, with its reason."""
    store = chosen("a" * 300)

    with pytest.raises(StoreError):
        await store.open("ada", "memory:hub", rebind=False)
    await store.aclose()


async def test_memory_can_be_abandoned_like_a_file() -> None:
    """Whoever lets a client die need not ask where its store lies."""
    store = chosen(None)
    await store.open("ada", "memory:hub", rebind=False)

    store.abandon()

    with pytest.raises(StateError):
        await store.rows()


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "file:",
        "a\0b",
        "file:ada.db?mode=memory",
        "file:ada.db?mode=ro&cache=shared",
        "file:ada.db?vfs=other",
        "file:" + "//elsewhere/ada.db",
        "file:" + "//[elsewhere/ada.db",
        "file:" + "//else\u2100where/ada.db",
        "\ud800.db",
        "file:\ud800.db",
    ],
)
def test_what_is_no_path_is_refused(spec: str) -> None:
    """With the name of the option and what to write instead."""
    with pytest.raises(ConfigError, match="store:") as caught:
        chosen(spec)

    assert caught.value.hint


def test_missing_parents_are_made_once(tmp_path: Path) -> None:
    """Making what is there changes nothing."""
    for _ in range(2):
        make_directory(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").is_dir()


def register(value: str, merge: Any, place: str | None) -> Register:
    key = None if place is None else OrderKey(1, place)
    return Register("support", "ada", "read", value, merge, key)


@pytest.mark.parametrize(
    ("old", "new", "wins"),
    [
        (None, register("1", "greatest", None), "new"),
        (register("2", "greatest", "2"), register("1", "greatest", "1"), "old"),
        (register("1", "greatest", "1"), register("2", "greatest", "2"), "new"),
        (register("9", "greatest", None), register("1", "greatest", "1"), "old"),
        (register("1", "greatest", None), register("2", "greatest", None), "new"),
        (register("b", "newest", None), register("a", "newest", None), "new"),
        (register("b", "newest", "2"), register("a", "newest", "1"), "old"),
        (register("b", "newest", "2"), register("a", "newest", "2"), "new"),
        (register("b", "newest", "2"), register("a", "newest", None), "new"),
    ],
)
def test_a_register_goes_to_the_greatest_or_to_the_newest(
    old: Register | None, new: Register, wins: str
) -> None:
    """By place where both have one, else by value or by the order of calls (D25)."""
    assert merged(old, new) == (old if wins == "old" else new)


@pytest.mark.realtime
async def test_a_worker_can_be_stopped_twice_and_started_again() -> None:
    """Stopping one that never ran is nothing; work after a stop starts a new thread."""
    worker = ThreadWorker("chatkit-store-test")
    await worker.stop()
    assert await worker.submit(run_calls, lambda: 1) == 1

    await asyncio.gather(worker.stop(), worker.stop())
    assert await worker.submit(run_calls, lambda: 2) == 2
    await worker.stop()


@pytest.mark.realtime
async def test_a_death_in_the_thread_reaches_the_callers() -> None:
    """What no store handles, a simulated crash for one, is raised where the work was asked for."""

    class Crash(BaseException):
        pass

    def die(work: Any) -> Any:
        raise Crash

    worker = ThreadWorker("chatkit-store-test")
    with pytest.raises(Crash):
        await worker.submit(die, None)

    assert await worker.submit(run_calls, lambda: 1) == 1
    await worker.stop()


@pytest.mark.realtime
async def test_a_worker_that_never_ran_retires_in_the_caller() -> None:
    """There is no thread to do the last thing."""
    done: list[int] = []

    ThreadWorker("chatkit-store-test").retire(lambda: done.append(1), wait=False)

    assert done == [1]
