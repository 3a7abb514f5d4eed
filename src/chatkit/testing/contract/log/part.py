"""A part of the contract of logs, and what is asked of a log that lacks what the part is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import pytest

from chatkit.errors import CapabilityError
from chatkit.ports.log import Log, LogFeature
from chatkit.testing.contract.base import Contract
from chatkit.testing.contract.log.kit import SUPPORT, LogKit, key, read
from chatkit.testing.wishes import wish

Call: TypeAlias = "Callable[[Log], Awaitable[Any]]"
CALLS: Final[Mapping[str, tuple[LogFeature, Call]]] = {
    "append": ("append", lambda log: log.append(SUPPORT, [wish(1)])),
    "get": ("fold", lambda log: log.get(SUPPORT, [wish(1).ident])),
    "versions": ("fold", lambda log: log.versions(SUPPORT, wish(1).ident)),
    "thread": ("fold", lambda log: log.messages(SUPPORT, thread=wish(1).ident, limit=1)),
    "put": ("registers", lambda log: log.put([read(1)])),
    "registers": ("registers", lambda log: log.registers(SUPPORT, ["read"])),
    "unread": ("registers", lambda log: log.unread("ada", [SUPPORT])),
    "search": ("search", lambda log: log.search("word", limit=1)),
    "trim": ("erase", lambda log: log.trim(SUPPORT, key(1))),
    "changes": ("notify", lambda log: anext(log.changes())),
}
"""Each call that a log may lack: the feature that it is of, and how it is asked for."""


async def assert_declined(log: Log, call: str) -> None:
    """Assert that a log refuses a call by the declared error, which says what to do."""
    with pytest.raises(CapabilityError) as refused:
        await CALLS[call][1](log)
    assert refused.value.hint


class LogPart(Contract):
    """Tests of logs; those that need a feature which a log lacks assert that it declines it."""

    async def declined(self, kit: LogKit, needs: frozenset[str]) -> bool:
        """Assert that each call of a feature that is lacking is refused."""
        async with kit.opened() as log:
            lacking = needs - log.capabilities
            for call, (feature, _) in CALLS.items():
                if feature in lacking:
                    await assert_declined(log, call)
        return bool(lacking)
