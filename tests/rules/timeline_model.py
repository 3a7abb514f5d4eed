"""Messages folded from nothing: all facts of one sorted, then applied one by one (I5, I7, D22, D26)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatkit.core.fact import Fact
from chatkit.core.timeline_bytes import erased
from chatkit.core.timeline_changes import target_of
from chatkit.model.entry import Folded, Stamp
from chatkit.model.message import Message, Status
from chatkit.model.order import Ident, OrderKey
from tests.core.folding import LOG, moment

HOPELESS = ("failed", "expired")


class Look(NamedTuple):
    """What is shown of a message."""

    ident: Ident
    place: OrderKey | None
    text: str
    """Empty where there is none to show."""
    deleted: bool
    edited: bool
    version: int
    reactions: dict[str, frozenset[str]]
    status: Status = "sent"


def look(message: Message) -> Look:
    """The same, of a message as the timeline builds it."""
    return Look(
        message.ident,
        message.key,
        message.text,
        message.deleted,
        message.edited,
        message.version,
        dict(message.reactions),
        message.status,
    )


@dataclass
class Face:
    """A message while facts are applied to it."""

    made: Fact
    text: str | None
    edit: Fact | None = None
    erased: bool = False
    deleted: bool = False
    version: int = 1
    reactions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def apply(self, kind: str, fact: Fact) -> None:
        """What a change does, being the newest of all."""
        body: Any = fact.envelope.body or {}
        match kind:
            case "message.update":
                self.text, self.edit, self.version = body["text"], fact, self.version + 1
            case "message.delete":
                self.text, self.edit, self.version = None, None, self.version + 1
                self.deleted = self.erased = True
            case "message.restore":
                self.deleted, self.version = False, self.version + 1
            case "reaction.add":
                self.reactions.setdefault(body["emoji"], set()).add(fact.user)
            case _:
                self.reactions.setdefault(body["emoji"], set()).discard(fact.user)

    def look(self, ident: Ident, place: OrderKey | None, status: Status = "sent") -> Look:
        """What it shows."""
        shown = "" if self.deleted else self.text or ""
        given = {emoji: frozenset(users) for emoji, users in self.reactions.items() if users}
        edited = self.edit is not None and not self.deleted
        return Look(ident, place, shown, self.deleted, edited, self.version, given, status)


def fold(facts: Iterable[Fact]) -> Face:
    """A message of its facts: the creation, then each change in the order of places."""
    first, *changes = sorted(facts, key=lambda fact: fact.key)
    assert first.envelope.kind == "message.create"
    face = Face(first, str((first.envelope.body or {})["text"]))
    for change in changes:
        face.apply(change.envelope.kind, change)
    return face


@dataclass
class ChannelLog:
    """The channel as its log has it: facts in order."""

    facts: list[Fact] = field(default_factory=list[Fact])

    @property
    def creations(self) -> list[Fact]:
        """The messages, ascending."""
        return [fact for fact in self.facts if fact.envelope.kind == "message.create"]

    def of(self, ident: Ident, until: OrderKey | None = None) -> list[Fact]:
        """The facts of one message, up to a place."""
        mine = [fact for fact in self.facts if target_of(fact.envelope, fact.user) == ident]
        return [fact for fact in mine if until is None or fact.key <= until]

    def told(self, ident: Ident, as_of: OrderKey) -> Folded:
        """A message as a log tells it as of a place (D24)."""
        facts = self.of(ident, as_of)
        face = fold(facts)
        made = face.made
        replies = [one.key for one in self.creations if one.envelope.root == ident and one.key <= as_of]
        serial = int(made.key.serial)
        return Folded(
            ident=ident,
            data=erased(made.data) if face.erased else made.data,
            stamp=Stamp(made.key, None, LOG, made.user, moment(serial)),
            edit=face.edit.data if face.edit else None,
            version=face.version,
            changed=max(fact.key for fact in facts),
            deleted=face.deleted,
            replies=len(replies),
            last_reply=max(replies, default=None),
            reactions={
                emoji: tuple(sorted(users)) for emoji, users in sorted(face.reactions.items()) if users
            },
        )


@dataclass
class WishModel:
    """One pending wish of the viewer."""

    fact: Fact
    status: Status = "queued"
    settled: bool = False

    @property
    def target(self) -> Ident:
        return target_of(self.fact.envelope, self.fact.user)

    @property
    def creates(self) -> bool:
        return self.fact.envelope.kind == "message.create"


@dataclass
class TimelineModel:
    """Which messages a window holds, and what is known of each."""

    keep: int
    most: int
    window: list[Fact] = field(default_factory=list[Fact])
    """Creations, ascending."""
    known: dict[Ident, dict[OrderKey, Fact]] = field(default_factory=dict[Ident, dict[OrderKey, Fact]])
    """All facts of a message that were ever heard or told, by place."""
    bound: int = 0
    has_older: bool = False
    has_newer: bool = False
    dropped: bool = False
    """Something had to be forgotten."""
    wishes: list[WishModel] = field(default_factory=list[WishModel])
    """In lane order."""

    def __post_init__(self) -> None:
        self.bound = self.keep

    def hear(self, fact: Fact) -> None:
        """A fact comes live."""
        target = target_of(fact.envelope, fact.user)
        self.known.setdefault(target, {})[fact.key] = fact
        if fact.envelope.kind == "message.create" and fact not in self.window:
            below = self.has_older and self.window and fact.key < self.window[0].key
            above = self.has_newer and self.window and fact.key > self.window[-1].key
            if below or above:
                self.dropped = True
            else:
                self._put(fact)
                self._trim()

    def load(
        self,
        log: ChannelLog,
        page: list[Fact],
        as_of: OrderKey,
        *,
        has_older: bool | None,
        has_newer: bool | None,
        extend: bool,
    ) -> None:
        """A page comes from the log."""
        for made in page:
            for fact in log.of(made.ident, as_of):
                self.known.setdefault(made.ident, {})[fact.key] = fact
            if made not in self.window:
                self._put(made)
        self.has_older = self.has_older if has_older is None else has_older
        self.has_newer = self.has_newer if has_newer is None else has_newer
        if extend:
            self.bound = max(self.bound, min(len(self.window), max(self.keep, self.most)))
        self._trim()

    def unload(self) -> None:
        """The window is emptied before a jump."""
        self.dropped |= bool(self.window)
        self.window, self.bound = [], self.keep
        self.has_older = self.has_newer = False

    def looks(self) -> list[Look]:
        """What the window shows, changes alone that came true."""
        return [fold(self.known[made.ident].values()).look(made.ident, made.key) for made in self.window]

    def view(self) -> list[Look]:
        """What a reader of the channel is shown: the window, then what is pending, with what is wished (D23)."""
        found = [
            self._wished(fold(self.known[made.ident].values()), made, made.key)
            for made in self.window
            if _stands(made)
        ]
        inside = {made.ident for made in self.window}
        for wish in self.wishes:
            if wish.creates and wish.target not in inside and _stands(wish.fact):
                face = Face(wish.fact, str((wish.fact.envelope.body or {})["text"]))
                found.append(self._wished(face, wish.fact, None))
        return found

    def _wished(self, face: Face, made: Fact, place: OrderKey | None) -> Look:
        mine = [wish for wish in self.wishes if wish.target == made.ident]
        version, status = face.version, None
        for wish in mine:
            if wish.status not in HOPELESS and not wish.creates:
                face.apply(wish.fact.envelope.kind, wish.fact)
        for wish in mine:
            if not (wish.settled or (place is not None and wish.creates)):
                status = wish.status
        face.version = version
        return face.look(made.ident, place, status or "sent")

    def _put(self, made: Fact) -> None:
        self.window = sorted([*self.window, made], key=lambda fact: fact.key)

    def _trim(self) -> None:
        while len(self.window) > self.bound:
            self.window.pop(0)
            self.has_older = self.dropped = True


def _stands(made: Fact) -> bool:
    return made.envelope.thread is None or made.envelope.also
