"""What went wrong with a store file, as errors of the store."""

from __future__ import annotations

from typing import Final

from chatkit.errors import ChatkitError, OutboxFull, StoreError
from chatkit.sqlite.faults import explained, is_conflict

WHAT: Final = "a chatkit store"
"""What a store file is, in words."""


def conflicts(error: Exception) -> bool:
    """Say whether a row could not be added since there is one like it, or no room for it."""
    return isinstance(error, OutboxFull) or is_conflict(error)


def explain(error: Exception, name: str) -> ChatkitError:
    """Return the error to raise for `error`, which becomes its cause; errors of ours are themselves.

    Args:
        error: What was raised.
        name: The file's name, without its directory.
    """
    return explained(error, name, WHAT, lambda _: StoreError)
