"""Sound words of a Supabase project, to begin from: frames, answers of its functions, tokens."""

from __future__ import annotations

import json
from typing import Any, Final

from chatkit.adapters.supabase.protocol import READY
from chatkit.testing.fuzz.samples import ENVELOPES, SECRET

LOG: Final = "chatkit:support"
"""The topic that only the log's keeper writes to."""
LIVE: Final = "chatkit-live:support"
"""The topic that members write to."""

_ENVELOPE: Final = ENVELOPES[0].decode()
_ID: Final = "018f6c1e-7b3a-7c11-9d3e-000000000001"
_AT: Final = 1_790_000_000_000_000


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _all(*values: Any) -> tuple[bytes, ...]:
    return tuple(map(_dumps, values))


def _frame(event: str, payload: Any, *, topic: str = LIVE, ref: str | None = None) -> bytes:
    return _dumps([ref, ref, f"realtime:{topic}", event, payload])


def binary(topic: str, event: str, payload: bytes, *, meta: bytes = b"", kind: int = 4) -> bytes:
    """Return a broadcast as bytes, as the service sends those of its database."""
    parts = (f"realtime:{topic}".encode(), event.encode(), meta)
    return b"".join((bytes([kind, *map(len, parts), 1]), *parts, payload))


_ENTRIES: Final[dict[str, Any]] = {
    "v": 1,
    "log": "log-1",
    "epoch": 1,
    "channel": "support",
    "entries": [
        {
            "serial": f"{9:020d}",
            "prev": f"{8:020d}",
            "user": "mallory",
            "at": _AT,
            "data": _ENVELOPE,
            "by": "provider",
        },
        {
            "serial": f"{10:020d}",
            "prev": f"{9:020d}",
            "user": "mallory",
            "at": _AT,
            "data": None,
            "by": "backend",
        },
    ],
}
_SAID: Final = {"data": _ENVELOPE}
_META: Final = {
    "phx_ref": "F1",
    "phx_ref_prev": "F0",
    "chatkit": json.dumps([["mallory", {"mood": SECRET}], ["eve", {}]]),
}
_STATE: Final = {"018f6c1e": {"metas": [_META]}, "key-2": {"metas": [{"phx_ref": "F2", "name": SECRET}]}}
_REFUSED: Final = {"status": "error", "response": {"reason": f"InvalidJWTToken: {SECRET}"}}
_SYSTEM: Final = {"extension": "system", "status": "error", "message": f"Token has expired {SECRET}"}

PAYLOADS: Final = _all(
    _SAID,
    {"data": [_ENVELOPE, _ENVELOPE]},
    _ENTRIES,
    _STATE,
    _REFUSED,
    {"status": "ok", "response": {"postgres_changes": []}},
    _SYSTEM,
    {"type": "broadcast", "event": "chatkit", "payload": _SAID, "meta": {"id": _ID}},
)
"""What stands in frames."""

FRAMES: Final = (
    _frame("broadcast", {"type": "broadcast", "event": "chatkit", "payload": _SAID}),
    _frame("broadcast", {"type": "broadcast", "event": "entries", "payload": _ENTRIES}, topic=LOG),
    _frame("broadcast", {"type": "broadcast", "event": "wave", "payload": [SECRET], "meta": {"id": _ID}}),
    _frame("presence_state", _STATE),
    _frame("presence_diff", {"joins": _STATE, "leaves": {"key-2": {"metas": [{"phx_ref": "F2"}]}}}),
    _frame("system", _SYSTEM),
    _frame("system", {"extension": "system", "status": "ok", "message": READY}),
    _frame("phx_reply", _REFUSED, topic="more", ref="3"),
    _frame("phx_reply", {"status": "ok", "response": {"id": _ID}}, topic=LIVE, ref="4"),
    _frame("phx_close", {}, topic=LOG, ref="1"),
    _frame("phx_error", {}, topic=LIVE, ref="2"),
    _dumps([None, "5", "phoenix", "phx_reply", {"status": "ok", "response": {}}]),
    binary(LOG, "entries", _dumps(_ENTRIES), meta=_dumps({"id": _ID, "replayed": True})),
    binary(LIVE, "chatkit", _dumps(_SAID)),
    binary(LIVE, "chatkit", _dumps(_SAID), kind=2),
    # Of the protocol's first version, which is not asked for.
    _dumps({"topic": f"realtime:{LIVE}", "event": "broadcast", "payload": {"event": "chatkit"}, "ref": None}),
    _dumps({"topic": f"realtime:{LOG}", "event": "phx_reply", "payload": {"status": "ok"}, "ref": "1"}),
)  # fmt: skip
"""One of every shape, as text and as bytes."""

_LOG_STATE: Final = {"log_id": "log-1", "head": 9, "floor": 0, "now": _AT}
_ENTRY: Final = [9, _AT, "mallory", _ENVELOPE]
_MESSAGE: Final = [
    *(9, _AT, "mallory", _ID, _ENVELOPE, _ENVELOPE, 2, 9, False, 3, 8),
    {"\N{THUMBS UP SIGN}": ["ada", "bob"]},
]

ANSWERS: Final = _all(
    {"state": _LOG_STATE, "items": [_ENTRY, _ENTRY], "more": True},
    {"state": _LOG_STATE, "items": [_MESSAGE, _MESSAGE], "older": 8, "newer": 12},
    {"state": _LOG_STATE, "items": [], "older": 8},
    {"hits": [_MESSAGE], "names": ["support"], "more": True, "log_id": "log-1"},
    {"state": _LOG_STATE, "items": [["mallory", _ID, 9]], "forgotten": _AT},
    {"state": _LOG_STATE, "more": True},
    {"support": _LOG_STATE, "other": _LOG_STATE},
    {"support": [3, 1, True, f"{9:020d}"], "other": [0, 0, True, None]},
    [["support", "mallory", "read", "", "greatest", 1, f"{9:020d}"]],
    {"state": _LOG_STATE, "acks": [{"outcome": "new", "serial": 9, "at": _AT, "prev": 8}]},
    {
        "state": _LOG_STATE,
        "acks": [{"outcome": "refused", "error": "NotAllowed", "reason": "no"}],
    },
    {"code": "PT403", "message": "this user may not read the channel"},
    {"code": "PGRST202", "message": SECRET, "details": SECRET, "hint": None},
    {"code": "22P02", "message": SECRET, "details": None, "hint": None},
    "log-1",
    None,
)  # fmt: skip
"""Of every function, and of refusals."""

CLAIMS: Final = _all(
    {"sub": "ada", "role": "authenticated", "exp": 1_790_000_000, "email": SECRET},
    {"sub": "ada", "role": "authenticated", "exp": 1_790_000_000.5, "session_id": SECRET},
    {"sub": "eve", "role": "authenticated", "exp": 4, "app_metadata": {"providers": [SECRET]}},
    {"role": "service_role", "iss": "supabase", "exp": 2_000_000_000},
)  # fmt: skip
"""What tokens say."""
