"""The connection: one table of (state, input) → (state, effects).

`disconnected` waits between attempts, `connecting` makes one. After the longer of the resume window and two
minutes without a connection the state is `suspended`: still trying, but continuity is no longer expected.

What a driver owes the table: `START` once; each `OPEN` answered once, by `OPENED` or one of the losses, and
each `OPENED` followed by at most one loss. Timers and users need no such care: what they say may come late,
in any state, and is tabled there.
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
    """Not started yet, or waiting before the next attempt."""
    CONNECTING = "connecting"
    """An attempt is being made."""
    CONNECTED = "connected"
    """A session is open."""
    SUSPENDED = "suspended"
    """Away so long that continuity is no longer expected; waiting before the next attempt."""
    SUSPENDED_CONNECTING = "suspended_connecting"
    """Away as long, and an attempt is being made; users see `suspended`."""
    CLOSING = "closing"
    """Asked to stop; what is open is being ended."""
    CLOSED = "closed"
    """Ended for good; what still arrives is closed again."""
    FAILED = "failed"
    """Refused for good; only a user's retry begins again."""

    @property
    def public(self) -> PublicState:
        """The name that users see."""
        return "suspended" if self is State.SUSPENDED_CONNECTING else self.value


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
    """Make one attempt; it ends in `OPENED` or a loss."""
    WAIT = "wait"
    """Give `TIMER` after the backoff, or later if the provider asked for it."""
    WAIT_BRIEFLY = "wait_briefly"
    """Give `TIMER` after a short backoff, or later if the provider asked for it."""
    STOP_WAITING = "stop_waiting"
    """Forget the backoff's timer."""
    REFRESH = "refresh_credentials"
    """Use a fresh credential for the next attempt."""
    WATCH_ABSENCE = "watch_absence"
    """Give `OVERDUE` when the link has been away too long; a watch that runs already starts anew."""
    PROVE = "start_proof"
    """Give `PROVEN` when this session has lived long enough; the watch on absence ends."""
    RESET = "reset_backoff"
    """Count no failures any more."""
    CLOSE = "close_session"
    """End attempt, session and timers, whichever there are; then give `STOPPED`."""


S, I, E = State, Input, Effect

LOST: Final[Mapping[str, Input]] = {
    "never": I.LOST_NEVER,
    "now": I.LOST_NOW,
    "later": I.LOST_LATER,
    "reauthenticate": I.LOST_REAUTHENTICATE,
}
"""The input for each answer to "when may I come again?"."""

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
    (S.CONNECTING, I.OVERDUE): Step(S.SUSPENDED_CONNECTING),
    (S.CONNECTING, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.CONNECTED, I.PROVEN): Step(S.CONNECTED, (E.RESET,)),
    **{(S.CONNECTED, lost): Step(S.DISCONNECTED, (E.WATCH_ABSENCE, *does)) for lost, does in _AWAY.items()},
    (S.CONNECTED, I.LOST_NEVER): Step(S.FAILED),
    (S.CONNECTED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.SUSPENDED, I.TIMER): Step(S.SUSPENDED_CONNECTING, (E.OPEN,)),
    (S.SUSPENDED, I.RETRY): Step(S.SUSPENDED_CONNECTING, (E.STOP_WAITING, E.OPEN)),
    (S.SUSPENDED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.SUSPENDED_CONNECTING, I.OPENED): Step(S.CONNECTED, (E.PROVE,)),
    **{(S.SUSPENDED_CONNECTING, lost): Step(S.SUSPENDED, does) for lost, does in _AWAY.items()},
    (S.SUSPENDED_CONNECTING, I.LOST_NEVER): Step(S.FAILED),
    (S.SUSPENDED_CONNECTING, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.FAILED, I.RETRY): Step(S.CONNECTING, (E.WATCH_ABSENCE, E.OPEN)),
    (S.FAILED, I.STOP): Step(S.CLOSING, (E.CLOSE,)),
    (S.CLOSING, I.STOPPED): Step(S.CLOSED),
    # An attempt that was not to be stopped in time: its session must not stay (I12).
    (S.CLOSING, I.OPENED): Step(S.CLOSING, (E.CLOSE,)),
    (S.CLOSED, I.OPENED): Step(S.CLOSED, (E.CLOSE,)),
    # Late words, which change nothing: of the attempt or session being ended, of timers, of users.
    **{(ended, lost): Step(ended) for ended in (S.CLOSING, S.CLOSED) for lost in LOST.values()},
    **{(ended, given): Step(ended) for ended in (S.CLOSING, S.CLOSED) for given in (I.STOP, I.RETRY)},
    **{(busy, I.RETRY): Step(busy) for busy in (S.CONNECTING, S.CONNECTED, S.SUSPENDED_CONNECTING)},
    **{(other, I.TIMER): Step(other) for other in S if other not in (S.DISCONNECTED, S.SUSPENDED)},
    **{(other, I.OVERDUE): Step(other) for other in S if other not in (S.DISCONNECTED, S.CONNECTING)},
    **{(other, I.PROVEN): Step(other) for other in S if other is not S.CONNECTED},
}
