"""The contract of adapters, over the emulator of Ably: sockets and HTTP, in real time."""

from __future__ import annotations

import pytest

from chatkit.testing.contract import AdapterContract, AdapterKit
from tests.adapters.ably.kit import AblyKit


class TestMembers(AdapterContract):
    """With tokens, in msgpack: publishing over the session."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return AblyKit()


@pytest.mark.long
class TestTrusted(AdapterContract):
    """With the key, in JSON: one connection speaks for any user."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return AblyKit(trusted=True, format="json")


@pytest.mark.long
class TestKept(AdapterContract):
    """In a namespace whose messages the account keeps."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return AblyKit(namespace="persisted", history=72 * 3_600.0)


@pytest.mark.long
class TestNative(AdapterContract):
    """In a namespace whose rule lets edits and deletes be Ably's own."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return AblyKit(namespace="mutable", history=72 * 3_600.0, native_edits=True)


@pytest.mark.long
class TestBesideALog(AdapterContract):
    """A log of the app numbers, Ably announces."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return AblyKit(log=True)
