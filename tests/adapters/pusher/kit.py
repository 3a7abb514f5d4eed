"""The adapter put to the contract over a server that speaks Pusher's protocol, in real time."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, NoReturn

import pusher
import pytest

from chatkit.adapters.pusher import Kind, PusherConfig, factory, name_of
from chatkit.adapters.pusher.adapter import PusherAdapter
from chatkit.engine.system import SystemClock
from chatkit.errors import AuthenticationError, MessageTooLarge, NotAllowed, RateLimited, Rejected
from chatkit.logs.memory import MemoryLog
from chatkit.model.values import EMPTY
from chatkit.testing.contract import AdapterKit, Closing, Refusal
from chatkit.testing.emulators.faults import CallFault, FrameFault
from chatkit.testing.emulators.pusher import PusherEmulator, frames
from chatkit.testing.parts import parts
from tests.adapters.relay import Relay

MASTER_KEY: Final = b64encode(b"0" * 32).decode()
CLOSINGS: Final = {
    Closing("no such app", "never"): 4001,
    Closing("disabled", "never"): 4003,
    Closing("over quota", "never"): 4004,
    Closing("unauthorized", "reauthenticate"): 4009,
    Closing("over capacity", "later", 1.0): 4100,
    Closing("restart", "now"): 4200,
    Closing("no pong", "now"): 4201,
    Closing("failed", "now"): 1011,
}
CALLS: Final = {
    Refusal("wrong secret", "unsent", AuthenticationError, "connection", "later"): CallFault(
        does="fail", status=401, body="Invalid signature: you should have sent HmacSHA256Hex(...)"
    ),
    Refusal("quota", "unsent", NotAllowed, "connection", "later", 60.0): CallFault(does="fail", status=403),
    Refusal("wrong app", "unsent", AuthenticationError, "connection", "later"): CallFault(
        does="fail", status=404
    ),
    Refusal("too fast", "unsent", RateLimited, "connection", "later", 3.0): CallFault(
        does="fail", status=429, headers={"Retry-After": "3"}
    ),
    Refusal("malformed", "refused", Rejected, "entry", "never"): CallFault(does="fail", status=400),
    Refusal("too large", "refused", MessageTooLarge, "entry", "never"): CallFault(does="fail", status=413),
}
OFF: Final = Refusal("client events off", "unsent", NotAllowed, "connection", "later", 30.0)


NOT_A_MEMBER: Final = {"type": "AuthError", "error": "not a member", "status": 403}
REMOVED: Final = {"type": "Removed", "error": "removed", "status": 403}


class AppAuth:
    """An app's `auth=`: the official package signs for one user, as long as they are welcome."""

    def __init__(self, user: str, official: Callable[[], pusher.Pusher]) -> None:
        self.user = user
        self.welcome = True
        self.fetched = 0
        self.asked: list[tuple[str | None, Mapping[str, str]]] = []
        self._official = official

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Mapping[str, Any]:
        self.asked.append((channel, params))
        self.fetched += refresh
        if not self.welcome:
            raise NotAllowed("not a member")
        name = params["channel_name"]
        member = {"user_id": self.user} if name.startswith("presence-") else None
        answer: dict[str, Any] = self._official().authenticate(name, params["socket_id"], member)
        return answer

    def secret(self) -> str | None:
        return None


