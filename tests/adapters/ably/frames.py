"""Frames as Ably sends them, for tests without a server."""

from __future__ import annotations

from typing import Any

from chatkit.adapters.ably.config import Form
from chatkit.adapters.ably.protocol import Connected, Meaning, Protocol, Resume
from chatkit.adapters.ably.wire import decode, encode

PLAIN = 65_536 | 131_072 | 262_144


def said(frame: str | bytes | None, form: Form = "json") -> dict[str, Any]:
    """Return what a frame of ours says."""
    assert frame is not None
    found = decode(frame, form)
    assert found is not None
    return found


def hear(protocol: Protocol[Any], **frame: Any) -> list[Meaning]:
    """Return what a frame of the service means."""
    return protocol.receive(encode(frame, protocol._form))


def connected(form: Form = "json", resume: Resume | None = None, connection: str = "c1") -> Protocol[Any]:
    """Return a protocol that heard CONNECTED."""
    protocol = Protocol[Any](form, resume)
    details = {"connectionKey": f"{connection}!k1", "clientId": "ada", "maxIdleInterval": 15_000}
    (found,) = hear(protocol, action=4, connectionId=connection, connectionDetails=details)
    assert isinstance(found, Connected)
    return protocol


def attached(name: str = "support", serial: str = "00000000000100-000@a", **more: Any) -> dict[str, Any]:
    """Return ATTACHED."""
    return {"action": 11, "channel": name, "channelSerial": serial, "flags": PLAIN, **more}


def member(
    client: str, connection: str = "c5", number: int = 0, action: int = 1, **more: Any
) -> dict[str, Any]:
    """Return a member as it says itself on its own connection."""
    id = f"{connection}:{number}:0"
    return {
        "action": action,
        "clientId": client,
        "connectionId": connection,
        "id": id,
        "timestamp": 1,
        **more,
    }
