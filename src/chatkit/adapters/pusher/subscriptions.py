"""One subscription of one connection: a table of (state, input) → (state, effects).

A second subscription to a channel is an error to the hosted service, and an unsubscription has no answer. So
at most one is asked for at a time; one that is no longer wanted while it is asked for is ended when it is
confirmed; and after one without an answer the driver waits for the answer to a ping before it asks again, so
that a late confirmation is not taken for the new one.

Source: the Pusher protocol sheet, section 4.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from chatkit.core.table import Step, Table, step


class State(Enum):
    """What the server knows of it, as far as is known."""

    ABSENT = "absent"
    """Not subscribed."""
    ASKED = "asked"
    """Asked for and wanted."""
    LEAVING = "leaving"
    """Asked for and no longer wanted."""
    LIVE = "live"
    """Subscribed."""
    DOUBT = "doubt"
    """It was asked for and ended without an answer, which may still come."""


class Input(Enum):
    """What can happen to it."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    OVERDUE = "overdue"
    SETTLED = "settled"
    """A ping that was sent after the end has its answer: nothing can come late any more."""


class Effect(Enum):
    """What the driver must do."""

    SEND_SUBSCRIBE = "send_subscribe"
    SEND_UNSUBSCRIBE = "send_unsubscribe"
    CONFIRM = "confirm"
    """Tell who waits that it is subscribed."""
    REFUSE = "refuse"
    """Tell who waits that it is not."""
    LOSE = "lose"
    """Tell that it is subscribed no longer."""


S, I, E = State, Input, Effect

TABLE: Final[Table[State, Input, Effect]] = {
    (S.ABSENT, I.SUBSCRIBE): Step(S.ASKED, (E.SEND_SUBSCRIBE,)),
    (S.ABSENT, I.UNSUBSCRIBE): Step(S.ABSENT),
    (S.ABSENT, I.CONFIRMED): Step(S.ABSENT, (E.SEND_UNSUBSCRIBE,)),
    (S.ABSENT, I.REFUSED): Step(S.ABSENT),
    (S.ABSENT, I.OVERDUE): Step(S.ABSENT),
    (S.ABSENT, I.SETTLED): Step(S.ABSENT),
    (S.ASKED, I.SUBSCRIBE): Step(S.ASKED),
    (S.ASKED, I.UNSUBSCRIBE): Step(S.LEAVING),
    (S.ASKED, I.CONFIRMED): Step(S.LIVE, (E.CONFIRM,)),
    (S.ASKED, I.REFUSED): Step(S.ABSENT, (E.REFUSE,)),
    (S.ASKED, I.OVERDUE): Step(S.DOUBT, (E.SEND_UNSUBSCRIBE,)),
    (S.ASKED, I.SETTLED): Step(S.ASKED),
    (S.LEAVING, I.SUBSCRIBE): Step(S.ASKED),
    (S.LEAVING, I.UNSUBSCRIBE): Step(S.LEAVING),
    (S.LEAVING, I.CONFIRMED): Step(S.ABSENT, (E.SEND_UNSUBSCRIBE,)),
    (S.LEAVING, I.REFUSED): Step(S.ABSENT),
    (S.LEAVING, I.OVERDUE): Step(S.DOUBT, (E.SEND_UNSUBSCRIBE,)),
    (S.LEAVING, I.SETTLED): Step(S.LEAVING),
    (S.LIVE, I.SUBSCRIBE): Step(S.LIVE),
    (S.LIVE, I.UNSUBSCRIBE): Step(S.ABSENT, (E.SEND_UNSUBSCRIBE,)),
    (S.LIVE, I.CONFIRMED): Step(S.LIVE),  # some servers confirm again
    (S.LIVE, I.REFUSED): Step(S.ABSENT, (E.LOSE,)),
    (S.LIVE, I.OVERDUE): Step(S.LIVE),
    (S.LIVE, I.SETTLED): Step(S.LIVE),
    (S.DOUBT, I.SUBSCRIBE): Step(S.DOUBT),  # not before it is settled
    (S.DOUBT, I.UNSUBSCRIBE): Step(S.DOUBT),
    (S.DOUBT, I.CONFIRMED): Step(S.DOUBT),  # it was ended meanwhile
    (S.DOUBT, I.REFUSED): Step(S.DOUBT),
    (S.DOUBT, I.OVERDUE): Step(S.DOUBT),
    (S.DOUBT, I.SETTLED): Step(S.ABSENT),
}


class Subscription:
    """One channel at Pusher on one connection.

    Args:
        name: There.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.ABSENT
        self.members: dict[str, None] = {}
        """Who is present, by user id, where the channel tells."""

    def feed(self, given: Input) -> tuple[Effect, ...]:
        """Take an input; returns what the driver must do."""
        self.state, effects = step(TABLE, self.state, given)
        return effects
