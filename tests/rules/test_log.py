"""Logs answer as their model does, whatever is written (D1, D9, D18, D24, D26, I14)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, ClassVar

import pytest

from chatkit.logs.memory import MemoryLog
from chatkit.ports.log import Log
from tests.logs.sqlite_kit import file_log
from tests.rules.driving import drive, examples
from tests.rules.log_machine import LogMachine

if TYPE_CHECKING:
    from tests.logs.supabase_kit import Project


class InMemory(LogMachine):
    """A log in memory."""

    def open_doors(self) -> list[Log]:
        return [MemoryLog(self.clock, Random(1), keep=self.keep)]


class Short(InMemory):
    """One that keeps little."""

    keep = 7


class InFile(LogMachine):
    """A log in a file, which two processes have open."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp())
        super().__init__()

    def open_doors(self) -> list[Log]:
        return [file_log(self.folder / "shop.db", self.clock, seed=seed) for seed in (1, 2)]

    def reopened(self, door: Log) -> Log:
        self.do(door.aclose())
        return file_log(self.folder / "shop.db", self.clock, seed=3)

    def teardown(self) -> None:
        super().teardown()
        rmtree(self.folder)


class InPostgres(LogMachine):
    """A log in PostgreSQL, which two processes are connected to."""

    dsn: ClassVar[str]
    own_clock = True

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def open_doors(self) -> list[Log]:
        from chatkit.logs.postgres import PostgresLog  # needs the extra `postgres`
        from tests.logs import postgres_server

        postgres_server.empty(self.dsn)
        return [PostgresLog(self.dsn, connections=2) for _ in range(2)]


class InSupabase(InPostgres):
    """A log in a Supabase project, which two processes call by HTTP."""

    project: ClassVar[Project]

    def open_doors(self) -> list[Log]:
        self.project.empty()
        return [self.project.service() for _ in range(2)]


@examples(5, 60, 3_000)
@pytest.mark.parametrize("machine", [InMemory, Short])
def test_a_log_in_memory_answers_as_its_model(machine: type[LogMachine], examples: int) -> None:
    """Appends, repeats, conflicts, changes, registers, trims; pages, finds, counts, searches."""
    drive(machine, examples)


@examples(3, 30, 2_000)
def test_a_log_in_a_file_answers_as_its_model(examples: int) -> None:
    """The same through two doors, which are closed and opened again (D18)."""
    drive(InFile, examples)


@pytest.mark.parametrize(
    "examples", [pytest.param(8, marks=pytest.mark.long), pytest.param(300, marks=pytest.mark.nightly)]
)
def test_a_log_in_postgresql_answers_as_its_model(
    examples: int, emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, by a server's own clock."""
    monkeypatch.setattr(InPostgres, "dsn", emptied, raising=False)
    drive(InPostgres, examples)


@pytest.mark.parametrize(
    "examples", [pytest.param(4, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.nightly)]
)
def test_a_log_in_a_project_answers_as_its_model(
    examples: int, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, call by call through the emulator's own equivalent of PostgREST."""
    from tests.logs.supabase_kit import serving  # needs the extras `emulators` and `postgres`

    with serving(database) as project:
        monkeypatch.setattr(InSupabase, "project", project, raising=False)
        drive(InSupabase, examples)
