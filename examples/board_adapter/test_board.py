"""`board://` keeps chatkit's contract of adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import pytest
from board_server import BOARDS, Board, Frame
from chatkit_board import BoardAdapter, factory

from chatkit.errors import AuthenticationError, NotAllowed, ProviderError, RateLimited
from chatkit.model.config import Config
from chatkit.model.options import Token
from chatkit.model.values import EMPTY
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract import AdapterContract, AdapterKit, Closing, Refusal
from chatkit.testing.parts import parts

CLOSINGS: Final = {
    Closing("banned", "never"): 4001,
    Closing("vanished", "now"): 1006,
    Closing("full", "later", 30.0): 4100,
    Closing("who are you", "reauthenticate"): 4401,
}
REFUSALS: Final[dict[Refusal, Frame]] = {
    Refusal("slow", "unsent", RateLimited, "connection", "later", 3.0): {"error": "slow", "after": 3.0},
    Refusal("who", "unsent", AuthenticationError, "connection", "reauthenticate"): {"error": "who"},
    Refusal("broken", "unsent", ProviderError, "entry", "later"): {"error": "broken"},
    Refusal("no", "refused", NotAllowed, "entry", "never"): {"error": "no"},
}


class Tickets:
    """What `auth=` would bring, counted."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.fetched = 0

    async def get(
        self, *, channel: str | None = None, params: Mapping[str, str] = EMPTY, refresh: bool = False
    ) -> Token:
        self.fetched += refresh
        return Token(value=f"{self.user} {self.fetched}")

    def secret(self) -> str | None:
        return None


class BoardKit(AdapterKit):
    """A board for one test, on virtual time: nothing here is worth waiting for."""

    def __init__(self) -> None:
        clock = VirtualClock()
        super().__init__(clock=clock, loop_clock=clock)
        self.board = BOARDS["test"] = Board(clock)
        self._random = Random(1)
        self._tickets: dict[str, Tickets] = {}

    def adapter(self, user: str, *, trusted: bool = False) -> BoardAdapter:
        config = factory.configure(Config.from_url("board://test"))
        tickets = self._tickets.setdefault(user, Tickets(user))
        return factory.build(config, parts(user, self.clock, random=self._random, credentials=tickets))

    def refreshed(self, user: str) -> int | None:
        return self._tickets[user].fetched

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def cut(self, user: str, *, half_open: bool = False) -> None:
        self.board.cut(user, half_open=half_open)

    def heal(self, user: str) -> None:
        self.board.down.discard(user)

    def lose_ack(self, user: str) -> None:
        self.board.mute.add(user)

    def forbid(self, user: str) -> None:
        self.board.forbidden.add(user)

    def revoke(self, user: str, channel: str) -> None:
        self.board.revoke(user, channel)

    def inject(self, channel: str, data: bytes) -> None:
        self.board.inject(channel, data)

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        self.board.kick(user, CLOSINGS[closing], closing.after)

    def refusals(self) -> Sequence[Refusal]:
        return tuple(REFUSALS)

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        self.board.refusing.pop(user, None)
        if refusal is not None:
            self.board.refusing[user] = REFUSALS[refusal]


class TestBoard(AdapterContract):
    """All of it, with nothing skipped."""

    @pytest.fixture
    def kit(self) -> AdapterKit:
        return BoardKit()
