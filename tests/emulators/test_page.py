"""The page about emulators does what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.blocks import blocks

PAGE = Path(__file__).parents[2] / "docs" / "emulators.md"


def test_its_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the extra is installed; elsewhere it cannot."""
    (block,) = blocks(PAGE, "python")

    exec(compile(block.source, block.place, "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
