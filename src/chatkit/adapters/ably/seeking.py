"""`Seeking`: under which serial the message stands that a change is about."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from chatkit.adapters.ably.history import AblyHistory
from chatkit.adapters.ably.memory import Memory
from chatkit.errors import MessageNotFound, Rejected, TransportError
from chatkit.model.order import Ident, OrderKey

SEEKS: Final = 100
"""Searches that are gone on with by the next attempt."""
_NOT_FOUND: Final = frozenset({"404", "40400"})


class Seeking:
    """Of one connection.

    Args:
        history: Where messages are looked for.
        memory: Where they stand.
    """

    def __init__(self, history: AblyHistory, memory: Memory) -> None:
        self._history = history
        self._places = memory.recall.places
        self._cuts: OrderedDict[tuple[str, Ident], OrderKey] = OrderedDict()

    async def serial(self, channel: str, target: Ident) -> str:
        """Return the serial of a message.

        Raises:
            MessageNotFound: Ably has it no more.
            TransportError: It was not among so many; the next attempt looks further back. Or no answer.
        """
        known = self._places.serial_of(channel, target)
        if known is not None:
            return known
        found, cut = await self._history.seek(channel, target, before=self._cuts.pop((channel, target), None))
        if found is not None:
            self._places.note(channel, target, found.serial)
            return found.serial
        if cut is None:
            raise missing()
        self._cuts[channel, target] = cut
        if len(self._cuts) > SEEKS:
            _ = self._cuts.popitem(last=False)
        raise TransportError(
            "the message is not among the newest; it is looked for further back", channel=channel
        )

    def unknown(self, channel: str, serial: str, error: Rejected | None = None) -> Exception:
        """Return what it means that Ably tells nothing of a message, or refuses to."""
        if error is not None and error.code not in _NOT_FOUND:
            return error
        if self._history.is_new(serial):
            return TransportError("Ably does not have the message yet", channel=channel)
        return missing()


def missing() -> MessageNotFound:
    """Return that Ably lacks what a change is about."""
    return MessageNotFound(
        "Ably does not have the message that is to be changed",
        hint="It is older than the account keeps messages, or the rule of the channel's namespace in Ably's "
        "dashboard allows no updates, deletes and annotations.",
    )
