"""What several providers share to reach their servers."""

from __future__ import annotations

from chatkit.transport.calling import http_client
from chatkit.transport.one_life import OneLife
from chatkit.transport.polling import Item, Poller, Read

__all__ = ["Item", "OneLife", "Poller", "Read", "http_client"]
