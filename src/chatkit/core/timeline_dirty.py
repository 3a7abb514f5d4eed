"""`Dirty`: which messages may look different since somebody last asked."""

from __future__ import annotations

from typing import Final

from chatkit.model.order import Ident

MAX_DIRTY: Final = 1_000
"""Beyond it drawing all is cheaper than telling what changed."""


class Dirty:
    """A bounded set of messages."""

    __slots__ = ("__weakref__", "_idents")

    def __init__(self) -> None:
        self._idents: set[Ident] | None = None

    def __bool__(self) -> bool:
        """Return whether any message may look different."""
        return self._idents is None or bool(self._idents)

    @property
    def all(self) -> bool:
        """Whether any message may look different, so that to add one says nothing new."""
        return self._idents is None

    def add(self, ident: Ident) -> None:
        """Note that a message may look different."""
        if self._idents is not None:
            self._idents.add(ident)
            if len(self._idents) > MAX_DIRTY:
                self._idents = None

    def add_all(self) -> None:
        """Note that any message may look different."""
        self._idents = None

    def take(self) -> set[Ident] | None:
        """Return the messages noted, and start anew; `None`: any may look different, as at first."""
        idents, self._idents = self._idents, set()
        return idents
