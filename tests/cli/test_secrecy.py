"""I16 on the command line: what a bad day left behind, looked after by `chatkit`; its errors show none of it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from chatkit.cli import jsonl
from chatkit.cli.app import app
from chatkit.errors import ConfigError
from tests.api.test_secrecy import Story

if TYPE_CHECKING:
    from pathlib import Path

    from chatkit.testing.clock import VirtualClock


class Evening:
    """Commands on the files that the story of a day left: its bodies and secrets are in them.

    Args:
        day: Told; its canaries go on.
        folder: Where its files are.
    """

    def __init__(self, day: Story, folder: Path) -> None:
        self._day = day
        self._folder = folder

    def tell(self) -> list[str]:
        """Tell it, and return what was let out."""
        with self._day.spy.listening():
            self._tell()
        return self._day.spy.found

    def _tell(self) -> None:
        say, folder = self._day.say, self._folder
        dsn = f"postgresql://ada:{say.dsn_password}@127.0.0.1:1/x"
        broken, sound = f"sqlite:///{folder}/log.db", f"sqlite:///{folder}/sound.db"
        bad, good = folder / "bad.jsonl", folder / "good.jsonl"
        good.write_text(f'{{"user": "ada", "text": "{say.imported}"}}\n', encoding="utf-8")

        # What goes well shows bodies on standard output alone, where they are asked for.
        self._run("log", "import", sound, "support", str(good), code=0)
        assert say.imported in self._run("log", "export", sound, "support", code=0, data=True)
        self._run("log", "trim", sound, "support", "--before", "2020-01-01", code=0)
        self._run("log", "restored", sound, code=0)

        # Files that the day broke, or that are none of ours.
        for name in ("export", "restored"):
            self._run("log", name, broken, *(["support"] if name == "export" else []), code=None)
        self._run("log", "import", broken, "support", str(good), code=1)
        for name in ("ada.db", "dan.db"):
            shutil.copy(folder / name, folder / f"copy-{name}")
            self._run("log", "export", f"sqlite:///{folder}/copy-{name}", "support", code=2)
        with closing(sqlite3.connect(folder / "sound.db")) as other, other:
            other.execute("UPDATE entries SET data = ?", (say.overwritten,))
        self._run("log", "export", sound, "support", code=None, data=True)

        # Lines that cannot be read.
        for line in (
            f'{{"user": "ada", "text": ["{say.line}"]}}',
            f'{{"user": "ada", "text": "{say.line}", "words": "{say.line}"',
            f'{{"id": "{say.line}", "user": "ada", "text": "x"}}',
            f'{{"user": "ada", "at": "{say.line}", "text": "x"}}',
            f'{{"user": "ada\\u0000", "text": "{say.line}"}}',
            say.line,
        ):
            bad.write_text(line + "\n", encoding="utf-8")
            self._run("log", "import", f"sqlite:///{folder}/other.db", "support", str(bad), code=None)
            if '"text": "x"' not in line:  # the demo takes ids and times from nobody
                self._run("demo", "--file", str(bad), code=2)

        # Secrets where they belong, and where they do not.
        for words in (
            ("log", "migrate", dsn),
            ("log", "restored", dsn),
            ("log", "export", dsn, "support"),
            ("log", "trim", dsn, "support", "--before", "2026-01-31"),
            ("log", "export", "support", dsn, dsn),
            ("log", dsn),
            ("demo", "--log", f"mysql://ada:{say.dsn_password}@h/x"),
            ("demo", "--messages", dsn),
            ("dev", "ably", "--key", f"app.key:{say.key}:nonsense"),
            ("dev", "ably", "--rule", dsn),
            ("dev", "pusher", f"--secrt={say.key}"),
            ("dev", "pusher", "--secret", say.key, say.key),
        ):
            self._run(*words, code=None)

    def _run(self, *words: str, code: int | None, data: bool = False) -> str:
        """Run a command; all that it says is heard, and where it gives data what it says beside them."""
        ran = CliRunner().invoke(app, list(words), env={"COLUMNS": "2000", "TERM": "dumb"})
        command = " ".join(words[:2])
        assert isinstance(ran.exception, SystemExit | None), (command, ran.exception)
        assert ran.exit_code == code if code is not None else ran.exit_code in {0, 1, 2}, (
            command,
            ran.output,
        )
        self._day.spy.hear(f"stderr of {command}", ran.stderr)
        if not data:
            self._day.spy.hear(f"stdout of {command}", ran.stdout)
        return ran.stdout


@pytest.fixture
def told(clock: VirtualClock, tmp_path: Path) -> Story:
    return Story(clock, tmp_path)


@pytest.mark.long
async def test_the_command_lets_nothing_private_out(told: Story, tmp_path: Path) -> None:
    """Neither on standard error nor, where no data are asked for, on standard output."""
    assert await told.tell() == []

    assert await _beside(Evening(told, tmp_path)) == []

    heard = [where for where, text in told.spy.heard if where.startswith("stderr of ") and text]
    assert len(heard) > 20


@pytest.mark.long
async def test_a_leak_of_the_command_is_heard(
    told: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bad line repeated in the error that names it the same story turns red."""
    sound = jsonl.read_objects

    def quoting(path: Path, **options: object) -> object:
        for number, found in sound(path, **options):  # type: ignore[arg-type]  # passed on
            if path.name == "bad.jsonl":
                raise ConfigError(f"{path.name}:{number}: {found}", hint="")
            yield number, found

    monkeypatch.setattr(jsonl, "read_objects", quoting)
    assert await told.tell() == []

    assert any(
        one.startswith("line in stderr of log import") for one in await _beside(Evening(told, tmp_path))
    )


async def _beside(evening: Evening) -> list[str]:
    """On a thread: the command makes an event loop of its own."""
    return await asyncio.to_thread(evening.tell)
