"""`DatabaseLog`: the project's log, whose refusals are answers, as the outbox needs them (D9, D12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from chatkit.adapters.supabase.codes import PAUSE, Verdict
from chatkit.adapters.supabase.rpc import Rpc, RpcLog
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.ports.log import Appended, LogState
from chatkit.ports.outgoing import Outgoing

BATCH: Final = 100
"""Entries in one append."""


class DatabaseLog(RpcLog):
    """The log in the project's database.

    Args:
        rpc: The way to its functions.
        now: The project's clock.
    """

    def __init__(self, rpc: Rpc, now: Callable[[], datetime]) -> None:
        super().__init__(rpc)
        self._now = now

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9).

        Where the project refuses the call, each entry is answered so, and no state is known: `log_id` is "".

        Raises:
            TransportError: The outcome is unknown.
        """
        if len(entries) > BATCH:
            error = Rejected(f"a batch holds at most {BATCH} entries", channel=channel)
            return self._answer(entries, Verdict(error, "refused", "entry", "never"))
        try:
            return await super().append(channel, entries)
        except TransportError:
            raise
        except ChatkitError as error:
            return self._answer(entries, verdict(error, alone=len(entries) == 1))

    def _answer(self, entries: Sequence[Outgoing], verdict: Verdict) -> Appended:
        acks = tuple(verdict.ack(entry.ident) for entry in entries)
        return Appended(LogState("", 1, None, None, self._now()), acks)


def verdict(error: ChatkitError, *, alone: bool) -> Verdict:
    """Return what a refused append means for its entries.

    Args:
        error: As the project refused.
        alone: There was one entry; else nobody knows which one it was about.
    """
    match error:
        case AuthenticationError():
            return Verdict(error, "unsent", "connection", "reauthenticate")
        case RateLimited():
            return Verdict(error, "unsent", "connection", "later", error.retry_after)
        case ConfigError():
            return Verdict(error, "unsent", "connection", "later", PAUSE)
        case NotAllowed():  # once with a fresh token, in case a right was given meanwhile (D12)
            return Verdict(error, "unsent", "entry", "reauthenticate")
        case InvalidMessage() | Rejected():
            return (
                Verdict(error, "refused", "entry", "never")
                if alone
                else Verdict(error, "unsent", "entry", "now")
            )
        case _:
            return Verdict(error, "unsent", "entry", "later")
