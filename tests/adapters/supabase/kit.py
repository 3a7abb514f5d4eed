"""The adapter put to the contract over the emulator of Supabase, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from typing import Any, Final

from chatkit.adapters.supabase import SupabaseConfig, factory, topic_of
from chatkit.adapters.supabase.adapter import SupabaseAdapter
from chatkit.engine.system import SystemClock
from chatkit.errors import AuthenticationError, ChatkitError, ConfigError, NotAllowed, RateLimited, Rejected
from chatkit.logs.memory import MemoryLog
from chatkit.logs.postgres import migrate_supabase
from chatkit.testing.contract import AdapterKit, Closing, Refusal
from chatkit.testing.emulators.faults import CallFault
from chatkit.testing.emulators.sockets import Socket
from chatkit.testing.emulators.supabase import Aim, SupabaseEmulator, SupabaseSettings
from chatkit.testing.emulators.supabase.joining import JoinError
from chatkit.testing.parts import parts
from tests.adapters.relay import Relay
from tests.adapters.supabase.app import QUICK
from tests.adapters.supabase.tokens import Tokens

CLOSINGS: Final = {
    Closing("idle", "now"): 1000,
    Closing("away", "later", 30.0): 1001,
    Closing("restart", "now"): 1012,
    Closing("frame too large", "later"): 1009,
    Closing("cut", "now"): 1006,
    Closing("drained", "now"): "drain",
    Closing("token ended", "reauthenticate"): "expire",
    Closing("project gone", "never"): "TenantNotFound: Tenant not found",
}
CALLS: Final = {
    Refusal("token refused", "unsent", AuthenticationError, "connection", "reauthenticate"): 401,
    Refusal("no right", "unsent", NotAllowed, "entry", "reauthenticate"): 403,
    Refusal("too fast", "unsent", RateLimited, "connection", "later", 3.0): 429,
    Refusal("malformed", "refused", Rejected, "entry", "never"): 422,
}
APPENDS: Final = {
    Refusal("token refused", "unsent", AuthenticationError, "connection", "reauthenticate"): 401,
    Refusal("no right", "refused", NotAllowed, "entry", "reauthenticate"): 403,
    Refusal("too fast", "unsent", RateLimited, "connection", "later", 3.0): 429,
    Refusal("no schema", "unsent", ConfigError, "connection", "later"): 404,
}


NUMBERS: Final = count(1)
MIGRATED: Final = set[str]()
"""Databases that have the schema."""
NO_LONGER: Final = "You no longer have permission to read from this Channel topic"


class Unjittered(Random):
    """Chance that lets pauses be told to the second."""

    def random(self) -> float:
        return 0.0


class SupabaseKit(AdapterKit):
    """An emulator for one test on a database that others use, and a way to it for each user.

    Args:
        database: DSN of the PostgreSQL behind the emulator.
        trusted: Clients hold the service key; else they have tokens, or nothing but the anon key.
        log: They share a log, and hold the service key.
        config: Of `SupabaseConfig`.
    """

    def __init__(self, database: str, *, trusted: bool = False, log: bool = False, **config: Any) -> None:
        super().__init__(clock=SystemClock(), patience=3.0, quiet=0.15)
        self._database = database
        self._trusted = trusted or log
        self._config = {"mode": "broadcast", "payload": 3_000, **config}
        self.log = MemoryLog(self.clock, Random(9)) if log else None
        self.echoes = self._config["mode"] == "database"
        self._logged = log or self.echoes
        self._number = next(NUMBERS)
        self._relays: dict[str, Relay] = {}
        self._adapters: dict[str, list[SupabaseAdapter]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.tokens: dict[str, Tokens] = {}

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        async def beside_the_server() -> None:
            async with self.serving():
                await main

        super().run(beside_the_server())

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncGenerator[SupabaseEmulator]:
        """Have the project serve, with the schema where the mode wants it."""
        async with SupabaseEmulator(
            SupabaseSettings(**{**QUICK, **settings}), database=self._database
        ) as self.emulator:
            if self._config["mode"] == "database" and self._database not in MIGRATED:
                await asyncio.to_thread(migrate_supabase, self._database, everyone=True)
                MIGRATED.add(self._database)
            try:
                yield self.emulator
            finally:
                for task in self._tasks:
                    task.cancel()
                for relay in self._relays.values():
                    await relay.aclose()

    def adapter(self, user: str, *, trusted: bool = False) -> SupabaseAdapter:
        trusted = trusted or self._trusted
        authority = self.emulator.authority
        config = SupabaseConfig(
            credential=authority.anon_key,
            secret=authority.service_key if trusted else None,
            place="local",
            host="127.0.0.1",
            port=self._relay(user).port,
            tls=False,
            **self._config,
        )
        tokens = self.tokens.setdefault(user, Tokens(user, authority))
        made = factory.build(
            config, parts(user, self.clock, credentials=tokens, log=self.log, random=Unjittered())
        )
        self._adapters.setdefault(user, []).append(made)
        return made

    def channel(self, name: str) -> str:
        """Return a name of its own for each test: the database outlives it."""
        return f"{name}-{self._number}" if self.echoes else name

    # -- what is done to the server

    def cut(self, user: str, *, half_open: bool = False) -> None:
        self._relay(user).cut(half_open=half_open)

    def heal(self, user: str) -> None:
        self._relay(user).heal()

    def lose_ack(self, user: str) -> None:
        """Of a call: whoever publishes in the contract has not attached the channel."""
        del user
        self.emulator.faults.add(CallFault(does="reset", moment="after", path=self._publishes))

    def forbid(self, user: str) -> None:
        for socket in self.sockets(user):
            self._refuse_joins(socket, "Unauthorized: You do not have permissions to read")

    def revoke(self, user: str, channel: str) -> None:
        for socket in self.sockets(user):
            for kind in ("log", "live") if self._logged else ("live",):
                self._do("shut", Aim(socket=socket, topic=topic_of(channel, kind), text=NO_LONGER))

    def inject(self, channel: str, data: bytes) -> None:
        try:
            payload: Any = {"data": data.decode()}
        except UnicodeDecodeError:
            payload = {"data": list(data)}
        place = self._logged or bool(self._config.get("private")), topic_of(channel, "live")
        self.emulator.project.publish(place, {"type": "broadcast", "event": "chatkit", "payload": payload})

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        how = CLOSINGS[closing]
        for socket in self.sockets(user):
            if isinstance(how, int) and how != 1006:
                self._do("close", Aim(socket=socket, code=how))
            elif isinstance(how, int):
                self._do("abort", Aim(socket=socket))
            elif how in self.emulator.deeds.named:
                self._do(how, Aim(socket=socket))
            else:
                self._refuse_joins(socket, str(how))
                self._attach_elsewhere(user)

    def refreshed(self, user: str) -> int | None:
        return None if self._trusted or not self._has_tokens else self.tokens[user].fetched

    def refusals(self) -> Sequence[Refusal]:
        return tuple(self._refusals)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        del user
        self.emulator.faults.clear()
        if refusal is not None:
            headers = {"Retry-After": "3"} if self._refusals[refusal] == 429 else {}
            fault = CallFault(
                does="fail",
                status=self._refusals[refusal],
                headers=headers,
                path=self._publishes,
                times=1_000,
            )
            self.emulator.faults.add(fault)

    def sockets(self, user: str) -> list[str]:
        """Return the ids of a user's connections: those that came over their way."""
        ports = self._relay(user).ports
        return [name for name, socket in self.emulator.sockets.items() if _port(socket) in ports]

    # -- inside

    @property
    def _refusals(self) -> Mapping[Refusal, int]:
        return APPENDS if self._config["mode"] == "database" else CALLS

    @property
    def _publishes(self) -> str:
        in_database = self._config["mode"] == "database"
        return "/rest/v1/rpc/chatkit_append" if in_database else "/realtime/v1/api/broadcast"

    @property
    def _has_tokens(self) -> bool:
        return self._config["mode"] == "database" or bool(self._config.get("private"))

    def _relay(self, user: str) -> Relay:
        if user not in self._relays:
            self._relays[user] = Relay(self.emulator.host, self.emulator.port)
        return self._relays[user]

    def _do(self, deed: str, aim: Aim) -> None:
        task = asyncio.ensure_future(self.emulator.deeds.named[deed.replace("_", "-")](aim))
        self._tasks.add(task)

    def _refuse_joins(self, socket: str, reason: str) -> None:
        session: Any = self.emulator.project.sessions[socket]

        async def refuse(*_: object) -> None:
            raise JoinError(reason)

        session._granted = refuse

    def _attach_elsewhere(self, user: str) -> None:
        """Have a client ask for something, so that the server can refuse it."""
        for adapter in self._adapters[user]:
            for session in adapter._sessions:
                if session.ended is None:
                    asking = session.attach(self.channel("elsewhere"), None, presence=False)
                    self._tasks.add(asyncio.create_task(_in_vain(asking)))


def _port(socket: Socket) -> int | None:
    transport = socket._transport
    return None if transport is None else transport.get_extra_info("peername")[1]


async def _in_vain(asking: Coroutine[Any, Any, object]) -> None:
    with suppress(ChatkitError):
        await asking
