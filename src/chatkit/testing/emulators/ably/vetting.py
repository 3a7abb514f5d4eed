"""What is checked of messages, members and annotations before anything is done with them.

Source: TM, TP, TAN, RSL1 of the features specification; `ably/ably-common` errors.
"""

from __future__ import annotations

from typing import Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import is_object
from chatkit.testing.emulators.ably.settings import Settings
from chatkit.testing.emulators.ably.wire import Wire, absorb, size_of

MESSAGE: Final = frozenset({"id", "name", "clientId", "data", "encoding", "extras"})
"""The fields of a new message that its publisher decides."""
CHANGE: Final = MESSAGE | {"action", "serial", "version"}
MEMBER: Final = frozenset({"action", "id", "clientId", "data", "encoding", "extras"})
ANNOTATION: Final = MEMBER | {"type", "name", "count", "messageSerial"}
"""Likewise of a change, a member and an annotation; other fields are ignored."""

TEXTS: Final = {"id": 40031, "name": 40016, "clientId": 40012}
"""What is a text, and the code with which anything else is refused."""
EXTRAS: Final = frozenset({"headers", "push", "ref", "ephemeral", "privileged", "delta"})


def vetted(items: list[Wire], fields: frozenset[str], limits: Settings) -> list[Wire]:
    """The items of one frame or call as they are kept, with these fields alone.

    Raises:
        AblyError: 40009 or 40034, there is too much; 40012, 40013, 40016, 40031 or 40032, a field is wrong.
    """
    if len(items) > limits.publish_messages:
        raise AblyError(40034)
    kept = [absorb({name: item[name] for name in fields & item.keys()}) for item in items]
    for item in kept:
        for name, code in TEXTS.items():
            if not isinstance(item.get(name, ""), str):
                raise AblyError(code)
        if not is_object(item.get("extras", {})):
            raise AblyError(40032, "extras is an object")
    demand_small(sum(map(size_of, kept)), limits)
    return kept


def demand_small(size: int, limits: Settings) -> None:
    """Refuse so many bytes of messages.

    Raises:
        AblyError: 40009.
    """
    if size > limits.message_bytes:
        most = limits.message_bytes
        raise AblyError(
            40009, f"maximum message length exceeded (size was {size} bytes, limit is {most} bytes)"
        )


def idempotency_key(items: list[Wire]) -> str | None:
    """By what a repeat of this publish is known; `None` where its publisher gave no ids.

    Raises:
        AblyError: 40031, the ids of several messages are not BASE:INDEX.
    """
    ids: list[str | None] = [item.get("id") for item in items]
    if ids.count(None) == len(ids):
        return None
    if None in ids or "" in ids:
        raise AblyError(40031)
    if len(ids) == 1:
        return ids[0]
    base = str(ids[0]).rpartition(":")[0]
    if not base or ids != [f"{base}:{index}" for index in range(len(ids))]:
        raise AblyError(40031)
    return f"{base}:"


def check_extras(message: Wire) -> None:
    """Refuse what only members and annotations may carry.

    Raises:
        AblyError: 40032.
    """
    extras: Wire = message.get("extras", {})
    if strange := extras.keys() - EXTRAS:
        raise AblyError(40032, f"message has impermissible extras fields: {', '.join(sorted(strange))}")
    headers: object = extras.get("headers", {})
    if not is_object(headers) or any(isinstance(value, dict | list) for value in headers.values()):
        raise AblyError(40032, "extras.headers if present must be a map<string, string|number|boolean|null>")
