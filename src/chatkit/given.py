"""What callers hand in, checked where types alone let a mistake through; and what a row is about."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from chatkit.errors import ConfigError, InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.names import check_user
from chatkit.model.order import Ident

if TYPE_CHECKING:
    from chatkit.ports import Row


MOST_OWNERS: Final = 1_000
"""Owners that an app may name of one channel."""


def is_text(given: object) -> bool:
    """Say whether a caller gave text, as the types ask."""
    return isinstance(given, str)


def is_number(given: object) -> bool:
    """Say whether a caller gave a number, as the types ask."""
    return isinstance(given, int | float)


def is_mapping(given: object) -> bool:
    """Say whether a caller gave a mapping, as the types ask."""
    return isinstance(given, Mapping)


def is_async_iterable(given: object) -> bool:
    """Say whether a caller gave what `async for` takes, as the types ask."""
    return isinstance(given, AsyncIterable)


def is_instant(given: object) -> bool:
    """Say whether a caller gave a time with a zone."""
    return isinstance(given, datetime) and given.tzinfo is not None


def list_of_users(given: Iterable[str]) -> tuple[str, ...]:
    """Return the users that a caller mentions; one name in place of a list would mention its letters.

    Raises:
        InvalidMessage: It is no list.
    """
    if is_text(given) or not _is_iterable(given):
        raise InvalidMessage("mentions: is no list of user ids", hint='Write mentions=["bob"].')
    return tuple(given)


def checked_owners(owners: Iterable[str], channel: str) -> tuple[str, ...]:
    """Return the user ids of a channel's owners, sorted.

    Raises:
        ConfigError: There are too many, or it is no list.
        InvalidMessage: One cannot be an id.
    """
    named = () if isinstance(owners, str) else tuple(owners)
    if isinstance(owners, str) or len(named) > MOST_OWNERS:
        raise ConfigError(
            f"owners is a list of at most {MOST_OWNERS:,} user ids",
            channel=channel,
            hint='Write owners=["ada"]; give more of them roles in a log.',
        )
    return tuple(sorted({check_user(one) for one in named}))


def target_of(row: Row) -> Ident:
    """Return the message that a row makes or changes."""
    ref = None if row.kind == "create" else Envelope.parse(row.data).ref
    return row.ident if ref is None else Ident(ref.user, ref.id)


def _is_iterable(given: object) -> bool:
    return isinstance(given, Iterable)
