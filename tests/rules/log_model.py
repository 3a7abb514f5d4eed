"""A log as a list, folded from nothing at each question: what every log is to answer (D1, D9, D18, D24, D26)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from chatkit.errors import ChatkitError, MessageNotFound, NotAllowed, VersionConflict
from chatkit.model.entry import Folded
from chatkit.model.names import EVERYONE
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import KIND, READ, ROLE, UNREAD, Register
from chatkit.model.views import Unread
from chatkit.ports.outgoing import Outgoing

CHANGES = ("message.update", "message.delete", "message.restore", "reaction.add", "reaction.remove")


def key(number: int) -> OrderKey:
    """The place of a numbered entry."""
    return OrderKey(1, f"{number:020d}")


def fields_of(data: bytes | None) -> dict[str, Any] | None:
    """What an envelope says; to say nothing of a field or that it is null is one thing."""
    if data is None:
        return None
    return {name: value for name, value in json.loads(data).items() if value is not None}


class Row(NamedTuple):
    """One entry, as it was appended."""

    number: int
    out: Outgoing
    said: dict[str, Any]
    at: datetime

    @property
    def kind(self) -> str:
        return str(self.said["kind"])

    @property
    def user(self) -> str:
        return self.out.ident.user

    @property
    def target(self) -> Ident | None:
        ref = self.said.get("ref")
        return Ident(ref["user"], ref["id"]) if ref else None

    @property
    def root(self) -> Ident | None:
        thread = self.said.get("thread")
        return Ident(thread["user"], thread["id"]) if thread else None


class Answer(NamedTuple):
    """What an append is to say of one entry."""

    outcome: str
    number: int | None = None
    error: type[ChatkitError] | None = None


class Told(NamedTuple):
    """A message, as a page tells it."""

    ident: Ident
    place: OrderKey
    prev: str
    at: datetime
    said: dict[str, Any] | None
    edit: dict[str, Any] | None
    version: int
    changed: OrderKey
    deleted: bool
    replies: int
    last_reply: OrderKey | None
    reactions: dict[str, tuple[str, ...]]


def told(folded: Folded) -> Told:
    """The same, of a log's answer."""
    stamp = folded.stamp
    assert stamp.user == folded.ident.user
    return Told(
        folded.ident,
        stamp.key,
        stamp.prev or "",
        stamp.at,
        fields_of(folded.data),
        fields_of(folded.edit),
        folded.version,
        folded.changed,
        folded.deleted,
        folded.replies,
        folded.last_reply,
        dict(folded.reactions),
    )


