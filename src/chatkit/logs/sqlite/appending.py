"""`append` on rows: numbers, the fence and rights (D9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chatkit import errors
from chatkit.errors import ChatkitError, InvalidMessage, ProviderError
from chatkit.logs.rights import CHANGES, objection, unpublished
from chatkit.logs.sqlite import projection
from chatkit.logs.sqlite.registers import moderates, publishes
from chatkit.logs.sqlite.rows import Channel, channel_of, key_of, packed, serial_text, state_of
from chatkit.model.admission import digest, mismatch
from chatkit.model.envelope import Envelope
from chatkit.ports.log import Appended
from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros, moment

REFUSALS: Final = 10_000
"""Refusals remembered of one channel, about; the oldest are forgotten."""
_SWEEP: Final = 100
"""Refusals between two looks whether there are too many."""


def append(connection: Connection, channel: str, entries: Sequence[Outgoing], now: datetime) -> Appended:
    """Number and keep entries, in order; a bad row fails alone."""
    work = _Append(connection, channel, now)
    acks = tuple(work.take(entry) for entry in entries)
    work.finish()
    return Appended(state_of(work.log_id, work.channel, now), acks)


class _Append:
    """One append, inside its transaction."""

    def __init__(self, connection: Connection, name: str, now: datetime) -> None:
        [(self.log_id, self._secret)] = run(connection, "SELECT log_id, secret FROM header")
        self.channel: Channel = channel_of(connection, name)
        self._connection = connection
        self._name = name
        self._now = now
        self._first = self.channel.head
        newest = one(connection, "SELECT number, at FROM entries ORDER BY number DESC LIMIT 1")
        self._number, last = newest or (0, 0)
        # One time for the whole log, so that a search can go by numbers.
        self._at = max(micros(now), last)

    def take(self, entry: Outgoing) -> Ack:
        """Take in one entry, or say why not."""
        try:
            envelope = Envelope.parse(entry.data)
        except InvalidMessage as error:
            return Ack(entry.ident, "refused", error=error)
        problem = mismatch(self._name, entry, envelope)
        if problem is not None:
            return Ack(entry.ident, "refused", error=problem)
        body = digest(envelope, self._secret)
        answer = self._known(entry, body) or self._refused(entry) or self._fenced(entry)
        if answer is not None:
            return answer
        target = projection.target(self._connection, self.channel.number, envelope)
        problem = self._objection(envelope, target)
        if problem is not None:
            self._refuse(entry, problem)
            return Ack(entry.ident, "refused", error=problem)
        return self._accept(entry, envelope, target, body)

    def finish(self) -> None:
        """Note how far the channel has come."""
        if self.channel.head > self._first:
            run(
                self._connection,
                "UPDATE channels SET head = ? WHERE number = ?",
                (self.channel.head, self.channel.number),
            )

    # ------------------------------------------------------------------ the fence

    def _known(self, entry: Outgoing, body: bytes) -> Ack | None:
        found = one(
            self._connection,
            "SELECT serial, at, digest FROM entries WHERE channel = ? AND id = ? AND user = ?",
            (self.channel.number, packed(entry.ident.id), entry.ident.user),
        )
        if found is None:
            return None
        serial, at, known = found
        prev = serial_text(serial - 1) if serial > self.channel.floor else None
        outcome = "duplicate" if known == body else "conflict"
        return Ack(entry.ident, outcome, key_of(serial), moment(at), prev=prev)  # type: ignore[arg-type]  # one of the two

    def _fenced(self, entry: Outgoing) -> Ack | None:
        if entry.not_after is not None and self._now > entry.not_after:
            return Ack(entry.ident, "too_late")
        if entry.seq is None:
            return None
        last = one(
            self._connection,
            "SELECT seq FROM lanes WHERE channel = ? AND user = ? AND device = ?",
            (self.channel.number, entry.ident.user, entry.device),
        )
        return Ack(entry.ident, "superseded") if last is not None and entry.seq <= last[0] else None

    def _refused(self, entry: Outgoing) -> Ack | None:
        """Answer a copy of an attempt that was refused before as it was then: `refused` is certain.

        Also where its lane went on meanwhile: else it would be made anew (D27).
        """
        found = one(
            self._connection,
            "SELECT error, reason FROM refusals"
            " WHERE channel = ? AND id = ? AND user = ? AND device = ? AND seq = ?",
            self._attempt(entry),
        )
        if found is None:
            return None
        kind: type[ChatkitError] = getattr(errors, found[0], ProviderError)
        error = kind(found[1], channel=self._name, message_id=entry.ident.id)
        return Ack(entry.ident, "refused", error=error)

    def _refuse(self, entry: Outgoing, problem: ChatkitError) -> None:
        run(
            self._connection,
            "INSERT INTO refusals (channel, id, user, device, seq, error, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*self._attempt(entry), type(problem).__name__, problem.args[0]),
        )
        [(number,)] = run(self._connection, "SELECT last_insert_rowid()")
        if number % _SWEEP == 0:
            run(
                self._connection,
                "DELETE FROM refusals WHERE channel = ? AND number <= (SELECT number FROM refusals"
                " WHERE channel = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (self._name, self._name, REFUSALS),
            )

    def _attempt(self, entry: Outgoing) -> tuple[str, str, str, str, int]:
        return self._name, entry.ident.id, entry.ident.user, entry.device, entry.seq or 0

    def _objection(self, envelope: Envelope, target: projection.Target | None) -> ChatkitError | None:
        user = envelope.sender.user
        if envelope.kind == "message.create" and not publishes(self._connection, self._name, user):
            return unpublished(envelope)
        if envelope.kind not in CHANGES or not envelope.readable:
            return None  # what this version cannot interpret is kept all the same
        own = target is not None and target.user == user
        return objection(
            envelope, target, moderator=not own and moderates(self._connection, self._name, user)
        )

    # ------------------------------------------------------------------ what is new

    def _accept(
        self, entry: Outgoing, envelope: Envelope, target: projection.Target | None, body: bytes
    ) -> Ack:
        if not self.channel.number:
            run(
                self._connection,
                "INSERT INTO channels (name, head, floor, pruned) VALUES (?, 0, 0, 0)",
                (self._name,),
            )
            self.channel = channel_of(self._connection, self._name)
        self._number += 1
        serial = self.channel.head + 1
        self.channel = self.channel._replace(head=serial)
        versioned = target is not None and envelope.kind.startswith("message.")
        run(
            self._connection,
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._number,
                self.channel.number,
                serial,
                self._at,
                entry.ident.user,
                packed(entry.ident.id),
                target.number if target is not None and versioned else None,
                body,
                entry.data,
            ),
        )
        if entry.seq is not None:
            run(
                self._connection,
                "INSERT INTO lanes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET seq = excluded.seq, at = excluded.at",
                (self.channel.number, entry.ident.user, entry.device, entry.seq, self._at),
            )
        step = projection.Step(self.channel.number, self._number, serial, envelope)
        projection.apply(self._connection, step, target)
        return Ack(entry.ident, "new", key_of(serial), moment(self._at), prev=serial_text(serial - 1))
