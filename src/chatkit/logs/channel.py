"""`ChannelLog`: one channel of a log, and what an append does to it (D9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chatkit.core.timeline_bytes import erased
from chatkit.errors import ChatkitError, InvalidMessage
from chatkit.logs.fence import Fence, Known
from chatkit.logs.projection import Projection
from chatkit.logs.record import Record
from chatkit.logs.rights import CHANGES, objection, unpublished
from chatkit.model.admission import digest, mismatch
from chatkit.model.entry import Entry
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, Place
from chatkit.ports.outgoing import Ack, Outgoing


class ChannelLog:
    """Entries, fence and projection of one channel, kept in step.

    Args:
        name: The channel.
        log_id: Of its log.
        secret: Of its log: bodies are compared by digests that say nothing of erased ones.
        keep: Most entries kept.
        moderates: Says whether a user moderates this channel.
        publishes: Says whether a user may make messages in it.
    """

    def __init__(
        self,
        name: str,
        log_id: str,
        secret: bytes,
        keep: int,
        *,
        moderates: Callable[[str], bool],
        publishes: Callable[[str], bool],
    ) -> None:
        self.record = Record(log_id, keep)
        self.fence = Fence()
        self.projection = Projection(log_id)
        self._name = name
        self._secret = secret
        self._moderates = moderates
        self._publishes = publishes

    def append(self, entry: Outgoing, now: datetime) -> tuple[Ack, Entry | None]:
        """Take in one entry, or say why not; the second is what was appended."""
        try:
            envelope = Envelope.parse(entry.data)
        except InvalidMessage as error:
            return Ack(entry.ident, "refused", error=error), None
        problem = mismatch(self._name, entry, envelope)
        if problem is not None:
            return Ack(entry.ident, "refused", error=problem), None
        body = digest(envelope, self._secret)
        answer = self.fence.answer(entry, body, now)
        if answer is not None:
            return answer if answer.key is None else answer._replace(prev=self.record.prev(answer.key)), None
        problem = self._objection(envelope)
        if problem is None:
            return self._accept(entry, envelope, body, now)
        answer = Ack(entry.ident, "refused", error=problem)
        self.fence.refuse(entry, answer)
        return answer, None

    def note(self, ident: Ident, data: bytes, now: datetime) -> Entry:
        """Number an entry without looking at it, as raw history does."""
        try:
            kind = Envelope.parse(data).kind
        except InvalidMessage:
            kind = ""
        return self.record.add(ident, kind, data, now)[0].entry

    def trim(self, before: Place, now: datetime) -> None:
        """Forget entries and messages before a place, and ids that went long ago."""
        self.record.trim(before)
        if self.record.floor is not None:
            self.projection.trim(self.record.floor.key)
            self.fence.trim(self.record.floor.key, now)

    def versions(self, ident: Ident) -> tuple[Entry, ...]:
        """Return the creation and every edit, delete and restore of a message."""
        return tuple(map(self.record.at, self.projection.versions(ident)))

    def _accept(self, entry: Outgoing, envelope: Envelope, body: bytes, now: datetime) -> tuple[Ack, Entry]:
        item, full = self.record.add(entry.ident, envelope.kind, entry.data, now)
        stamp = item.stamp
        self.fence.accept(entry, Known(stamp.key, stamp.at, body, stamp.prev))
        for key in self.projection.apply(envelope, item):
            if self.record.floor is None or key > self.record.floor.key:
                self.record.erase(key, erased)
        if full and self.record.floor is not None:
            self.projection.trim(self.record.floor.key)
        return Ack(entry.ident, "new", stamp.key, stamp.at, prev=stamp.prev), item.entry

    def _objection(self, envelope: Envelope) -> ChatkitError | None:
        user = envelope.sender.user
        if envelope.kind == "message.create" and not self._publishes(user):
            return unpublished(envelope)
        if envelope.kind not in CHANGES or not envelope.readable:
            return None  # what this version cannot interpret is kept all the same
        target = self.projection.target(envelope)
        return objection(envelope, target, moderator=self._moderates(user))