class ServerKit(AdapterKit):
    """A server, and a way to it for each user.

    Args:
        trusted: Clients hold the secret.
        log: They share a log.
        config: Of `PusherConfig`.
    """

    def __init__(self, *, trusted: bool = True, log: bool = False, **config: Any) -> None:
        super().__init__(clock=SystemClock(), echoes=trusted, patience=1.5, quiet=0.06)
        self._trusted = trusted
        self._config = {"channels": "presence", **config}
        self.shows_all = self.kind == "presence"
        self.log = MemoryLog(self.clock, Random(9)) if log else None
        self._relays: dict[str, Relay] = {}
        self._adapters: dict[str, list[PusherAdapter]] = {}
        self.auths: dict[str, AppAuth] = {}

    def target(self) -> tuple[str, int]:
        """Return where the server listens."""
        raise NotImplementedError

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        async def beside_the_server() -> None:
            async with self.server():
                try:
                    await main
                finally:
                    for relay in self._relays.values():
                        await relay.aclose()

        super().run(beside_the_server())

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[None]:
        """Have the server serve for a test."""
        yield

    def adapter(self, user: str, *, trusted: bool = False) -> PusherAdapter:
        trusted = trusted or self._trusted
        config = PusherConfig(
            credential="app-key",
            secret="app-secret" if trusted else None,
            place="local",
            path="1001",
            host="127.0.0.1",
            port=self._relay(user).port,
            tls=False,
            master_key=MASTER_KEY if self.kind == "encrypted" and trusted else None,
            **self._config,
        )
        auth = self.auths.setdefault(user, AppAuth(user, self._official))
        made = factory.build(config, parts(user, self.clock, credentials=auth, log=self.log))
        self._adapters.setdefault(user, []).append(made)
        return made

    @property
    def kind(self) -> Kind:
        kind: Kind = self._config["channels"]
        return kind

    def name(self, channel: str) -> str:
        return name_of(channel, self.kind, cache=bool(self._config.get("cache")))

    # -- what is done to the server

    def cut(self, user: str, *, half_open: bool = False) -> None:
        self._relay(user).cut(half_open=half_open)

    def heal(self, user: str) -> None:
        self._relay(user).heal()

    def refreshed(self, user: str) -> int | None:
        return None if self._trusted else self.auths[user].fetched

    def _relay(self, user: str) -> Relay:
        if user not in self._relays:
            self._relays[user] = self._way(*self.target())
        return self._relays[user]

    def _way(self, host: str, port: int) -> Relay:
        return Relay(host, port)

    def _lacks(self, what: str) -> NoReturn:
        pytest.fail(f"{type(self).__name__} cannot {what}")  # here nothing may be left out

    def _official(self) -> pusher.Pusher:
        return pusher.Pusher(
            "1001", "app-key", "app-secret", ssl=False, encryption_master_key_base64=MASTER_KEY
        )


class PusherKit(ServerKit):
    """An emulator for one test."""

    def target(self) -> tuple[str, int]:
        return self.emulator.host, self.emulator.port

    @asynccontextmanager
    async def server(self) -> AsyncGenerator[None]:
        async with PusherEmulator() as self.emulator:
            yield

    def lose_ack(self, user: str) -> None:
        if self._trusted:
            self.emulator.faults.add(CallFault(does="reset", moment="after", path="events"))
        else:
            for socket in self.sockets(user):
                self.emulator.faults.add(FrameFault(does="abort", only="pusher:pong", socket=socket))

    def forbid(self, user: str) -> None:
        self.auths[user].welcome = False
        if self._trusted:  # whose signature is good: the server itself says no
            self._instead_of_confirmations(user, NOT_A_MEMBER)

    def revoke(self, user: str, channel: str) -> None:
        name = self.name(channel)
        for socket in self.sockets(user):
            connection = self.emulator.connections[socket]
            connection._unsubscribe(name)
            connection.send(frames.system("pusher:subscription_error", REMOVED, channel=name))

    def inject(self, channel: str, data: bytes) -> None:
        name, text = self.name(channel), data.decode("utf-8", "replace")
        user = "eve" if name.startswith("presence-") else None
        self.emulator._channels.get(name).send(
            frames.event("client-chatkit", text, channel=name, user_id=user)
        )

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        for socket in self.sockets(user):
            self.emulator.sockets[socket].close(CLOSINGS[closing], closing.name)

    def refusals(self) -> Sequence[Refusal]:
        return tuple(CALLS) if self._trusted else (OFF,)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        self.emulator.faults.clear()
        if not self._trusted:
            self.emulator.change(client_events=refusal is None)
        elif refusal is not None:
            fault = CALLS[refusal]
            self.emulator.faults.add(
                CallFault(
                    does="fail", status=fault.status, body=fault.body, headers=fault.headers, times=1_000
                )
            )

    def sockets(self, user: str) -> list[str]:
        """Return the connections of a user, by their ids."""
        found = [
            s.socket_id for adapter in self._adapters[user] for s in adapter._sessions if s.ended is None
        ]
        return [each for each in found if each in self.emulator.sockets]

    def _instead_of_confirmations(self, user: str, error: dict[str, Any]) -> None:
        text = frames.system("pusher:subscription_error", error, channel=self.name(self.channel("support")))
        for socket in self.sockets(user):
            self.emulator.faults.add(
                FrameFault(
                    does="replace",
                    only="pusher_internal:subscription_succeeded",
                    socket=socket,
                    text=text,
                    times=1_000,
                )
            )
