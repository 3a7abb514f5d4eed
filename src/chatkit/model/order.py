"""What orders and what names an envelope (D1, D3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime


class OrderKey(NamedTuple):
    """Where an envelope stands in its channel: compared as (number, text) (D3).

    Python compares text by code points, which is by bytes of UTF-8.
    """

    epoch: int
    """One sequencer of one channel; a log names its own, without a log it is 1."""
    serial: str
    """Its place there: 20 digits from a log, the provider's own text, or a hybrid clock reading."""


class Ident(NamedTuple):
    """Who and which: together with the channel, the identity of an envelope (D1)."""

    user: str
    id: str


Place: TypeAlias = "OrderKey | datetime"
"""A position in a channel after the client has resolved it."""


def clock_key(hlc: str, user: str, device: str, id: str) -> OrderKey:
    """Return the order key of an envelope that no sequencer numbered (D3).

    Compared as text it orders by the four in turn: what stands between them is below every character that a
    user id may hold, so that `ada` comes before `ada b`.
    """
    return OrderKey(1, f"{hlc}\x1f{user}\x1f{device}\x1f{id}")
