"""A channel as lines of JSON: out of any log, and into any log, as often as one likes.

Two kinds of line. A *message* is what a person would write down: `id`, `channel`, `at`, `kind`, `user`,
`text`, `reply_to`, and `body` where it is more; edits are folded in, deleted messages left out. An *entry* is
one envelope as it was appended, so that a channel is copied with its edits, reactions and tombstones.

A message that is imported gets the id that its own `id` has for ever, so that a second import finds it there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from chatkit.errors import ConfigError, InvalidMessage, TransportError
from chatkit.model import ijson
from chatkit.model.entry import Folded
from chatkit.model.envelope import Envelope
from chatkit.model.ids import keyed_message_id
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import format_time, parse_time
from chatkit.ports.log import Log
from chatkit.ports.outgoing import Outgoing

SAID: Final = frozenset({"message", "action"})
"""Kinds of line whose text is what somebody said; of any other kind it is a note."""
BATCH: Final = 100
"""Entries in one append."""
PAGE: Final = 500
"""Messages or entries in one read."""
HINT: Final = (
    'Write one JSON object a line: {"id": "1", "user": "ada", "text": "Hello", "at": "2026-01-01T12:00:00Z"};'
    " `kind`, `reply_to` and `body` may follow. Or give what `chatkit log export --entries` wrote."
)

_DEVICE: Final = "import"
_SOURCE: Final = "source"
"""Key of `meta` under which a message remembers the line that it came from."""
_SECRET: Final = b"chatkit transcript"
"""No secret: ids of imported messages are to be the same on every machine."""
_FIELDS: Final = frozenset({"id", "channel", "at", "kind", "user", "text", "reply_to", "body"})


async def export_messages(log: Log, channel: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the messages of a channel, oldest first, as they are now; deleted ones are left out."""
    after = OrderKey(0, "")
    while True:
        page = await log.messages(channel, after=after, limit=PAGE)
        for folded in page.items:
            if not folded.deleted:
                yield _line(folded)
        if page.after is None:
            return
        if page.after <= after:  # or this would never end
            raise TransportError(
                "log: a page ends before it begins", hint="Check whether the log is damaged."
            )
        after = page.after


async def export_entries(log: Log, channel: str) -> AsyncIterator[dict[str, Any]]:
    """Yield every entry of a channel, oldest first: the sender's envelope, and what the log said of it."""
    after: OrderKey | None = None
    while True:
        page = await log.entries(channel, after=after, limit=PAGE)
        for entry in page.items:
            stamp = entry.stamp
            yield {
                "envelope": ijson.loads(entry.data, limit=max(1, len(entry.data))),
                "serial": stamp.key.serial,
                "at": format_time(stamp.at),
            }
            after = stamp.key
        if not page.more:
            return


