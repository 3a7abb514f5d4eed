"""The comparison of several Pythons can see a difference, and says so where it had nothing to compare."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.stories import Told, compared, main

if TYPE_CHECKING:
    from pathlib import Path

HERE = Told("CPython 3.11.7", {"ably 1": "aa", "pusher 2": "bb"})


def test_equal_histories_are_equal() -> None:
    """Whatever the Pythons are called (I15)."""
    text, code = compared([HERE, HERE._replace(version="CPython 3.13.0")])

    assert code == 0
    assert text.splitlines()[-1].startswith("EQUAL")


@pytest.mark.parametrize(
    "digests", [{"ably 1": "aa", "pusher 2": "xx"}, {"ably 1": "aa"}], ids=["other", "none"]
)
def test_a_history_that_differs_is_named(digests: dict[str, str]) -> None:
    """With its profile and seed, so that it can be told again; a missing one differs too."""
    text, code = compared([HERE, Told("CPython 3.13.0", digests)])

    assert code == 1
    assert "DIFFERS  pusher 2: CPython 3.11.7 beside CPython 3.13.0" in text
    assert "ably 1" not in text


def test_one_python_compares_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """That is neither equal nor different; what is missing is named, with what to do."""
    assert main(["--python", "python3.0"]) == 2

    told = capsys.readouterr().out
    assert "python3.0: not found; install it" in told
    assert "NOTHING COMPARED" in told


@pytest.mark.long
def test_a_python_tells_what_it_tells_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two processes under two hash seeds; the result is written down as it is printed."""
    out = tmp_path / "stories.txt"
    pythons = ("--python", sys.executable, "--python", sys.executable)

    assert main([*pythons, "--as-is", "--seeds", "2", "--steps", "40", "--out", str(out)]) == 0

    assert out.read_text(encoding="utf-8") == capsys.readouterr().out
    assert "2 stories" in out.read_text(encoding="utf-8")
