"""What a channel holds, folded from what was accepted in the plainest way there is.

It shares no code with the library: an envelope is read as JSON, entries are sorted and applied one by one.
Where the library and this disagree, one of them lies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from chatkit.model.order import Ident, OrderKey
from chatkit.testing.history import Accepted


@dataclass
class Told:
    """One accepted envelope, read."""

    index: int
    """When it was accepted: its turn among all."""
    at: float
    ident: Ident
    key: OrderKey
    kind: str
    device: str
    seq: int | None
    target: Ident | None
    body: dict[str, Any]
    digest: bytes
    """Of the envelope as it was taken."""
    thread: bool
    """It stands in a thread and not in the channel as well."""


@dataclass
class Truth:
    """One message as it must look."""

    told: Told
    text: str = ""
    deleted: bool = False
    erased: bool = False
    """It was deleted once: its text may be gone for good (D26)."""
    edited: bool = False
    reactions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    written: set[str] = field(default_factory=set[str])
    """Every text that its author ever gave it."""

    @property
    def ident(self) -> Ident:
        """Who wrote it, and its id."""
        return self.told.ident

    @property
    def key(self) -> OrderKey:
        """Its place."""
        return self.told.key


def read(index: int, accepted: Accepted) -> Told | None:
    """Return what an envelope says; `None`: it is none."""
    try:
        said = json.loads(accepted.data)
        ref = said.get("ref")
        return Told(
            index=index,
            at=accepted.at,
            ident=accepted.ident,
            key=accepted.key,
            kind=said["kind"],
            device=said["sender"]["device"],
            seq=said.get("seq"),
            target=None if ref is None else Ident(ref["user"], ref["id"]),
            body=said.get("body") or {},
            digest=sha256(accepted.data).digest(),
            thread=said.get("thread") is not None and not said.get("also"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def fold(entries: Iterable[Told]) -> dict[Ident, Truth]:
    """Return the messages of a channel in order of their places, those of threads left out."""
    found: dict[Ident, Truth] = {}
    changes: list[Told] = []
    for told in sorted(entries, key=lambda one: one.key):
        if told.kind == "message.create":
            if not told.thread and told.ident not in found:  # the lowest place stands (D1)
                found[told.ident] = Truth(told, text=_text(told), written={_text(told)})
        else:
            changes.append(told)
    for change in changes:
        target = None if change.target is None else found.get(change.target)
        if target is not None:
            _apply(change, target)
    return found


def unread(messages: Iterable[Truth], user: str, read_to: OrderKey | None, again: OrderKey | None) -> int:
    """Return how many messages a user has not read.

    Args:
        messages: Of a channel.
        user: Who reads.
        read_to: The place up to which all was read; `None`: nothing was.
        again: The place from which on all was marked unread; `None`: none was.
    """
    others = (one for one in messages if one.ident.user != user and not one.deleted)
    return sum(
        read_to is None or one.key > read_to or (again is not None and one.key >= again) for one in others
    )


def _apply(change: Told, target: Truth) -> None:
    by, author = change.ident.user, target.ident.user
    if change.kind in ("reaction.add", "reaction.remove"):
        users = target.reactions.setdefault(str(change.body.get("emoji")), set())
        (users.add if change.kind == "reaction.add" else users.discard)(by)
    elif by != author:
        return  # nobody here moderates: a log has refused it, without one it is ignored (D2)
    elif change.kind == "message.update":
        target.text, target.edited = _text(change), True
        target.written.add(target.text)
    elif change.kind in ("message.delete", "message.restore"):
        target.deleted = change.kind == "message.delete"
        target.erased = True


def _text(told: Told) -> str:
    text = told.body.get("text")
    return text if isinstance(text, str) else ""