class Importer:
    """Puts lines into a channel, in their order. Safe to repeat, and to go on with after a break.

    Args:
        log: Where they go.
        channel: The channel.
    """

    def __init__(self, log: Log, channel: str) -> None:
        self._log = log
        self._channel = channel
        self._known: dict[str, Ident] = {}
        self._batch: list[Outgoing] = []
        self.counts: Counter[str] = Counter()
        """Lines by what the log answered: `new`, `duplicate`, `conflict`, `refused` ..."""
        self.refusals: list[str] = []
        """Why the first of those that were not taken in were not."""

    async def put(self, fields: Mapping[str, Any], number: int) -> None:
        """Take a line.

        Args:
            fields: Of the line.
            number: Of the line, for one that has no `id`.

        Raises:
            ConfigError: It says too little, or what would be lost.
            InvalidMessage: No envelope can hold what it says.
        """
        found = self._entry(fields) if "envelope" in fields else self._message(fields, number)
        envelope = Envelope.from_dict(found)  # it says what is wrong with them
        ident = Ident(envelope.sender.user, envelope.id)
        data = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
        self._batch.append(Outgoing(ident, envelope.sender.device, None, data, None))
        if len(self._batch) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Append what waits."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        appended = await self._log.append(self._channel, batch)
        for ack in appended.acks:
            self.counts[ack.outcome] += 1
            if ack.outcome not in {"new", "duplicate"} and len(self.refusals) < BATCH:
                self.refusals.append(f"{ack.ident.id}: {ack.error or ack.outcome}")

    def _entry(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        found = fields["envelope"]
        if not isinstance(found, dict):
            raise ConfigError("`envelope` is no object", hint=HINT)
        return {**cast("dict[str, Any]", found), "channel": self._channel}

    def _message(self, fields: Mapping[str, Any], number: int) -> dict[str, Any]:
        unknown = sorted(set(fields) - _FIELDS)
        if unknown:
            raise ConfigError("a line has a field that would be lost", hint=HINT)
        name, user = fields.get("id", f"line {number}"), fields.get("user")
        if not isinstance(name, str) or not isinstance(user, str):
            raise ConfigError("`id` or `user` is missing or not text", hint=HINT)
        replies = _replies(fields.get("reply_to"))
        ident = Ident(user, keyed_message_id(_SECRET, user, self._channel, name))
        ref = next((self._known[other] for other in replies if other in self._known), None)
        source = {key: fields[key] for key in ("id", "channel", "at", "kind", "reply_to") if key in fields}
        at = _time(fields.get("at"))
        self._known[name] = ident
        quote = {} if ref is None else {"ref": {"id": ref.id, "user": ref.user}}
        return {
            "v": 1,
            "id": ident.id,
            "kind": "message.create",
            "channel": self._channel,
            "sender": {"user": user, "device": _DEVICE},
            "at": format_time(at),
            **quote,
            "body": _body(fields),
            "meta": {_SOURCE: json.dumps(source, ensure_ascii=False, separators=(",", ":"))},
        }


def _line(folded: Folded) -> dict[str, Any]:
    created = Envelope.parse(folded.data)
    shown = created if folded.edit is None else Envelope.parse(folded.edit)
    body = dict(shown.body or {})
    source = _source(created)
    line: dict[str, Any] = {
        "id": created.id,
        "channel": created.channel,
        "at": format_time(created.at or folded.stamp.at),
        "kind": "message",
        "user": folded.ident.user,
        "text": body.get("text", ""),
        "reply_to": [created.ref.id] if created.ref else [],
    }
    line |= source
    plain = "text" if line["kind"] in SAID else "note"
    if body.get("type") != plain or set(body) - {"type", "text"}:
        line["body"] = body
    return line


def _source(created: Envelope) -> dict[str, Any]:
    """Return what a message says of the line that it came from; nothing where it came from none."""
    try:
        found: object = json.loads((created.meta or {}).get(_SOURCE, "{}"))
    except ValueError:
        return {}
    known = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return {key: known[key] for key in known if key in _FIELDS}


def _body(fields: Mapping[str, Any]) -> dict[str, Any]:
    body, text = fields.get("body"), fields.get("text", "")
    if not isinstance(text, str) or not (body is None or isinstance(body, dict)):
        raise ConfigError("`text` is not text, or `body` is no object", hint=HINT)
    if body is not None:
        return dict(cast("dict[str, Any]", body))
    said = fields.get("kind", "message") in SAID
    if said and not text.strip():
        raise ConfigError("`text` is missing", hint=HINT)
    return {"type": "text" if said else "note", "text": text}


def _replies(found: object) -> Sequence[str]:
    listed = [] if found is None else cast("list[object]", found) if isinstance(found, list) else [found]
    if not all(isinstance(other, str) for other in listed):
        raise ConfigError("`reply_to` is neither an id nor a list of ids", hint=HINT)
    return cast("list[str]", listed)


def _time(found: object) -> datetime:
    try:
        return parse_time(found if isinstance(found, str) else "1970-01-01T00:00:00Z")
    except ValueError:
        raise ConfigError("`at` is no time with a zone", hint=HINT) from None


async def import_lines(
    log: Log, channel: str, lines: Iterable[tuple[int, Mapping[str, Any]]], *, name: str
) -> Importer:
    """Put all lines into a channel, and return what became of them.

    Args:
        log: Where they go.
        channel: The channel.
        lines: With their numbers.
        name: What to call the file in errors.

    Raises:
        ConfigError: A line is not as it should be; what stood before it is in the log.
    """
    importer = Importer(log, channel)
    for number, fields in lines:
        try:
            await importer.put(fields, number)
        except (ConfigError, InvalidMessage) as error:
            await importer.flush()
            raise ConfigError(f"{name}:{number}: {error.args[0]}", hint=error.hint or HINT) from None
    await importer.flush()
    return importer
