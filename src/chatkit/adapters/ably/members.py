"""`Members`: who is present in one channel, as SYNC and PRESENCE tell it.

A member is a connection and a client id. A sync tells the whole set; what moves meanwhile counts, too, and
what it does not name is gone at its end.

Source: the Ably sheet, section 8.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.adapters.ably.wire import Frame, as_int, as_text

Change: TypeAlias = Literal["enter", "update", "leave"]

LEAVE: Final = 3
_ABSENT: Final = 0


class Member(NamedTuple):
    """One member as it last said itself."""

    client_id: str
    connection_id: str
    id: str
    at: int
    """Milliseconds since 1970."""
    item: Frame
    """With `data` and `encoding`."""

    @property
    def key(self) -> tuple[str, str]:
        """What it is told apart by."""
        return self.connection_id, self.client_id


Move: TypeAlias = tuple[Change, Member]


class Members:
    """The set of one channel."""

    def __init__(self) -> None:
        self._present: dict[tuple[str, str], Member] = {}
        self._gone: dict[tuple[str, str], Member] = {}
        """Who left during the sync: what it tells of them may be older."""
        self._unseen: set[tuple[str, str]] | None = None
        """Whom the sync has not named yet; `None`: there is no sync."""
        self._sequence = ""

    @property
    def present(self) -> list[Member]:
        """All of them."""
        return list(self._present.values())

    @property
    def syncing(self) -> bool:
        """Whether the set is being told."""
        return self._unseen is not None

    def attached(self, *, has_presence: bool) -> bool:
        """Begin anew, as ATTACHED says: a sync follows, or nobody is there. Returns whether that is all."""
        self._begin("")
        if not has_presence:
            self._present.clear()
            self._unseen = None
        return not has_presence

    def sync(self, serial: str | None, items: list[Frame]) -> bool:
        """Take one page of a sync; returns whether it was the last.

        Args:
            serial: Which sync and where it goes on, `SEQUENCE:CURSOR`; `None`: this is all.
            items: Who is there.
        """
        sequence, _, cursor = (serial or "").partition(":")
        if self._unseen is None or (self._sequence and sequence != self._sequence):
            self._begin(sequence)
        self._sequence = sequence
        _ = self.apply(items)
        if cursor:
            return False
        for key in self._unseen or ():
            self._present.pop(key, None)
        self._unseen = None
        self._gone.clear()
        return True

    def apply(self, items: list[Frame]) -> list[Move]:
        """Let members enter, change and leave; returns what is news: of a sync, too, which may never end."""
        moves: list[Move] = []
        for item in items:
            found = _member(item)
            if found is not None and (change := self._move(found, as_int(item.get("action")))) is not None:
                moves.append((change, found))
        return moves

    def _move(self, member: Member, action: int | None) -> Change | None:
        key = member.key
        if self._unseen is not None:
            self._unseen.discard(key)
        before = self._present.get(key)
        last = before or self._gone.get(key)
        if last is not None and not _newer(member, last):
            return None
        if action in (LEAVE, _ABSENT):
            self._present.pop(key, None)
            if self.syncing:
                self._gone[key] = member
            return None if before is None else "leave"
        self._present[key] = member
        self._gone.pop(key, None)
        return "enter" if before is None else "update"

    def _begin(self, sequence: str) -> None:
        self._unseen = set(self._present)
        self._gone.clear()
        self._sequence = sequence


def _member(item: Frame) -> Member | None:
    client, connection = as_text(item.get("clientId")), as_text(item.get("connectionId"))
    if client is None or connection is None:
        return None
    return Member(client, connection, as_text(item.get("id")) or "", as_int(item.get("timestamp")) or 0, item)


def _newer(one: Member, other: Member) -> bool:
    """Say whether one is newer: by number where both come from the member's own connection, else by time."""
    mine, theirs = _number(one), _number(other)
    if mine is None or theirs is None:
        return one.at >= other.at
    return mine > theirs


def _number(member: Member) -> tuple[int, int] | None:
    """Return where in its connection a member said this; `None`: the service said it for it."""
    connection, *numbers = member.id.rsplit(":", 2)
    if connection != member.connection_id or len(numbers) != 2:
        return None
    try:
        return int(numbers[0]), int(numbers[1])
    except ValueError:
        return None
