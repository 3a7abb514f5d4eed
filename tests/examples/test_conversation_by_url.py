"""The conversation and its test inside the process; at three providers the README's block `providers` runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.blocks import blocks
from tests.examples.test_examples import EXAMPLES, run

ROOT, THREE = EXAMPLES.parent, "three_providers.py"


def test_the_conversation(tmp_path: Path) -> None:
    """Each prints what is seen in the end, and both see the same."""
    done = run("conversation.py", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    ada, bob = done.stdout.splitlines()
    assert ada.partition(" sees ")[2] == bob.partition(" sees ")[2]
    assert "ada: Is there coffee? ☕" in ada


def test_its_test_passes(tmp_path: Path) -> None:
    """As an app's own test does, with pytest."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            str(EXAMPLES / "test_conversation.py"),
        ],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(("CHATKIT_", "COV"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_readme_runs_both_at_three_providers() -> None:
    """`.ci/run` runs each command of the README."""
    (block,) = (block for block in blocks(ROOT / "README.md", "bash") if block.name == "providers")

    assert f"examples/{THREE}" in block.source
