"""`Wire`: what a channel and an envelope of an app are at Pusher, as this client is set up."""

from __future__ import annotations

from chatkit.adapters.pusher import box, payload
from chatkit.adapters.pusher.config import PusherConfig
from chatkit.adapters.pusher.names import LONGEST, Kind, name_of
from chatkit.adapters.pusher.signing import Signer
from chatkit.errors import ChatkitError, InvalidMessage, MessageTooLarge, Rejected
from chatkit.model.entry import Stamp
from chatkit.ports.outgoing import Ack, Outgoing


class Wire:
    """Names, packs and measures.

    Args:
        config: Completed.
        signer: Who locks encrypted channels, if anybody here does.
        stamps: Whether a log numbers: room is kept for its stamps.
    """

    def __init__(self, config: PusherConfig, signer: Signer | None, *, stamps: bool) -> None:
        self._kind: Kind = config.channels
        self._signer = signer
        self._room = payload.STAMP_BYTES if stamps else 0
        self.cache = config.cache

    @property
    def locked(self) -> bool:
        """Whether what channels carry is under lock."""
        return self._kind == "encrypted"

    def name(self, channel: str) -> str:
        """Return the channel at Pusher that carries the messages of a channel.

        Raises:
            InvalidMessage: It has no name there.
        """
        found = name_of(channel, self._kind, cache=self.cache)
        if len(found) > LONGEST:
            raise InvalidMessage(f"channel: takes more than {LONGEST} characters at Pusher", channel=channel)
        return found

    def roster(self, channel: str) -> str:
        """Return the one that says who is there; it may be the same."""
        return self.name(channel) if self._kind == "presence" else name_of(channel, "presence")

    def pack(self, name: str, data: bytes, stamp: Stamp | None = None) -> str:
        """Return the data of an event for an envelope."""
        text = payload.pack(data, stamp)
        if self.locked and self._signer is not None:
            return box.lock(self._signer.shared_secret(name), text)
        return text

    def measure(self, data: bytes) -> int:
        """Return the bytes that an envelope takes in an event, room for its stamp included."""
        size = len(data) + self._room
        return box.locked_bytes(size) if self.locked else size

    def problem(self, channel: str, entry: Outgoing) -> Ack | None:
        """Return the answer to an entry that no event can carry."""
        where = {"channel": channel, "message_id": entry.ident.id}
        if self.measure(entry.data) > payload.BYTES:
            return refused(entry, MessageTooLarge("Pusher takes 10,240 bytes an event", **where))
        return None


def refused(entry: Outgoing, error: ChatkitError) -> Ack:
    """Refuse one entry for good."""
    return Ack(entry.ident, "refused", error=error)


def too_many(channel: str, entries: tuple[Outgoing, ...], most: int) -> list[Ack]:
    """Refuse a batch that is longer than declared: no part of it is quietly taken."""
    error = Rejected(f"a batch holds at most {most} entries", channel=channel)
    return [refused(entry, error) for entry in entries]
