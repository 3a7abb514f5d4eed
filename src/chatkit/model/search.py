"""What is searched: which words a message holds (D24). Every log and store agrees on this."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from chatkit.errors import ConfigError
from chatkit.model.entry import Folded

FIELDS: Final = ("text", "title", "caption", "description", "name", "fallback")
"""Fields of a body whose text is searched, where they are text; of any type of body."""

MOST_WORDS: Final = 2_000
"""Different words that are searched for at once: each is looked up in every text that is tried."""
MOST_BYTES: Final = 65_536
"""Of the text that names them, as UTF-8."""

_WORD: Final = re.compile(r"[^\W_]+")


class SearchMark(NamedTuple):
    """Where a search goes on: hits stand newest first, by time, channel and serial (as bytes)."""

    at: datetime
    channel: str
    serial: str


class SearchPage(NamedTuple):
    """Hits, newest first; an envelope names its channel. `next`: older ones lie strictly before it."""

    items: tuple[Folded, ...]
    next: SearchMark | None


def searchable(body: Mapping[str, Any] | None) -> str:
    """Return the text of a body that is searched; empty where it is erased."""
    found = (body.get(field) for field in FIELDS) if body else ()
    return " ".join(text for text in found if isinstance(text, str))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: each run of letters and digits, in order, repeats too."""
    return _WORD.findall(text.lower())


def check_query(text: str) -> None:
    """Check what is searched for. `ConfigError`: it is more than a log looks up."""
    if len(text.encode(errors="replace")) > MOST_BYTES or len(set(words(text))) > MOST_WORDS:
        raise ConfigError(
            f"a search is for at most {MOST_WORDS:,} words, {MOST_BYTES:,} bytes in all",
            hint="Search for fewer words: those that few messages hold.",
        )


def shown_words(folded: Folded) -> list[str]:
    """Return the words of what a message shows; none of one that is deleted, or that cannot be read."""
    if folded.deleted:
        return []
    try:
        envelope = json.loads(folded.edit or folded.data)
        body = envelope.get("body")
    except (ValueError, AttributeError, RecursionError):
        return []
    return words(searchable(cast("dict[str, Any]", body))) if isinstance(body, dict) else []
