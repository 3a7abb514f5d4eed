"""What PostgREST's refusals mean; its words, which may quote what was sent, are not passed on (I16).

Source: the Supabase sheet, section 15.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from chatkit.adapters.supabase.codes import KEYS
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.transport import pause_of

MIGRATE: Final = (
    "Run `chatkit supabase migrate --dsn postgresql://...`, or paste what `chatkit supabase sql` prints into "
    "the project's SQL editor."
)
MEMBERS: Final = "Members are made so: `select chatkit.add_member('channel', 'user')`; owners give roles."
ABSENT: Final = frozenset({"PGRST202", "PGRST205", "42883", "42P01", "3F000"})
"""No such function, table or schema."""
PASSING: Final = ("08", "40", "53", "55P03", "57", "58", "PGRST0")
"""What codes begin with that stand for what passes: connections, conflicts, room, locks, time."""
SPOKEN: Final = 200
"""Characters of what our own functions say that are passed on."""

_CODE: Final = re.compile(r"[A-Z0-9]{1,20}").fullmatch


def refusal(status: int, text: str, retry_after: str | None = None) -> ChatkitError:
    """Return the error of an answer that is none of 2xx.

    Args:
        status: Of HTTP.
        text: The body.
        retry_after: The header.
    """
    told = _told(text)
    code = told["code"] if _CODE(told["code"]) else ""  # of whoever answers: it is shown
    if code.startswith("PT"):  # said by functions of ours: sentences without a word of what was sent
        return _own(status, code, told["message"])
    if code == "42501":
        return NotAllowed(
            "nobody is signed in" if status == 401 else "this credential may not do this",
            code=code,
            hint="Sign the user in: `auth=` gives their token; what no user may do takes the secret key.",
        )
    if status == 401:
        return AuthenticationError(
            "the project refused the credential",
            code=code or "401",
            hint=f"{KEYS} A user's token may have expired or been revoked.",
        )
    if code in ABSENT:
        return ConfigError("log: the project does not have the tables of this version", hint=MIGRATE)
    if status == 429:
        return RateLimited("too many calls", code=code or "429", retry_after=pause_of(retry_after))
    if code == "25006":
        return TransportError(
            "log: the project's database takes no writes", hint="It may be full: look at its dashboard."
        )
    if code.startswith(("22", "23")):
        return InvalidMessage(f"log: the database cannot keep this (SQLSTATE {code})")
    if status >= 500 and (not code or code.startswith(PASSING)):
        return TransportError(f"log: no answer from the database ({code or status})")
    if not code and status == 404:
        return ConfigError("log: there is no project at this address", hint=KEYS)
    if status == 403:
        return NotAllowed("the project does not allow this", code=code or "403")
    return ProviderError(f"log: the project failed ({code or status})", code=code or str(status))


def lacks_schema(error: ChatkitError) -> bool:
    """Say whether the Data API knows no such function: there is none, or it has not looked again since."""
    return isinstance(error, ConfigError) and error.hint == MIGRATE


def _own(status: int, code: str, message: str) -> ChatkitError:
    said = message[:SPOKEN]
    match status:
        case 403:
            return NotAllowed(said, code=code, hint=MEMBERS)
        case 413:
            return Rejected(said, code=code)
        case 422:
            return InvalidMessage(said)
        case _:
            return ProviderError(said, code=code)


def _told(text: str) -> dict[str, str]:
    """Return `code` and `message` of a body; empty where there are none."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    told = {name: fields.get(name) for name in ("code", "message")}
    return {name: value if isinstance(value, str) else "" for name, value in told.items()}
