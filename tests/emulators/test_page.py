"""The pages about emulators do what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.blocks import blocks

DOCS = Path(__file__).parents[2] / "docs"


SLOW = pytest.param("emulators-supabase.md", marks=pytest.mark.long)  # it starts a PostgreSQL


@pytest.mark.parametrize("page", ["emulators.md", "emulators-ably.md", SLOW])
def test_its_program_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the extra is installed; elsewhere it cannot."""
    (block,) = blocks(DOCS / page, "python")

    exec(compile(block.source, block.place, "exec"), {"__name__": "__main__"})

    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
