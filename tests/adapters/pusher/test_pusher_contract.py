"""The contract of adapters, over the emulator of Pusher Channels: sockets and HTTP, in real time."""

from __future__ import annotations

import pytest

from chatkit.testing.contract import AdapterContract, AdapterKit
from tests.adapters.pusher.kit import PusherKit


class TestTrusted(AdapterContract):
    """With the secret: publishing by HTTP, one presence channel for all."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit()


@pytest.mark.long
class TestTrustedInPrivate(AdapterContract):
    """Messages in private channels, whose members are told by presence channels beside them."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(channels="private")


@pytest.mark.long
class TestTrustedUnderLock(AdapterContract):
    """Encrypted channels."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(channels="encrypted")


@pytest.mark.long
class TestTrustedWithCaches(AdapterContract):
    """Channels that keep their newest event."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(cache=True)


@pytest.mark.long
class TestTrustedBesideALog(AdapterContract):
    """A log of the app numbers, Pusher announces."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(log=True)


@pytest.mark.long
class TestUntrusted(AdapterContract):
    """Without the secret: client events, let in by the app."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(trusted=False)


@pytest.mark.long
class TestUntrustedInPrivate(AdapterContract):
    """Client events whose senders nobody attests."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return PusherKit(trusted=False, channels="private")
