"""`Attached`: one channel as one connection receives it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from chatkit.adapters.supabase.members import Members
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.pace import Calls
from chatkit.adapters.supabase.payload import Announced
from chatkit.adapters.supabase.wire import Object
from chatkit.model.entry import Stamp
from chatkit.model.order import OrderKey
from chatkit.ports.log import LogState
from chatkit.transport import Source

EARLY: Final = 1_000
"""Entries that wait until it is known where live begins; of more the newest, which stand behind it."""


class Attached(Source):
    """A channel, and its topics.

    Args:
        channel: Its name.
        logged: A log numbers, whose announcements have a topic of their own.
        presence: Who is there is to be told.
    """

    def __init__(self, channel: str, *, logged: bool, presence: bool) -> None:
        self.channel = channel
        self.log = topic_of(channel, "log") if logged else None
        self.live = topic_of(channel, "live")
        self.start: LogState | None = None
        """Where the log stood when live began: what it took in until then is told by nobody but the log."""
        self.early: deque[Announced] | None = deque(maxlen=EARLY) if logged else None
        """What was announced before that was known; `None`: it is."""
        self.ready = asyncio.Event()
        """What the database commits is broadcast from now on."""
        self.gone_on = False
        """That was not waited for any longer."""
        self.waiting: deque[Announced] | None = None
        """What is announced behind an entry that is being read; `None`: none is."""
        self.users: dict[str, Mapping[str, Any]] = {}
        """Whom this connection has there, and what they say."""
        self.entering = asyncio.Lock()
        """Held while that is told."""
        self.rejoining: asyncio.Task[None] | None = None
        """Joins the live topic again."""
        self.begin_live(presence=presence)

    def begin_live(self, *, presence: bool) -> None:
        """Begin anew on the live topic: nothing is known of who is there, and nobody was told of ours."""
        self.presence = presence
        self.members = Members()
        self.calls = Calls()
        self.tracked: Object | None = None
        """How who is here was told last."""

    def is_news(self, stamp: Stamp) -> bool:
        """Say whether an entry stands behind where live began; of a log that was replaced, each."""
        state = self.start
        if state is None or state.log_id != stamp.log_id:
            return True
        return stamp.key > OrderKey(state.epoch, state.head or "")

    @property
    def main(self) -> str:
        """The topic that brings messages: without it nothing is received."""
        return self.log or self.live

    @property
    def topics(self) -> tuple[str, ...]:
        """Both."""
        return (self.live,) if self.log is None else (self.log, self.live)
