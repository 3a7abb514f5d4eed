"""What the URL of a socket asks for: by which credentials, as whom, and which connection goes on.

Source: RTN2, RTN15, RTN16 of the features specification; ably/docs connect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.auth import Access
from chatkit.testing.emulators.ably.connection import Connection
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.faults import Fault
from chatkit.testing.emulators.ably.plain import natural

OLDEST: Final = 2
"""The oldest protocol version that is spoken."""
SECRET: Final = frozenset({"key", "accessToken", "access_token", "resume", "recover"})
"""Parameters of the URL that are not told."""
IDLE_LEAST, IDLE_MOST = 5_000, 1_800_000
"""Milliseconds between heartbeats that a client may ask for."""


class Query:
    """The parameters of one socket's URL.

    Args:
        params: By name.
    """

    def __init__(self, params: Mapping[str, str]) -> None:
        self.params = dict(params)

    @property
    def shown(self) -> dict[str, str]:
        """Those that are no secret."""
        return {name: value for name, value in self.params.items() if name not in SECRET}

    @property
    def client_id(self) -> str | None:
        """As whom."""
        return self.params.get("clientId")

    @property
    def resumed(self) -> str:
        """The key of the connection that is to go on; empty for a new one."""
        return self.params.get("resume") or self.params.get("recover") or ""

    def connect(self, app: Application, struck: Fault | None) -> tuple[Connection, AblyError | None]:
        """The connection, and why it is a new one where another was to be resumed.

        Args:
            app: Where.
            struck: A fault that refuses the resume.

        Raises:
            AblyError: No connection is made.
        """
        version = natural(self.params.get("v", "").partition(".")[0])
        if version is None or version < OLDEST:
            raise AblyError(40017, f"unsupported protocol version: it is {OLDEST} or newer")
        access = self._access(app)
        client_id = access.identify(self.client_id)
        if self.resumed:
            try:
                if struck is not None:
                    raise struck.refusal if struck.error else AblyError(80018)
                connection = app.resumable(self.resumed, client_id)
            except AblyError as refusal:
                if refusal.code == 40102:
                    raise
                return self._settled(app.connect(access, client_id), access, app), refusal
            if connection.session is not None:
                connection.session.supersede()
        else:
            connection = app.connect(access, client_id)
        return self._settled(connection, access, app), None

    def _settled(self, connection: Connection, access: Access, app: Application) -> Connection:
        connection.cancel_timers()
        connection.access = access
        asked = natural(self.params.get("remainPresentFor", ""))
        connection.present_seconds = app.settings.present_seconds if asked is None else max(1.0, asked / 1000)
        return connection

    def _access(self, app: Application) -> Access:
        token = self.params.get("accessToken") or self.params.get("access_token")
        if token:
            return app.authority.by_token(token)
        if self.params.get("key"):
            return app.authority.by_key(self.params["key"], self.client_id)
        raise AblyError(40101, "no credentials")

    def idle_seconds(self, usual: float) -> float:
        """At most so long nothing is sent; a client may ask for another time than the usual one."""
        asked = natural(self.params.get("heartbeatInterval", ""))
        return usual if asked is None else min(max(asked, IDLE_LEAST), IDLE_MOST) / 1000
