"""The descriptor of an adapter: how to make one, and what can be done to its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, NoReturn

import pytest

from chatkit.errors import ChatkitError
from chatkit.ports.adapter import Adapter
from chatkit.ports.context import Clock
from chatkit.ports.outgoing import Again, Outcome, Scope
from chatkit.testing.contract.base import Kit


class Closing(NamedTuple):
    """A way in which the server closes a connection, and what the adapter has to make of it."""

    name: str
    """What the server says: a code, a reason."""
    again: Again
    after: float | None = None
    """Seconds, where the server names them."""


class Refusal(NamedTuple):
    """An answer of the server to a publish, and what the adapter has to make of it (D12)."""

    name: str
    """What the server says: a code, a reason."""
    outcome: Outcome
    error: type[ChatkitError]
    scope: Scope
    again: Again
    after: float | None = None
    """Seconds, where the server names them."""


@dataclass
class AdapterKit(Kit):
    """One server with no history, for one test. Subclass it: `adapter` is all that must be there.

    What is done to the server (`cut`, `inject`, ...) is optional: a test that wants what a kit has not is
    skipped and says so. Users are named as in `adapter`; each control works on all connections of a user.
    """

    _: KW_ONLY
    clock: Clock
    """The server's time, within a minute."""
    echoes: bool = True
    """Whoever publishes hears it too, if attached."""
    shows_all: bool = False
    """Whoever is attached is present, whether they ask who is there or not."""
    hears_passing: bool = True
    """What is emitted is heard; else it goes out, and reaches nobody who hears as these adapters do."""
    patience: float = 5.0
    """Seconds of the loop's time within which what must come has come."""
    quiet: float = 0.1
    """Seconds of the loop's time within which what must not come would have come."""

    def adapter(self, user: str, *, trusted: bool = False) -> Adapter:
        """Make an adapter of one more client of a user. The test closes it.

        Args:
            user: `ada`, `bob` or the like; plain ASCII.
            trusted: With a credential that speaks for any user, if there is one; else `Adapter.trusted` may
                still be true where there is no other.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no adapter for {user}: {trusted=}")

    def channel(self, name: str) -> str:
        """Return the name of a channel nobody has used before; the same for the same word in one test."""
        return name

    async def advance(self, seconds: float) -> None:  # noqa: ARG002  # a kit with a clock overrides it
        """Let time pass, the server's too."""
        self._lacks("let time pass")

    def cut(self, user: str, *, half_open: bool = False) -> None:  # noqa: ARG002  # as above
        """Break a user's connections until `heal`; half-open: nobody is told, and nothing comes through."""
        self._lacks("cut a connection")

    def heal(self, user: str) -> None:  # noqa: ARG002  # as above
        """Let a user connect again."""
        self._lacks("heal a connection")

    def lose_ack(self, user: str) -> None:  # noqa: ARG002  # as above
        """Have the server carry out a user's next publish and its answer lost."""
        self._lacks("lose an acknowledgement")

    def forbid(self, user: str) -> None:  # noqa: ARG002  # as above
        """Have the server refuse every attach of a user from now on."""
        self._lacks("forbid attaching")

    def revoke(self, user: str, channel: str) -> None:  # noqa: ARG002  # as above
        """Have the server close one channel to a user's connections, which live on; attaching again works."""
        self._lacks("close a channel")

    def inject(self, channel: str, data: bytes) -> None:  # noqa: ARG002  # as above
        """Have a member without chatkit send these bytes, as far as the provider lets it."""
        self._lacks("send raw bytes")

    def closings(self) -> Sequence[Closing]:
        """Return the ways in which the server closes connections; at least one of each `again`."""
        self._lacks("close connections")

    def close(self, user: str, closing: Closing) -> None:  # noqa: ARG002  # as above
        """Have the server close a user's connections in one of these ways."""
        self._lacks("close connections")

    def refreshed(self, user: str) -> int | None:  # noqa: ARG002  # as above
        """Say how often a fresh credential was asked for in a user's name; `None`: there are none to ask for."""
        return None

    def refusals(self) -> Sequence[Refusal]:
        """Return the ways in which the server refuses a publish."""
        self._lacks("refuse a publish")

    def refuse(self, user: str, refusal: Refusal | None) -> None:  # noqa: ARG002  # as above
        """Have the server refuse a user's publishes in one of these ways; `None`: no longer."""
        self._lacks("refuse a publish")

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: It was not within `patience`; names `what`.
        """
        waited, step = 0.0, min(0.02, self.patience / 50)
        while not done():
            assert waited < self.patience, f"waited {self.patience} s for: {what}"
            await asyncio.sleep(step)
            waited += step

    async def settle(self) -> None:
        """Let what must not come come."""
        await asyncio.sleep(self.quiet)

    def _lacks(self, what: str) -> NoReturn:
        pytest.skip(f"{type(self).__name__} cannot {what}")
