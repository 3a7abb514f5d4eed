"""`Said`: reactions that are messages of their own, which annotations that nobody heard may overrule.

Between two looks a reaction may be given and taken back, which does not show in what stands. It changes what
is to be shown only where a message says the opposite of what stands, after the annotation that is known.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from chatkit.adapters.ably.annotations import KINDS, Register
from chatkit.errors import InvalidMessage
from chatkit.model.entry import Entry
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey

MESSAGES: Final = 1_000
"""Messages that were reacted to so, the latest, of which that is remembered."""
OF_ONE: Final = 100
"""Reactions to one of them."""
_HINT: Final = b'"reaction.'


class Word(NamedTuple):
    """What the last message says of a reaction."""

    key: OrderKey
    given: bool


class Said:
    """Of one adapter (I10)."""

    def __init__(self) -> None:
        self._words: OrderedDict[tuple[str, Ident], OrderedDict[Register, Word]] = OrderedDict()

    def note(self, channel: str, entry: Entry) -> None:
        """Take note of a message, whatever it is."""
        if _HINT not in entry.data:  # most are no reaction, and stay unread
            return
        try:
            envelope = Envelope.parse(entry.data)
        except InvalidMessage:
            return
        if envelope.ref is None or envelope.emoji is None:
            return
        about = channel, Ident(envelope.ref.user, envelope.ref.id)
        words = self._words.setdefault(about, OrderedDict())
        self._words.move_to_end(about)
        register = envelope.emoji, entry.stamp.user
        word = Word(entry.stamp.key, envelope.kind == KINDS[True])
        if register not in words or words[register].key < word.key:
            words[register] = word
            words.move_to_end(register)
        if len(words) > OF_ONE:
            _ = words.popitem(last=False)
        if len(self._words) > MESSAGES:
            _ = self._words.popitem(last=False)

    def of(self, channel: str, target: Ident | None) -> Mapping[Register, Word]:
        """Return what messages say of a message."""
        return {} if target is None else self._words.get((channel, target), {})
