"""The log as functions in PostgreSQL: their SQL, and the one `Log` that calls them, by whatever way."""

from __future__ import annotations

from chatkit.postgres.calls import Functions, Json
from chatkit.postgres.log import FunctionLog

__all__ = ["FunctionLog", "Functions", "Json"]
