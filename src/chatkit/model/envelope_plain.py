"""The short way to read an envelope: text messages as `Envelope.encode` writes them, in one match.

Most of what arrives is a message of plain text, written by a chatkit, with its fields in the order of the
table. Such bytes are matched by one expression that grants nothing which the rules of the wire refuse: what
it grants needs neither a decoder of JSON nor a model. All else, also what merely looks unusual, is read the
long way, which alone refuses.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from chatkit.model.envelope_parts import Ref, Root, Sender
from chatkit.model.names import channel_problem, user_problem

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_ABSENT: Final[tuple[object, ...]] = (None, [], {})
_NAMES_KEPT: Final = 4_096
"""Senders and channels whose names were checked lately: a channel hears few of either."""

_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NUMBER = r"[1-9][0-9]{0,14}"  # below 2^53 whatever its digits
_NAME = r'[^"\\\x00-\x1f]{1,140}'  # checked further by `names`
_ROOT = rf'\{{"id":"({_ID})","user":"({_NAME})"\}}'
_TEXT = r'[^"\\\x00-\x1f]*+(?:\\["\\/bfnrt][^"\\\x00-\x1f]*+)*+'  # no \u: it may say what I-JSON cannot
_plain = re.compile(
    rf'\{{"v":1,(?:"min":1,)?"id":"({_ID})","kind":"message\.(create|update)","channel":"({_NAME})",'
    rf'"sender":\{{"user":"({_NAME})","device":"([a-z0-9]{{6,16}})"\}},'
    rf'(?:"seq":({_NUMBER}),)?(?:"pred":(0|{_NUMBER}),)?'
    rf'(?:"hlc":"([0-9a-f]{{12}}-[0-9a-f]{{4}})",)?(?:"epoch":({_NUMBER}),)?'
    r'"at":"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z)",'
    rf'(?:"ref":{_ROOT},)?(?:"thread":{_ROOT},)?'
    rf'"body":\{{"type":"text","text":"({_TEXT})"\}}\}}',
    re.ASCII,
).fullmatch
_head = re.compile(
    r'\{"v":1,(?:"min":1,)?"id":"[^"\\]+","kind":"[^"\\]+","channel":"[^"\\]+",'
    r'"sender":\{"user":"([^"\\]+)","device":"[^"\\]+"\},'
    r'(?:"seq":[0-9]+,)?(?:"pred":[0-9]+,)?(?:"hlc":"[^"\\]+",)?(?:"epoch":[0-9]+,)?'
    r'"at":"([^"\\]+)"',
).match
"""The first part alone; whether it is true to the rules it leaves to whoever reads the whole."""


def read_head(text: str) -> tuple[str, str] | None:
    """Return who an envelope says it is from, and when it was written, as its text has it.

    `None`: its fields stand in another order, or it is none. What follows is not looked at.
    """
    found = _head(text)
    return None if found is None else (found[1], found[2])


def read_plain(data: bytes) -> dict[str, Any] | None:
    """Return all fields of an `Envelope`, in its order, or `None`: it is to be read the long way."""
    try:
        parts = _parts(data)
        if parts is None:
            return None
        (
            id, kind, channel, user, device, seq, pred, hlc, epoch, at,
            ref_id, ref_user, root_id, root_user, text,
        ) = parts  # fmt: skip
        if "\\" in text:
            text = json.loads(f'"{text}"')
        fields: dict[str, Any] = {
            "v": 1,
            "min": 1,
            "id": id,
            "kind": "message.create" if kind == "create" else "message.update",
            "channel": channel,
            "sender": _sender(user, device),
            "seq": int(seq) if seq else None,
            "pred": int(pred) if pred else None,
            "hlc": hlc,
            "epoch": int(epoch) if epoch else None,
            "at": datetime.fromisoformat(at),
            "ref": Ref(id=ref_id, user=ref_user) if ref_id else None,
            "thread": Root(id=root_id, user=root_user) if root_id else None,
            "topic": None,
            "mentions": (),
            "also": False,
            "body": {"type": "text", "text": text},
            "ttl": None,
            "meta": None,
            "stamp": None,
        }
    except ValueError:  # not UTF-8, no such day, no such user: the long way says which
        return None
    return fields


def write_plain(fields: dict[str, Any]) -> bytes | None:
    """Return an envelope's bytes, or `None`: it is to be written the long way.

    Args:
        fields: As JSON has them; of those in the order of the table, absent and empty ones left out.
    """
    try:
        data = _encode({name: value for name, value in fields.items() if value not in _ABSENT}).encode()
        parts = _parts(data)
        if parts is None:
            return None
        _, _, _, user, device, _, _, _, _, at, *_ = parts
        _sender(user, device)
        datetime.fromisoformat(at)
    except (TypeError, ValueError):  # no JSON, a lone surrogate, no such day or user: the long way says which
        return None
    return data


def _parts(data: bytes) -> tuple[Any, ...] | None:
    """Return what the expression finds, one for each group; `None`: the bytes are no such message."""
    found = _plain(data.decode())
    if found is None or not _is_channel(found[3]):
        return None
    return None if found[2] == "update" and found[11] is None else found.groups()  # it changes nothing


@lru_cache(_NAMES_KEPT)
def _sender(user: str, device: str) -> Sender:
    """Return a sender; one value serves all that it sends."""
    if user_problem(user) is not None:
        raise ValueError
    return Sender(user=user, device=device)


@lru_cache(_NAMES_KEPT)
def _is_channel(name: str) -> bool:
    return channel_problem(name) is None
