"""The life of one outbox entry: one table of (state, input) → state and what is certain (D6).

One doubt outlives every later attempt: a refusal of the second says nothing about the first, which was never
answered. Only proof ends it: an acknowledgement, the message seen in its channel, or the word of a log that
looked it up.

What a driver owes the table: `ATTEMPT` is given before the attempt is recorded, so that nothing is withdrawn
or ended meanwhile (a record that fails is `UNSENT`). `DISCARD` is for entries never attempted (D7).
`DEADLINE` and `DEPENDENCY` are not for one in `SENDING`: its answer decides. What is said of one that has
failed or expired meanwhile is dropped, unless it proves that the message is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from chatkit.core.table import Step

if TYPE_CHECKING:
    from chatkit.model.message import Status


class State(Enum):
    """Where an entry is. `IN_DOUBT` shows as `sending`."""

    QUEUED = "queued"
    """Waiting for its turn, and certainly not in the channel."""
    SENDING = "sending"
    """In its first attempt, or in one after it was certainly not in the channel."""
    IN_DOUBT = "in_doubt"
    """Some attempt was never answered, whether or not another is being made; users see `sending`."""
    SENT = "sent"
    """Accepted."""
    FAILED = "failed"
    """Given up, kept as a dead letter with its reason."""
    EXPIRED = "expired"
    """Past its deadline."""
    DISCARDED = "discarded"
    """Withdrawn before any attempt."""

    @property
    def status(self) -> Status:
        """The name that users see."""
        return "sending" if self is State.IN_DOUBT else self.value

    @property
    def done(self) -> bool:
        """Whether this is a final status; an uncertain one may still turn into `sent` (I1)."""
        return self in _FINAL


class Input(Enum):
    """What can happen to it."""

    ATTEMPT = "attempt_recorded"
    ACKED = "acknowledged"
    REFUSED = "refused"
    """This attempt was refused for good; of an earlier one that says nothing."""
    REFUSED_ABSENT = "refused_and_absent"
    """Refused for good by a log, which looked the id up first (D9)."""
    UNSENT = "certainly_not_sent"
    """This attempt did not happen; of an earlier one that says nothing."""
    SILENCE = "no_answer"
    ABSENT = "certainly_absent"
    """No attempt arrived: so says a log that reaches back far enough, or calls it superseded (D9, D10)."""
    SEEN = "seen_in_channel"
    DEADLINE = "deadline"
    TOO_LATE = "refused_as_too_late"
    """By a log, which looked the id up first (D9)."""
    DEPENDENCY = "dependency_failed"
    DISCARD = "withdrawn"
    ABANDON = "abandoned"
    RETRY = "retry_asked"
    """By the user, of an entry that is certainly absent; of a withdrawn one, wished again (D14)."""
    RETRY_IN_DOUBT = "retry_asked_in_doubt"
    """By the user, of an uncertain one that cannot be looked up."""


class Effect(Enum):
    """What is known of the new status."""

    CERTAIN = "certain"
    """It is what happened."""
    UNCERTAIN = "uncertain"
    """An attempt may have arrived all the same."""
    LATE = "late"
    """It had another final status before."""


S, I, E = State, Input, Effect
_FINAL: Final = frozenset({S.SENT, S.FAILED, S.EXPIRED, S.DISCARDED})

TABLE: Final[Mapping[tuple[State, Input], Step[State, Effect]]] = {
    (S.QUEUED, I.ATTEMPT): Step(S.SENDING),
    (S.QUEUED, I.SEEN): Step(S.SENT, (E.CERTAIN,)),
    (S.QUEUED, I.DEADLINE): Step(S.EXPIRED, (E.CERTAIN,)),
    (S.QUEUED, I.DEPENDENCY): Step(S.FAILED, (E.CERTAIN,)),
    (S.QUEUED, I.DISCARD): Step(S.DISCARDED, (E.CERTAIN,)),
    (S.QUEUED, I.REFUSED): Step(S.FAILED, (E.CERTAIN,)),
    (S.SENDING, I.ACKED): Step(S.SENT, (E.CERTAIN,)),
    (S.SENDING, I.SEEN): Step(S.SENT, (E.CERTAIN,)),
    (S.SENDING, I.REFUSED): Step(S.FAILED, (E.CERTAIN,)),
    (S.SENDING, I.REFUSED_ABSENT): Step(S.FAILED, (E.CERTAIN,)),
    (S.SENDING, I.TOO_LATE): Step(S.EXPIRED, (E.CERTAIN,)),
    (S.SENDING, I.UNSENT): Step(S.QUEUED),
    (S.SENDING, I.ABSENT): Step(S.QUEUED),
    (S.SENDING, I.SILENCE): Step(S.IN_DOUBT),
    (S.IN_DOUBT, I.ATTEMPT): Step(S.IN_DOUBT),
    (S.IN_DOUBT, I.ACKED): Step(S.SENT, (E.CERTAIN,)),
    (S.IN_DOUBT, I.SEEN): Step(S.SENT, (E.CERTAIN,)),
    (S.IN_DOUBT, I.REFUSED): Step(S.FAILED, (E.UNCERTAIN,)),
    (S.IN_DOUBT, I.REFUSED_ABSENT): Step(S.FAILED, (E.CERTAIN,)),
    (S.IN_DOUBT, I.TOO_LATE): Step(S.EXPIRED, (E.CERTAIN,)),
    (S.IN_DOUBT, I.UNSENT): Step(S.IN_DOUBT),
    (S.IN_DOUBT, I.SILENCE): Step(S.IN_DOUBT),
    (S.IN_DOUBT, I.ABSENT): Step(S.QUEUED),
    (S.IN_DOUBT, I.DEADLINE): Step(S.EXPIRED, (E.UNCERTAIN,)),
    (S.IN_DOUBT, I.DEPENDENCY): Step(S.FAILED, (E.UNCERTAIN,)),
    (S.IN_DOUBT, I.ABANDON): Step(S.FAILED, (E.UNCERTAIN,)),
    # Its echo came first; what an attempt, a look into the log or a user still says of it changes nothing.
    **{
        (S.SENT, given): Step(S.SENT)
        for given in I
        if given not in (I.ATTEMPT, I.DEADLINE, I.DEPENDENCY, I.DISCARD, I.ABANDON)
    },
    **{(final, I.SEEN): Step(S.SENT, (E.CERTAIN, E.LATE)) for final in (S.FAILED, S.EXPIRED, S.DISCARDED)},
    # It ended while on its way again, or was sent once more with its batch (D10).
    **{(final, I.ACKED): Step(S.SENT, (E.CERTAIN, E.LATE)) for final in (S.FAILED, S.EXPIRED)},
    **{(final, I.RETRY): Step(S.QUEUED) for final in (S.FAILED, S.EXPIRED, S.DISCARDED)},
    **{(final, I.RETRY_IN_DOUBT): Step(S.IN_DOUBT) for final in (S.FAILED, S.EXPIRED)},
}
