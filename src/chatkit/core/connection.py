"""The connection: one table of (state, input) → (state, effects).

`disconnected` waits between attempts, `connecting` makes one. After the longer of the resume window and two
minutes without a connection the state is `suspended`: still trying, but continuity is no longer expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal, TypeAlias

from chatkit.core.table import Step

SUSPEND_AFTER: Final = 120.0
"""Seconds without a connection after which it counts as suspended, where the resume window is not longer."""
PROOF: Final = 10.0
"""Seconds a connection must have lived before the backoff starts anew."""

PublicState: TypeAlias = Literal[
    "disconnected", "connecting", "connected", "suspended", "closing", "closed", "failed"
]


class State(Enum):
    """Where the link is. `SUSPENDED_CONNECTING` shows as `suspended`."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    SUSPENDED = "suspended"
    SUSPENDED_CONNECTING = "suspended_connecting"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def public(self) -> PublicState:
        """The name that users see."""
        return "suspended" if self is State.SUSPENDED_CONNECTING else self.value  # type: ignore[return-value]  # the enum's texts are the literals


class Input(Enum):
    """What can happen to the link."""

    START = "start"
    OPENED = "opened"
    LOST_NOW = "lost_retry_now"
    LOST_LATER = "lost_retry_later"
    LOST_REAUTHENTICATE = "lost_reauthenticate"
    LOST_NEVER = "lost_for_good"
    TIMER = "backoff_over"
    RETRY = "retry_asked"
    OVERDUE = "away_too_long"
    PROVEN = "proven"
    STOP = "stop"
    STOPPED = "stopped"


class Effect(Enum):
    """What the driver must do."""

    OPEN = "open"
    WAIT = "wait"
    WAIT_BRIEFLY = "wait_briefly"
    STOP_WAITING = "stop_waiting"
    REFRESH = "refresh_credentials"
    WATCH_ABSENCE = "watch_absence"
    PROVE = "start_proof"
    RESET = "reset_backoff"
    CLOSE = "close_session"


S, I, E = State, Input, Effect

LOST: Final[Mapping[str, Input]] = {
    "never": I.LOST_NEVER,
    "now": I.LOST_NOW,
    "later": I.LOST_LATER,
    "reauthenticate": I.LOST_REAUTHENTICATE,
}

_AWAY: Final = {
    I.LOST_NOW: (E.WAIT_BRIEFLY,),
    I.LOST_LATER: (E.WAIT,),
    I.LOST_REAUTHENTICATE: (E.REFRESH, E.WAIT_BRIEFLY),
}

TABLE: Final[Mapping[tuple[State, Input], Step[State, Effect]]] = {
    (S.DISCONNECTED, I.START): Step(S.CONNECTING, (E.WATCH_ABSENCE, E.OPEN)),
    (S.DISCONNECTED, I.TIMER): Step(S.CONNECTING, (E.OPEN,)),
    (S.DISCONNECTED, I.RETRY): Step(S.CONNECTING, (E.STOP_WAITING, E.OPEN)),
    (S.DISCONNECTED, I.OVERDUE): Step(S.SUSPENDED),
    (S.DISCONNECTED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.CONNECTING, I.OPENED): Step(S.CONNECTED, (E.PROVE,)),
    **{(S.CONNECTING, lost): Step(S.DISCONNECTED, does) for lost, does in _AWAY.items()},
    (S.CONNECTING, I.LOST_NEVER): Step(S.FAILED),
    (S.CONNECTING, I.RETRY): Step(S.CONNECTING),
    (S.CONNECTING, I.OVERDUE): Step(S.SUSPENDED_CONNECTING),
    (S.CONNECTING, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.CONNECTED, I.PROVEN): Step(S.CONNECTED, (E.RESET,)),
    **{(S.CONNECTED, lost): Step(S.DISCONNECTED, (E.WATCH_ABSENCE, *does)) for lost, does in _AWAY.items()},
    (S.CONNECTED, I.LOST_NEVER): Step(S.FAILED),
    (S.CONNECTED, I.RETRY): Step(S.CONNECTED),
    (S.CONNECTED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.SUSPENDED, I.TIMER): Step(S.SUSPENDED_CONNECTING, (E.OPEN,)),
    (S.SUSPENDED, I.RETRY): Step(S.SUSPENDED_CONNECTING, (E.STOP_WAITING, E.OPEN)),
    (S.SUSPENDED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.SUSPENDED_CONNECTING, I.OPENED): Step(S.CONNECTED, (E.PROVE,)),
    **{(S.SUSPENDED_CONNECTING, lost): Step(S.SUSPENDED, does) for lost, does in _AWAY.items()},
    (S.SUSPENDED_CONNECTING, I.LOST_NEVER): Step(S.FAILED),
    (S.SUSPENDED_CONNECTING, I.RETRY): Step(S.SUSPENDED_CONNECTING),
    (S.SUSPENDED_CONNECTING, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.FAILED, I.RETRY): Step(S.CONNECTING, (E.WATCH_ABSENCE, E.OPEN)),
    (S.FAILED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.CLOSING, I.RETRY): Step(S.CLOSING),
    (S.CLOSING, I.STOP): Step(S.CLOSING),
    (S.CLOSING, I.STOPPED): Step(S.CLOSED),
    (S.CLOSED, I.RETRY): Step(S.CLOSED),
    (S.CLOSED, I.STOP): Step(S.CLOSED),
}
