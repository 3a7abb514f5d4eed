"""Sound inputs to begin from. Bodies and secrets in them hold `SECRET`, which no error may show (I16)."""

from __future__ import annotations

import json
from typing import Any, Final

SECRET: Final = "Xq7-SECRET-9zK"  # noqa: S105  # nobody's
"""Neither a scheme nor an option nor a user: where it stands, something private stands."""

_ID: Final = "018f6c1e-7b3a-7c11-9d3e-{:012x}"
_STAMP: Final = {
    "epoch": 2,
    "log": "log-1",
    "serial": f"{9:020d}",
    "prev": f"{8:020d}",
    "at": "2026-11-23T10:00:00.000Z",
}


def _envelope(
    number: int, kind: str, *, user: str = "mallory", channel: str = "support", **fields: Any
) -> bytes:
    known: dict[str, Any] = {
        "v": 1,
        "min": 1,
        "id": _ID.format(number),
        "kind": kind,
        "channel": channel,
        "sender": {"user": user, "device": "k3v9x2"},
        "seq": number,
        "pred": number - 1,
        "hlc": f"0193581fa2c0-{number:04x}",
        "epoch": 1,
        "at": "2026-11-23T10:00:00.000Z",
    }
    return json.dumps(known | fields, ensure_ascii=False, separators=(",", ":")).encode()


def _text(text: str = SECRET) -> dict[str, str]:
    return {"type": "text", "text": text}


_REF: Final = {"id": _ID.format(1), "user": "mallory"}

ENVELOPES: Final[tuple[bytes, ...]] = (
    _envelope(1, "message.create", body=_text()),
    _envelope(2, "message.create", body=_text("🌊 ÿ " + SECRET), thread=_REF, also=True, mentions=["ada", "*"], topic="tea"),
    _envelope(3, "message.create", body=_text(), ref=_REF, meta={"traceparent": SECRET}, stamp=_STAMP | {"user": "mallory"}),
    _envelope(4, "message.create", body={"type": "claim", "bytes": 70_000, "summary": SECRET, "fallback": SECRET}),
    _envelope(5, "message.create", body={"type": "card", "title": SECRET, "fields": {"a": SECRET}, "text": SECRET}),
    _envelope(6, "message.create", body={"type": "image", "source": SECRET, "width": 7, "caption": SECRET}),
    _envelope(7, "message.create", body={"type": "poll.v1", "fallback": SECRET, "options": [SECRET]}, extra={"x": [SECRET]}),
    _envelope(8, "message.update", ref=_REF | {"base": 1}, body=_text()),
    _envelope(9, "message.delete", ref=_REF),
    _envelope(10, "message.restore", ref=_REF),
    _envelope(11, "reaction.add", ref=_REF, body={"type": "reaction", "emoji": "👍"}),
    _envelope(12, "reaction.remove", ref=_REF, body={"type": "reaction", "emoji": "👍"}),
    _envelope(13, "state.read", body={"type": "mark", "epoch": 1, "serial": f"{1:020d}", "id": _ID.format(1)}),
    _envelope(14, "state.delivered", body={"type": "mark", "epoch": 1, "serial": f"{1:020d}", "id": _ID.format(1)}),
    _envelope(15, "state.role"),
    _envelope(16, "state.pin"),
    _envelope(17, "typing", body={"type": "typing", "on": True}, ttl=6_000),
    _envelope(18, "presence.status", body={"type": "presence", "status": "away", "data": {"mood": SECRET}}, ttl=9_000),
    _envelope(19, "presence.ask", body={"type": "presence"}, ttl=9_000),
    _envelope(20, "x.wave", body={"type": "x", "data": {"to": SECRET}}, ttl=1_000),
    _envelope(21, "direct.open", channel="u.ada", body={"type": "direct", "user": "mallory"}),
    _envelope(22, "message.create", channel="dm.ada.mallory", body=_text()),
    _envelope(23, "poll.close", body={"type": "poll", "answer": SECRET}),
    _envelope(24, "message.create", min=2, v=2, body=[SECRET], ref={"new": SECRET}),
)  # fmt: skip
"""One of every shape."""

BODIES: Final[tuple[bytes, ...]] = tuple(
    json.dumps(found["body"], ensure_ascii=False).encode()
    for found in map(json.loads, ENVELOPES)
    if isinstance(found.get("body"), dict)
)
"""The same, of bodies alone."""

CURSORS: Final = (
    b"start",
    b"c1.WyJsb2ctMSIsInN1cHBvcnQiLDEsIjAwMDAwMDAwMDAwMDAwMDAxMDQyIl0",
    b"c1.WyJtZW1vcnk6Ly94IiwiZG0uYWRhLmJvYiIsMSwiMDE5MzU4MWZhMmMwLTAwMDMiXQ",
)
NAMES: Final = (
    *(
        b"support",
        b"dm.ada.bob",
        b"u.ada",
        b"ada",
        b"*",
        "\u00e9t\u00e9 🌊".encode(),
        b"_c3_a9",
        b"a.b-c_d",
        "👍🏽".encode(),
    ),
    b"018f6c1e-7b3a-7c11-9d3e-0123456789ab",
)
PLACES: Final = (
    b"1:00000000000000001042",
    b'{"id":"018f6c1e-7b3a-7c11-9d3e-0123456789ab","user":"ada","by":"bob","at":"2026-11-23T10:00:00.000Z"}',
)
URLS: Final = tuple(
    url.encode()
    for url in (
        f"pusher://KEY:{SECRET}@eu/123?host=127.0.0.1&port=6001&tls=0",
        f"ably://app.key:{SECRET}@[::1]:8080",
        f"supabase://KEY:{SECRET}@project/x",
        "memory://demo?like=ably&offline=1&resume=5&history=60",
        f"memory://demo?like={SECRET}",
        f"https://user:{SECRET}@relay.example/x",
    )
)
LOG_URLS: Final = (
    b"sqlite:///shop.db",
    b"sqlite:///a%20b/%F0%9F%8C%8A.db",
    f"postgresql://user:{SECRET}@host:5432/app?sslmode=require".encode(),
    f"postgresql://user:{SECRET}@h1:1,h2:2/app".encode(),
    f"sqlite://user:{SECRET}@host/x".encode(),
)
LOCATIONS: Final = (
    b"ada.db",
    b"outbox/",
    b":memory:",
    b"file" + b":ada.db?mode=rw",
    b"file" + b"://localhost/x/ada.db?mode=ro",
)
