"""Who is present in the channels of the hub; everything happens under its lock.

Two manners. Native: a session enters and leaves as it likes, with data, and may stand in for others where its
credential is trusted. Emulated (Pusher): whoever hears the channel is in it, one member a user, without data.
A connection that ended without a word leaves a ghost, which goes when the provider notices.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from chatkit.adapters.memory.wire import call_on
from chatkit.errors import CapabilityError, NotAllowed, RateLimited
from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Moved, Present, Roster, Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatkit.adapters.memory.peer import Peer
    from chatkit.ports.context import Clock

HALF_OPEN: Final = 30.0
"""Seconds until the hub notices that a connection is half-open: others see its members for so long."""
CALLS_WINDOW: Final = 30.0
"""Seconds in which `Profile.presence_calls` may be made."""

_Key = tuple[str, str]
"""The client, and for which user."""


class _Held(NamedTuple):
    member: Present
    peer: Peer
    until: float = inf
    """A ghost: when it goes, by the hub's clock."""


class Rosters:
    """The presence sets of one hub.

    Args:
        clock: The hub's own.
        hand: Hands a session a signal.
        later: Runs `expire` under the hub's lock, called on the loop of a session.
    """

    def __init__(
        self, clock: Clock, *, hand: Callable[[Peer, Signal], None], later: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._hand = hand
        self._later = later
        self._held: dict[str, dict[_Key, _Held]] = {}
        self._next = inf
        """When the first ghost goes."""
        self._hearing: dict[str, dict[Peer, None]] = {}
        self._calls: dict[tuple[Peer, str], deque[float]] = {}

    def hear(self, peer: Peer, channel: str) -> None:
        """Tell a session who is there, and from now on who comes and goes; where that is entering, it enters.

        Raises:
            CapabilityError: There is no presence, or the channel is full.
        """
        self.expire()
        kind = peer.caller.profile.capabilities.support("presence")
        if kind == "none":
            raise CapabilityError("this provider has no presence", channel=channel)
        if kind == "emulated":
            self._put(peer, channel, Present(peer.caller.user, peer.client, EMPTY))
        self._hearing.setdefault(channel, {})[peer] = None
        held = self._held.get(channel, {})
        shown = {member.client: member for member in (self._shown(peer, one.member) for one in held.values())}
        self._hand(peer, Roster(channel, tuple(shown.values())))

    def enter(self, peer: Peer, channel: str, member: Present) -> None:
        """Enter a member, or change what it says.

        Raises:
            CapabilityError: There is no presence, it carries no data, or the channel is full.
            NotAllowed: It is another user than the credential's.
            RateLimited: Too many calls.
        """
        self._check(peer, channel, member)
        self._put(peer, channel, member._replace(client=f"{peer.client}:{member.user}"))

    def leave(self, peer: Peer, channel: str, member: Present) -> None:
        """Take a member out; nothing where it is not in. Raises as `enter`."""
        self._check(peer, channel, member)
        self._out(channel, (peer.client, member.user))

    def detach(self, peer: Peer, channel: str) -> None:
        """A session hears the channel no longer, and whoever came over it leaves."""
        self._deaf(peer, channel)
        for key in self._keys(peer, channel):
            self._out(channel, key)

    def drop(self, peer: Peer, *, lingers: float) -> None:
        """A session ended; those who came over it leave once the hub notices, after some seconds."""
        for channel in tuple(self._hearing):
            self._deaf(peer, channel)
        until = self._clock.monotonic() + lingers
        self._next = min(self._next, until)
        for channel in tuple(self._held):
            for key in self._keys(peer, channel):
                if lingers:
                    self._held[channel][key] = self._held[channel][key]._replace(until=until)
                    self._look_later(channel, lingers)
                else:
                    self._out(channel, key)

    def expire(self) -> None:
        """Let the ghosts go whose time is over."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        ghosts = [
            (channel, key, held.until)
            for channel, found in self._held.items()
            for key, held in found.items()
            if held.until < inf
        ]
        self._next = min((until for _, _, until in ghosts if until > now), default=inf)
        for channel, key, until in ghosts:
            if until <= now:
                self._out(channel, key)

    # -- inside -----------------------------------------------------------------------------------------

    def _check(self, peer: Peer, channel: str, member: Present) -> None:
        self.expire()
        profile = peer.caller.profile
        if profile.capabilities.support("presence") != "native":
            raise CapabilityError("this provider lets nobody enter by themselves", channel=channel)
        if member.user != peer.caller.user and not peer.caller.trusted:
            raise NotAllowed("this credential may enter for its own user only", channel=channel)
        if profile.presence_calls is None:
            return
        now = self._clock.monotonic()
        calls = self._calls.setdefault((peer, channel), deque())
        while calls and calls[0] <= now - CALLS_WINDOW:
            calls.popleft()
        if len(calls) >= profile.presence_calls:
            wait = calls[0] + CALLS_WINDOW - now
            raise RateLimited("too many presence calls", retry_after=wait, channel=channel)
        calls.append(now)

    def _put(self, peer: Peer, channel: str, member: Present) -> None:
        held = self._held.setdefault(channel, {})
        key = (peer.client, member.user)
        most = peer.caller.profile.capabilities.presence_members
        emulated = peer.caller.profile.capabilities.support("presence") == "emulated"
        counted = {one.member.user for one in held.values()} if emulated else held
        if key not in held and most is not None and len(counted) >= most and member.user not in counted:
            self._tidy(channel)
            raise CapabilityError(
                f"the channel has {most} members, which is all that this provider takes", channel=channel
            )
        there = key in held or (emulated and member.user in counted)
        held[key] = _Held(member, peer)
        if not (there and emulated):
            self._tell(channel, "update" if there else "enter", member, but=peer if emulated else None)

    def _out(self, channel: str, key: _Key) -> None:
        held = self._held.get(channel, {})
        found = held.pop(key, None)
        self._tidy(channel)
        if found is None:
            return
        emulated = found.peer.caller.profile.capabilities.support("presence") == "emulated"
        if not emulated or all(one.member.user != found.member.user for one in held.values()):
            self._tell(channel, "leave", found.member)

    def _tell(self, channel: str, change: str, member: Present, *, but: Peer | None = None) -> None:
        for peer in tuple(self._hearing.get(channel, ())):
            if peer is not but:
                self._hand(peer, Moved(channel, change, self._shown(peer, member)))

    def _shown(self, peer: Peer, member: Present) -> Present:
        """Return a member as a provider shows it: one that merges devices names the user alone."""
        if peer.caller.profile.capabilities.support("presence") == "emulated":
            return Present(member.user, member.user, EMPTY)
        return member

    def _keys(self, peer: Peer, channel: str) -> list[_Key]:
        return [key for key, held in self._held.get(channel, {}).items() if held.peer is peer]

    def _deaf(self, peer: Peer, channel: str) -> None:
        self._calls.pop((peer, channel), None)
        hearing = self._hearing.get(channel, {})
        hearing.pop(peer, None)
        if not hearing:
            self._hearing.pop(channel, None)

    def _tidy(self, channel: str) -> None:
        if not self._held.get(channel):
            self._held.pop(channel, None)

    def _look_later(self, channel: str, seconds: float) -> None:
        """Have somebody who would hear of it look again; without a listener the next call looks."""
        for peer in self._hearing.get(channel, ()):
            if call_on(peer.loop, peer.loop.call_later, seconds, self._later):
                return
