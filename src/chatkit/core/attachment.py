"""The attachment of one channel: one table of (state, input) → (state, effects)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from chatkit.core.table import Step


class State(Enum):
    """Whether the channel is being received."""

    DETACHED = "detached"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    SUSPENDED = "suspended"
    FAILED = "failed"


class Input(Enum):
    """What can happen to it."""

    WANT = "wanted"
    UNWANT = "unwanted"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    OVERDUE = "connection_suspended"
    ATTACHED = "attached"
    LOST = "lost_retryable"
    REFUSED = "refused"
    TIMER = "wait_over"


class Effect(Enum):
    """What the driver must do."""

    ATTACH = "attach"
    DETACH = "detach"
    WAIT = "wait"
    CATCH_UP = "catch_up"


S, I, E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], Step[State, Effect]]] = {
    (S.DETACHED, I.WANT): Step(S.ATTACHING),
    (S.DETACHED, I.UNWANT): Step(S.DETACHED),
    (S.DETACHED, I.CONNECTED): Step(S.DETACHED),
    (S.DETACHED, I.DISCONNECTED): Step(S.DETACHED),
    (S.DETACHED, I.OVERDUE): Step(S.DETACHED),
    (S.DETACHED, I.LOST): Step(S.DETACHED),
    (S.DETACHED, I.ATTACHED): Step(S.DETACHED, (E.DETACH,)),
    (S.ATTACHING, I.WANT): Step(S.ATTACHING),
    (S.ATTACHING, I.UNWANT): Step(S.DETACHED, (E.DETACH,)),
    (S.ATTACHING, I.CONNECTED): Step(S.ATTACHING, (E.ATTACH,)),
    (S.ATTACHING, I.DISCONNECTED): Step(S.ATTACHING),
    (S.ATTACHING, I.OVERDUE): Step(S.SUSPENDED),
    (S.ATTACHING, I.ATTACHED): Step(S.ATTACHED, (E.CATCH_UP,)),
    (S.ATTACHING, I.LOST): Step(S.SUSPENDED, (E.WAIT,)),
    (S.ATTACHING, I.REFUSED): Step(S.FAILED),
    (S.ATTACHED, I.WANT): Step(S.ATTACHED),
    (S.ATTACHED, I.UNWANT): Step(S.DETACHED, (E.DETACH,)),
    (S.ATTACHED, I.DISCONNECTED): Step(S.ATTACHING),
    (S.ATTACHED, I.ATTACHED): Step(S.ATTACHED, (E.CATCH_UP,)),
    (S.ATTACHED, I.LOST): Step(S.SUSPENDED, (E.WAIT,)),
    (S.ATTACHED, I.REFUSED): Step(S.FAILED),
    (S.SUSPENDED, I.WANT): Step(S.SUSPENDED),
    (S.SUSPENDED, I.UNWANT): Step(S.DETACHED),
    (S.SUSPENDED, I.CONNECTED): Step(S.ATTACHING, (E.ATTACH,)),
    (S.SUSPENDED, I.DISCONNECTED): Step(S.SUSPENDED),
    (S.SUSPENDED, I.OVERDUE): Step(S.SUSPENDED),
    (S.SUSPENDED, I.TIMER): Step(S.ATTACHING, (E.ATTACH,)),
    (S.FAILED, I.WANT): Step(S.ATTACHING),
    (S.FAILED, I.UNWANT): Step(S.DETACHED),
    (S.FAILED, I.CONNECTED): Step(S.FAILED),
    (S.FAILED, I.DISCONNECTED): Step(S.FAILED),
    (S.FAILED, I.OVERDUE): Step(S.FAILED),
}
