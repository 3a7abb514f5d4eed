"""Signed-in users over all their connections, and who watches whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from chatkit.testing.emulators.pusher import frames


@dataclass(frozen=True)
class User:
    """Whom a connection signed in as."""

    id: str
    info: Any
    watchlist: tuple[str, ...]
    data: str
    """The text that was signed."""


class Connection(Protocol):
    """A connection, as users see it."""

    def send(self, frame: str) -> None:
        """Pass a frame on to the client."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End it."""
        ...


class Users:
    """Who is signed in with which connections."""

    def __init__(self) -> None:
        self._signed_in: dict[str, dict[Connection, User]] = {}

    def enter(self, connection: Connection, user: User) -> None:
        """A connection has signed in; who watches its user is told if it is the first."""
        connections = self._signed_in.setdefault(user.id, {})
        connections[connection] = user
        if len(connections) == 1:
            self._tell(user.id, "online")

    def leave(self, connection: Connection, user: User) -> None:
        """A connection has ended; who watches its user is told if it was the last."""
        connections = self._signed_in.get(user.id, {})
        connections.pop(connection, None)
        if not connections and self._signed_in.pop(user.id, None) is not None:
            self._tell(user.id, "offline")

    def watch(self, connection: Connection, user: User) -> None:
        """Tell a connection who of its watchlist is online now."""
        online = [watched for watched in user.watchlist if watched in self._signed_in]
        if online:
            connection.send(_status("online", online))

    def terminate(self, user_id: str) -> None:
        """End all connections that signed in as this user; others of the same person stay."""
        for connection in list(self._signed_in.get(user_id, {})):
            connection.close(4009, "Connection terminated by the app")

    def _tell(self, user_id: str, status: str) -> None:
        for connections in self._signed_in.values():
            for connection, user in connections.items():
                if user_id in user.watchlist:
                    connection.send(_status(status, [user_id]))


def _status(name: str, user_ids: Iterable[str]) -> str:
    events = [{"name": name, "user_ids": list(user_ids)}]
    return frames.system("pusher_internal:watchlist_events", {"events": events})
