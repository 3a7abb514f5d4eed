"""`Reacting`: reactions as Ably's annotations (`native_edits`).

To Ably the same annotation twice counts once, but one that was taken back meanwhile would count again. So the
message's annotations are listed before each: what is there is not sent a second time (D10). The list also
says whether a reaction that is taken back is an annotation, or a message of its own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chatkit.adapters.ably.annotations import Annotation, annotation_of, pack
from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.seeking import Seeking
from chatkit.adapters.ably.wire import Frame
from chatkit.errors import Rejected
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident

ADD: Final = "reaction.add"
KINDS: Final = frozenset({ADD, "reaction.remove"})


class Reacted(NamedTuple):
    """A reaction that is ready to be published."""

    frames: list[Frame]
    """One, or one for each way in which the emoji is written."""
    serial: str
    """Of the message."""
    kind: str
    target: Ident

    def __repr__(self) -> str:
        return f"Reacted(serial={self.serial!r}, kind={self.kind!r})"


class Reacting:
    """Of one connection.

    Args:
        history: Where annotations are listed.
        memory: Told what was done.
        seeking: Finds messages.
        for_all: The connection speaks for anybody: each annotation says whose it is.
    """

    def __init__(self, history: AblyHistory, memory: Memory, seeking: Seeking, *, for_all: bool) -> None:
        self._history = history
        self._memory = memory
        self._seeking = seeking
        self._for_all = for_all

    async def prepare(
        self, channel: str, user: str, change: Envelope, target: Ident
    ) -> Reacted | Annotation | None:
        """Return a user's reaction as Ably's own.

        Returns:
            An `Annotation` where it is there already; `None`: it goes as a message of its own, for Ably has
            what is given already, or lacks what is taken back. So each annotation is one that summaries tell
            of; which of the two came later, serials say.

        Raises:
            ChatkitError: No answer, or it cannot be made; nothing was written.
        """
        reacted, ident = self._memory.recall.reacted, Ident(user, change.id)
        if reacted.is_plain(ident):
            return None
        serial = await self._seeking.serial(channel, target)
        try:
            known = await self._history.pages.annotations(channel, serial)
        except Rejected as error:
            raise self._seeking.unknown(channel, serial, error) from error
        own = sorted((one for one in known if one.user == user), key=lambda one: one.number)
        for one in own:
            if one.is_of(change.id, user):
                return one
        last = {one.name: one for one in own if one.emoji == change.emoji}
        names = [name for name, one in last.items() if one.given]
        if (change.kind == ADD) == bool(names):
            reacted.goes_plain(ident)
            return None
        names = names or [change.emoji or ""]
        frames = pack(serial, change, names, user=user if self._for_all else None)
        return Reacted(frames, serial, change.kind, target)

    def done(self, channel: str, user: str, change: Reacted, number: str) -> None:
        """Take note of a reaction that Ably took; `number`: of its annotation."""
        made = annotation_of({**change.frames[0], "clientId": user, "serial": number})
        reaction = None if made is None else made.reaction(channel, change.target)
        if reaction is not None:
            self._memory.recall.reacted.note(channel, change.serial, [reaction])
