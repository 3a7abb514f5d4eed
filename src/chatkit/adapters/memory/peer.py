"""Who the hub speaks with: a caller who asks it, a peer who hears it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from chatkit.adapters.memory.pace import Pace
from chatkit.adapters.memory.profiles import Profile
from chatkit.errors import ChatkitError
from chatkit.ports.adapter import Signal
from chatkit.ports.outgoing import Again


class Caller(NamedTuple):
    """Who asks the hub."""

    user: str
    trusted: bool
    profile: Profile
    pace: Pace
    own_log: bool = False
    """The app brought the log that numbers: the hub only announces."""


class Peer(Protocol):
    """A session as the hub sees it."""

    caller: Caller
    client: str
    """The same for all sessions of one adapter: what resuming is bound to."""
    link_name: str
    loop: asyncio.AbstractEventLoop

    @property
    def room(self) -> int:
        """How many more frames it takes."""
        ...

    def hand(self, signal: Signal) -> bool:
        """Take a frame; called under the hub's lock. False: it is gone."""
        ...

    def replay(self, count: int) -> None:
        """Count frames that come with an attachment; called under the hub's lock."""
        ...

    def shut(
        self, reason: str, again: Again, after: float | None = None, cause: ChatkitError | None = None
    ) -> None:
        """End it, on whichever thread."""
        ...
