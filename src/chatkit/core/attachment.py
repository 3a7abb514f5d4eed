"""The attachment of one channel: one table of (state, input) → (state, effects).

What a driver owes the table: where there is a connection, a `WANT` that left `detached` or `failed` is
followed by `CONNECTED`. All that the provider says may come late, in any state: an answer that had been given
up, a loss told by a signal and by the call that it broke. So may the end of a wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from chatkit.core.table import Step


class State(Enum):
    """Whether the channel is being received."""

    DETACHED = "detached"
    """Not wanted."""
    ATTACHING = "attaching"
    """Wanted, and waiting for the connection or for the provider's answer."""
    ATTACHED = "attached"
    """Received."""
    SUSPENDED = "suspended"
    """Wanted, but lost or without a connection for long; tried again later."""
    FAILED = "failed"
    """Refused for good; only wanting it anew tries again."""


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
    """Ask the live session for the channel; without one do nothing, `CONNECTED` will come."""
    DETACH = "detach"
    """Tell the live session, if there is one, that the channel is not wanted."""
    WAIT = "wait"
    """Give `TIMER` after the backoff, or later if the provider asked for it; an earlier wait ends."""
    CATCH_UP = "catch_up"
    """Ask the verdict on continuity, and read the log where it is not shown (D17)."""


S, I, E = State, Input, Effect

TABLE: Final[Mapping[tuple[State, Input], Step[State, Effect]]] = {
    (S.DETACHED, I.WANT): Step(S.ATTACHING),
    (S.DETACHED, I.UNWANT): Step(S.DETACHED),
    (S.DETACHED, I.CONNECTED): Step(S.DETACHED),
    (S.DETACHED, I.DISCONNECTED): Step(S.DETACHED),
    (S.DETACHED, I.OVERDUE): Step(S.DETACHED),
    (S.DETACHED, I.ATTACHED): Step(S.DETACHED, (E.DETACH,)),
    (S.DETACHED, I.LOST): Step(S.DETACHED),
    (S.DETACHED, I.REFUSED): Step(S.DETACHED),
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
    # Wanted and answered between the session's first breath and the word that it is open.
    (S.ATTACHED, I.CONNECTED): Step(S.ATTACHED),
    (S.ATTACHED, I.DISCONNECTED): Step(S.ATTACHING),
    (S.ATTACHED, I.OVERDUE): Step(S.SUSPENDED),
    (S.ATTACHED, I.ATTACHED): Step(S.ATTACHED, (E.CATCH_UP,)),
    (S.ATTACHED, I.LOST): Step(S.SUSPENDED, (E.WAIT,)),
    (S.ATTACHED, I.REFUSED): Step(S.FAILED),
    (S.SUSPENDED, I.WANT): Step(S.SUSPENDED),
    (S.SUSPENDED, I.UNWANT): Step(S.DETACHED, (E.DETACH,)),
    (S.SUSPENDED, I.CONNECTED): Step(S.ATTACHING, (E.ATTACH,)),
    (S.SUSPENDED, I.DISCONNECTED): Step(S.SUSPENDED),
    (S.SUSPENDED, I.OVERDUE): Step(S.SUSPENDED),
    # The answer to an attach that had been given up as unanswered.
    (S.SUSPENDED, I.ATTACHED): Step(S.ATTACHED, (E.CATCH_UP,)),
    (S.SUSPENDED, I.LOST): Step(S.SUSPENDED, (E.WAIT,)),
    (S.SUSPENDED, I.REFUSED): Step(S.FAILED),
    (S.SUSPENDED, I.TIMER): Step(S.ATTACHING, (E.ATTACH,)),
    (S.FAILED, I.WANT): Step(S.ATTACHING),
    (S.FAILED, I.UNWANT): Step(S.DETACHED),
    (S.FAILED, I.CONNECTED): Step(S.FAILED),
    (S.FAILED, I.DISCONNECTED): Step(S.FAILED),
    (S.FAILED, I.OVERDUE): Step(S.FAILED),
    (S.FAILED, I.ATTACHED): Step(S.FAILED, (E.DETACH,)),
    (S.FAILED, I.LOST): Step(S.FAILED),
    (S.FAILED, I.REFUSED): Step(S.FAILED),
    **{(other, I.TIMER): Step(other) for other in S if other is not S.SUSPENDED},
}
