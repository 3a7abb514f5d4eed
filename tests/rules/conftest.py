"""Fixtures of the rule machines: a PostgreSQL server, as the tests of logs have it."""

from __future__ import annotations

from tests.logs.conftest import database, emptied, migrated

__all__ = ["database", "emptied", "migrated"]
