"""`Face`: what of a message is counted and searched, kept beside it so that nothing is parsed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chatkit.model.envelope import Envelope
from chatkit.model.names import EVERYONE
from chatkit.model.search import searchable, words


class Face(NamedTuple):
    """What one message shows."""

    user: str
    stands: bool
    """In the channel itself: in no thread, or shown in the channel too."""
    named: tuple[str, ...]
    """Whom its creation mentions."""
    mentions: tuple[str, ...]
    """Whom it mentions as it is now."""
    text: str | None
    """Its words, each between two spaces; `None` while it is deleted."""

    @classmethod
    def created(cls, envelope: Envelope) -> Face:
        """Return the face of a new message."""
        named = tuple(envelope.mentions)
        stands = envelope.thread is None or envelope.also
        return cls(envelope.sender.user, stands, named, named, _indexed(envelope))

    def showing(self, envelope: Envelope | None) -> Face:
        """Return the face of the same message with another envelope's text; `None`: it is deleted."""
        if envelope is None:
            return self._replace(text=None)
        return self._replace(mentions=tuple(envelope.mentions) or self.named, text=_indexed(envelope))

    def unread_by(self, user: str) -> bool:
        """Say whether a user who has read nothing has it unread."""
        return self.stands and self.text is not None and self.user != user

    def calls(self, user: str) -> bool:
        """Say whether it mentions a user, or everyone."""
        return user in self.mentions or EVERYONE in self.mentions

    def holds(self, first: str, others: Sequence[str]) -> bool:
        """Say whether all these words, each between two spaces, are in it."""
        text = self.text
        # Most hold not even the first.
        return text is not None and first in text and all(word in text for word in others)


def _indexed(envelope: Envelope) -> str:
    found = dict.fromkeys(words(searchable(envelope.body)))
    return f" {' '.join(found)} " if found else ""
