"""From a folded fact to the event that readers get, whoever reads: the live path or a replay of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chatkit.core.fold import Voucher
from chatkit.core.message import build_told
from chatkit.core.timeline_bytes import written_at
from chatkit.model.events import (
    Event,
    MessageCreated,
    MessageDeleted,
    MessageUpdated,
    ReactionChanged,
)
from chatkit.model.order import Ident
from chatkit.model.values import maker

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.core.timeline_applied import Applied
    from chatkit.engine.context import Context
    from chatkit.model.cursor import Cursor
    from chatkit.model.message import Message

_SHOWS: Final = frozenset({"created", "updated", "deleted", "restored", "reacted", "unreacted"})
_created = maker(MessageCreated)
_EVENTS: Final[dict[str, type[Event]]] = {
    "message.create": MessageCreated,
    "message.update": MessageUpdated,
    "message.restore": MessageUpdated,
    "message.delete": MessageDeleted,
    "reaction.add": ReactionChanged,
    "reaction.remove": ReactionChanged,
}


class News(NamedTuple):
    """A fact that readers are to be told of."""

    fact: Fact
    message: Message | None
    """The message after it; `None`: it is not loaded here."""
    previous: Message | None
    target: Ident

    @property
    def needs_message(self) -> bool:
        """Whether the message is not loaded here and no event can be made without it."""
        return self.message is None and self.kind is not ReactionChanged

    @property
    def kind(self) -> type[Event]:
        """The type of the event it gives."""
        return _EVENTS[self.fact.envelope.kind]


def can_fetch(context: Context) -> bool:
    """Whether a message that is not loaded can be read as the log has it now."""
    return context.log is not None and "fold" in context.log.capabilities


def news_of(applied: Applied, cause: Fact | None, *, fetches: bool) -> News | None:
    """Return what there is to tell of a fact that was never told, or `None`.

    A change that lost against a newer one is not told (I7). One whose message is not loaded is told all the
    same where the message can be fetched; a reaction needs none. What was told then is not told again when
    the message turns up and the change, which had waited for it, shows (D22).

    Args:
        applied: What the fold made of it.
        cause: The fact that was folded; of another one, or `None`, `applied` is a change that had waited.
        fetches: Whether messages can be fetched.
    """
    fact, message = applied.fact, applied.message
    kind = fact.envelope.kind
    alone = fetches or kind.startswith("reaction.")
    if applied.outcome == "held":
        return News(fact, None, None, applied.target) if alone else None
    if fact is not cause and alone:
        return None
    if applied.outcome == "duplicate":  # a page read from the log had it already
        if message is None or not _agrees(kind, message, fact):
            return None
    elif applied.outcome not in _SHOWS:
        return None
    return News(fact, message, applied.previous, applied.target)


def event_of(news: News, viewer: str, cursor: Cursor | None) -> Event | None:
    """Return the event of a fact, or `None` where its message is not known.

    Args:
        news: What happened.
        viewer: The user of this client.
        cursor: What to come back with after this event; `None` where there is no log to come back to.
    """
    fact, message = news.fact, news.message
    envelope = fact.envelope
    if envelope.kind == "message.create" and message is not None:
        at, own = fact.sent_at or written_at(envelope), fact.user == viewer
        silent = late = False
        return _created(envelope.id, envelope.channel, at, own, cursor, message, silent, late)
    base: dict[str, Any] = {
        "event_id": envelope.id,
        "channel": envelope.channel,
        "at": fact.sent_at or written_at(envelope),
        "own": fact.user == viewer,
        "cursor": cursor,
    }
    if news.kind is ReactionChanged:
        added = envelope.kind == "reaction.add"
        return ReactionChanged(
            message_id=news.target.id, user=fact.user, emoji=envelope.emoji or "", added=added, **base
        )
    if message is None:
        return None
    if news.kind is MessageDeleted:
        return MessageDeleted(message=message, **base)
    return MessageUpdated(message=message, previous=news.previous, **base)


async def fetched(context: Context, news: News, viewer: str) -> News:
    """Return news with its message as the log has it now; without it where the log lacks it.

    Raises:
        ChatkitError: The log did not answer, or refused.
    """
    channel = news.fact.envelope.channel
    log = context.need_log(channel)
    got = await context.read(lambda: log.get(channel, [news.target]))
    found = next(iter(got.items), None)
    if found is None:
        return news
    message = build_told(
        found,
        Voucher("provider", found.stamp.log_id or context.origin, stamped=True),
        channel=channel,
        viewer=viewer,
        as_of=got.as_of,
        provisional=got.provisional,
    )
    return news._replace(message=message) if _agrees(news.fact.envelope.kind, message, news.fact) else news


def _agrees(kind: str, message: Message, fact: Fact) -> bool:
    """Whether a message that was read later still shows what a fact made of it."""
    match kind:
        case "message.create":
            return message.key == fact.key  # else another copy of its creation stands
        case "message.delete":
            return message.deleted
        case "message.update" | "message.restore":
            return not message.deleted
        case _:
            return True
