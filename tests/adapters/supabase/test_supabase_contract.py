"""The contract of adapters, over the emulator of Supabase: sockets, HTTP and PostgreSQL, in real time."""

from __future__ import annotations

import pytest

from chatkit.testing.contract import AdapterContract, AdapterKit
from tests.adapters.supabase.kit import SupabaseKit


class TestDatabase(AdapterContract):
    """Users of the project, whose messages its own PostgreSQL keeps, numbers and announces."""

    @pytest.fixture
    def kit(self, database: str) -> AdapterKit:
        return SupabaseKit(database, mode="database")


@pytest.mark.long
class TestTrusted(AdapterContract):
    """The same with the service key: one connection speaks for any user."""

    @pytest.fixture
    def kit(self, database: str) -> AdapterKit:
        return SupabaseKit(database, mode="database", trusted=True)


@pytest.mark.long
class TestBroadcast(AdapterContract):
    """Without a log: public channels, acknowledged broadcasts, calls by HTTP where no channel is attached."""

    @pytest.fixture
    def kit(self, database: str) -> AdapterKit:
        return SupabaseKit(database)


@pytest.mark.long
class TestPrivate(AdapterContract):
    """Private channels, let in by policies."""

    @pytest.fixture
    def kit(self, database: str) -> AdapterKit:
        return SupabaseKit(database, private=True)


@pytest.mark.long
class TestBesideALog(AdapterContract):
    """A log of the app numbers, Supabase announces."""

    @pytest.fixture
    def kit(self, database: str) -> AdapterKit:
        return SupabaseKit(database, log=True)
