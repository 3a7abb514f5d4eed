"""The official clients, each in a process of its own that runs cases and says what became of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.official.environments import interpreter
from tests.official.node import NODE, installed

HERE: Final = Path(__file__).parent
PINS: Final = "official-supabase"

JAVASCRIPT: Final = re.compile(r"^test\(\s*'((?:[^'\\]|\\.)+)'", re.MULTILINE)
PYTHON: Final = re.compile(r'^@case\("([^"]+)"', re.MULTILINE)

Results = dict[str, str | None]
"""By case its failure, `None` where it passed."""


def javascript_cases() -> list[str]:
    """The names of the cases in JavaScript, in order."""
    found = [
        name for path in sorted(HERE.glob("javascript/*.mjs")) for name in JAVASCRIPT.findall(_text(path))
    ]
    return [name.encode().decode("unicode_escape") for name in found]


def python_cases() -> list[str]:
    """The names of the cases in Python, in order."""
    return [name for path in sorted(HERE.glob("python/cases_*.py")) for name in PYTHON.findall(_text(path))]


def run_javascript(
    version: str, emulator: SupabaseEmulator, patience: Mapping[str, int] | None = None
) -> Results:
    """Let realtime-js and supabase-js run cases: those that are given milliseconds, or all."""
    place = installed(HERE / "javascript")
    return _run([NODE, HERE / "javascript" / "all.mjs", place, version], emulator, patience)


def run_python(emulator: SupabaseEmulator, patience: Mapping[str, int] | None = None) -> Results:
    """Let the Python clients run cases, likewise."""
    runner = HERE / "python" / "runner.py"
    return _run([interpreter(PINS), "-W", "ignore", runner], emulator, patience)


CLIENTS: Final[dict[str, tuple[Callable[..., Results], Callable[[], list[str]]]]] = {
    "javascript 1.0.0": (partial(run_javascript, "1.0.0"), javascript_cases),
    "javascript 2.0.0": (partial(run_javascript, "2.0.0"), javascript_cases),
    "python": (run_python, python_cases),
}


def _run(
    command: list[str | Path], emulator: SupabaseEmulator, patience: Mapping[str, int] | None
) -> Results:
    authority = emulator.authority
    given = {
        "url": emulator.url,
        "anon": authority.anon_key,
        "service": authority.service_key,
        "publishable": emulator.settings.publishable_key,
        "secret": emulator.settings.jwt_secret,
    }
    arguments = [json.dumps(given), json.dumps(patience or {})]
    ran = subprocess.run(
        [*command, *arguments], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return results_of(ran.stdout)


def results_of(told: str) -> Results:
    """What a run said of its cases."""
    results = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {result["name"]: result["error"] for result in results}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
