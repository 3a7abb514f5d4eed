"""The table of soketi's deviations names cases that there are."""

from __future__ import annotations

import pytest

from tests.official.pusher.conftest import CASES
from tests.servers.soketi.deviations import DEVIATIONS

pytestmark = pytest.mark.servers


def test_every_deviation_is_a_case(request: pytest.FixtureRequest) -> None:
    """A row whose case was renamed or removed is found, when all cases are collected."""
    cases: set[str] = request.config.stash[CASES]

    assert set(DEVIATIONS) - cases == set()
