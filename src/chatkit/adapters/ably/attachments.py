"""`Attachment`: what was asked of the service for one channel of a connection, and what it answered.

Answers come in the order of what was asked, and name no more than the channel. So an answer to what was given
up meanwhile is told from the one that counts: that is the last. And one that came tells that there is none to
what was asked before it: the service may leave an attach unanswered on a connection that lives.

Source: the Ably sheet, section 7.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Literal, TypeAlias

from chatkit.adapters.ably.members import Members

Asked: TypeAlias = Literal["attach", "detach"]


class Answer(Enum):
    """What an answer means."""

    DONE = auto()
    """It is the answer to what was asked last."""
    STALE = auto()
    """It answers what was given up."""
    UNASKED = auto()
    """Nothing was asked."""
    STRANGE = auto()
    """Something else was asked."""


class Attachment:
    """One channel."""

    def __init__(self) -> None:
        self.attached = False
        self.presence = False
        """Who is there was asked for, too."""
        self.members = Members()
        self._asked: deque[Asked] = deque()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.attached and not self._asked

    @property
    def hears(self) -> bool:
        """Whether what comes is for us."""
        return self.attached and "detach" not in self._asked

    def ask(self, what: Asked) -> None:
        """Take note of what is asked."""
        self._asked.append(what)

    def answered(self, what: Asked) -> Answer:
        """Take note of ATTACHED, or of DETACHED where that was asked for."""
        if not self._asked:
            return Answer.UNASKED if self.attached else Answer.STRANGE
        if what not in self._asked:
            return Answer.STRANGE
        while self._asked.popleft() != what:
            pass  # what was asked before gets no answer any more
        self.attached = what == "attach"
        return Answer.STALE if self._asked else Answer.DONE

    @property
    def detaching(self) -> bool:
        """Whether DETACHED is the answer to a detach."""
        return "detach" in self._asked

    def failed(self) -> Answer:
        """Take note of an ERROR of the channel, or of a DETACHED where an attach was asked for."""
        known, self.attached = self.attached, False
        if self._asked:
            _ = self._asked.popleft()
            return Answer.STALE if self._asked else Answer.DONE
        return Answer.UNASKED if known else Answer.STRANGE
