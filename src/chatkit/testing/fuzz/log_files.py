"""Log files that another program wrote or damaged: every call of the log, and a client on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.connecting import connect
from chatkit.errors import ChatkitError
from chatkit.logs.sqlite.log import SqliteLog
from chatkit.logs.transcript import export_entries, export_messages
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.testing.clock import VirtualClock, run, settle
from chatkit.testing.fuzz.check import shown
from chatkit.testing.fuzz.files import FOREIGN_FILES, vandalize
from chatkit.testing.fuzz.samples import ENVELOPES, SECRET
from chatkit.testing.fuzz.targets import Target
from chatkit.testing.wishes import change, message_id, wish

LOG_FILES: Final = ("log file", "log rows")
"""Names of the targets of this module."""
_CHANNEL: Final = "support"
_FIRST: Final = OrderKey(1, f"{1:020d}")


def read_log_file(data: bytes) -> None:
    """Use a log in a file of these bytes; one of something else is left as it was.

    Raises:
        ChatkitError: It is no log, or a damaged one.
    """
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "log.db"
        path.write_bytes(data)
        try:
            _use(path)
        except ChatkitError as error:
            if "left as it" in error.hint:
                assert path.read_bytes() == data, "a file of something else was changed"
            raise


def read_log_rows(data: bytes) -> None:
    """Use a good log in which a stranger's value stands in some columns.

    Raises:
        ChatkitError: As `read_log_file`.
    """
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "log.db"
        path.write_bytes(good_log())
        vandalize(path, data)
        _use(path)


def _use(path: Path) -> None:
    clock = VirtualClock()
    run(_calls(path, clock), clock=clock)
    run(_live(path, clock), clock=clock)


def _log(path: Path, clock: VirtualClock) -> SqliteLog:
    return SqliteLog(str(path), clock=clock, random=Random(1), durability="process", inline=True)  # noqa: S311  # to be the same again


async def _calls(path: Path, clock: VirtualClock) -> None:
    """Make every call; raise the first error when all were made."""
    log = _log(path, clock)
    ident = Ident("ada", message_id(1))
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: log.heads([_CHANNEL, "other"]),
        lambda: log.entries(_CHANNEL, after=None, limit=100),
        lambda: log.entries(_CHANNEL, after=clock.wall(), limit=100),
        lambda: log.messages(_CHANNEL, limit=100),
        lambda: log.messages(_CHANNEL, around=_FIRST, limit=3),
        lambda: log.messages(_CHANNEL, limit=9, thread=ident),
        lambda: log.get(_CHANNEL, [ident, message_id(2)]),
        lambda: log.versions(_CHANNEL, ident),
        lambda: log.find(_CHANNEL, [ident, Ident("eve", message_id(90))]),
        lambda: log.registers(_CHANNEL, ["read", "role"]),
        lambda: log.unread("bob", [_CHANNEL, "other"]),
        lambda: log.search("hello", limit=10),
        lambda: log.put([Register(_CHANNEL, "bob", "read", "", "greatest", _FIRST)]),
        lambda: log.append(_CHANNEL, [wish(90), change(91, "message.update", wish(1)), wish(1)]),
        lambda: log.append(
            _CHANNEL, [change(92, "message.delete", wish(1)), change(93, "reaction.add", wish(2))]
        ),
        lambda: log.trim("other", OrderKey(1, f"{2:020d}")),
        lambda: _all_of(export_messages(log, _CHANNEL)),
        lambda: _all_of(export_entries(log, _CHANNEL)),
        log.restored,
    )
    errors: list[ChatkitError] = []
    try:
        for call in calls:
            try:
                _ = await call()
            except ChatkitError as error:
                errors.append(error)
    finally:
        await log.aclose()
    assert not [error for error in errors if SECRET in shown(error)], "an error shows a secret"
    if errors:
        raise errors[0]


async def _all_of(lines: AsyncIterator[object]) -> list[object]:
    return [line async for line in lines]


async def _live(path: Path, clock: VirtualClock) -> None:
    """Open a client beside the log, let it read, search, mark and send, and close it."""
    hub = new_hub("files", clock=clock, random=Random(1))  # noqa: S311  # likewise
    config = MemoryConfig(hub=hub, name="files", like="pusher")
    log = _log(path, clock)
    chat = await connect(config, user="ada", store=":memory:", log=log, clock=clock, seed=1)
    try:
        channel = chat.channel(_CHANNEL)
        await channel.attach(timeout=30)
        await settle()
        _ = await channel.send("after")
        await asyncio.sleep(120)
        view = channel.timeline.view
        _ = (repr(view), [message.text for message in view.messages], channel.receipts.unread)
        assert not chat.health().checks["defects"], f"a defect in {chat.health().checks['defects']}"
        _ = await channel.history(limit=50)
        _ = await channel.search("hello")
    finally:
        _ = await chat.aclose(drain=1)
        await log.aclose()


@lru_cache(1)
def good_log() -> bytes:
    """Return a log file with something in every table, and a secret in every text."""
    with TemporaryDirectory(prefix="chatkit-fuzz-") as folder:
        path = Path(folder) / "log.db"
        clock = VirtualClock()
        run(_fill(path, clock), clock=clock)
        return path.read_bytes()


async def _fill(path: Path, clock: VirtualClock) -> None:
    log = _log(path, clock)
    body: dict[str, Any] = {"type": "text", "text": f"hello {SECRET}"}
    first, other = wish(1, body=body), wish(2, user="bob", body=body, mentions=["ada"])
    for channel in (_CHANNEL, "other"):
        one = wish(1, body=body, channel=channel)
        _ = await log.append(
            channel, [one, wish(2, user="bob", body=body, mentions=["ada"], channel=channel)]
        )
    _ = await log.append(
        _CHANNEL,
        [
            change(3, "message.update", first, body=body),
            change(4, "reaction.add", other),
            wish(5, body=body, thread=other),
            wish(6, body=body),
            change(7, "message.delete", wish(6)),
            change(8, "message.delete", other),  # refused: it is not ada's
        ],
    )
    await log.put(
        [
            Register(_CHANNEL, "bob", "read", "", "greatest", _FIRST),
            Register(_CHANNEL, "ada", "role", "owner", "newest", _FIRST),
        ]
    )
    _ = await log.trim("other", OrderKey(1, f"{2:020d}"))
    await log.aclose()


def log_file_targets() -> tuple[Target, ...]:
    """Return the targets of this module; the first call makes a good file."""
    good = good_log()
    return (
        Target(LOG_FILES[0], (good, good, good, *FOREIGN_FILES, good[:4096]), read_log_file, largest=300_000),
        Target(LOG_FILES[1], ENVELOPES, read_log_rows, largest=100_000),
    )
