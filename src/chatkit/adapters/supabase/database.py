"""`DatabaseLog`: the log in the project's own database, as this adapter declares it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chatkit.adapters.supabase.rpc import RpcLog
from chatkit.errors import Rejected
from chatkit.ports.log import Appended
from chatkit.ports.outgoing import Outgoing

BATCH: Final = 100
"""Entries in one append: they are one transaction, and one answer that is waited for."""


class DatabaseLog(RpcLog):
    """The log in the project's database."""

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9). Raises as `Log.append`."""
        if len(entries) > BATCH:
            raise Rejected(f"a batch holds at most {BATCH} entries", channel=channel)
        return await super().append(channel, entries)
