"""What is searched: which words a message holds (D24). Every log and store agrees on this."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

FIELDS: Final = ("text", "title", "caption", "description", "name", "fallback")
"""Fields of a body whose text is searched, where they are text; of any type of body."""

_WORD: Final = re.compile(r"[^\W_]+")


def searchable(body: Mapping[str, Any] | None) -> str:
    """Return the text of a body that is searched; empty where it is erased."""
    found = (body.get(field) for field in FIELDS) if body else ()
    return " ".join(text for text in found if isinstance(text, str))


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: each run of letters and digits, in order, repeats too."""
    return _WORD.findall(text.lower())
