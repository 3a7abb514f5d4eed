"""Logs in files, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from chatkit.logs.sqlite.log import SqliteLog
from chatkit.model.order import OrderKey
from chatkit.model.registers import READ, ROLE, UNREAD, Register, place_text
from chatkit.ports.context import Clock
from chatkit.testing.clock import VirtualClock


def file_log(path: Path, clock: Clock | None = None, *, seed: int = 1, **options: Any) -> SqliteLog:
    """A log in a file that works in its caller, without threads."""
    given: dict[str, Any] = {"inline": True, "durability": "process"} | options
    return SqliteLog(str(path), clock=clock or VirtualClock(), random=Random(seed), **given)


@asynccontextmanager
async def opened(path: Path, clock: Clock | None = None, **options: Any) -> AsyncGenerator[SqliteLog]:
    """The same, closed after the block."""
    log = file_log(path, clock, **options)
    try:
        yield log
    finally:
        await log.aclose()


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:020d}")


def role(user: str, value: str, channel: str = "support") -> Register:
    return Register(channel, user, ROLE, value, "newest", None)


def read_mark(user: str, number: int, channel: str = "support") -> Register:
    return Register(channel, user, READ, f"id-{number}", "greatest", key(number))


def unread_mark(user: str, number: int | None, channel: str = "support") -> Register:
    value = "" if number is None else place_text(key(number))
    return Register(channel, user, UNREAD, value, "newest", None)
