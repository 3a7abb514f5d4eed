"""`Changing`: edits, deletes and reactions as Ably's own (`native_edits`).

Ably takes an update as often as it is sent, and knows no id by which it would know one again. So each is
preceded by a look at the message's versions: what is there is not sent a second time, and so cannot win over
what came after it (D10). The look also gives what the message is, into which the change is written.
`Reacting` does the same with annotations.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from chatkit.adapters.ably import versions
from chatkit.adapters.ably.annotations import Annotation
from chatkit.adapters.ably.envelopes import BYTES
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.places import annotation_key, moment, time_of, version_key
from chatkit.adapters.ably.reacting import KINDS, Reacted, Reacting
from chatkit.adapters.ably.seeking import Seeking, missing
from chatkit.adapters.ably.versions import Version, version_of
from chatkit.adapters.ably.walking import MARGIN
from chatkit.adapters.ably.wire import Frame
from chatkit.errors import (
    CapabilityError,
    ChatkitError,
    InvalidMessage,
    MessageNotFound,
    MessageTooLarge,
    NotAllowed,
    Rejected,
)
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.outgoing import Ack, Outgoing

_REACT: Final = "annotation-publish and annotation-subscribe"
RIGHTS: Final = {
    "message.update": "message-update-own",
    "message.delete": "message-delete-own",
    "reaction.add": _REACT,
    "reaction.remove": _REACT,
}
"""What a key or token needs beside `history`, by the kind of the change."""


class Change(NamedTuple):
    """A change that is ready to be published."""

    frame: Frame
    serial: str
    """Of the message."""
    kind: str

    def __repr__(self) -> str:
        return f"Change(serial={self.serial!r}, kind={self.kind!r})"


class Changing:
    """Of one connection.

    Args:
        history: Where messages are looked for.
        memory: Where they stand, and what changed them.
        for_all: The connection speaks for anybody: each change says whose it is.
    """

    def __init__(self, history: AblyHistory, memory: Memory, *, for_all: bool) -> None:
        self._history = history
        self._memory = memory
        self._for_all = for_all
        self._seeking = Seeking(history, memory)
        self._reacting = Reacting(history, memory, self._seeking, for_all=for_all)

    async def prepare(self, channel: str, entry: Outgoing) -> Change | Reacted | Ack | None:
        """Return a change as Ably's own.

        Returns:
            An `Ack` where it is there already, or cannot be made; `None`: it goes as a message of its own,
            being none that Ably knows: a change of another user's message, an edit of one that is deleted,
            which shows no more than it does elsewhere, or a reaction taken back that is no annotation.

        Raises:
            ChatkitError: No answer; nothing was written.
        """
        change = _change_of(entry.data)
        if change is None or change.ref is None:
            return None
        target, user = Ident(change.ref.user, change.ref.id), entry.ident.user
        try:
            if change.kind in KINDS:
                found = await self._reacting.prepare(channel, user, change, target)
                if not isinstance(found, Annotation):
                    return found
                return self._there(channel, entry, annotation_key(found.number), outcome="duplicate")
            return await self._prepare(channel, entry, change, target) if target.user == user else None
        except NotAllowed as error:
            refused = explained(error, change.kind)
            refused.channel, refused.message_id = channel, entry.ident.id
            return Ack(entry.ident, "unsent", error=refused, again="reauthenticate")
        except (CapabilityError, MessageNotFound, MessageTooLarge, Rejected) as error:
            return _refused(channel, entry, error)

    def done(self, channel: str, entry: Outgoing, change: Change | Reacted, number: str | None) -> Ack:
        """Return the answer for a change that Ably took; `number`: its own serial, if it was told."""
        if number is None:
            return Ack(entry.ident, "new")
        if isinstance(change, Reacted):
            self._reacting.done(channel, entry.ident.user, change, number)
            return self._there(channel, entry, annotation_key(number), outcome="new")
        item = {**change.frame, "clientId": entry.ident.user}
        told: Frame = change.frame["version"]
        item["version"] = {**told, "serial": number, "clientId": entry.ident.user}
        version = version_of(item)
        now = None if version is None else version.creation(channel)
        if version is not None and now is not None:
            self._memory.recall.change(channel, change.serial, version.changes(now))
        return self._there(channel, entry, version_key(number), outcome="new")

    # -- inside

    async def _prepare(
        self, channel: str, entry: Outgoing, change: Envelope, target: Ident
    ) -> Change | Ack | None:
        serial = await self._seeking.serial(channel, target)
        known = await self._versions(channel, serial, change)
        told = [version for item in known if (version := version_of(item)) is not None]
        for version in told:
            if version.is_of(change.id) and version.editor == entry.ident.user:
                return self._there(channel, entry, version.key, outcome="duplicate")
        newest = told[0] if told and told[0].number == versions.number_of(known[0]) else None
        if newest is not None and newest.action == versions.DELETE and change.kind == "message.update":
            return None
        now = await self._creation(channel, known[0], newest)
        if now is None or now.id != target.id:
            raise missing()
        user = entry.ident.user if self._for_all else None
        frame = versions.pack(serial, change, now, user=user)
        if versions.size_of(frame) > BYTES:
            raise MessageTooLarge("Ably takes 64 KiB a message, with what it was made with")
        return Change(frame, serial, change.kind)

    async def _versions(self, channel: str, serial: str, change: Envelope) -> list[Frame]:
        """Return the versions among which a change would be, newest first.

        Raises:
            TransportError: Ably does not have the message yet, which was made just now.
            MessageNotFound: It has it no more.
        """
        since = 0 if change.hlc is None else int(change.hlc[:12], 16) - MARGIN
        known: list[Frame] = []
        try:
            known = await self._history.pages.versions(channel, serial, since=since)
        except Rejected as error:
            raise self._seeking.unknown(channel, serial, error) from error
        if known:
            return known
        raise self._seeking.unknown(channel, serial)

    async def _creation(self, channel: str, item: Frame, newest: Version | None) -> Envelope | None:
        if newest is None:
            return versions.first_of(item, channel)
        return await self._history.pages.creation(channel, newest)

    def _there(
        self, channel: str, entry: Outgoing, key: OrderKey, *, outcome: Literal["new", "duplicate"]
    ) -> Ack:
        at = time_of(key.serial)
        self._memory.note(channel, key.serial)
        sent_at = None if at is None else moment(at)
        return Ack(entry.ident, outcome, key, sent_at)


def is_change(data: bytes) -> bool:
    """Say whether an envelope is one that goes as Ably's own change."""
    return _change_of(data) is not None


def explained(error: ChatkitError, kind: str) -> ChatkitError:
    """Return a refusal for lack of a right as one that names it; others as they are."""
    if not isinstance(error, NotAllowed):
        return error
    return NotAllowed(
        "the credential has no right to change messages"
        if kind not in KINDS
        else "the credential may not react",
        code=error.code,
        channel=error.channel,
        hint=f"Give the key or token the capabilities history and {RIGHTS[kind]} for this channel, "
        "or leave native_edits out.",
    )


def _change_of(data: bytes) -> Envelope | None:
    try:
        envelope = Envelope.parse(data)
    except InvalidMessage:
        return None
    return envelope if envelope.kind in RIGHTS and envelope.readable else None


def _refused(channel: str, entry: Outgoing, error: ChatkitError) -> Ack:
    error.channel, error.message_id = channel, entry.ident.id
    return Ack(entry.ident, "refused", error=error)
