"""What a third party has: chatkit, a project of its own, and pytest as it comes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import chatkit


def run(folder: Path, *command: str, installed: Iterable[Path] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with chatkit and what is installed beside it, and no plugin of pytest."""
    ours = ("CHATKIT_", "PYTEST_", "COV_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    paths = [*map(str, installed), str(Path(chatkit.__file__).parents[1])]
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_passes(folder: Path, *, installed: Iterable[Path] = ()) -> None:
    """Assert that all tests of a folder pass, with nothing skipped and no warning."""
    done = run(folder, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", installed=installed)
    assert re.search(r"^\d+ passed in .*$", done.stdout.rstrip().rpartition("\n")[2]), (
        done.stdout + done.stderr
    )


def failures(folder: Path, wanted: Iterable[str], *, installed: Iterable[Path] = ()) -> set[str]:
    """Return which of these tests fail."""
    options = ("-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider")
    done = run(folder, *options, *sorted(wanted), installed=installed)
    assert " failed" in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE))


def defects(module: Path) -> list[str]:
    """Return the names of the defects that a module defines."""
    return sorted(re.findall(r"^def ([a-z]\w+)", module.read_text(encoding="utf-8"), re.MULTILINE))
