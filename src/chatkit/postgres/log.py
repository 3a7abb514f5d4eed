"""`FunctionLog`: a log whose rules are functions in a database, by whatever way they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from chatkit.errors import InvalidMessage, NotAllowed, TransportError
from chatkit.model.admission import mismatch
from chatkit.model.envelope import Envelope
from chatkit.model.ids import is_message_id
from chatkit.model.order import Ident, Place
from chatkit.model.paging import bounded
from chatkit.model.registers import Register, check
from chatkit.model.search import SearchMark, SearchPage
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, Entries, Found, LogState, Messages
from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.postgres import rows
from chatkit.postgres.calls import Functions, Json
from chatkit.postgres.rows import could_be, is_text, item, micros, place, readable, state_of

T = TypeVar("T")

STEPS: Final = 100_000
"""Transactions of one `trim`, which forget five hundred entries each: more than any channel has."""


class FunctionLog:
    """The calls of a `Log` that are a call of a function each; its `capabilities`, `changes` and end are not.

    The database decides: each append is one call of one function there, in one transaction. What it said no
    to for good comes as the answer to an entry; where it did not answer, `TransportError`, and the call is
    safe to repeat.

    Args:
        functions: The way to them.
    """

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Number and keep entries, in one transaction and in order (D9)."""
        refused: dict[int, Ack] = {}
        for index, entry in enumerate(entries):
            try:
                problem = mismatch(channel, entry, Envelope.parse(entry.data))
            except InvalidMessage as error:
                problem = error
            if problem is not None:
                refused[index] = Ack(entry.ident, "refused", error=problem)
        rest = [entry for index, entry in enumerate(entries) if index not in refused]

        def read(found: Any) -> Appended:
            answers = zip(rest, found["acks"], strict=True)
            taken = [rows.ack_of(entry.ident, channel, answer) for entry, answer in answers]
            acks = iter(taken)
            both = tuple(refused.get(index) or next(acks) for index in range(len(entries)))
            return Appended(state_of(found["state"]), both)

        sent = Json([item(entry) for entry in rest])
        return await self._ask("append", read, channel, channel=readable(channel), entries=sent)

    async def heads(self, channels: Sequence[str], /) -> Mapping[str, LogState]:
        """Return where each channel stands; one call for all (D16).

        Of those that may not be read nothing is said.

        Raises:
            NotAllowed: None of them may be read.
        """

        def read(found: Any) -> dict[str, LogState]:
            return {name: state_of(found[readable(name)]) for name in channels if readable(name) in found}

        heads = await self._ask("heads", read, names=[readable(name) for name in channels])
        if channels and not heads:
            raise NotAllowed("this user may not read the channel", channel=channels[0])
        return heads

    async def entries(self, channel: str, /, *, after: Place | None, limit: int) -> Entries:
        """Return up to `limit` raw entries after a place, oldest first; `None`: from the floor."""
        return await self._ask(
            "entries",
            rows.entries,
            channel,
            channel=readable(channel),
            after=_place(after),
            how_many=bounded(limit),
        )

    async def messages(
        self,
        channel: str,
        /,
        *,
        before: Place | None = None,
        after: Place | None = None,
        around: Place | None = None,
        limit: int,
        thread: Ident | None = None,
    ) -> Messages:
        """Return up to `limit` folded messages, ascending; no place: the newest."""
        root = Ident("", "") if thread is None or not could_be(thread) else thread
        return await self._ask(
            "messages",
            rows.messages,
            channel,
            channel=readable(channel),
            before=_place(before),
            after=_place(after),
            around=_place(around),
            how_many=bounded(limit),
            root_user=None if thread is None else root.user,
            root_id=None if thread is None else root.id,
        )

    async def get(self, channel: str, idents: Sequence[Ident | str], /) -> Messages:
        """Return the messages named, folded, ascending."""
        named = [
            (name.user, name.id) if isinstance(name, Ident) else (None, name)
            for name in idents
            if (could_be(name) if isinstance(name, Ident) else is_message_id(name))
        ]
        return await self._ask("get", rows.messages, channel, channel=readable(channel), idents=Json(named))

    async def versions(self, channel: str, ident: Ident, /) -> Entries:
        """Return the creation and every edit, delete and restore of one message, oldest first."""
        name = ident if could_be(ident) else Ident("", "")
        return await self._ask(
            "versions", rows.entries, channel, channel=readable(channel), user_id=name.user, id=name.id
        )

    async def find(self, channel: str, idents: Sequence[Ident], /) -> Found:
        """Say which of these envelopes the log has (D10)."""
        named = Json([ident for ident in idents if could_be(ident)])
        return await self._ask("find", rows.found, channel, channel=readable(channel), idents=named)

    async def put(self, new: Sequence[Register], /) -> None:
        """Merge registers, in one transaction."""
        given: list[tuple[Any, ...]] = []
        for register in new:
            check(register)
            given.append((*register[:5], *(register.key or (None, None))))
        where = new[0].channel if new else None
        await self._ask("put", _nothing, where, given=Json(given))

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        """Return registers of a channel by name, of some users or of all."""
        return await self._ask(
            "registers",
            rows.registers,
            channel,
            channel=readable(channel),
            names=list(filter(is_text, names)),
            users=None if users is None else list(filter(is_text, users)),
        )

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        """Count what a user has not read."""

        def read(found: Any) -> dict[str, Unread]:
            return {name: rows.unread(found[readable(name)]) for name in channels}

        where = channels[0] if len(channels) == 1 else None
        names = [readable(name) for name in channels]
        return await self._ask("unread", read, where, reader=readable(user), names=names)

    async def search(
        self,
        text: str,
        /,
        *,
        channels: Sequence[str] | None = None,
        sender: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: SearchMark | None = None,
        limit: int,
    ) -> SearchPage:
        """Return messages that hold all words of a text, newest first."""
        return await self._ask(
            "search",
            rows.search_page,
            said=readable(text),
            names=None if channels is None else list(filter(is_text, channels)),
            sender=None if sender is None else readable(sender),
            since=None if since is None else micros(since),
            until=None if until is None else micros(until),
            before_at=None if before is None else micros(before.at),
            before_name=None if before is None else readable(before.channel),
            before_serial=None if before is None else readable(before.serial),
            how_many=bounded(limit),
        )

    async def trim(self, channel: str, before: Place, /) -> LogState:
        """Forget entries and messages before a place, in several transactions; ids later (D20)."""

        def read(found: Any) -> tuple[bool, LogState]:
            return rows.typed(found["more"], bool), state_of(found["state"])

        for _ in range(STEPS):
            more, state = await self._ask(
                "trimmed", read, channel, channel=readable(channel), before=_place(before)
            )
            if not more:
                return state
        raise TransportError("log: forgetting does not come to an end", channel=channel)

    async def restored(self) -> str:
        """Give the log a new id, and return it: a backup of the database was put in its place (D18)."""
        return await self._ask("restored", rows.text)

    async def _ask(self, name: str, read: Callable[[Any], T], where: str | None = None, **values: Any) -> T:
        """Call a function and read its answer; a refusal that is about a channel names it."""
        try:
            found = await self._functions.call(name, **values)
        except NotAllowed as error:
            error.channel = error.channel or where
            raise
        try:
            return read(found)
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            # Not chained: it would quote what the answer holds (I16).
            raise TransportError("log: there was an answer, but none of the log's", channel=where) from None


def _place(wanted: Place | None) -> Json | None:
    return None if wanted is None else Json(place(wanted))


def _nothing(_: object) -> None:
    """Read the answer of a function that has none."""
