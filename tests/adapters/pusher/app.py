"""A Pusher app on this machine, with clients of chatkit and whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import pusher

import chatkit
from chatkit.errors import NotAllowed
from chatkit.model.options import AuthRequest
from chatkit.testing.emulators.faults import FrameFault
from chatkit.testing.emulators.pusher import PusherEmulator, PusherSettings
from tests.adapters.pusher.kit import MASTER_KEY
from tests.adapters.seen import PATIENCE, texts, until

__all__ = ["PATIENCE", "App", "texts", "until"]


class App:
    """An emulated app; an asynchronous context manager.

    Args:
        config: Of all its clients, as options of their URL.
        settings: Of the emulator.
    """

    def __init__(self, config: str = "", **settings: Any) -> None:
        self.emulator = PusherEmulator(PusherSettings(**settings))
        self.asked: list[AuthRequest] = []
        self.barred: set[str] = set()
        self.slow: asyncio.Event | None = None
        """`auth=` answers once it is set."""
        self._config = config
        self.lock(MASTER_KEY)

    async def __aenter__(self) -> Self:
        await self.emulator.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.emulator.aclose()

    def url(
        self, *, secret: str | None = None, key: str = "app-key", app: str = "1001", more: str = ""
    ) -> str:
        """Return the address of the app; with a secret, of a backend's client."""
        credential = key if secret is None else f"{key}:{secret}"
        where = f"host=127.0.0.1&port={self.emulator.port}&tls=0"
        return f"pusher://{credential}@local/{app}?{where}{self._config}{more}"

    def backend(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client that holds the secret."""
        more = f"&master_key={MASTER_KEY.replace('=', '%3D')}" if "encrypted" in self._config else ""
        options = {"store": ":memory:", **options}
        return chatkit.connect(self.url(secret="app-secret", more=more), user=user, **options)

    def member(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client that asks the app."""
        options = {"store": ":memory:", "auth": self.auth, **options}
        return chatkit.connect(self.url(), user=user, **options)

    async def auth(self, request: AuthRequest) -> dict[str, Any]:
        """Sign with the official package, as an app's server would."""
        self.asked.append(request)
        if self.slow is not None:
            await self.slow.wait()
        if request.user in self.barred:
            raise NotAllowed("not a member")
        return self._sign(request.user, request.params)

    def permit(self, user: str, form: Mapping[str, str]) -> str:
        """Return what an auth endpoint answers."""
        return json.dumps(self._sign(user, form))

    def lock(self, master_key: str) -> None:
        """Let members in with the secrets of another master key."""
        self._official = pusher.Pusher(
            "1001", "app-key", "app-secret", ssl=False, encryption_master_key_base64=master_key
        )

    def _sign(self, user: str, form: Mapping[str, str]) -> dict[str, Any]:
        name = form["channel_name"]
        member = {"user_id": user} if name.startswith("presence-") else None
        found: dict[str, Any] = self._official.authenticate(name, form["socket_id"], member)
        return found

    def record(self, event: str, words: str = "") -> list[str]:
        """Lose the frames of an event from now on, those with these words; they are found in the list."""
        lost: list[str] = []

        def note(frame: str | bytes) -> bool:
            if words not in str(frame):
                return False
            lost.append(str(frame))
            return True

        self.emulator.faults.add(FrameFault(does="drop", only=event, times=1_000, when=note))
        return lost

    async def reconnect(self) -> None:
        """End all connections without a goodbye; return when each client is back in its channels."""
        before = self._channels()
        self.drop_connections()

        def back() -> bool:
            now = self._channels()
            return before.keys().isdisjoint(now) and sorted(now.values()) == sorted(before.values())

        await until(back, "all are back")

    def _channels(self) -> dict[str, list[str]]:
        """Return the channels of each connection."""
        return {name: sorted(each.subscribed) for name, each in self.emulator.connections.items()}

    def drop_connections(self) -> None:
        """End all connections without a goodbye."""
        for socket in list(self.emulator.sockets.values()):
            socket.abort()
