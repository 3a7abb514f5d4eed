"""What several providers share to reach their servers."""

from __future__ import annotations

from chatkit.transport.calling import http_client, pause_of
from chatkit.transport.line import Line, Source
from chatkit.transport.one_life import OneLife
from chatkit.transport.polling import Item, Poller, Read
from chatkit.transport.servertime import DateClock
from chatkit.transport.tokens import LATEST, claims_of, end_of_jwt, keep_fresh

__all__ = [
    "LATEST",
    "DateClock",
    "Item",
    "Line",
    "OneLife",
    "Poller",
    "Read",
    "Source",
    "claims_of",
    "end_of_jwt",
    "http_client",
    "keep_fresh",
    "pause_of",
]
