"""What is done with an envelope's bytes that were parsed, and so checked, before."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from chatkit.model import ijson
from chatkit.model.envelope import Envelope
from chatkit.model.envelope_plain import read_head

_SHORT: Final = 1_024
"""Bytes of an envelope that is kept for a while once it is parsed."""
_KEPT: Final = 256
"""How many are: of the messages on a screen and those that just came, each is asked for several times."""


def reparse(data: bytes) -> Envelope:
    """Return the envelope of bytes that were parsed before, however long they are."""
    plain = _plain(data) if len(data) <= _SHORT else None
    return Envelope.parse(data, limit=len(data)) if plain is None else plain


@lru_cache(_KEPT)
def _plain(data: bytes) -> Envelope | None:
    """Return a text message; others hold what a user could change, and are made anew each time."""
    return Envelope.parse_plain(data)


def written_at(envelope: Envelope) -> datetime:
    """Return when its sender pressed send; 1970 for one of a later version that does not say."""
    return envelope.at or datetime.fromtimestamp(0, UTC)


def written(data: bytes) -> datetime:
    """Return the same of bytes that were parsed before: most say it in their first part."""
    head = read_head(data[:_SHORT].decode("utf-8", "replace"))
    return written_at(reparse(data)) if head is None else datetime.fromisoformat(head[1])


def erased(data: bytes) -> bytes:
    """Return an envelope without its body: what a delete leaves of a creation (D26)."""
    fields = ijson.loads(data, limit=len(data))
    if fields.pop("body", None) is None:
        return data
    return ijson.dumps(fields)


def preference(data: bytes) -> tuple[bool, bytes, bytes]:
    """Return what decides between copies that claim the same place: the lower one stands.

    One that holds its body comes before a claim check for it; then any order will do that does not depend on
    whether the body was erased meanwhile.
    """
    return reparse(data).claim is not None, erased(data), data
