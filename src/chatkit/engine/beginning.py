"""From where on facts are news to those who listen: what lies below was there before live began (D15)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatkit.model.order import OrderKey


class Beginning:
    """Where live begins in one channel, in this life.

    The first of my own messages that was accepted while somebody listened, and all that follows it, is news,
    although live may begin later; unless it was accepted in an earlier life.
    """

    def __init__(self) -> None:
        self.settled = asyncio.Event()
        """Set once it is known."""
        self.after: OrderKey | None = None
        """Facts at or below this place are no news, but for one that `expects` names."""
        self._own: OrderKey | None = None
        """The first of my own messages that live began with."""
        self._early: OrderKey | None = None
        """The first of them that was accepted before live began."""
        self._cut_short: OrderKey | None = None
        """What was told last when a first attach had to be asked for again: its answer was lost."""

    def sent(self, key: OrderKey) -> None:
        """Take note of what I sent, while somebody listened, before live began."""
        self._early = key if self._early is None else min(key, self._early)

    def ask(self, told: OrderKey | None) -> None:
        """Take note that the provider is asked for the channel; `told`: up to where readers were told.

        What came live before a first attach that has to be asked for again may not be all there was (I6).
        """
        if not self.settled.is_set() and self._cut_short is None:
            self._cut_short = told

    def settle(
        self, start: OrderKey | None, complete: OrderKey | None
    ) -> tuple[OrderKey, OrderKey | None] | None:
        """Say where the provider begins; returns the range that readers may not be told of, if there is one.

        Args:
            start: Where the provider says that live begins.
            complete: Up to where everything is applied.
        """
        own = self._early
        lived = own is not None and complete is not None and own <= complete
        if own is not None and not lived and (start is None or own <= start):
            self._own = own
        self.settled.set()
        self.after = start if self._own is None else own
        if self._cut_short is not None and (self.after is None or self._cut_short < self.after):
            return self._cut_short, self.after
        return None

    def expects(self, key: OrderKey) -> bool:
        """Whether a fact is to be told although the mark has passed it: live began with it."""
        return key == self._own

    @property
    def with_own(self) -> bool:
        """Whether live began with a message of my own."""
        return self._own is not None

    def is_news(self, key: OrderKey) -> bool:
        """Whether a fact is news to those who listen."""
        return self.after is None or key > self.after or self.expects(key)

    def restart(self, head: OrderKey) -> None:
        """Begin anew behind the head of the log that numbers the channel now (D18)."""
        self._own, self.after = None, head
