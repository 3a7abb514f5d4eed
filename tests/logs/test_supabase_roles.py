"""Who may read and write what in a project, where the emulator's own equivalent of PostgREST answers."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.logs.supabase_kit import Project, serving
from tests.logs.supabase_rights import Rights

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def served(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


class TestSmallRest(Rights):
    """All of it."""
