"""What a register says of a pinned message: which one, who pinned it and when."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple, cast

from chatkit.model.ids import is_message_id
from chatkit.model.names import user_problem
from chatkit.model.order import Ident
from chatkit.model.values import format_time, parse_time


class Pinned(NamedTuple):
    """One pinned message."""

    ident: Ident
    by: str
    at: datetime
    """When it was pinned, by the clock of whoever did."""


def pin_text(pinned: Pinned) -> str:
    """Return it as the text of a register's value."""
    fields = {
        "id": pinned.ident.id,
        "user": pinned.ident.user,
        "by": pinned.by,
        "at": format_time(pinned.at),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def pin_of(text: str) -> Pinned | None:
    """Read `pin_text`; `None`: it is none, as of a place that is free."""
    if not text.startswith("{"):
        return None
    try:
        found = cast("dict[str, object]", json.loads(text))
        id, user, by = (str(found[name]) for name in ("id", "user", "by"))
        at = parse_time(str(found["at"]))
    except (ValueError, KeyError, RecursionError):
        return None
    if not is_message_id(id) or user_problem(user) or user_problem(by):
        return None
    return Pinned(Ident(user, id), by, at)
