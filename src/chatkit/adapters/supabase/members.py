"""`Members`: who is there, out of states and differences of Phoenix's presence.

One connection says one thing at a time, under a key that the service makes; whom it speaks for stands in
that: pairs of a user and what they say, as text, since the service takes few fields only. Nobody vouches for
any of it, and a member may join under another's key: what is said there stands beside what was said first,
and where there is no more room whoever came first stays.

Source: the Supabase sheet, section 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from chatkit.adapters.supabase.wire import Object, as_list, as_object, as_text, dumps, loads
from chatkit.ports.adapter import Moved, Present

FIELD: Final = "chatkit"
MOST: Final = 10_000
"""Connections that are remembered; of more those that come are left out (I10)."""
USERS: Final = 100
"""Users that one connection speaks for."""
EARLY: Final = 1_000
"""Differences that wait for the first state."""


def pack(users: Mapping[str, Mapping[str, Any]]) -> Object:
    """Return what is to be told of one's users."""
    return {FIELD: dumps([[user, dict(data)] for user, data in users.items()])}


class Members:
    """Of one topic, by one join."""

    def __init__(self) -> None:
        self.known = False
        """Whether the whole set came."""
        self._said: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
        """By key, then by the ref of what it says: what it says of whom."""
        self._count = 0
        """How many say something."""
        self._early: list[tuple[Object, Object]] = []

    def all(self) -> tuple[Present, ...]:
        """Return who is there: whoever speaks for few before the many that one speaks for."""
        places = ((place, member) for key in self._said for place, member in self._of(key))
        return tuple(member for _, member in sorted(places, key=itemgetter(0)))

    def replace(self, state: Object) -> None:
        """Take the whole set, and what was told before it came."""
        self._said, self._count = {}, 0
        self._apply(state, {})
        early, self._early = self._early, []
        if not self.known:
            for joins, leaves in early:
                self._apply(joins, leaves)
        self.known = True

    def move(self, channel: str, joins: Object, leaves: Object) -> list[Moved]:
        """Take a difference; returns what it changes of members, nothing before the whole set came."""
        if not self.known:
            if len(self._early) < EARLY:
                self._early.append((joins, leaves))
            return []
        keys = list(dict.fromkeys((*joins, *leaves)))
        before = {one.client: one for key in keys for _, one in self._of(key)}
        self._apply(joins, leaves)
        after = {one.client: one for key in keys for _, one in self._of(key)}
        moves = [Moved(channel, "leave", one) for client, one in before.items() if client not in after]
        for client, one in after.items():
            if client not in before:
                moves.append(Moved(channel, "enter", one))
            elif before[client] != one:
                moves.append(Moved(channel, "update", one))
        return moves

    def _apply(self, joins: Object, leaves: Object) -> None:
        """Take what ended, then what began, so that who says something else keeps their room."""
        gone = {(key, ref) for key, told in leaves.items() for ref, _ in _metas(told)}
        for key, ref in gone:
            said = self._said.get(key, {})
            self._count -= said.pop(ref, None) is not None
            if not said:
                _ = self._said.pop(key, None)
        for key, told in joins.items():
            for ref, fields in _metas(told):
                if (key, ref) not in gone:
                    self._put(key, ref, _users(fields.get(FIELD)))

    def _put(self, key: str, ref: str, users: dict[str, Mapping[str, Any]]) -> None:
        if not users or self._count >= MOST or ref in self._said.get(key, {}):
            return
        self._said.setdefault(key, {})[ref] = users
        self._count += 1

    def _of(self, key: str) -> Iterator[tuple[int, Present]]:
        """Yield the members of one key, each with its place among those that are spoken for together.

        Whoever spoke first for a user is their client there; whoever does so as well is another one.
        """
        taken: set[str] = set()
        for ref, users in self._said.get(key, {}).items():
            for place, (user, data) in enumerate(users.items()):
                client = f"{key}:{user}:{ref}" if user in taken else f"{key}:{user}"
                yield place, Present(user, client, data)
            taken.update(users)


def _metas(told: object) -> Iterator[tuple[str, Object]]:
    """Yield what is said under a key, by its refs."""
    for one in as_list(as_object(told).get("metas")):
        fields = as_object(one)
        ref = as_text(fields.get("phx_ref"))
        if ref is not None:
            yield ref, fields


def _users(told: object) -> dict[str, Mapping[str, Any]]:
    """Return whom a connection speaks for; of another program's, nobody."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in as_list(loads(as_text(told) or "null"))[:USERS]:
        pair = as_list(row)
        user = as_text(pair[0]) if len(pair) == 2 else None
        if user is not None:
            found[user] = as_object(pair[1])
    return found
