"""What several providers share to reach their servers."""

from __future__ import annotations

from chatkit.transport.polling import Item, Poller, Read

__all__ = ["Item", "Poller", "Read"]
