"""Fixtures of the engine's stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.kit import PROFILES, Stage

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock


@pytest.fixture
def stage(clock: VirtualClock) -> Stage:
    """A hub that is no provider's likeness, and a clock."""
    return Stage(clock)


@pytest.fixture(params=PROFILES)
def any_stage(clock: VirtualClock, request: pytest.FixtureRequest) -> Stage:
    """A hub like each provider in turn."""
    return Stage(clock, like=request.param)
