"""The descriptor of a log, and words to talk to one. Nothing here looks at a clock of this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chatkit.errors import ChatkitError
from chatkit.model.entry import Folded
from chatkit.model.names import EVERYONE
from chatkit.model.order import OrderKey
from chatkit.model.registers import BROADCAST, KIND, READ, ROLE, UNREAD, Register, place_text
from chatkit.model.search import SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Entries, Log, LogState, Messages
from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.testing.contract.base import Kit
from chatkit.testing.wishes import text_of, wish

SUPPORT = "support"


@dataclass
class LogKit(Kit):
    """One log, empty at first, and what can be done to it from outside."""

    make: Callable[[], Log]
    """Opens a door to it; each further call another one, as another process has."""
    restored: Callable[[Log], Awaitable[Log]]
    """Puts a backup in its place, and says so: returns a door to what is there now."""
    age: Callable[[float], Awaitable[object]]
    """Makes all it holds older by seconds: moves its clock, or its times."""
    advance: Callable[[float], object] | None = None
    """Moves its clock by seconds; `None`: it has a clock of its own, which moves by itself."""

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Log]:
        """A door, open inside the block and closed after it."""
        log = self.make()
        try:
            yield log
        finally:
            await log.aclose()

    async def later(self, log: Log) -> datetime:
        """Return once the log's clock shows another time: a moment before which all lies so far."""
        start = now = (await state(log)).now
        if self.advance is not None:
            self.advance(1.0)
        while now <= start:
            now = (await state(log)).now
        return now


# -- places


def serial(number: int) -> str:
    return f"{number:020d}"


def key(number: int) -> OrderKey:
    return OrderKey(1, serial(number))


# -- writing


def says(number: int, text: str, **fields: Any) -> Outgoing:
    """A message with this text."""
    return wish(number, body={"type": "text", "text": text}, **fields)


async def append(log: Log, *entries: Outgoing, channel: str = SUPPORT) -> list[Ack]:
    """Append in batches that every provider takes."""
    acks: list[Ack] = []
    for start in range(0, len(entries), 100):
        acks += (await log.append(channel, entries[start : start + 100])).acks
    return acks


async def outcomes(log: Log, *entries: Outgoing, channel: str = SUPPORT) -> list[str]:
    return [ack.outcome for ack in await append(log, *entries, channel=channel)]


async def refusal(log: Log, entry: Outgoing, channel: str = SUPPORT) -> ChatkitError:
    (ack,) = await append(log, entry, channel=channel)
    assert ack.outcome == "refused"
    assert ack.error is not None
    return ack.error


async def spread(kit: LogKit, log: Log, count: int) -> list[datetime]:
    """Append numbered messages, each at a later time than the one before; return their times."""
    times: list[datetime] = []
    for number in range(1, count + 1):
        (ack,) = await append(log, wish(number))
        assert ack.sent_at is not None
        times.append(ack.sent_at)
        await kit.later(log)
    return times


# -- reading


async def state(log: Log, channel: str = SUPPORT) -> LogState:
    return (await log.heads([channel]))[channel]


def said(item: Folded) -> str | None:
    """What a message shows."""
    return None if item.deleted else text_of(item.edit or item.data)


def texts(found: Messages | SearchPage) -> list[str | None]:
    return [said(item) for item in found.items]


def raw(found: Entries) -> list[str | None]:
    return [text_of(item.data) for item in found.items]


def numbers(items: Iterable[Any]) -> list[int]:
    """The serials of entries or messages, as numbers."""
    return [int(item.stamp.key.serial) for item in items]


async def search(log: Log, words: str, **options: Any) -> list[str | None]:
    given: dict[str, Any] = {"limit": 50} | options
    return texts(await log.search(words, **given))


async def unread(log: Log, user: str = "ada", channel: str = SUPPORT) -> Unread:
    found = await log.unread(user, [channel])
    assert set(found) == {channel}
    return found[channel]


# -- registers


def role(user: str, value: str = "moderator", channel: str = SUPPORT) -> Register:
    return Register(channel, user, ROLE, value, "newest", None)


def kind(value: str = BROADCAST) -> Register:
    return Register(SUPPORT, EVERYONE, KIND, value, "newest", None)


def read(number: int, user: str = "ada", channel: str = SUPPORT) -> Register:
    return Register(channel, user, READ, f"id-{number}", "greatest", key(number))


def unread_from(number: int | None, user: str = "ada", channel: str = SUPPORT) -> Register:
    value = "" if number is None else place_text(key(number))
    return Register(channel, user, UNREAD, value, "newest", None)
