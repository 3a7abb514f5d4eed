"""How fast what was queued offline goes out."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import chatkit
from chatkit.ports import Adapter
from tests.benchmarks.corpus import CHANNEL, spoken


async def drained(offline: str, made: Adapter, count: int, store: str, **options: Any) -> dict[str, float]:
    """Queue while there is no server, then connect: seconds until all is accepted.

    Args:
        offline: The address of a server that is not there.
        made: Leads to one that is, of the same realm.
        count: Messages.
        store: A new file.
        options: Of `connect`, for the life that sends.
    """
    async with chatkit.connect(offline, user="ada", store=store, drain=0.0) as before:
        for _, text in islice(spoken(), count):
            await before.channel(CHANNEL).send(text)
        assert before.outbox.depth == count
    began = time.perf_counter()
    async with chatkit.connect(made, user="ada", store=store, **options) as online:
        report = await online.outbox.flush(timeout=60)
        spent = time.perf_counter() - began
        assert report.failed == report.queued == 0, report  # some may have gone before it looked
    return {"s": spent}
