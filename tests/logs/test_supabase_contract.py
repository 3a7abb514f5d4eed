"""The contract of logs, over the log in a Supabase project: through HTTP, by the secret key and by its users."""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

import pytest

from chatkit.model.names import EVERYONE
from chatkit.testing.contract import LogContract, LogKit
from tests.logs.supabase_kit import Project, Restored, serving
from tests.logs.supabase_users import Users


@pytest.fixture(scope="module")
def project(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


class TestSmallRest(LogContract):
    @pytest.fixture
    def kit(self, project: Project) -> Generator[LogKit]:
        yield project.kit()
        project.empty()


@pytest.mark.long  # the same again, by other credentials
class TestUsers(LogContract):
    """What a user may do goes by their token; the secret key does the rest."""

    @pytest.fixture
    def kit(self, project: Project) -> Generator[LogKit]:
        project.member("", EVERYONE)
        yield project.kit(lambda: cast("Restored", Users(project)))
        project.empty()