@dataclass
class ChannelModel:
    """One channel."""

    name: str
    keep: int
    rows: list[Row] = field(default_factory=list[Row])
    """All there ever were."""
    floor: int = 0
    refused: dict[tuple[Ident, str, int | None], Answer] = field(default_factory=dict)
    puts: list[Register] = field(default_factory=list[Register])

    # -- writing

    def answer(self, out: Outgoing, now: datetime) -> Answer:
        """What becomes of an entry (D9)."""
        said = fields_of(out.data) or {}
        known = next((row for row in self.rows if row.out.ident == out.ident), None)
        if known is not None:
            same = known.said.get("body") == said.get("body")
            return Answer("duplicate" if same else "conflict", known.number)
        attempt = (out.ident, out.device, out.seq)
        if attempt in self.refused:
            return self.refused[attempt]
        if out.not_after is not None and now > out.not_after:
            return Answer("too_late")
        lane = [row.out.seq or 0 for row in self.rows if _lane(row.out) == _lane(out)]
        if out.seq is not None and lane and out.seq <= max(lane):
            return Answer("superseded")
        error = self._objection(out.ident.user, said)
        if error is None:
            return Answer("new", len(self.rows) + 1)
        self.refused[attempt] = Answer("refused", error=error)
        return self.refused[attempt]

    def take(self, out: Outgoing, at: datetime) -> None:
        """Append a new entry."""
        self.rows.append(Row(len(self.rows) + 1, out, fields_of(out.data) or {}, at))
        self.floor = max(self.floor, len(self.rows) - self.keep)

    def trim(self, before: Place) -> None:
        """Forget what lies before a place."""
        gone = [row.number for row in self.rows if _is_before(row, before)]
        self.floor = max([self.floor, *gone])

    def _objection(self, user: str, said: dict[str, Any]) -> type[ChatkitError] | None:
        role = self.value(ROLE, user)
        if said["kind"] == "message.create" and self.value(KIND, EVERYONE) == "broadcast" and role != "owner":
            return NotAllowed
        if said["kind"] not in CHANGES:
            return None
        target = next((one for one in self.messages() if one.ident == _ref(said)), None)
        if target is None:
            return MessageNotFound
        own, moderates = target.ident.user == user, role in {"owner", "moderator"}
        if said["kind"] == "message.update" and not own:
            return NotAllowed
        if said["kind"] in {"message.delete", "message.restore"} and not (own or moderates):
            return NotAllowed
        base = said["ref"].get("base")
        return VersionConflict if base not in (None, target.version) else None

    # -- reading

    @property
    def kept(self) -> list[Row]:
        """The entries above the floor."""
        return self.rows[self.floor :]

    def entries(self) -> list[tuple[Row, dict[str, Any]]]:
        """The entries that are kept, without what deletes erased (D26)."""
        return [(row, _without_body(row.said) if self._erased(row) else row.said) for row in self.kept]

    def messages(self) -> list[Told]:
        """The messages that are kept, changes folded in."""
        return [self._told(row) for row in self.kept if row.kind == "message.create"]

    def replies(self, root: Ident) -> list[Told]:
        """Those in a thread."""
        numbers = {key(row.number) for row in self.kept if row.root == root and row.kind == "message.create"}
        return [one for one in self.messages() if one.place in numbers]

    def versions(self, ident: Ident) -> list[int]:
        """The creation of a message, and its edits, deletes and restores."""
        if ident not in {one.ident for one in self.messages()}:
            return []
        made = [row for row in self.rows if row.out.ident == ident]
        changed = [row for row in self.rows if row.target == ident and row.kind in CHANGES[:3]]
        return [row.number for row in (*made, *changed)]

    def value(self, name: str, user: str) -> str | None:
        """What a register holds."""
        found = self.register(name, user)
        return None if found is None else found.value

    def register(self, name: str, user: str) -> Register | None:
        """A register after all that was put (D25)."""
        now: Register | None = None
        for one in self.puts:
            if (one.name, one.user) == (name, user):
                now = one if now is None or _wins(one, now) else now
        return now

    def unread(self, user: str) -> Unread:
        """What a user has not read."""
        read = self.register(READ, user)
        again = self.value(UNREAD, user)
        mark = read.key if read else None
        epoch, _, serial = (again or "").partition(":")
        place = OrderKey(int(epoch), serial) if again else None
        counted = []
        for row, one in zip(self._creations(), self.messages(), strict=True):
            open_ = mark is None or one.place > mark or (place is not None and one.place >= place)
            stands = row.root is None or row.said.get("also") is True
            if open_ and stands and not one.deleted and one.ident.user != user:
                shown = one.edit or one.said or {}
                counted.append((one, shown.get("mentions") or (one.said or {}).get("mentions") or []))
        floor = key(self.floor) if self.floor else None
        all_known = floor is None or (mark is not None and floor <= mark and (place is None or floor < place))
        return Unread(
            messages=len(counted),
            mentions=sum(user in named or EVERYONE in named for _, named in counted),
            exact=all_known,
            first=counted[0][0].ident.id if counted else None,
        )

    def _creations(self) -> Iterator[Row]:
        return (row for row in self.kept if row.kind == "message.create")

    def _erased(self, row: Row) -> bool:
        """Whether a later delete of its message took its text."""
        ident = row.out.ident if row.kind == "message.create" else row.target
        if row.kind not in {"message.create", "message.update"}:
            return False
        return any(
            later.kind == "message.delete" and later.target == ident and later.number > row.number
            for later in self.rows
        )

    def _told(self, made: Row) -> Told:
        edit: dict[str, Any] | None = None
        version, changed, deleted = 1, made.number, False
        reactions: dict[str, set[str]] = {}
        for row in self.rows[made.number :]:
            if row.target != made.out.ident or row.kind not in CHANGES:
                continue
            changed = row.number
            match row.kind:
                case "message.update":
                    edit, version = row.said, version + 1
                case "message.delete":
                    edit, version, deleted = None, version + 1, True
                case "message.restore":
                    version, deleted = version + 1, False
                case "reaction.add":
                    reactions.setdefault(row.said["body"]["emoji"], set()).add(row.user)
                case _:
                    reactions.setdefault(row.said["body"]["emoji"], set()).discard(row.user)
        replies = [row.number for row in self._creations() if row.root == made.out.ident]
        return Told(
            made.out.ident,
            key(made.number),
            f"{made.number - 1:020d}" if made.number > 1 else "",
            made.at,
            _without_body(made.said) if self._erased(made) else made.said,
            edit,
            version,
            key(changed),
            deleted,
            len(replies),
            key(replies[-1]) if replies else None,
            {emoji: tuple(sorted(users)) for emoji, users in sorted(reactions.items()) if users},
        )


def is_after(one: Told | Row, place: Place) -> bool:
    """Whether something stands strictly after a place."""
    here = key(one.number) if isinstance(one, Row) else one.place
    return one.at > place if isinstance(place, datetime) else here > place


def _is_before(row: Row, place: Place) -> bool:
    return row.at < place if isinstance(place, datetime) else key(row.number) < place


def slice_of(
    items: Sequence[Told],
    *,
    before: Place | None = None,
    after: Place | None = None,
    around: Place | None = None,
    limit: int,
) -> list[Told]:
    """Which of some messages a page holds; `around` stands alone."""
    inside = [one for one in items if after is None or is_after(one, after)]
    if before is not None:
        inside = [one for one in inside if not _from(before)(one)]
    if around is not None:
        older = sum(not _from(around)(one) for one in items)
        stop = min(len(items), max(0, older - limit // 2) + limit)
        return inside[max(0, stop - limit) : stop]
    if after is not None and before is None:
        return inside[:limit]
    return inside[-limit:]


def _from(place: Place) -> Callable[[Told], bool]:
    """Whether a message stands at a place or after it."""
    if isinstance(place, datetime):
        return lambda one: one.at >= place
    return lambda one: one.place >= place


def _wins(new: Register, old: Register) -> bool:
    both = new.key is not None and old.key is not None
    if new.merge == "newest":
        return not both or new.key >= old.key  # type: ignore[operator]  # both are there
    return new.key > old.key if both else new.value > old.value  # type: ignore[operator]  # likewise


def _ref(said: dict[str, Any]) -> Ident:
    return Ident(said["ref"]["user"], said["ref"]["id"])


def _lane(out: Outgoing) -> tuple[str, str]:
    return out.ident.user, out.device


def _without_body(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "body"}
