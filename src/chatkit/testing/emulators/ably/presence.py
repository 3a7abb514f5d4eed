"""Who is present on one channel.

A member is a connection and a client id; the same user on two connections is two members.

Source: RTP, TP of the features specification.
"""

from __future__ import annotations

from collections.abc import Iterator

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.wire import PresenceAction, Wire

Member = tuple[str, str]
"""Connection id, client id."""


class PresenceSet:
    """The members of one channel, in the order in which they entered.

    Args:
        most: Members at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[Member, Wire] = {}

    def apply(self, item: Wire) -> Wire | None:
        """Let a member enter, update or leave.

        Returns:
            What the others are told; `None` when nothing changed.

        Raises:
            AblyError: 91003, the channel is full.
        """
        member = (item["connectionId"], item["clientId"])
        before = self._members.get(member)
        if item["action"] == PresenceAction.LEAVE:
            if before is None:
                return None
            del self._members[member]
            # A leave without data of its own says the member's last.
            if "data" not in item:
                return {**item, **{name: before[name] for name in ("data", "encoding") if name in before}}
            return item
        if before is None and len(self._members) >= self._most:
            raise AblyError(91003)
        self._members[member] = item
        return item

    def find(self, member: Member) -> Wire | None:
        """The member as it last said itself."""
        return self._members.get(member)

    def of_connection(self, connection_id: str) -> list[Wire]:
        """The members that one connection entered."""
        return [item for (owner, _), item in self._members.items() if owner == connection_id]

    def present(self) -> list[Wire]:
        """All members as a SYNC and the REST interface say them."""
        return [{**item, "action": int(PresenceAction.PRESENT)} for item in self._members.values()]

    def pages(self, sequence: str, size: int) -> Iterator[tuple[str, list[Wire]]]:
        """The frames of one SYNC: a serial whose cursor is empty at the last, and members."""
        members = self.present()
        for start in range(0, max(len(members), 1), size):
            last = start + size >= len(members)
            yield f"{sequence}:{'' if last else start + size}", members[start : start + size]

    @property
    def connections(self) -> int:
        """How many connections have members here."""
        return len({connection for connection, _ in self._members})

    def __len__(self) -> int:
        return len(self._members)
