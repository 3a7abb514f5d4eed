"""The table of soketi's deviations names cases that there are, and the page says how many."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.official.pusher.conftest import CASES
from tests.servers.soketi.deviations import DEVIATIONS

pytestmark = pytest.mark.servers


def test_every_deviation_is_a_case(request: pytest.FixtureRequest) -> None:
    """A row whose case was renamed or removed is found, when all cases are collected."""
    cases: set[str] = request.config.stash[CASES]

    assert set(DEVIATIONS) - cases == set()


def test_the_page_counts_them(request: pytest.FixtureRequest) -> None:
    """Beside all that run, when all cases are collected."""
    page = Path("docs/emulators.md").read_text(encoding="utf-8")

    assert f"{len(DEVIATIONS)} of {len(request.config.stash[CASES])} are" in page
