"""How a client fares, summed up from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from chatkit.core import delivery
from chatkit.core.connection import State
from chatkit.model.views import Health
from chatkit.ports.raw import RawLog, Shortfall

if TYPE_CHECKING:
    from chatkit.engine.engine import Engine
    from chatkit.errors import ChatkitError


def health_of(engine: Engine, *, closed: bool) -> Health:
    """Return health: `down` is closed or failed for good, `degraded` is anything that wants a look."""
    link, outbox, context = engine.link, engine.outbox, engine.context
    shortfalls = context.log.shortfalls if isinstance(context.log, RawLog) else dict[str, Shortfall]()
    doubt = delivery.State.IN_DOUBT
    retrying = sum(entry.state is doubt or entry.error is not None for entry in outbox.unfinished)
    failing = sorted(name for name, channel in engine.channels.items() if channel.error is not None)
    checks: dict[str, Any] = {
        "connection": {"state": link.state.public, "reason": _words(link.reason)},
        "outbox": {
            "depth": outbox.depth,
            "size": outbox.size,
            "failed": outbox.failed,
            "retrying": retrying,
            "unannounced": outbox.announcer.depth,
            "paused": _words(engine.publishing.paused),
        },
        "store": {"durable": context.store.durable, "errors": context.counters["store_errors"]},
        "channels": {
            "caught_up": sum(channel.caught_up for channel in engine.channels.values()),
            "failing": failing,
        },
        "history": {"shorter_than_said": {name: lack._asdict() for name, lack in sorted(shortfalls.items())}},
        "counters": dict(sorted(context.counters.items())),
        "defects": list(context.defects),
    }
    status: Literal["ok", "degraded", "down"] = "ok"
    if closed or link.state in (State.FAILED, State.CLOSED):
        status = "down"
    elif (
        link.state is not State.CONNECTED
        or engine.publishing.paused
        or retrying
        or failing
        or context.defects
        or shortfalls
    ):
        status = "degraded"
    return Health(status=status, checks=checks)


def _words(error: ChatkitError | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
