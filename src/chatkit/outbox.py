"""`Outbox`: what this device has accepted and not yet delivered, as users see it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from chatkit.errors import ConfigError, MessageNotFound
from chatkit.given import is_text
from chatkit.model.directs import INVITE
from chatkit.model.message import Status
from chatkit.model.views import FlushReport, OutboxView
from chatkit.stream import Stream, Watched

if TYPE_CHECKING:
    from chatkit.delivery import Delivery
    from chatkit.engine.engine import Engine
    from chatkit.ports import Row
    from chatkit.shared import Shared

STATUSES: Final[tuple[str, ...]] = get_args(Status)


class Outbox:
    """Entries that still have a fate to meet, and those that failed.

    Args:
        owner: The life of the client.
    """

    def __init__(self, owner: Shared) -> None:
        self._owner = owner
        self._watched: Watched[OutboxView] = Watched(self._view)

    @property
    def depth(self) -> int:
        """Entries queued or being sent."""
        return _depth(self._engine())

    @property
    def size(self) -> int:
        """Bytes of their envelopes."""
        return self._engine().outbox.size

    @property
    def oldest(self) -> datetime | None:
        """When the oldest of them was queued."""
        return self._engine().outbox.oldest

    async def entries(
        self, *, status: Status | None = None, channel: str | None = None, limit: int = 100
    ) -> tuple[Delivery, ...]:
        """Return deliveries in queue order, kept ones of an earlier life too.

        Args:
            status: Only these; `None`: all that are kept.
            channel: Only of this channel.
            limit: Most of them, at least 1.

        Raises:
            ConfigError: There is no such status, or the limit is below 1.
        """
        engine = self._open_engine()
        if limit < 1 or (status is not None and status not in STATUSES):
            raise ConfigError(
                "entries() takes a limit of at least 1 and a status",
                hint=f"A status is one of {', '.join(STATUSES)}.",
            )
        rows: list[Row] = []
        after: str | None = None
        while len(rows) < limit:
            page = await engine.context.store.rows(status=status, channel=channel, after=after, limit=limit)
            rows += [row for row in page if row.kind != INVITE]
            if len(page) < limit:
                break
            after = page[-1].entry_id
        return tuple(self._owner.delivery(engine.outbox.adopt_row(row)) for row in rows[:limit])

    async def get(self, id: str, /) -> Delivery:
        """Return a delivery by its own id or by its message's.

        Raises:
            MessageNotFound: None of mine, or sent and forgotten.
        """
        engine = self._open_engine()
        if not is_text(id):
            raise ConfigError(f"an entry is named by its id or its message's, not by {type(id).__name__}")
        entry = engine.outbox.get(id) or engine.outbox.by_message(id)
        if entry is None:
            rows = await engine.context.store.rows(entry_id=id, limit=1)
            if not rows:
                raise MessageNotFound("the outbox has no such entry", message_id=id)
            entry = engine.outbox.adopt_row(rows[0])
        return self._owner.delivery(entry)

    async def flush(self, *, timeout: float | None = None) -> FlushReport:
        """Wait until nothing is queued, the time is over or the client closed; tells, never raises for it."""
        engine = self._open_engine()
        before = engine.outbox.totals.copy()
        await engine.drain(timeout)
        return FlushReport(**report(engine, before))

    def watch(self) -> Stream[OutboxView]:
        """Follow depth and size: the present value first, then the newest after each change."""
        self._owner.check_loop()
        return self._watched.watch()

    def changed(self) -> None:
        """Tell readers; called by the client."""
        self._watched.changed()

    def close(self) -> None:
        """End what watches; called by the client."""
        self._watched.close()

    def _engine(self) -> Engine:
        return self._owner.engine

    def _open_engine(self) -> Engine:
        self._owner.check_open()
        return self._owner.engine

    def _view(self) -> OutboxView:
        outbox = self._engine().outbox
        depth = _depth(self._engine())
        return OutboxView(depth=depth, size=outbox.size, oldest=outbox.oldest, failed=outbox.failed)


def _depth(engine: Engine) -> int:
    """Return how many wishes of users are unfinished."""
    return engine.outbox.depth - engine.outbox.invitations


def report(engine: Engine, before: dict[str, int]) -> dict[str, Any]:
    """Return the fields of a report: what ended since `before`, what is left and why."""
    outbox = engine.outbox
    ended = {
        status: outbox.totals[status] - before.get(status, 0) for status in ("sent", "failed", "expired")
    }
    return {
        "sent": ended["sent"],
        "failed": ended["failed"] + ended["expired"],
        "queued": _depth(engine),
        "durable": engine.context.store.durable,
        "reason": engine.why_queued() if outbox.depth else None,
    }
