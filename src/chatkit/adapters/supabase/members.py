"""`Members`: who is there, out of states and differences of Phoenix's presence.

One connection is one key and says one thing at a time; whom it speaks for stands in that: pairs of a user and
what they say, as text, since the service takes few fields only.

Source: the Supabase sheet, section 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chatkit.adapters.supabase.wire import Object, as_list, as_object, as_text, dumps, loads
from chatkit.ports.adapter import Moved, Present

FIELD: Final = "chatkit"
MOST: Final = 10_000
"""Keys that are remembered (I10)."""
USERS: Final = 100
"""Users that one connection speaks for."""
METAS: Final = 20
"""Things that one key may say at a time."""
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
        self._early: list[tuple[Object, Object]] = []

    def all(self) -> tuple[Present, ...]:
        """Return who is there."""
        return tuple(member for key in self._said for member in self._of(key).values())

    def replace(self, state: Object) -> None:
        """Take the whole set, and what was told before it came."""
        self._said = {}
        for key, told in state.items():
            self._put(key, told)
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
        before = {client: one for key in keys for client, one in self._of(key).items()}
        self._apply(joins, leaves)
        after = {client: one for key in keys for client, one in self._of(key).items()}
        moves = [Moved(channel, "leave", one) for client, one in before.items() if client not in after]
        for client, one in after.items():
            if client not in before:
                moves.append(Moved(channel, "enter", one))
            elif before[client] != one:
                moves.append(Moved(channel, "update", one))
        return moves

    def _apply(self, joins: Object, leaves: Object) -> None:
        for key, told in joins.items():
            self._put(key, told)
        for key, told in leaves.items():
            said = self._said.get(key, {})
            for meta in as_list(as_object(told).get("metas")):
                _ = said.pop(as_text(as_object(meta).get("phx_ref")) or "", None)
            if not said:
                _ = self._said.pop(key, None)

    def _put(self, key: str, told: object) -> None:
        if key not in self._said and len(self._said) >= MOST:
            return
        said = self._said.setdefault(key, {})
        for meta in as_list(as_object(told).get("metas"))[:METAS]:
            fields = as_object(meta)
            ref = as_text(fields.get("phx_ref"))
            if ref is not None:
                said[ref] = _users(fields.get(FIELD))
        while len(said) > METAS:
            del said[next(iter(said))]

    def _of(self, key: str) -> dict[str, Present]:
        """Return the members of one key, by client: what was said last counts."""
        found: dict[str, Present] = {}
        for users in self._said.get(key, {}).values():
            for user, data in users.items():
                client = f"{key}:{user}"
                found[client] = Present(user, client, data)
        return found


def _users(told: object) -> dict[str, Mapping[str, Any]]:
    """Return whom a connection speaks for; of another program's, nobody."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in as_list(loads(as_text(told) or "null"))[:USERS]:
        pair = as_list(row)
        user = as_text(pair[0]) if len(pair) == 2 else None
        if user is not None:
            found[user] = as_object(pair[1])
    return found
