"""`Hub`: the provider in this process. It numbers, remembers and announces; clients live on any event loop.

Everything of a hub happens under one lock, so that announcements reach each session in commit order. A
session on the loop that publishes is told at once, one on another loop through that loop's queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Final

from chatkit.adapters.memory.answers import admitted, inadmissible, merged, put_off
from chatkit.adapters.memory.network import Network
from chatkit.adapters.memory.peer import Caller, Peer
from chatkit.adapters.memory.permits import check_hear
from chatkit.adapters.memory.rosters import Rosters
from chatkit.adapters.memory.serials import log_serial
from chatkit.adapters.memory.windows import Places, Repeats
from chatkit.errors import ChatkitError, ConfigError, InvalidMessage, RateLimited, Rejected
from chatkit.model.entry import Entry, Stamp
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Attachment, Present, Received, Signal
from chatkit.ports.context import Clock, RandomSource
from chatkit.ports.log import Appended
from chatkit.ports.outgoing import Ack, Again, Batch, Outgoing

if TYPE_CHECKING:
    from chatkit.logs.memory import MemoryLog

HELD: Final = 10_000
"""Most announcements kept while they are paused; the oldest are lost (I10)."""


class Hub:
    """One provider. Made by `chatkit.adapters.memory.new_hub`, or shared under a name.

    Args:
        name: What clients connect to.
        log: Its memory.
        clock: Its own time, which clients may ask for.
        random: The only source of chance of its network.
    """

    def __init__(self, name: str, *, log: MemoryLog, clock: Clock, random: RandomSource) -> None:
        self.name = name
        self.log = log
        self.clock = clock
        self.lock = RLock()
        self.network = Network(random, self.lock)
        self._like: str | None = None
        self._channels: dict[str, dict[Peer, None]] = {}
        self._peers: dict[Peer, None] = {}
        self._rosters = Rosters(clock, hand=self._hand, later=self._expire)
        self._places = Places(clock)
        self._repeats = Repeats(clock)
        self._held: deque[tuple[str, Received]] | None = None
        self._losing = False

    @property
    def sessions(self) -> int:
        """How many sessions are connected."""
        return len(self._peers)

    def behave(self, like: str) -> None:
        """Settle which provider this is; the first client decides.

        Raises:
            ConfigError: It already is another.
        """
        with self.lock:
            if self._like not in (None, like):
                raise ConfigError(
                    f"memory://{self.name} already behaves like {self._like} in this process",
                    hint="Give all clients of one hub the same like=, or use another name.",
                )
            self._like = like

    # ------------------------------------------------------------------ sessions

    def join(self, peer: Peer) -> None:
        """Take a session in."""
        with self.lock:
            self._peers[peer] = None

    def drop(self, peer: Peer, *, lingers: float = 0.0) -> None:
        """Forget a session; its places are kept for resuming. Idempotent.

        Args:
            peer: The session.
            lingers: Seconds until others are told that those who came over it have left.
        """
        with self.lock:
            if self._peers.pop(peer, _ABSENT) is _ABSENT:
                return
            self._rosters.drop(peer, lingers=lingers)
            for channel in [name for name, members in self._channels.items() if peer in members]:
                self._leave(peer, channel)
                self._places.left(peer.client, channel, peer.caller.profile.capabilities.resume_window)

    def attach(
        self, peer: Peer, channel: str, after: OrderKey | None, *, presence: bool = False
    ) -> tuple[Attachment, tuple[Entry, ...]]:
        """Let a session hear a channel from now on; with it comes what it missed, if it may resume.

        `presence`: it hears who is there as well.

        Raises:
            CapabilityError: There is no presence, or no room in it: nothing is attached.
            NotAllowed: It is a personal or direct channel of others.
            RateLimited: It hears as many channels as the provider allows.
        """
        capabilities = peer.caller.profile.capabilities
        check_hear(peer.caller, channel)
        with self.lock:
            members = self._channels.setdefault(channel, {})
            most = capabilities.channels_per_connection
            if most is not None and peer not in members and self._count(peer) >= most:
                raise RateLimited("too many channels on one connection", channel=channel)
            if presence:
                self._rosters.hear(peer, channel)
            members[peer] = None
            if capabilities.order == "clock" or peer.caller.own_log:
                return Attachment(channel, resumed=False, start=None, may_publish=True), ()
            missed = self._missed(peer, channel, after)
            if missed is None:
                return Attachment(
                    channel, resumed=False, start=self._head(peer, channel), may_publish=True
                ), ()
            peer.replay(len(missed))
            return Attachment(channel, resumed=True, start=after, may_publish=True), missed

    def detach(self, peer: Peer, channel: str) -> None:
        """Let a session hear it no longer."""
        with self.lock:
            self._rosters.detach(peer, channel)
            self._leave(peer, channel)

    def enter(self, peer: Peer, channel: str, member: Present) -> None:
        """Enter a member, or change what it says. Raises as `Rosters.enter`."""
        with self.lock:
            self._rosters.enter(peer, channel, member)

    def leave(self, peer: Peer, channel: str, member: Present) -> None:
        """Take a member out. Raises as `Rosters.enter`."""
        with self.lock:
            self._rosters.leave(peer, channel, member)

    # ------------------------------------------------------------------ publishing

    def publish(self, caller: Caller, batch: Batch) -> tuple[Ack, ...]:
        """Number a batch as the profile does, and announce what is new."""
        with self.lock:
            slow = self.too_fast(caller, batch)
            if slow is not None:
                return slow
            if caller.profile.capabilities.order == "log":
                return self.append(caller, batch.channel, batch.entries).acks
            return self._pass_on(caller, batch)

    def too_fast(self, caller: Caller, batch: Batch) -> tuple[Ack, ...] | None:
        """Put off a batch of a client that publishes faster than it may; `None`: it does not."""
        with self.lock:
            wait = caller.pace.wait(self.clock.monotonic(), len(batch.entries))
            if not wait:
                return None
            slow = RateLimited("too many publishes a second", retry_after=wait, channel=batch.channel)
            return tuple(put_off(entry, slow) for entry in batch.entries)

    def append(self, caller: Caller, channel: str, entries: Sequence[Outgoing]) -> Appended:
        """Append to the log (D9) and announce what is new, in one transaction."""
        with self.lock:
            bad = inadmissible(caller, channel, entries)
            answer, new = self.log.core.append(channel, admitted(entries, bad))
            self.announce(caller, channel, new)
            return answer._replace(acks=merged(answer.acks, bad))

    def announce(self, caller: Caller, channel: str, entries: Sequence[Entry]) -> None:
        """Tell the sessions of a channel of entries, in order."""
        with self.lock:
            for entry in entries:
                self._announce(caller, channel, entry.data, entry.stamp.user, entry.stamp)

    def emit(self, peer: Peer, channel: str, data: bytes) -> None:
        """Pass an ephemeral envelope on to the other sessions of a channel.

        Where senders are vouched for, a trusted caller may name another user than its own.
        """
        attested = peer.caller.profile.hints
        user = None if attested == "none" else _speaker(peer.caller, data)
        with self.lock:
            frame = Received(channel, data, user, attested, stamp=None, unforgeable=False)
            self._deliver(channel, frame, but=peer)

    # ------------------------------------------------------------------ controls, for tests and the demo

    def hold(self, *, lose: bool = False) -> None:
        """Pause announcements, as a broken replication does: they come late, or (`lose`) never."""
        with self.lock:
            self._held = deque(maxlen=HELD) if self._held is None else self._held
            self._losing = lose

    def release(self) -> None:
        """Announce again, first what was held."""
        with self.lock:
            held, self._held = self._held or (), None
            for channel, frame in held:
                self._deliver(channel, frame)

    def inject(self, channel: str, signal: Signal, *, link: str | None = None) -> None:
        """Hand the sessions of a channel a signal: what a member forged, or what a provider says."""
        with self.lock:
            for peer in tuple(self._channels.get(channel, ())):
                if link in (None, peer.link_name, peer.caller.user):
                    self._hand(peer, signal)

    def kick(
        self,
        link: str,
        *,
        again: Again = "later",
        after: float | None = None,
        error: ChatkitError | None = None,
    ) -> None:
        """Close the sessions of a user, or of `user/link`, as a provider does."""
        with self.lock:
            found = [peer for peer in self._peers if link in (peer.link_name, peer.caller.user)]
            for peer in found:
                peer.shut("the provider closed the connection", again, after, error)

    # ------------------------------------------------------------------ inside

    def _pass_on(self, caller: Caller, batch: Batch) -> tuple[Ack, ...]:
        """Publish without the fence of a log: one bad entry refuses the whole publish."""
        bad = inadmissible(caller, batch.channel, batch.entries)
        if bad:
            rest = Rejected("another entry of this publish was refused", channel=batch.channel)
            unsent = [
                Ack(entry.ident, "unsent", error=rest, again="now") for entry in admitted(batch.entries, bad)
            ]
            return merged(unsent, bad)
        window = caller.profile.capabilities.duplicate_window
        known = self._repeats.answer(batch, window)
        if known is not None:
            return known
        acks = tuple(self._accept(caller, batch.channel, entry) for entry in batch.entries)
        self._repeats.keep(batch, acks, window)
        return acks

    def _accept(self, caller: Caller, channel: str, entry: Outgoing) -> Ack:
        user = entry.ident.user
        if caller.profile.capabilities.order == "clock":
            self._announce(caller, channel, entry.data, user, None)
            return Ack(entry.ident, "new", None, self.clock.wall())
        kept = self.log.core.note(channel, entry.ident, entry.data).stamp
        self._announce(caller, channel, entry.data, user, kept)
        return Ack(entry.ident, "new", caller.profile.shown(kept).key, kept.at)

    def _announce(self, caller: Caller, channel: str, data: bytes, user: str, stamp: Stamp | None) -> None:
        # The same for whoever speaks: what is read back later cannot tell any more (I5).
        frame = Received(channel, data, user, caller.profile.capabilities.attested, stamp, unforgeable=True)
        if self._held is None:
            self._deliver(channel, frame)
        elif not self._losing:
            self._held.append((channel, frame))

    def _deliver(self, channel: str, frame: Received, *, but: Peer | None = None) -> None:
        for peer in tuple(self._channels.get(channel, ())):
            if peer is not but:
                self._hand(peer, frame)

    def _hand(self, peer: Peer, signal: Signal) -> None:
        if not peer.hand(signal):
            self.drop(peer)

    def _expire(self) -> None:
        with self.lock:
            self._rosters.expire()

    def _leave(self, peer: Peer, channel: str) -> None:
        members = self._channels.get(channel, {})
        members.pop(peer, None)
        if not members:
            self._channels.pop(channel, None)

    def _count(self, peer: Peer) -> int:
        return sum(peer in members for members in self._channels.values())

    def _head(self, peer: Peer, channel: str) -> OrderKey:
        """Return the place that live begins after, as this client is shown places."""
        newest = self.log.core.newest(channel)
        return OrderKey(1, "") if newest is None else peer.caller.profile.shown(newest).key

    def _missed(self, peer: Peer, channel: str, after: OrderKey | None) -> tuple[Entry, ...] | None:
        """Return all entries after a place, or `None` where it cannot be shown that these are all."""
        profile = peer.caller.profile
        there = self._places.back(peer.client, channel, profile.capabilities.resume_window)
        serial = log_serial(after.serial, profile.style) if after is not None and after.epoch == 1 else None
        if not there or serial is None:
            return None
        missed = self.log.core.since(channel, serial)
        return None if missed is None or len(missed) > peer.room else missed


_ABSENT: Final = object()


def _speaker(caller: Caller, data: bytes) -> str:
    """Return for whom a caller speaks."""
    if caller.trusted:
        with suppress(InvalidMessage):
            return Envelope.parse(data).sender.user
    return caller.user
