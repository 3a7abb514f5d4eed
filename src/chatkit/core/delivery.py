"""The life of one outbox entry: one table of (state, input) → state and what is certain (D6)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Final

from chatkit.core.table import Step

if TYPE_CHECKING:
    from chatkit.model.message import Status


class State(Enum):
    """Where an entry is. `IN_DOUBT` shows as `sending`: written, no answer."""

    QUEUED = "queued"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    DISCARDED = "discarded"

    @property
    def status(self) -> Status:
        """The name that users see."""
        return "sending" if self is State.IN_DOUBT else self.value  # type: ignore[return-value]  # the enum's texts are the literals

    @property
    def done(self) -> bool:
        """Whether this is a final status; an uncertain one may still turn into `sent` (I1)."""
        return self in _FINAL


class Input(Enum):
    """What can happen to it."""

    ATTEMPT = "attempt_recorded"
    ACKED = "acknowledged"
    REFUSED = "refused"
    UNSENT = "certainly_not_sent"
    SILENCE = "no_answer"
    ABSENT = "certainly_absent"
    SEEN = "seen_in_channel"
    DEADLINE = "deadline"
    TOO_LATE = "refused_as_too_late"
    DEPENDENCY = "dependency_failed"
    DISCARD = "withdrawn"
    ABANDON = "abandoned"
    RETRY = "retry_asked"


class Effect(Enum):
    """What is known of the new status."""

    CERTAIN = "certain"
    UNCERTAIN = "uncertain"
    LATE = "late"


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
    (S.SENDING, I.TOO_LATE): Step(S.EXPIRED, (E.CERTAIN,)),
    (S.SENDING, I.UNSENT): Step(S.QUEUED),
    (S.SENDING, I.SILENCE): Step(S.IN_DOUBT),
    (S.IN_DOUBT, I.ATTEMPT): Step(S.SENDING),
    (S.IN_DOUBT, I.ABSENT): Step(S.QUEUED),
    (S.IN_DOUBT, I.SEEN): Step(S.SENT, (E.CERTAIN,)),
    (S.IN_DOUBT, I.DEADLINE): Step(S.EXPIRED, (E.UNCERTAIN,)),
    (S.IN_DOUBT, I.ABANDON): Step(S.FAILED, (E.UNCERTAIN,)),
    **{(final, I.SEEN): Step(S.SENT, (E.CERTAIN, E.LATE)) for final in (S.FAILED, S.EXPIRED, S.DISCARDED)},
    (S.SENT, I.SEEN): Step(S.SENT),
    (S.SENT, I.ACKED): Step(S.SENT),
    (S.FAILED, I.RETRY): Step(S.QUEUED),
    (S.EXPIRED, I.RETRY): Step(S.QUEUED),
}
