"""What folding did: the answers of a `Timeline`."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from chatkit.core.fact import Fact
from chatkit.core.fold import Effect
from chatkit.core.timeline_changes import target_of
from chatkit.model.message import Message
from chatkit.model.order import Ident

Outcome: TypeAlias = "Effect | Literal['created', 'conflict', 'held']"
"""What became of a fact.

`conflict`: a creation that is a duplicate but for its body. `held`: its message is not in the window.
"""


class Applied(NamedTuple):
    """What one fact did."""

    outcome: Outcome
    fact: Fact
    message: Message | None = None
    """The message after it, of a `duplicate` as it is anyway; `None` where the fact has no say."""
    previous: Message | None = None
    """The message before it, where it was edited, deleted or restored."""
    kept: bool = True
    """Of a creation: it is in the window."""

    @property
    def target(self) -> Ident:
        """The message that it made or changed."""
        return target_of(self.fact.envelope, self.fact.user)


class Loaded(NamedTuple):
    """What a page brought."""

    messages: int
    """How many messages are in the window that were not before."""
    applied: tuple[Applied, ...]
    """Changes that had waited for its messages, are newer than the page, and show now."""
