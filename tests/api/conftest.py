"""Fixtures of the stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.kit import Stage

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    """A hub and a clock; clients open on it."""
    return Stage(clock)
