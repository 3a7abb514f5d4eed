"""`Roster`: who is present in one channel, the devices of a user merged into one member (D32)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from chatkit.core.said import Said, Standing
from chatkit.model.names import user_problem
from chatkit.model.views import Member

MOST: Final = 10_000
"""Clients remembered in one channel; more are left out and counted (I10)."""
CLIENTS: Final = 100
"""Clients of one user; more are left out as well."""
DEVICES: Final = 16
"""Devices of a user whose words are remembered; the oldest goes."""
GONE: Final = 1_000
"""Users remembered who are not there; of whom nothing was heard for longest is forgotten first."""

Change: TypeAlias = Literal["enter", "update", "leave"]


class Roster:
    """The presence set as the provider tells it, and what devices say beside it where it carries no data."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[str, Said]] = {}
        self._words: dict[str, dict[str, Said]] = {}
        self._seen: dict[str, datetime] = {}
        """Everybody known and when they were seen, who was seen last at the end."""
        self._made: dict[str, Member] = {}
        """Members as they are, until something of them changes."""
        self._count = 0
        self.left_out = 0
        """Clients that were not taken in: too many, or not named as users are."""

    @property
    def present(self) -> int:
        """How many users the provider has in the set."""
        return len(self._clients)

    @property
    def users(self) -> tuple[str, ...]:
        """Everybody who is or was there, as far as is remembered."""
        return tuple(self._seen)

    @property
    def members(self) -> dict[str, Member]:
        """All of them, by user."""
        found = ((user, self.member(user)) for user in self._seen)
        return {user: member for user, member in found if member is not None}

    def member(self, user: str) -> Member | None:
        """Return a user as one member; `None`: never seen here."""
        made = self._made.get(user)
        if made is None and user in self._seen:
            made = self._made[user] = self._merge(user)
        return made

    def replace(self, members: Iterable[tuple[str, str, Said]], now: datetime) -> None:
        """Take the whole set: user, client and what it says, the newest last."""
        self._clients, self._count = {}, 0
        self._made.clear()
        for user, client, said in members:
            self._put(user, client, said, now)
        self._words = {user: words for user, words in self._words.items() if user in self._clients}
        self._forget()

    def put(self, user: str, client: str, said: Said, now: datetime) -> None:
        """A client entered, or says something else."""
        self._put(user, client, said, now)
        self._forget()

    def drop(self, user: str, client: str, now: datetime) -> None:
        """A client left."""
        clients = self._clients.get(user, {})
        if clients.pop(client, None) is None:
            return
        self._count -= 1
        self._note(user, now)
        if not clients:
            del self._clients[user]
            self._words.pop(user, None)
            self._forget()

    def hear(self, user: str, device: str, said: Said, now: datetime) -> None:
        """A device says something; it counts for a user who is there."""
        if user not in self._clients:
            return
        words = self._words.setdefault(user, {})
        words.pop(device, None)
        words[device] = said
        if len(words) > DEVICES:
            del words[next(iter(words))]
        self._note(user, now)

    def note(self, user: str, now: datetime) -> None:
        """A user was seen otherwise."""
        self._note(user, now)
        self._forget()

    def pause(self, now: datetime) -> None:
        """Nothing more is heard for a while: so long everybody was seen."""
        for user in self._clients:
            self._note(user, now)

    def clear(self) -> None:
        """Nothing is known any more: the channel is not received."""
        self._clients, self._words, self._seen, self._made, self._count = {}, {}, {}, {}, 0

    def _merge(self, user: str) -> Member:
        told = self._words.get(user) or self._clients.get(user, {})
        there = [said for said in told.values() if said.status != "offline"]
        if user not in self._clients or not there:
            return Member(user=user, status="offline", last_seen=self._seen[user])
        status: Standing = "online" if any(said.status == "online" for said in there) else "away"
        data: dict[str, Any] = {}
        for said in there:
            data |= said.data
        return Member(
            user=user,
            status=status,
            data=MappingProxyType(data),
            last_seen=self._seen[user],
            devices=len(there),
        )

    def _put(self, user: str, client: str, said: Said, now: datetime) -> None:
        clients = self._clients.get(user, {})
        full = self._count >= MOST or len(clients) >= CLIENTS
        if client not in clients and (full or user_problem(user) is not None):
            self.left_out += 1
            return
        self._count += client not in clients
        clients.pop(client, None)
        clients[client] = said
        self._clients[user] = clients
        self._note(user, now)

    def _note(self, user: str, now: datetime) -> None:
        self._made.pop(user, None)
        before = self._seen.pop(user, now)
        self._seen[user] = max(before, now)

    def _forget(self) -> None:
        gone = len(self._seen) - len(self._clients) - GONE
        if gone > 0:
            absent = [user for user in self._seen if user not in self._clients]
            for user in absent[:gone]:
                del self._seen[user]
                self._made.pop(user, None)
