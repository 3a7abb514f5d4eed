"""`Reacted`: what is remembered of reactions that are annotations.

No read of history brings them: it shows messages, and what reactions of each stand. So what was heard or
listed is remembered here, for reads that begin behind it and to know what need not be listed again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final, NamedTuple

from chatkit.adapters.ably.annotations import Reaction, Register
from chatkit.model.entry import Entry
from chatkit.model.order import Ident, OrderKey

MESSAGES: Final = 10_000
"""Messages whose reactions are remembered."""
OF_ONE: Final = 1_000
"""Of these so many of one message, the newest, as a timeline does."""
WANTED: Final = 1_000
"""Messages that wait to be listed."""
BYTES: Final = 16_000_000
"""What these take together at most."""


class _Of:
    """Of one message: the last of each reaction, and which of those were passed on as they came."""

    __slots__ = ("connection", "fresh", "known", "listed", "size", "told")

    def __init__(self) -> None:
        self.known = dict[Register, Reaction]()
        self.told = dict[Register, OrderKey]()
        self.connection = 0
        """Over which they were."""
        self.listed: str | None = None
        """They were listed, and none was missed since a channel is heard from this place on."""
        self.fresh = False
        """One came, of which no summary has told yet."""
        self.size = 0

    def stands_as(self, summary: frozenset[Register]) -> bool:
        """Say whether what was given and not taken back is what a summary says, as far as it names users."""
        crowds = {emoji for emoji, user in summary if not user}
        stands = {register for register, reaction in self.known.items() if reaction.given}
        return {one for one in stands if one[0] not in crowds} == {
            one for one in summary if one[0] not in crowds
        }

    @property
    def is_told(self) -> bool:
        """Whether all that is known was passed on."""
        return self.told == {register: reaction.entry.stamp.key for register, reaction in self.known.items()}


class Wanted(NamedTuple):
    """That a message is to be listed: once more for each that came after a list was asked for."""

    number: int
    summary: frozenset[Register] | None
    """What stands; `None`: something came."""


class Reacted:
    """Of one adapter (I10)."""

    def __init__(self) -> None:
        self._messages: OrderedDict[tuple[str, str], _Of] = OrderedDict()
        self._size = 0
        self._forgotten: OrderKey | None = None
        self._wanted: dict[tuple[str, str], Wanted] = {}
        self._wishes = count(1)
        self._connection = 0
        self._plain: OrderedDict[Ident, None] = OrderedDict()

    def begin(self) -> None:
        """Take note that what is passed on from now on goes another way, on which nothing has been yet.

        What was passed on before may have ended with its connection before it was read.
        """
        self._connection += 1

    def note(self, channel: str, serial: str, reactions: Iterable[Reaction]) -> None:
        """Take note of reactions to a message; an older one than is known of the same counts for nothing.

        Args:
            channel: The channel.
            serial: Of the message.
            reactions: What came, or was listed.
        """
        one = self._of(channel, serial)
        self._messages.move_to_end((channel, serial))
        for reaction in reactions:
            before = one.known.get(reaction.register)
            if before is None or before.entry.stamp.key < reaction.entry.stamp.key:
                one.known[reaction.register] = reaction
                self._grow(one, len(reaction.entry.data) - (0 if before is None else len(before.entry.data)))
        while len(one.known) > OF_ONE:
            register = min(one.known, key=lambda each: one.known[each].entry.stamp.key)
            oldest = one.known.pop(register)
            _ = one.told.pop(register, None)
            self._grow(one, -len(oldest.entry.data))
            self._forget([oldest])
        while len(self._messages) > MESSAGES or self._size > BYTES:
            _, oldest_of = self._messages.popitem(last=False)
            self._size -= oldest_of.size
            self._forget(oldest_of.known.values())

    def listed(self, channel: str, serial: str, heard_since: str | None) -> None:
        """Take note that all reactions to a message are known; `heard_since`: what comes will be, too."""
        self._of(channel, serial).listed = heard_since

    def came(self, channel: str, serial: str) -> None:
        """Take note that a reaction came: the next summary tells of it."""
        self._of(channel, serial).fresh = True

    def untold(self, channel: str, serial: str) -> list[Entry]:
        """Return what is known of a message and was not passed on yet, which it is now."""
        one = self._messages.get((channel, serial), _Of())
        if one.connection != self._connection:
            one.connection = self._connection
            one.told.clear()
        found = [
            reaction
            for register, reaction in one.known.items()
            if one.told.get(register) != reaction.entry.stamp.key
        ]
        one.told.update((reaction.register, reaction.entry.stamp.key) for reaction in found)
        return [reaction.entry for reaction in found]

    def of(self, channel: str, serial: str) -> tuple[Entry, ...]:
        """Return what is known of a message: the last of each reaction."""
        one = self._messages.get((channel, serial))
        return () if one is None else tuple(reaction.entry for reaction in one.known.values())

    def is_whole(
        self, channel: str, serial: str, summary: frozenset[Register] | None, heard_since: str | None
    ) -> bool:
        """Say whether nothing has to be listed of a message to read its reactions.

        Args:
            channel: The channel.
            serial: Of the message.
            summary: What stands; `None`: nobody ever reacted.
            heard_since: From which place on the channel is heard; `None`: it is not.
        """
        one = self._messages.get((channel, serial))
        if one is None:
            return summary is None
        return one.listed is not None and one.listed == heard_since and one.stands_as(summary or frozenset())

    def is_doubted(
        self,
        channel: str,
        serial: str,
        summary: frozenset[Register] | None,
        said: Mapping[Register, tuple[OrderKey, bool]],
    ) -> bool:
        """Say whether a reaction may be another than what is known, though that is what stands.

        Args:
            channel: The channel.
            serial: Of the message.
            summary: What stands; `None`: nobody ever reacted.
            said: What messages of their own say, where, and whether it is given.
        """
        one = self._messages.get((channel, serial))
        if one is None or summary is None:
            return False
        last = {register: reaction.entry.stamp.key for register, reaction in one.known.items()}
        return any(
            given != (register in summary) and (register not in last or last[register] < key)
            for register, (key, given) in said.items()
        )

    def stands(self, channel: str, serial: str, summary: frozenset[Register]) -> bool:
        """Say whether what was passed on of a message is what a summary says."""
        one = self._messages.get((channel, serial))
        if one is None:
            return not summary
        return one.connection == self._connection and one.is_told and one.stands_as(summary)

    def is_told(self, channel: str, serial: str, summary: frozenset[Register]) -> bool:
        """Say whether a summary tells of what came and was passed on; the next one tells of something else.

        One that says the same as the last tells of something all the same: of what was given, and what was
        taken back.
        """
        one = self._messages.get((channel, serial))
        if one is None or not one.fresh or not self.stands(channel, serial, summary):
            return False
        one.fresh = False
        return True

    def hear(self, channel: str, serial: str, summary: frozenset[Register]) -> bool:
        """Take note of a summary that came; `False`: it tells of something that did not."""
        told = self.is_told(channel, serial, summary)
        if (one := self._messages.get((channel, serial))) is not None:
            one.fresh = False  # whatever it tells of, it is not what comes next
        if told and (wanted := self._wanted.get((channel, serial))) is not None:
            self._wanted[channel, serial] = wanted._replace(summary=summary)
        return told

    def want(self, channel: str, serial: str, summary: frozenset[Register] | None) -> bool:
        """Take note that a message is to be listed; `False`: too many are, so its next summary is waited for.

        Args:
            channel: The channel.
            serial: Of the message.
            summary: What stands; `None`: something came.
        """
        if (one := self._messages.get((channel, serial))) is not None:
            one.listed = None
        if (channel, serial) not in self._wanted and len(self._wanted) >= WANTED:
            return False
        self._wanted[channel, serial] = Wanted(next(self._wishes), summary)
        return True

    def unwant(self, channel: str, serial: str | None = None) -> None:
        """Take note that a message need not be listed any more; `None`: none of the channel."""
        for key in [key for key in self._wanted if key[0] == channel and serial in {None, key[1]}]:
            del self._wanted[key]

    def wanted(self, channel: str, serial: str) -> Wanted | None:
        """Return why a message is to be listed; `None`: it is not."""
        return self._wanted.get((channel, serial))

    def wanted_of(self, channel: str) -> list[str]:
        """Return the serials of messages that are to be listed."""
        return [serial for name, serial in self._wanted if name == channel]

    def goes_plain(self, ident: Ident) -> None:
        """Take note that a reaction goes as a message of its own, at each attempt (D7)."""
        self._plain[ident] = None
        if len(self._plain) > WANTED:
            _ = self._plain.popitem(last=False)

    def is_plain(self, ident: Ident) -> bool:
        """Say whether a reaction went so."""
        return ident in self._plain

    def since(self, channel: str, after: OrderKey) -> list[Entry]:
        """Return the reactions after a place."""
        return [
            reaction.entry
            for (name, _), one in self._messages.items()
            if name == channel
            for reaction in one.known.values()
            if reaction.entry.stamp.key > after
        ]

    def reaches(self, after: OrderKey) -> bool:
        """Say whether nothing after a place was forgotten."""
        return self._forgotten is None or self._forgotten <= after

    def has_any(self, channel: str) -> bool:
        """Say whether reactions of a channel are known, or may have been."""
        return self._forgotten is not None or any(name == channel for name, _ in self._messages)

    def _of(self, channel: str, serial: str) -> _Of:
        return self._messages.setdefault((channel, serial), _Of())

    def _grow(self, one: _Of, by: int) -> None:
        one.size += by
        self._size += by

    def _forget(self, reactions: Iterable[Reaction]) -> None:
        for reaction in reactions:
            key = reaction.entry.stamp.key
            self._forgotten = key if self._forgotten is None else max(key, self._forgotten)
