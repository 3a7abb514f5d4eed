"""What is done to clients at once: from Python, or by the control endpoint.

Those of `chatkit.testing.emulators.faults` and `...ably.faults` wait for a frame; these do not.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.connection import Connection
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.faults import ErrorInfo
from chatkit.testing.emulators.ably.wire import Action
from chatkit.testing.emulators.faults import CHECKED


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class Aim:
    """Whom a deed is done to, and what is said.

    Attributes:
        connection: A connection's id; `None` is every one.
        client: A client id; `None` is every one.
        channel: A channel; `None` is every one.
        error: What they are told, where the deed tells anything.
    """

    connection: str | None = None
    client: str | None = None
    channel: str | None = None
    error: ErrorInfo | None = None

    @property
    def refusal(self) -> AblyError | None:
        """The error itself."""
        return None if self.error is None else self.error.made()


class Deeds:
    """Each takes an `Aim` and returns how many connections or channels it struck.

    Args:
        app: Whose clients.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    @property
    def named(self) -> dict[str, Callable[[Aim], int]]:
        """Each by its name at the control endpoint."""
        deeds = (
            *(self.abort, self.stall, self.disconnect, self.fail, self.reauth, self.expire, self.move),
            *(self.forget, self.detach, self.fail_channel, self.attached, self.lose_continuity),
            self.end_streams,
        )
        return {deed.__name__.replace("_", "-"): deed for deed in deeds}

    def abort(self, aim: Aim) -> int:
        """Cut their transports; the connections can be resumed."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                connection.session.socket.abort()
        return len(struck)

    def stall(self, aim: Aim) -> int:
        """Silence their transports without an end: half open."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                connection.session.socket.stall()
        return len(struck)

    def disconnect(self, aim: Aim) -> int:
        """Say DISCONNECTED, with the error or without."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                connection.session.disconnect(aim.refusal)
        return len(struck)

    def fail(self, aim: Aim) -> int:
        """Say ERROR of the connection."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                connection.session.fail(aim.refusal or AblyError(50000))
        return len(struck)

    def reauth(self, aim: Aim) -> int:
        """Ask for new credentials: AUTH."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                connection.session.send({"action": int(Action.AUTH)})
        return len(struck)

    def expire(self, aim: Aim) -> int:
        """Let their tokens have expired: DISCONNECTED with 40142, and nothing takes those tokens again."""
        for connection in (struck := self._live(aim)):
            if connection.session is not None:
                self._app.authority.end(connection.access)
                connection.session.disconnect(AblyError(40142, status=401))
        return len(struck)

    def move(self, aim: Aim) -> int:
        """Let their node go: DISCONNECTED, and no resume succeeds; channels keep their continuity."""
        struck = list(self._app.find_connections(aim.connection, aim.client))
        for connection in struck:
            session = connection.session
            self._app.forget(connection)
            if session is not None:
                session.disconnect(aim.refusal)
        return len(struck)

    def forget(self, aim: Aim) -> int:
        """Destroy the state of connections, live or dropped, unsaid: their next resume is refused."""
        struck = list(self._app.find_connections(aim.connection, aim.client))
        for connection in struck:
            self._app.connections.pop(connection.id, None)
            if connection.session is None:
                self._app.forget(connection)
        return len(struck)

    def detach(self, aim: Aim) -> int:
        """Detach channels unasked: DETACHED, with the error or without."""
        return self._expel(aim, failed=False)

    def fail_channel(self, aim: Aim) -> int:
        """Fail channels: ERROR of the channel."""
        return self._expel(aim, failed=True)

    def attached(self, aim: Aim) -> int:
        """Say ATTACHED without RESUMED on attached channels: continuity was lost."""
        count = 0
        for connection in self._live(aim):
            for base in self._channels_of(connection, aim):
                if connection.session is not None:
                    connection.session.attaching.repeat(base, aim.refusal)
                    count += 1
        return count

    def lose_continuity(self, aim: Aim) -> int:
        """Forget what channels could be resumed from; history stays."""
        struck = [channel for name, channel in self._app.channels.items() if aim.channel in {None, name}]
        for channel in struck:
            channel.lose()
        return len(struck)

    def end_streams(self, aim: Aim) -> int:
        """End event streams, with the error or without."""
        struck = [
            stream
            for stream in self._app.streams
            if aim.client in {None, stream.access.client_id} and {aim.channel} <= {None, *stream.channels}
        ]
        for stream in struck:
            if aim.refusal is None:
                stream.close()
            else:
                stream.fail(aim.refusal)
        return len(struck)

    def _expel(self, aim: Aim, *, failed: bool) -> int:
        count = 0
        for connection in self._live(aim):
            for base in self._channels_of(connection, aim):
                if connection.session is not None:
                    error = aim.refusal or (AblyError(90000) if failed else None)
                    connection.session.attaching.expel(base, error, failed=failed)
                    count += 1
        return count

    def _live(self, aim: Aim) -> list[Connection]:
        found = self._app.find_connections(aim.connection, aim.client)
        return [connection for connection in found if connection.session is not None]

    @staticmethod
    def _channels_of(connection: Connection, aim: Aim) -> list[str]:
        names: set[str] = connection.session.attaching.names if connection.session is not None else set()
        return [name for name in names if aim.channel in {None, name}]
