"""What a join asks for, and what becomes of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg

from chatkit.testing.emulators.supabase.authorization import Undecided
from chatkit.testing.emulators.supabase.database import Database
from chatkit.testing.emulators.supabase.plain import Object, is_integer, is_list, is_object, loads
from chatkit.testing.emulators.supabase.tokens import TokenError
from chatkit.testing.emulators.supabase.wire import Broadcast, UserBroadcast

MOST_REPLAYED: Final = 25

CODES: Final = {
    "expired": "InvalidJWTToken: ",
    "claims": "InvalidJWTToken: ",
    "malformed": "MalformedJWT: ",
    "signature": "JwtSignatureError: ",
    "signer": "JwtSignerError: ",
}


class JoinError(Exception):
    """A join that is refused.

    Args:
        reason: As the client is told.
        away: Whether its connection is closed as well.
    """

    def __init__(self, reason: str, *, away: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


def of_token(error: TokenError) -> JoinError:
    """The refusal of a token."""
    return JoinError(CODES[error.fault] + error.text if error.fault in CODES else "Unknown Error on Channel")


def of_database(error: Undecided) -> JoinError:
    """The refusal where the policies cannot be asked."""
    return JoinError(str(error))


def unauthorized(topic: str) -> str:
    """What is said to who may not read a topic."""
    return f"You do not have permissions to read from this Channel topic: {topic}"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a join asks for, as far as it is well-formed: one wrong part, and all are as if left out."""

    private: bool = False
    ack: bool = False
    itself: bool = False
    replication_ready: bool = False
    presence: bool = False
    key: str = field(default_factory=lambda: str(UUID(bytes=secrets.token_bytes(16), version=4)))
    replay: Any = None
    asks_replay: bool = False
    postgres_changes: tuple[Object, ...] = ()


def parse(payload: Any) -> Config:
    """Read the payload of a join."""
    config = payload.get("config") if is_object(payload) else None
    config = config if is_object(config) else {}
    broadcast = config.get("broadcast")
    # These two are read as they came, whatever the rest is worth.
    replays = is_object(broadcast) and "replay" in broadcast
    changes = config.get("postgres_changes")
    asked: dict[str, Any] = {
        "replay": broadcast["replay"] if is_object(broadcast) and replays else None,
        "asks_replay": replays,
        "postgres_changes": tuple(each for each in changes if is_object(each)) if is_list(changes) else (),
    }
    try:
        return Config(**asked, **_validated(config))
    except ValueError:
        return Config(**asked)


def _validated(config: Object) -> dict[str, Any]:
    broadcast, presence = _part(config, "broadcast"), _part(config, "presence")
    changes = config.get("postgres_changes")
    if changes is not None and not is_list(changes):
        raise ValueError("postgres_changes is an array")  # one of many that are wrong
    found = {
        "private": _flag(config, "private"),
        "ack": _flag(broadcast, "ack"),
        "itself": _flag(broadcast, "self"),
        "replication_ready": _flag(broadcast, "replication_ready"),
        "presence": _flag(presence, "enabled"),
    }
    key = presence.get("key")
    return found if key in {None, ""} else {**found, "key": str(key)}


def _part(config: Object, name: str) -> Object:
    part = config.get(name)
    if part is None:
        return {}
    if not is_object(part):
        raise ValueError(f"{name} is a map")  # likewise
    return part


def _flag(part: Object, name: str) -> bool:
    value = part.get(name)
    if value is None:
        return False
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        raise ValueError(f"{name} is a boolean")  # likewise
    return value


async def replayed(database: Database, topic: str, config: Config) -> list[tuple[str, Broadcast]]:
    """The latest broadcasts since a time, oldest first, with their ids.

    Raises:
        JoinError: They cannot be had.
    """
    if not config.asks_replay:
        return []
    if not config.private:
        raise JoinError("UnableToReplayMessages: Replay is not allowed for public channels")
    if not is_object(config.replay):
        return []
    since, limit = config.replay.get("since"), config.replay.get("limit")
    limit = MOST_REPLAYED if limit is None else limit
    if not is_integer(since) or not is_integer(limit) or not -(2**40) < since < 2**44:
        raise JoinError("UnableToReplayMessages: Replay params are not valid")
    try:
        rows = await database.fetch(
            "SELECT id, event, payload::text, binary_payload FROM realtime.messages"
            " WHERE topic = %s AND private AND extension = 'broadcast'"
            " AND inserted_at >= to_timestamp(%s) AT TIME ZONE 'UTC'"
            " AND inserted_at < now() AT TIME ZONE 'UTC' + interval '1 minute'"
            " ORDER BY inserted_at DESC LIMIT %s",
            (topic, since / 1000, max(1, min(limit, MOST_REPLAYED))),
        )
    except psycopg.Error as error:
        raise JoinError("UnableToReplayMessages: Realtime was unable to replay messages") from error
    return [(str(each), _again(str(each), *parts)) for each, *parts in reversed(rows)]


def _again(name: str, event: str, payload: str | None, binary: bytes | None) -> Broadcast:
    meta = {"replayed": True, "id": name}
    if binary is not None:
        return UserBroadcast(event=event, payload=bytes(binary), encoding="binary", meta=meta)
    return {"payload": loads(payload or "null"), "event": event, "type": "broadcast", "meta": meta}
