"""An Ably app on this machine, with clients of chatkit and whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any, Self

import chatkit
from chatkit.model.options import AuthRequest
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably import AblyEmulator, Aim, Fault, Settings
from chatkit.testing.emulators.clock import EmulatorClock
from tests.adapters.ably.tokens import KEY, SECRET, jwt
from tests.adapters.seen import PATIENCE, texts, until

__all__ = ["PATIENCE", "App", "texts", "until"]


class App:
    """An emulated app; an asynchronous context manager.

    Args:
        config: Of all its clients, as options of their URL.
        clock: Of its clients and of the emulator, where the test runs on virtual time.
        settings: Of the emulator.
    """

    def __init__(self, config: str = "", *, clock: VirtualClock | None = None, **settings: Any) -> None:
        served_by = None if clock is None else EmulatorClock(lambda: clock.wall().timestamp())
        self.emulator = AblyEmulator(Settings(**settings), clock=served_by)
        self._clock = clock
        self._seeds = count(1)
        self.asked: list[AuthRequest] = []
        self.lifetime = 3_600.0
        """Seconds that a token lives."""
        self._config = config

    async def __aenter__(self) -> Self:
        await self.emulator.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.emulator.aclose()

    def backend(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client that holds the key."""
        return self._chat(self.trusted_url, user, options)

    def member(self, user: str, **options: Any) -> chatkit.Chat:
        """Return a client with tokens of the app."""
        return self._chat(self.url, user, {"auth": self.auth, **options})

    async def auth(self, request: AuthRequest) -> str:
        """Give a token, as an app's server would."""
        self.asked.append(request)
        return jwt(request.user, seconds=self.lifetime, ahead=self.emulator.clock.unix() - time.time())

    def _chat(self, url: str, user: str, options: dict[str, Any]) -> chatkit.Chat:
        virtual = {} if self._clock is None else {"clock": self._clock, "seed": next(self._seeds)}
        return chatkit.connect(url, user=user, **{"store": ":memory:", **virtual, **options})

    @property
    def url(self) -> str:
        """The address of the app, without the secret; by a socket alone, unless the options say otherwise.

        What is done to sockets would else be done without them: a client that is cut off would come by HTTP.
        """
        way = "" if "transport=" in self._config else "&transport=websocket"
        return f"ably://{KEY}@127.0.0.1:{self.emulator.port}?tls=0{self._config}{way}"

    @property
    def trusted_url(self) -> str:
        """The same with the secret."""
        return self.url.replace(KEY, f"{KEY}:{SECRET}")

    def cut(self, user: str | None = None) -> None:
        """End transports without a goodbye: of one user's clients with tokens, or all."""
        _ = self.emulator.deeds.abort(Aim(client=user))

    async def cut_off(self, user: str, while_away: Callable[[], Any]) -> None:
        """Keep a member away while something happens: it goes at once and cannot return before."""
        gate = self.emulator.add_fault(
            Fault(does="abort", action="CONNECT", query={"clientId": user}, times=1_000)
        )
        self.cut(user)
        await while_away()
        self.emulator.app.faults._waiting.remove(gate)


def published(app: App, name: str = "support") -> list[str]:
    """Return the ids of the messages that Ably holds of a channel, oldest first."""
    channel = app.emulator.app.channels.get(name)
    return [] if channel is None else [str(one["id"]) for one in channel.store.latest()]
