"""Annotations of a message and what they sum up to.

Source: TAN, TM7, TM8 of the features specification; ably/docs messages/annotations.
"""

from __future__ import annotations

from typing import Any, Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.wire import Wire

METHODS: Final = frozenset({"total", "flag", "distinct", "unique", "multiple"})
ANONYMOUS: Final = frozenset({"total", "multiple"})
CREATE, DELETE = 0, 1
COUNT_MOST: Final = 1_000_000
CLIPPED: Final = 1_000
"""Client ids that a summary lists; beyond it says so by `clipped`."""


def check_annotation(annotation: Wire) -> None:
    """Refuse one that its method cannot count.

    Raises:
        AblyError: 40003, the type is not `NAMESPACE:METHOD.VERSION`, what the method needs is missing, or the
            count is not one; 40161, nobody annotates.
    """
    kind = annotation.get("type")
    if not isinstance(kind, str) or ":" not in kind or _method_of(kind) not in METHODS:
        raise AblyError(40003, "an annotation has a type like reaction:distinct.v1")
    method = _method_of(kind)
    if method not in {"total", "flag"} and not annotation.get("name"):
        raise AblyError(40003, f"an annotation of type {method} has a name")
    count = annotation.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= COUNT_MOST:
        raise AblyError(40003, f"count is a whole number from 1 to {COUNT_MOST}")
    if method not in ANONYMOUS and not annotation.get("clientId"):
        raise AblyError(40161, f"only an identified client annotates with {method}")


def _method_of(kind: str) -> str:
    return kind.rpartition(":")[2].partition(".")[0]


def summarize(annotations: list[Wire]) -> dict[str, Any]:
    """What a summary message says of one message.

    Args:
        annotations: All creates and deletes of it, oldest first.

    Returns:
        By type the value of its method.
    """
    by_type: dict[str, list[Wire]] = {}
    for annotation in annotations:
        by_type.setdefault(annotation["type"], []).append(annotation)
    return {kind: _COUNTERS[_method_of(kind)](listed) for kind, listed in by_type.items()}


def _total(annotations: list[Wire]) -> dict[str, Any]:
    return {"total": max(0, sum(1 if each["action"] == CREATE else -1 for each in annotations))}


def _flag(annotations: list[Wire]) -> dict[str, Any]:
    clients: dict[str, None] = {}
    for each in annotations:
        if each["action"] == CREATE:
            clients[each["clientId"]] = None
        else:
            clients.pop(each["clientId"], None)
    return _listed(clients)


def _distinct(annotations: list[Wire]) -> dict[str, Any]:
    names: dict[str, dict[str, None]] = {}
    for each in annotations:
        clients = names.setdefault(each["name"], {})
        if each["action"] == CREATE:
            clients[each["clientId"]] = None
        else:
            clients.pop(each["clientId"], None)
    return {name: _listed(clients) for name, clients in names.items() if clients}


def _unique(annotations: list[Wire]) -> dict[str, Any]:
    chosen: dict[str, str] = {}
    for each in annotations:
        if each["action"] == CREATE:
            chosen.pop(each["clientId"], None)
            chosen[each["clientId"]] = each["name"]
        elif chosen.get(each["clientId"]) == each["name"]:
            del chosen[each["clientId"]]
    names: dict[str, dict[str, None]] = {}
    for client, name in chosen.items():
        names.setdefault(name, {})[client] = None
    return {name: _listed(clients) for name, clients in names.items()}


def _multiple(annotations: list[Wire]) -> dict[str, Any]:
    names: dict[str, dict[str | None, int]] = {}
    for each in annotations:
        counts = names.setdefault(each["name"], {})
        client = each.get("clientId")
        if each["action"] == CREATE:
            counts[client] = counts.get(client, 0) + each.get("count", 1)
        else:
            counts.pop(client, None)
    summed: dict[str, Any] = {}
    for name, counts in names.items():
        known = {client: count for client, count in counts.items() if client is not None}
        if not counts:
            continue
        summed[name] = {
            "total": sum(counts.values()),
            "clientIds": dict(list(known.items())[:CLIPPED]),
            "totalUnidentified": counts.get(None, 0),
            "totalClientIds": len(known),
            "clipped": len(known) > CLIPPED,
        }
    return summed


def _listed(clients: dict[str, None]) -> dict[str, Any]:
    return {"total": len(clients), "clientIds": list(clients)[:CLIPPED], "clipped": len(clients) > CLIPPED}


_COUNTERS: Final = {
    "total": _total,
    "flag": _flag,
    "distinct": _distinct,
    "unique": _unique,
    "multiple": _multiple,
}
