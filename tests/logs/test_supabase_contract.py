"""The contract of logs, over the log in a Supabase project: by the secret key, through HTTP."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from chatkit.testing.contract import LogContract, LogKit
from tests.logs.supabase_kit import Project, serving


@pytest.fixture(scope="module")
def project(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


class TestSmallRest(LogContract):
    @pytest.fixture
    def kit(self, project: Project) -> Generator[LogKit]:
        yield project.kit()
        project.empty()
