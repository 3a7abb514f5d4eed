"""One stage for all cases of a test process."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.crash.nursery import Nursery
from tests.crash.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    with Nursery() as nursery:
        yield Stage(tmp_path_factory.mktemp("crash"), nursery)
