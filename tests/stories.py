"""Tell the same seeds on several Pythons: `python -m tests.stories --python python3.11 --python python3.12 ...`.

Each Python gets an environment of its own, with what chatkit needs at the pinned versions, and a hash seed of its
own. The histories of the simulation must be equal to the last record (I15). A Python that is not there is named,
with what to do. Exit code 1 where a history differs, 2 where there were not two Pythons to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
PINS: Final = ROOT / "requirements/constraints.txt"


class Told(NamedTuple):
    """What one Python told."""

    version: str
    digests: dict[str, str]
    """Of the history, by seed and profile."""


def main(arguments: Sequence[str]) -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.stories", description=__doc__)
    parser.add_argument(
        "--python", action="append", required=True, metavar="NAME", help="or path; repeatable"
    )
    parser.add_argument(
        "--seeds", type=int, default=60, metavar="N", help="how many (60): four of each profile"
    )
    parser.add_argument("--steps", type=int, default=200, metavar="K", help="of each story (200)")
    parser.add_argument("--as-is", action="store_true", help="use what these Pythons have installed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    asked = parser.parse_args(arguments)
    there = [name for name in asked.python if _runs(name)]
    lines = [
        f"{name}: not found; install it, by pyenv or `uv python install`, and put it on the path"
        for name in asked.python
        if name not in there
    ]
    wanted = ("--seeds", str(asked.seeds), "--steps", str(asked.steps))
    with TemporaryDirectory(prefix="chatkit-stories-") as folder, ThreadPoolExecutor(2) as pool:
        found = list(
            pool.map(
                lambda number: _tell(there[number], Path(folder), number, wanted, as_is=asked.as_is),
                range(len(there)),
            )
        )
    text, code = compared(found)
    text = "\n".join([*lines, text])
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    return code


def compared(found: Sequence[Told]) -> tuple[str, int]:
    """Return what there is to say, and the exit code."""
    lines = [
        f"{one.version}: {len(one.digests)} stories, {sha256(''.join(one.digests.values()).encode()).hexdigest()[:16]}"
        for one in found
    ]
    if len(found) < 2:
        return "\n".join([*lines, "NOTHING COMPARED: it takes two Pythons"]), 2
    first = found[0]
    differing = [
        f"DIFFERS  {story}: {first.version} beside {one.version}"
        for one in found[1:]
        for story in sorted(first.digests.keys() | one.digests.keys())
        if first.digests.get(story) != one.digests.get(story)
    ]
    end = "DIFFERENT" if differing else "EQUAL: each seed is the same story on each of them"
    return "\n".join([*lines, *differing, end]), int(bool(differing))


def _runs(name: str) -> bool:
    """Say whether there is such a Python; a shim of pyenv may be there and run nothing."""
    if shutil.which(name) is None:
        return False
    return subprocess.run([name, "-c", ""], capture_output=True, check=False).returncode == 0


def _tell(name: str, folder: Path, number: int, wanted: Sequence[str], *, as_is: bool) -> Told:
    environment: Mapping[str, str] = {**os.environ, "PYTHONHASHSEED": str(number)}
    python = name
    if as_is:
        environment = {**environment, "PYTHONPATH": str(ROOT / "src")}
    else:
        place = folder / str(number)
        _ = subprocess.run([name, "-m", "venv", place], check=True)
        python = str(place / "bin/python")
        _ = subprocess.run([python, "-m", "pip", "install", "-q", "-c", PINS, ROOT], check=True)
    version = "import platform as p; print(p.python_implementation(), p.python_version())"
    told = _output([python, "-c", version], environment).strip()
    simulate = [python, "-m", "chatkit.testing.simulation", "--json", "--jobs", "1", *wanted]
    stories: list[dict[str, Any]] = [
        json.loads(line) for line in _output(simulate, environment).splitlines()[:-1]
    ]
    return Told(told, {f"{one['profile']} {one['seed']}": one["digest"] for one in stories})


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    # Exit code 1 is a broken promise, which others look after; no output is what fails here.
    found = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=False, text=True)
    assert found.returncode in {0, 1}, f"{command[0]} ended with {found.returncode}"
    return found.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
