"""Bugs planted in the log, in marks and counts, and in how clients live and end: D24, D25, D32."""

from __future__ import annotations

import asyncio
from typing import Any

from chatkit.core import connection
from chatkit.core import receipts as marks
from chatkit.engine import receipts
from chatkit.engine.link import Link
from chatkit.engine.liveness import Liveness
from chatkit.engine.tasks import Tasks
from chatkit.errors import ChatkitError, ProviderError
from chatkit.logs import core as log_core
from chatkit.logs import registers as log_registers
from chatkit.logs.projection import Projection
from chatkit.stores import outbox as store_rows
from tests.testing.planting import bug, wrap
from tests.testing.worlds import Patch, silent, small_outboxes


@bug("D24, D26", "I7", seed=7, steps=100)
def deleted_text_paged_back(patch: Patch) -> None:
    """Pages are of entries: the projection knows nothing of deletes."""

    def apply(real: Any, projection: Any, envelope: Any, item: Any) -> Any:
        return () if envelope.kind == "message.delete" else real(projection, envelope, item)

    wrap(patch, Projection, "apply", apply)


@bug("D24", "I14", seed=6, steps=100)
def page_boundary_off_by_one(patch: Patch) -> None:
    """The next older page begins one message too low."""

    def cut(real: Any, stamps: Any, **place: Any) -> Any:
        page = real(stamps, **place)
        return page if page.before is None else page._replace(before=stamps[page.start - 1].key)

    wrap(patch, log_core, "cut", cut)


@bug("D25", "I9", seed=5, steps=100)
def marks_go_back(patch: Patch) -> None:
    """The mark that came last stands, not the greatest."""
    for owner in (marks, log_registers):
        wrap(patch, owner, "merged", lambda _real, _old, new: new)


@bug("D25", "I9", seed=0, steps=20, profile="memory")
def own_messages_count_as_unread(patch: Patch) -> None:
    """What one wrote oneself is to be read."""

    def tally(real: Any, newest_first: Any, _user: str, *rest: Any, **named: Any) -> Any:
        return real(newest_first, "", *rest, **named)

    wrap(patch, receipts, "tally", tally)


@bug("I10", "I10", seed=5, steps=100, profile="memory", world=small_outboxes)
def outbox_limit_ignored(patch: Patch) -> None:
    """The outbox takes whatever comes."""
    wrap(patch, store_rows, "check_room", lambda _real, _limits, _tally, _row: None)


@bug("I11", "I11", seed=2, steps=20)
def gives_up_after_five_reconnects(patch: Patch) -> None:
    """The fifth loss in a row is taken for a refusal for good."""

    def count(real: Any, link: Any, error: Any) -> None:
        real(link, error)
        if link._failures >= 5 and link.state is not connection.State.FAILED:
            link.state = connection.State.FAILED
            link._cancel_timer()

    wrap(patch, Link, "_count_loss", count)


@bug("D32", "I11", seed=7, steps=150, profile="silent", world=silent)
def half_open_socket_unnoticed(patch: Patch) -> None:
    """Nobody asks whether a silent connection lives."""

    async def death(_real: Any, _liveness: Any) -> ChatkitError:
        await asyncio.Event().wait()
        return ProviderError("never")

    wrap(patch, Liveness, "death", death)


@bug("I12", "I12", seed=0, steps=20)
def task_left_by_closing(patch: Patch) -> None:
    """Closing does not end what watches the deadlines."""

    def spare(tasks: Any) -> None:
        gone = [task for task in tasks._running if task.get_name() == "chatkit:deadlines"]
        tasks._running.difference_update(gone)

    async def aclose(real: Any, tasks: Any, timeout: float) -> Any:
        spare(tasks)
        return await real(tasks, timeout)

    wrap(patch, Tasks, "aclose", aclose)
