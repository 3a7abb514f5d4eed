"""The header of a store file: whom it is bound to, and whose it is now (D6, D27)."""

from __future__ import annotations

from datetime import datetime

from chatkit.errors import StateError, StoreLocked
from chatkit.model.ids import new_device
from chatkit.ports.context import RandomSource
from chatkit.ports.store import StoreHeader
from chatkit.sqlite.connection import Connection, one, run
from chatkit.sqlite.times import micros
from chatkit.stores.codec import header_from
from chatkit.stores.secret import new_secret


def take(
    connection: Connection,
    name: str,
    user: str,
    realm: str,
    *,
    rebind: bool,
    random: RandomSource,
    secret: bytes | None,
    schema: int,
    now: datetime,
) -> StoreHeader:
    """Become the owner, within a transaction of the caller.

    Args:
        connection: To the file.
        name: Its name, for errors.
        user: Whom the file must be bound to.
        realm: Which project it must be bound to.
        rebind: Bind it to another realm instead of refusing.
        random: Makes device and secret of a new file.
        secret: The secret shared by a directory; a new one where there is none.
        schema: The file's schema version.
        now: When rows end that a rebinding ends.

    Raises:
        StateError: The file is bound to another user, or to another realm without `rebind`.
    """
    found = one(connection, "SELECT user, realm, device, secret, owner_epoch, clean, hlc FROM header")
    if found is None:
        header = StoreHeader(
            user, realm, new_device(random), secret or new_secret(random), 1, schema, clean=True, hlc=None
        )
        run(
            connection,
            "INSERT INTO header VALUES (1, ?, ?, ?, ?, 1, 0, NULL)",
            (header.user, header.realm, header.device, header.secret),
        )
        return header
    bound_user, bound_realm, device, kept_secret, epoch, clean, hlc = header_from(found)
    if bound_user != user:
        raise StateError(
            f"{name} belongs to another user",
            hint="Give each user a store of their own, or send for many users with `chat.as_user()`.",
        )
    if bound_realm != realm:
        if not rebind:
            raise StateError(
                f"{name} belongs to {bound_realm}, not to {realm}",
                hint="Name another store, or move what was never attempted with `rebind=True`.",
            )
        _rebind(connection, now)
    if not clean:
        _count_as_attempted(connection)
    header = StoreHeader(
        user, realm, device, secret or bytes(kept_secret), epoch + 1, schema, clean=bool(clean), hlc=hlc
    )
    run(
        connection,
        "UPDATE header SET realm = ?, secret = ?, owner_epoch = ?, clean = 0",
        (realm, header.secret, header.owner_epoch),
    )
    return header


def _rebind(connection: Connection, now: datetime) -> None:
    # Never attempted rows simply go to the new realm. What may have arrived in the old one cannot be looked
    # up from here (D27).
    run(
        connection,
        "UPDATE outbox SET status = 'failed', certain = 0, reason = 'rebound', ended_at = ?"
        " WHERE status IN ('queued', 'sending') AND attempts > 0",
        (micros(now),),
    )
    # A mark and a timeline that a log vouches for are checked against the log that is found there (D18);
    # places of a provider without a log mean nothing at another one.
    run(connection, "DELETE FROM marks WHERE log_id IS NULL")
    run(connection, "DELETE FROM cached WHERE log_id IS NULL")


def _count_as_attempted(connection: Connection) -> None:
    # D6: after an unclean stop every unfinished entry counts as attempted. An attempt is committed before its
    # bytes are written, so a row without one has not left and stays `queued`. One that waits for its next
    # attempt may have had it: with durability="process" a power cut can take the newest commits along, that
    # of the attempt among them. A row put back by hand has no first attempt yet, and starts afresh.
    run(
        connection,
        "UPDATE outbox SET status = 'sending'"
        " WHERE status = 'queued' AND attempts > 0 AND first_attempt IS NOT NULL",
    )


def check(connection: Connection, name: str, owner_epoch: int) -> None:
    """See within a transaction that the file is still ours (D27).

    Raises:
        StoreLocked: Somebody else has become its owner.
    """
    if one(connection, "SELECT owner_epoch FROM header") != (owner_epoch,):
        raise StoreLocked(f"{name} has been taken over by another process", hint="Connect anew.")


def touch(connection: Connection) -> None:
    """Write something that changes nothing."""
    run(connection, "UPDATE header SET clean = 0")


def leave(connection: Connection) -> None:
    """Note a clean end, within a transaction of the caller."""
    run(connection, "UPDATE header SET clean = 1")
