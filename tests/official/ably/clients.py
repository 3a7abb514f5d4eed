"""The official clients, each in a process of its own that runs cases and says what became of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.official.environments import interpreter
from tests.official.node import NODE, installed

HERE: Final = Path(__file__).parent
PINS: Final = "official-ably"

JAVASCRIPT: Final = re.compile(r"^test\('((?:[^'\\]|\\.)+)'", re.MULTILINE)
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


def run_javascript(url: str, form: str, patience: Mapping[str, int] | None = None) -> Results:
    """Let ably-js run cases: those that are given milliseconds, or all."""
    place = installed(HERE / "javascript")
    return _run([NODE, HERE / "javascript" / "all.mjs", place, url, form, json.dumps(patience or {})])


def run_python(url: str, form: str, patience: Mapping[str, int] | None = None) -> Results:
    """Let ably-python run cases, likewise."""
    runner = HERE / "python" / "runner.py"
    return _run([interpreter(PINS), "-W", "ignore", runner, url, form, json.dumps(patience or {})])


CLIENTS: Final[dict[str, tuple[Callable[..., Results], Callable[[], list[str]]]]] = {
    "javascript": (run_javascript, javascript_cases),
    "python": (run_python, python_cases),
}


def _run(command: list[str | Path]) -> Results:
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return results_of(ran.stdout)


def results_of(told: str) -> Results:
    """What a run said of its cases."""
    results = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {result["name"]: result["error"] for result in results}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
