"""`Attached`: one channel as one connection receives it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from chatkit.adapters.supabase.members import Members
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.pace import Calls
from chatkit.adapters.supabase.payload import Announced
from chatkit.adapters.supabase.wire import Object
from chatkit.transport import Source


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

    @property
    def main(self) -> str:
        """The topic that brings messages: without it nothing is received."""
        return self.log or self.live

    @property
    def topics(self) -> tuple[str, ...]:
        """Both."""
        return (self.live,) if self.log is None else (self.log, self.live)
