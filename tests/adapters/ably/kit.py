"""The adapter put to the contract over the emulator of Ably, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Final

from chatkit.adapters.ably import AblyConfig, factory, name_of
from chatkit.adapters.ably.adapter import AblyAdapter
from chatkit.adapters.ably.session import AblySession
from chatkit.engine.system import SystemClock
from chatkit.errors import AuthenticationError, MessageTooLarge, NotAllowed, RateLimited, Rejected
from chatkit.logs.memory import MemoryLog
from chatkit.testing.contract import AdapterKit, Closing, Refusal
from chatkit.testing.emulators.ably import AblyEmulator, Aim, ErrorInfo, Fault, Settings
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.parts import parts
from tests.adapters.ably.tokens import KEY, SECRET, Tokens
from tests.adapters.relay import Relay

CLOSINGS: Final = {
    Closing("no such app", "never"): ("fail", 40101),
    Closing("banned", "never"): ("fail", 40300),
    Closing("token refused", "reauthenticate"): ("fail", 40142),
    Closing("token ended", "reauthenticate"): ("disconnect", 40142),
    Closing("too fast", "later", 5.0): ("disconnect", 42920),
    Closing("too many connections", "later", 1.0): ("fail", 40111),
    Closing("failed", "later"): ("fail", 50000),
    Closing("the node goes", "now"): ("disconnect", None),
    Closing("dropped", "now"): ("disconnect", 80003),
}
REFUSALS: Final = {
    Refusal("no right", "unsent", NotAllowed, "entry", "reauthenticate"): 40160,
    Refusal("token ended", "unsent", AuthenticationError, "connection", "reauthenticate"): 40142,
    Refusal("key refused", "unsent", AuthenticationError, "connection", "later"): 40101,
    Refusal("connection too fast", "unsent", RateLimited, "connection", "later", 1.0): 42911,
    Refusal("channel too fast", "unsent", RateLimited, "lane", "later", 1.0): 42913,
    Refusal("account too full", "unsent", RateLimited, "connection", "later", 1.0): 40111,
    Refusal("malformed", "refused", Rejected, "entry", "never"): 40013,
    Refusal("too large", "refused", MessageTooLarge, "entry", "never"): 40009,
}


class AblyKit(AdapterKit):
    """An emulator for one test, and a way to it for each user.

    Args:
        trusted: Clients hold the key; else they have tokens.
        log: They share a log, and hold the key.
        config: Of `AblyConfig`.
    """

    def __init__(self, *, trusted: bool = False, log: bool = False, **config: Any) -> None:
        super().__init__(clock=SystemClock(), patience=1.5, quiet=0.06)
        self._trusted = trusted or log
        self.log = MemoryLog(self.clock, Random(9)) if log else None
        self._config = config
        self._relays: dict[str, Relay] = {}
        self._adapters: dict[str, list[AblyAdapter]] = {}
        self.tokens: dict[str, Tokens] = {}

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        async def beside_the_server() -> None:
            async with AblyEmulator(Settings()) as self.emulator:
                try:
                    await main
                finally:
                    for relay in self._relays.values():
                        await relay.aclose()

        super().run(beside_the_server())

    def adapter(self, user: str, *, trusted: bool = False) -> AblyAdapter:
        trusted = trusted or self._trusted
        config = AblyConfig(
            credential=KEY,
            secret=SECRET if trusted else None,
            host="127.0.0.1",
            port=self._relay(user).port,
            tls=False,
            **self._config,
        )
        tokens = self.tokens.setdefault(user, Tokens(user))
        made = factory.build(
            config, parts(user, self.clock, credentials=tokens, log=self.log, random=Random(1))
        )
        self._adapters.setdefault(user, []).append(made)
        return made

    def name(self, channel: str) -> str:
        return name_of(channel, self._config.get("namespace", ""))

    # -- what is done to the server

    async def advance(self, seconds: float) -> None:
        self.emulator.clock.advance(seconds)
        await asyncio.sleep(0.02)

    def cut(self, user: str, *, half_open: bool = False) -> None:
        self._relay(user).cut(half_open=half_open)

    def heal(self, user: str) -> None:
        self._relay(user).heal()

    def lose_ack(self, user: str) -> None:
        for connection in self.connections(user):
            self.emulator.add_fault(Fault(does="drop", way="out", action="ACK", connection=connection))

    def forbid(self, user: str) -> None:
        for connection in self.connections(user):
            refused = ErrorInfo(code=40160)
            self.emulator.add_fault(
                Fault(does="error", action="ATTACH", connection=connection, error=refused, times=1_000)
            )

    def revoke(self, user: str, channel: str) -> None:
        for connection in self.connections(user):
            refused = ErrorInfo(code=40160)
            aim = Aim(connection=connection, channel=self.name(channel), error=refused)
            self.emulator.deeds.fail_channel(aim)

    def inject(self, channel: str, data: bytes) -> None:
        """Without a client id; what an identified member sends is seen in test_ably_session."""
        app = self.emulator.app
        access = app.authority.by_key(f"{KEY}:{SECRET}")
        nobody = Origin(access=access, client_id=None, connection_id=None, base=fresh_id())
        try:
            message: dict[str, object] = {"name": "chatkit", "data": data.decode()}
        except UnicodeDecodeError:
            message = {"name": "chatkit", "data": data}
        app.publish(app.channel(self.name(channel)), [message], nobody)

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        deed, code = CLOSINGS[closing]
        for connection in self.connections(user):
            error = None if code is None else ErrorInfo(code=code)
            self.emulator.deeds.named[deed](Aim(connection=connection, error=error))

    def refreshed(self, user: str) -> int | None:
        return None if self._trusted else self.tokens[user].fetched

    def refusals(self) -> Sequence[Refusal]:
        return tuple(REFUSALS)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        self.emulator.app.faults.clear()
        if refusal is None:
            return
        for connection in self.connections(user):
            error = ErrorInfo(code=REFUSALS[refusal])
            self.emulator.add_fault(
                Fault(does="nack", action="MESSAGE", connection=connection, error=error, times=1_000)
            )

    def connections(self, user: str) -> list[str]:
        """Return the ids of a user's connections."""
        return [
            session.connection_id
            for adapter in self._adapters[user]
            for session in adapter._sessions
            if session.ended is None and isinstance(session, AblySession)
        ]

    def _relay(self, user: str) -> Relay:
        if user not in self._relays:
            self._relays[user] = Relay(self.emulator.host, self.emulator.port)
        return self._relays[user]
