"""Public `Message` values, built on demand from folded messages and my pending wishes.

Where there is no body to show stands an `UnknownBody`: of type `deleted` if a delete erased it (D26), of type
`unreadable`, with its `fallback` text, if it was written for a later version than ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from chatkit.core.fold import MessageFold, Voucher
from chatkit.core.overlay import Wish
from chatkit.core.timeline_bytes import reparse, written_at
from chatkit.model.bodies import AnyBody, UnknownBody, decode_body
from chatkit.model.entry import Folded
from chatkit.model.envelope import VERSION, Envelope
from chatkit.model.message import Message, Sender
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import EMPTY, maker

_make = maker(Message)

ERASED: Final = UnknownBody(type="deleted", data=MappingProxyType({"type": "deleted"}))
"""The body of a deleted message, and of one that was restored after its text was erased (D26)."""


@dataclass(slots=True)
class _Face:
    """What changes make of a message; pending ones are applied as the fold would apply them."""

    shown: Envelope | None
    """The envelope whose body shows; `None`: erased."""
    deleted: bool
    edited: bool
    reactions: dict[str, frozenset[str]]

    def apply(self, wish: Wish, viewer: str) -> None:
        """Show the effect of a wish on its target (D23)."""
        envelope = wish.envelope
        match envelope.kind:
            case "message.update":
                self.shown, self.edited = envelope, True
            case "message.delete":
                self.shown, self.deleted, self.edited = None, True, False
            case "message.restore":
                self.deleted = False
            case _ if envelope.emoji is not None:
                users = self.reactions.pop(envelope.emoji, frozenset())
                given = envelope.kind == "reaction.add"
                users = users | {viewer} if given else users - {viewer}
                if users:
                    self.reactions[envelope.emoji] = users
            case _:
                pass  # the creation itself


def build(
    fold: MessageFold,
    *,
    channel: str,
    viewer: str,
    replies: int = 0,
    wishes: Sequence[Wish] = (),
    envelope: Envelope | None = None,
) -> Message:
    """Return a confirmed message as a user sees it.

    Args:
        fold: Its state.
        channel: Where it is.
        viewer: Whose messages are `own`.
        replies: How many it has.
        wishes: The viewer's pending wishes for it, in lane order.
        envelope: What `fold.data` holds, where that is parsed already.
    """
    created = envelope or reparse(fold.data)
    if fold.plain and not wishes and created.min <= VERSION:
        return _plain(fold, created, channel, viewer, replies)
    edit = fold.edit
    face = _Face(created if edit is None else reparse(edit), fold.deleted, edit is not None, fold.reactions())
    return _message(created, face, wishes, fold=fold, channel=channel, viewer=viewer, replies=replies)


def _plain(fold: MessageFold, created: Envelope, channel: str, viewer: str, replies: int) -> Message:
    """Return a message that nothing has changed: what `_message` makes of it, and most are."""
    body, user, voucher = created.body, fold.user, fold.voucher
    return _make(
        fold.id,
        channel,
        _sender(user, created.sender.device),
        ERASED if body is None else decode_body(body),
        user == viewer,  # own
        "sent",
        None,  # error
        created.at or written_at(created),
        fold.sent_at,
        fold.key,
        voucher.origin,
        1,  # version
        False,  # edited
        False,  # deleted
        body is not None and body.get("incomplete") is True,
        created.thread.id if created.thread else None,
        created.ref.id if created.ref else None,
        created.topic,
        created.mentions,
        EMPTY,  # reactions
        replies,
        voucher.attested,
        MappingProxyType(created.meta) if created.meta else EMPTY,
        fold.flags,
        created.root if created.thread else None,
    )


@lru_cache(4_096)
def _sender(user: str, device: str) -> Sender:
    """Return a sender; one value serves all messages of a device."""
    return Sender(user=user, device=device)


def build_pending(wishes: Sequence[Wish], *, channel: str, viewer: str) -> Message:
    """Return a message of the viewer that is not confirmed yet.

    Args:
        wishes: The wish that makes it, then those that change it, in lane order.
        channel: Where it is to go.
        viewer: Who writes it.
    """
    created = next(wish.envelope for wish in wishes if wish.creates)
    face = _Face(created, deleted=False, edited=False, reactions={})
    return _message(created, face, wishes, fold=None, channel=channel, viewer=viewer, replies=0)


def build_told(
    folded: Folded,
    voucher: Voucher,
    *,
    channel: str,
    viewer: str,
    as_of: OrderKey | None = None,
    provisional: bool = False,
    wishes: Sequence[Wish] = (),
) -> Message:
    """Return a message of a page that is not kept in a timeline (history, search, get)."""
    fold = MessageFold.told(folded, voucher, as_of=as_of, provisional=provisional)
    return build(fold, channel=channel, viewer=viewer, replies=folded.replies, wishes=wishes)


def _message(
    created: Envelope,
    face: _Face,
    wishes: Sequence[Wish],
    *,
    fold: MessageFold | None,
    channel: str,
    viewer: str,
    replies: int,
) -> Message:
    for wish in wishes:
        if wish.hopeful:
            face.apply(wish, viewer)
    # What confirmed a message confirmed the wish that made it, whether or not that is known yet (D6).
    mine = (wish for wish in reversed(wishes) if not (wish.settled or (fold and wish.creates)))
    newest = next(mine, None)
    ident = fold.ident if fold else Ident(viewer, created.id)
    shown = None if face.deleted else face.shown
    said = (shown.body if shown else None) or EMPTY
    return Message(
        message_id=ident.id,
        channel=channel,
        sender=Sender(user=ident.user, device=created.sender.device),
        body=_body(shown),
        own=ident.user == viewer,
        status=newest.status if newest else "sent",
        error=newest.error if newest else None,
        at=written_at(created),
        sent_at=fold.sent_at if fold else None,
        key=fold.key if fold else None,
        origin=fold.voucher.origin if fold else None,
        version=fold.version if fold else 1,
        edited=face.edited and not face.deleted,
        deleted=face.deleted,
        incomplete=said.get("incomplete") is True,
        thread=created.thread.id if created.thread else None,
        reply_to=created.ref.id if created.ref else None,
        topic=created.topic,
        mentions=(shown and shown.mentions) or created.mentions,
        reactions=MappingProxyType(dict(sorted(face.reactions.items()))) if face.reactions else EMPTY,
        replies=replies,
        attested=fold.voucher.attested if fold else "none",
        meta=MappingProxyType(created.meta) if created.meta else EMPTY,
        flags=fold.flags if fold else frozenset(),
        root=created.root,
    )


def _body(envelope: Envelope | None) -> AnyBody:
    """Return the body to show."""
    if envelope is None:
        return ERASED
    if not envelope.readable:
        words = {"fallback": envelope.fallback} if envelope.fallback else {}
        return UnknownBody(type="unreadable", data={"type": "unreadable", **words})
    return ERASED if envelope.body is None else decode_body(envelope.body)
