"""The history of a world: what was called, promised, delivered and shown, in the order in which it happened.

Records are plain values: the checker (`chatkit.testing.checker`) reads them and nothing else, so that what it
finds does not hang on what the library remembers. The same run gives the same records (I15).
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Final, Literal, NamedTuple, TypeAlias

from chatkit.model.order import Ident, OrderKey

Life: TypeAlias = int
"""One client from its opening to its end: the number of its `Opened` in the history, from 1."""


class Opened(NamedTuple):
    """A client was opened on a store."""

    at: float
    life: Life
    user: str
    store: str
    """Names what outlives the life; "" where the outbox dies with it."""


class Ended(NamedTuple):
    """A client was closed or killed."""

    at: float
    life: Life
    how: Literal["closed", "killed"]
    took: float = 0.0
    """Seconds that closing took."""
    allowed: float = 0.0
    """Seconds that it was to take at most."""
    left: tuple[str, ...] = ()
    """What did not end."""


class Promised(NamedTuple):
    """A wish was accepted: the call was about to return."""

    at: float
    life: Life
    entry: str
    channel: str
    ident: Ident
    kind: str
    """create, update, delete, restore, reaction."""
    device: str
    made: bool
    """False: the same wish was accepted before, under its key."""
    due: bool
    """Not to be sent before a time of its own: it takes its place in its lane then."""
    depends: bool
    """On another wish, which may end later than those that it could go with (D7)."""


class Settled(NamedTuple):
    """A wish got another status."""

    at: float
    life: Life
    entry: str
    channel: str
    ident: Ident
    status: str
    certain: bool
    late: bool
    reason: str | None


class Retried(NamedTuple):
    """A wish that had failed was wished again: it goes to the end of its lane (D7)."""

    at: float
    life: Life
    entry: str


class Accepted(NamedTuple):
    """The provider, or the log, took an envelope."""

    at: float
    channel: str
    ident: Ident
    """The attested user, and the id."""
    key: OrderKey
    data: bytes

    def __repr__(self) -> str:
        return f"Accepted(at={self.at}, channel={self.channel!r}, ident={self.ident}, key={self.key})"


class Forgotten(NamedTuple):
    """A log was put back to an older state: so many entries of each channel are left."""

    at: float
    kept: tuple[tuple[str, int], ...]


class Listening(NamedTuple):
    """A reader of events began to listen in a channel."""

    at: float
    life: Life
    reader: int
    channel: str
    since: OrderKey | None
    """It wants all after this place; `None`: what comes from now on."""
    epoch_log: str | None
    """The log that `since` is of."""


class Heard(NamedTuple):
    """A reader was given a message event."""

    at: float
    life: Life
    reader: int
    channel: str
    what: Literal["created", "updated", "deleted"]
    ident: Ident
    key: OrderKey | None
    late: bool
    version: int
    deleted: bool


class Gap(NamedTuple):
    """A reader was told that messages may be missing between two places; `None`: on that side without end."""

    at: float
    life: Life
    reader: int
    channel: str
    reason: str
    after: OrderKey | None
    until: OrderKey | None
    certain: bool


class Silent(NamedTuple):
    """A reader ended: closed, or by an error that it was told."""

    at: float
    life: Life
    reader: int
    why: str


class Advanced(NamedTuple):
    """A client was told how far a user has read or received."""

    at: float
    life: Life
    channel: str
    user: str
    kind: str
    message_id: str


class Line(NamedTuple):
    """One message as a timeline shows it."""

    ident: Ident
    key: OrderKey | None
    status: str
    version: int
    deleted: bool
    edited: bool
    text: str
    reactions: tuple[tuple[str, tuple[str, ...]], ...]
    provisional: bool
    orphaned: bool

    def __repr__(self) -> str:
        digest = sha256(self.text.encode()).hexdigest()[:8]
        return f"Line({self.ident}, {self.key}, {self.status}, v{self.version}, {digest}, {self.reactions})"


class Shown(NamedTuple):
    """What a timeline showed at a moment."""

    at: float
    life: Life
    channel: str
    state: str
    lines: tuple[Line, ...]
    gaps: int
    """Holes that it admits."""
    newest: bool
    """It reaches to the newest message."""


class Counted(NamedTuple):
    """How many messages of a channel a user was told to have unread."""

    at: float
    life: Life
    channel: str
    user: str
    unread: int
    exact: bool


class Paged(NamedTuple):
    """All pages of a channel, read one after the other."""

    at: float
    life: Life
    channel: str
    direction: Literal["forward", "backward"]
    idents: tuple[Ident, ...]
    """In the order in which they came."""
    began: float
    """When the first page was asked for."""
    provisional: bool


class Stood(NamedTuple):
    """How a client stood at a moment."""

    at: float
    life: Life
    connection: str
    health: str
    depth: int
    most: int
    """Entries that the outbox takes."""
    unfinished: tuple[str, ...]
    tasks: int
    counters: tuple[tuple[str, int], ...]
    unreachable: float
    """Seconds for which its network has been cut or silent; 0: it is whole."""


class Raised(NamedTuple):
    """A handler raised, as planned."""

    at: float
    life: Life
    handler: str


class Reported(NamedTuple):
    """`on_error` was told that a handler raised or blocked the loop."""

    at: float
    life: Life
    handler: str
    error: str


Record: TypeAlias = (
    Opened
    | Ended
    | Promised
    | Settled
    | Retried
    | Accepted
    | Forgotten
    | Listening
    | Heard
    | Gap
    | Silent
    | Advanced
    | Shown
    | Counted
    | Paged
    | Stood
    | Raised
    | Reported
)

LONGEST: Final = 2_000_000
"""Most records of one history (I10)."""


class History:
    """All that happened, in order; nothing is ever taken back."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._lives = 0
        self._readers = 0

    def note(self, record: Record) -> None:
        """Add what happened."""
        assert len(self.records) < LONGEST, "the history of a world is full: make worlds of shorter stories"
        self.records.append(record)

    def new_life(self) -> Life:
        """Return the number of another life."""
        self._lives += 1
        return self._lives

    def new_reader(self) -> int:
        """Return the number of another reader."""
        self._readers += 1
        return self._readers

    def digest(self) -> str:
        """Return a hash of all records: the same for the same run (I15)."""
        found = sha256()
        for record in self.records:
            found.update(f"{type(record).__name__}{tuple(record)!r}\n".encode())
        return found.hexdigest()

    def to_jsonl(self) -> str:
        """Return the records as text, one JSON object a line, without bodies (I16)."""
        lines = (
            {"record": type(record).__name__}
            | {name: value for name, value in record._asdict().items() if name != "data"}
            for record in self.records
        )
        return "".join(f"{json.dumps(line, default=repr)}\n" for line in lines)
