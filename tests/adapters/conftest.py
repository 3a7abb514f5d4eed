"""What tests of adapters share."""

from __future__ import annotations

import pytest

from chatkit.testing.clock import VirtualClock
from tests.adapters.world import World


@pytest.fixture
def world(clock: VirtualClock) -> World:
    """A hub on the test's clock."""
    return World(clock)
