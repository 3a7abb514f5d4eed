"""The messages of a log file, kept up in the transaction of each append (D24).

Changes come in the order of their serials and after their rights were checked, so each is one step: an edit
sets the text, a delete erases every text so far, a restore shows what was written since.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from chatkit.core.timeline_bytes import erased, reparse
from chatkit.core.timeline_changes import MAX_OF_USER, MAX_REACTIONS
from chatkit.logs.sqlite import searching
from chatkit.logs.sqlite.rows import packed
from chatkit.model.envelope import Envelope
from chatkit.sqlite.connection import Connection, one, run


class Step(NamedTuple):
    """One entry that was appended."""

    channel: int
    number: int
    serial: int
    envelope: Envelope


class Target(NamedTuple):
    """A message that is changed."""

    number: int
    serial: int
    user: str
    version: int
    edit: int | None
    deleted: int
    erased: int
    stands: int


def target(connection: Connection, channel: int, envelope: Envelope) -> Target | None:
    """Return the message that a change is for; `None`: there is none, or it is no change."""
    if envelope.ref is None or envelope.kind == _CREATE:
        return None
    found = one(
        connection,
        "SELECT m.number, m.serial, m.user, m.version, m.edit, m.deleted, m.erased, m.stands"
        " FROM entries e JOIN messages m ON m.number = e.number"
        " WHERE e.channel = ? AND e.id = ? AND e.user = ?",
        (channel, packed(envelope.ref.id), envelope.ref.user),
    )
    return Target(*found) if found else None


def apply(connection: Connection, step: Step, target: Target | None) -> None:
    """Fold in one entry, the newest."""
    kind = step.envelope.kind
    if kind == _CREATE:
        _create(connection, step)
    elif target is None or not step.envelope.readable:
        pass
    elif kind.startswith("reaction."):
        _react(connection, step, target)
    elif kind in _CHANGES:
        _change(connection, step, target)


# ---------------------------------------------------------------------- creations


def _create(connection: Connection, step: Step) -> None:
    envelope = step.envelope
    user, root = envelope.sender.user, envelope.thread
    stands = root is None or envelope.also
    # A reply may have come before the message that it replies to.
    replies, last_reply = run(
        connection,
        "SELECT count(*), max(serial) FROM messages WHERE channel = ? AND root_id = ? AND root_user = ?",
        (step.channel, packed(envelope.id), user),
    )[0]
    run(
        connection,
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 1, ?, 0, 0, ?, ?)",
        (
            step.number,
            step.channel,
            step.serial,
            user,
            packed(root.id) if root else None,
            root.user if root else None,
            stands,
            stands,
            step.serial,
            replies,
            last_reply,
        ),
    )
    if root:
        run(
            connection,
            "UPDATE messages SET replies = replies + 1, last_reply = ? WHERE number ="
            " (SELECT number FROM entries WHERE channel = ? AND id = ? AND user = ?)",
            (step.serial, step.channel, packed(root.id), root.user),
        )
    _mention(connection, step.channel, step.serial, envelope.mentions)
    searching.add(connection, step.number, step.channel, user, envelope)


# ---------------------------------------------------------------------- edits, deletes, restores


def _change(connection: Connection, step: Step, target: Target) -> None:
    before = shown(connection, target.number, target.edit)
    if not target.deleted:
        searching.remove(connection, target.number, step.channel, target.user, before)
    now = target._replace(version=target.version + 1)
    if step.envelope.kind == "message.update":
        now = now._replace(edit=step.number)
    elif step.envelope.kind == "message.delete":
        _erase(connection, target)
        now = now._replace(edit=None, deleted=1, erased=step.number)
    else:
        now = now._replace(deleted=0)
    run(
        connection,
        "UPDATE messages SET shown = ?, edit = ?, version = ?, changed = ?, deleted = ?, erased = ?"
        " WHERE number = ?",
        (
            now.stands and not now.deleted,
            now.edit,
            now.version,
            step.serial,
            now.deleted,
            now.erased,
            now.number,
        ),
    )
    after = shown(connection, now.number, now.edit)
    if not now.deleted:
        searching.add(connection, now.number, step.channel, now.user, after)
    old, new = mentioned(connection, target.number, before), mentioned(connection, now.number, after)
    if old != new:
        forget_mentions(connection, step.channel, now.serial, old)
        _mention(connection, step.channel, now.serial, new)


def shown(connection: Connection, number: int, edit: int | None) -> Envelope:
    """Return the envelope whose text a message shows: of its edit, else of its creation."""
    [(data,)] = run(connection, "SELECT data FROM entries WHERE number = ?", (edit or number,))
    return reparse(data)


def mentioned(connection: Connection, number: int, showing: Envelope) -> Collection[str]:
    """Return whom a message mentions: as its edit says, else as its creation does."""
    if showing.mentions or showing.kind == _CREATE:
        return showing.mentions
    return shown(connection, number, None).mentions


def _erase(connection: Connection, target: Target) -> None:
    """Take every text out of the entries of a message, the newest included (D26)."""
    rows = run(
        connection,
        "SELECT number, data FROM entries WHERE target = ? AND number > ?",
        (target.number, target.erased),
    )
    if not target.erased:
        rows += run(connection, "SELECT number, data FROM entries WHERE number = ?", (target.number,))
    for number, data in rows:
        bare = erased(data)
        if bare is not data:
            run(connection, "UPDATE entries SET data = ? WHERE number = ?", (bare, number))


# ---------------------------------------------------------------------- reactions and mentions


def _react(connection: Connection, step: Step, target: Target) -> None:
    number, user, emoji = target.number, step.envelope.sender.user, step.envelope.emoji
    if step.envelope.kind == "reaction.add":
        run(
            connection,
            "INSERT INTO reactions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET serial = excluded.serial",
            (number, emoji, user, step.serial),
        )
        _bound(connection, "message = ? AND user = ?", (number, user), MAX_OF_USER)
        _bound(connection, "message = ?", (number,), MAX_REACTIONS)
    else:
        run(
            connection,
            "DELETE FROM reactions WHERE message = ? AND emoji = ? AND user = ?",
            (number, emoji, user),
        )
    run(connection, "UPDATE messages SET changed = ? WHERE number = ?", (step.serial, number))


def _bound(connection: Connection, which: str, values: tuple[int | str, ...], most: int) -> None:
    """Drop the oldest reaction where there are too many: one that is added makes at most one too many."""
    [(count, oldest)] = run(connection, f"SELECT count(*), min(serial) FROM reactions WHERE {which}", values)  # noqa: S608  # our own words
    if count > most:
        run(connection, f"DELETE FROM reactions WHERE {which} AND serial = ?", (*values, oldest))  # noqa: S608  # our own words


def _mention(connection: Connection, channel: int, serial: int, users: Collection[str]) -> None:
    for user in users:
        run(connection, "INSERT OR IGNORE INTO mentions VALUES (?, ?, ?)", (channel, user, serial))


def forget_mentions(connection: Connection, channel: int, serial: int, users: Collection[str]) -> None:
    """Forget whom a message mentions."""
    for user in users:
        run(
            connection,
            "DELETE FROM mentions WHERE channel = ? AND user = ? AND serial = ?",
            (channel, user, serial),
        )


_CREATE: Final = "message.create"
_CHANGES: Final = frozenset({"message.update", "message.delete", "message.restore"})
