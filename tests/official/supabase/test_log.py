"""The contract of logs, over the log in a Supabase project, where PostgREST itself answers."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import pytest

from chatkit.model.names import EVERYONE
from chatkit.testing.contract import LogContract, LogKit
from tests.logs.supabase_kit import Project, Restored, serving
from tests.logs.supabase_rights import Rights
from tests.logs.supabase_users import Users
from tests.official.supabase.served import postgrest

pytestmark = pytest.mark.official


@pytest.fixture(scope="module")
def served(database: str) -> Generator[Project]:
    with serving(database, postgrest=postgrest()) as made:
        yield made


class TestPostgrest(LogContract):
    @pytest.fixture
    def kit(self, served: Project) -> Generator[LogKit]:
        yield served.kit()
        served.empty()


class TestUsers(LogContract):
    """Likewise by tokens of users, as far as they may."""

    @pytest.fixture
    def kit(self, served: Project) -> Generator[LogKit]:
        served.member("", EVERYONE)
        yield served.kit(lambda: cast("Restored", Users(served)))
        served.empty()


@pytest.mark.realtime
class TestRights(Rights):
    """The same rights."""
