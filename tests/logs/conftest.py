"""What tests of logs share."""

from __future__ import annotations

from random import Random

import pytest

from chatkit.logs.memory import MemoryLog
from chatkit.testing.clock import VirtualClock


@pytest.fixture
def log(clock: VirtualClock) -> MemoryLog:
    """An empty log."""
    return MemoryLog(clock, Random(1))
