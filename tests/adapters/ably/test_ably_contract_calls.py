"""The contract of adapters where WebSockets are not used: event streams, polling, publishes by REST."""

from __future__ import annotations

import pytest

from chatkit.testing.contract import AdapterContract, AdapterKit
from tests.adapters.ably.calls_kit import CallsKit

pytestmark = pytest.mark.long


class TestStreams(AdapterContract):
    """With tokens, by server-sent events."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return CallsKit("sse")


class TestPolling(AdapterContract):
    """With tokens, by history alone."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return CallsKit("poll")
