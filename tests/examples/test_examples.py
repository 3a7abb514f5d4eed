"""Each example runs as its first lines say, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def environment(folder: Path, url: str | None) -> dict[str, str]:
    """Return the environment of an example that has a folder to itself."""
    found = {k: v for k, v in os.environ.items() if not k.startswith("CHATKIT_")}
    found |= {"HOME": str(folder), "PYTHONWARNINGS": "error"}
    if url is not None:
        found["CHATKIT_URL"] = url
    return found


def run(name: str, *args: str, folder: Path, url: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run an example in an empty folder, which is its home too."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *args],
        cwd=folder,
        env=environment(folder, url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_is_run_here() -> None:
    """An example that no test runs is not an example."""
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    tested = set(re.findall(r'"(\w+\.py)"', tests))
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}


def test_quick_start(tmp_path: Path) -> None:
    """Two people talk; the store is a file where the program ran."""
    done = run("quick_start.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    serial, answer = done.stdout.splitlines()
    assert serial.startswith("00000000000000000001 20")
    assert answer == "bob Hi ada!"
    assert (tmp_path / "quick-start.db").exists()


def test_offline_and_back(tmp_path: Path) -> None:
    """Written offline, there once after coming back, under the same id."""
    done = run("offline_and_back.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "shown at once as 'queued'" in done.stdout
    assert "1 queued, durable=True" in done.stdout
    assert "is sent, the same message: True" in done.stdout
    assert "holds it 1 time" in done.stdout


def test_notify_queues_offline_and_the_next_call_sends_both(tmp_path: Path) -> None:
    """75 while offline; the next process takes up what the dead one left, and exits 0."""
    offline = run("notify.py", "ops", "one", "--timeout", "0.2", folder=tmp_path, url="memory://n?offline=1")
    assert offline.returncode == 75, offline.stderr
    assert "1 queued in" in offline.stderr

    online = run("notify.py", "ops", "two", folder=tmp_path, url="memory://n")
    assert (online.returncode, online.stderr) == (0, "")

    again = run("notify.py", "ops", "three", "--timeout", "0.2", folder=tmp_path, url="memory://n?offline=1")
    assert "1 queued in" in again.stderr  # the first two are gone: they were sent


@pytest.mark.parametrize(
    ("args", "url", "words"),
    [
        (("ops", "hello"), None, "CHATKIT_URL"),
        (("ops", "hello"), "nowhere://x", "Known schemes"),
        (("dm.ops", "hello"), "memory://n", "channel"),
        (("ops", ""), "memory://n", "nothing was queued"),
    ],
)
def test_notify_says_what_to_do_and_exits_with_2(
    tmp_path: Path, args: tuple[str, ...], url: str | None, words: str
) -> None:
    """A wrong set-up, channel or text: one clear line and what to do next, no traceback."""
    done = run("notify.py", *args, "--timeout", "0.2", folder=tmp_path, url=url)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
