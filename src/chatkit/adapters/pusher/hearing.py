"""`Hearing`: from what the protocol says to signals: whose channel, who said it, what it proves (D2, D17)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from hashlib import sha256
from math import inf
from typing import Final

from chatkit.adapters.pusher import box, frames
from chatkit.adapters.pusher.payload import CLIENT_EVENT, EVENT, unpack
from chatkit.adapters.pusher.protocol import (
    Answered,
    Came,
    Ended,
    Meaning,
    Missed,
    Protocol,
    Strange,
    Subscribed,
    Told,
    Went,
)
from chatkit.errors import ChatkitError, NotAllowed
from chatkit.model.message import Attested
from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Alive, Foreign, Lost, Moved, Present, Received, Roster, Signal
from chatkit.ports.context import Clock

AGAIN: Final = 10.0
"""Seconds after a fresh secret was of no use until another is asked for: a stranger's events ask for none."""
CHANNELS: Final = 10_000
"""Channels whose last event is remembered (I10)."""


class Heard:
    """The last event over HTTP of each channel, as far as heard; survives connections."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, bytes] = OrderedDict()
        self._mixed: OrderedDict[str, None] = OrderedDict()

    def note(self, name: str, text: str) -> None:
        """Take note of an event."""
        self._last[name] = _digest(text)
        self._last.move_to_end(name)
        if len(self._last) > CHANNELS:
            _ = self._last.popitem(last=False)

    def note_member(self, name: str) -> None:
        """Members send client events here, which no channel keeps: nothing can be proven any more."""
        self._mixed[name] = None
        if len(self._mixed) > CHANNELS:
            _ = self._mixed.popitem(last=False)

    def is_last(self, name: str, digest: bytes | None) -> bool:
        """Say whether the event with this digest is the last one that was heard, and the last there was."""
        return digest is not None and name not in self._mixed and self._last.get(name) == digest


class Hearing:
    """What one connection hears.

    Args:
        protocol: Of the connection.
        clock: Times signs of life.
        heard: Of all connections of the client.
        stamps: Whether there is a log whose stamps are to be passed on.
        cache: Whether channels keep their newest event.
        proves: Whether that may prove that nothing was missed: not where this client itself sends otherwise.
        locked: Whether events come under lock.
        secret: Returns a fresh secret for a channel (name, channel), where one did not open an event.
    """

    def __init__(
        self,
        protocol: Protocol,
        clock: Clock,
        heard: Heard,
        *,
        stamps: bool,
        cache: bool,
        proves: bool,
        locked: bool,
        secret: Callable[[str, str], Awaitable[bytes | None]],
    ) -> None:
        self._protocol = protocol
        self._clock = clock
        self._heard = heard
        self._stamps = stamps
        self._cache = cache
        self._proves = proves
        self._locked = locked
        self._fresh_secret = secret
        self._channels: dict[str, str] = {}
        """What is received, by its name at Pusher."""
        self._rosters: dict[str, str] = {}
        """Likewise, where it is to be told who is there."""
        self._shown_again: list[str] = []
        self._secrets: dict[str, bytes] = {}
        self._refreshed: dict[str, float] = {}
        """When a fresh secret was asked for."""
        self._kept: dict[str, bytes | None] = {}
        """What cache channels kept, by name, until somebody asked; `None`: it has not come yet."""

    # -- wishes -----------------------------------------------------------------------------------------

    def attach(self, channel: str, name: str, roster: str | None) -> None:
        """Pass on what is said in a channel, and who is there."""
        self._channels[name] = channel
        self._rosters = {each: of for each, of in self._rosters.items() if of != channel}
        if roster is not None:
            self._rosters[roster] = channel

    def detach(self, channel: str, ready: deque[Signal]) -> None:
        """Pass nothing on any more, nor what waits."""
        self._channels = {each: of for each, of in self._channels.items() if of != channel}
        self._rosters = {each: of for each, of in self._rosters.items() if of != channel}
        kept = [signal for signal in ready if getattr(signal, "channel", None) != channel]
        ready.clear()
        ready.extend(kept)

    def hears(self, name: str) -> bool:
        """Say whether something of it is passed on."""
        return name in self._channels or name in self._rosters

    def show_again(self, roster: str) -> None:
        """Tell the whole set with the next answer to a ping."""
        self._shown_again.append(roster)

    def unlock(self, name: str, secret: bytes | None) -> None:
        """Open what comes in an encrypted channel."""
        if secret is not None:
            self._secrets[name] = secret

    def proven(self, name: str) -> bool:
        """Say whether a cache channel kept just what was heard last."""
        return self._heard.is_last(name, self._kept.pop(name, None)) and self._proves

    def alive(self) -> Alive:
        """Return the sign of life that every frame is."""
        return Alive(self._clock.monotonic())

    # -- what is said -----------------------------------------------------------------------------------

    async def take(self, meaning: Meaning, ready: deque[Signal]) -> None:
        """Make signals of it."""
        match meaning:
            case Told():
                signal = await self._event(meaning)
                if signal is not None:
                    ready.append(signal)
            case Came() | Went():
                channel = self._rosters.get(meaning.name)
                if channel is not None:
                    change = "enter" if isinstance(meaning, Came) else "leave"
                    ready.append(Moved(channel, change, _member(meaning.user)))
            case Subscribed():
                if self._cache and meaning.name in self._channels:
                    self._kept[meaning.name] = None
                self._show(meaning.name, ready)
            case Missed():
                _ = self._kept.pop(meaning.name, None)
            case Answered():
                again, self._shown_again = self._shown_again, []
                for name in again:
                    self._show(name, ready)
            case Ended():
                self._lose(meaning, ready)
            case Strange():
                ready.append(
                    Foreign(
                        self._channels.get(meaning.name or ""), meaning.event, meaning.data, meaning.reason
                    )
                )
            case _:
                pass

    def _show(self, name: str, ready: deque[Signal]) -> None:
        channel = self._rosters.get(name)
        if channel is not None:
            members = tuple(_member(user) for user in self._protocol.subscription(name).members)
            ready.append(Roster(channel, members))

    def _lose(self, ended: Ended, ready: deque[Signal]) -> None:
        channel = self._channels.get(ended.name, self._rosters.get(ended.name))
        if channel is not None:
            self.detach(channel, ready)
            error = NotAllowed("the server ended the subscription", channel=channel)
            ready.append(Lost(channel, error, "now", None))

    async def _event(self, told: Told) -> Signal | None:
        channel = self._channels.get(told.name)
        if channel is None:
            return None  # subscribed to for sending, or to know who is there
        if told.event not in (EVENT, CLIENT_EVENT):
            return Foreign(channel, told.event, told.data, "other_event")
        if told.event == CLIENT_EVENT and self._locked:
            return Foreign(channel, told.event, told.data, "not_locked")
        if told.event == CLIENT_EVENT:
            self._heard.note_member(told.name)
            data = frames.as_text(told.data).encode("utf-8", "surrogatepass")
            attested: Attested = "none" if told.user is None else "provider"
            return Received(channel, data, told.user, attested, None, unforgeable=False)
        text: str | None = frames.as_text(told.data)
        if self._cache:
            if self._kept.get(told.name, b"") is None:
                self._kept[told.name] = _digest(text or "")
                return None  # kept from before live began
            self._heard.note(told.name, text or "")
        if self._locked:
            text = await self._open(told, channel)
        if text is None:
            return Foreign(channel, told.event, told.data, "locked")
        found = unpack(text)
        if found.sender is None:
            return Received(channel, found.data, None, "none", None, unforgeable=False)
        stamp = found.stamp if self._stamps else None
        user = found.sender if stamp is None else stamp.user
        return Received(channel, found.data, user, "backend", stamp, unforgeable=stamp is not None)

    async def _open(self, told: Told, channel: str) -> str | None:
        """Return what was under lock; where the secret does not open it a fresh one is asked for, once."""
        secret = self._secrets.get(told.name)
        found = None if secret is None else box.opened(secret, told.data)
        now = self._clock.monotonic()
        if found is not None or now - self._refreshed.get(told.name, -inf) < AGAIN:
            return found
        self._refreshed[told.name] = now
        try:
            fresh = await self._fresh_secret(told.name, channel)
        except ChatkitError:
            return None
        if fresh is None or fresh == secret:
            return None
        self._secrets[told.name] = fresh
        return box.opened(fresh, told.data)


def _member(user: str) -> Present:
    """Return a member: a user, whatever their devices."""
    return Present(user, user, EMPTY)


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
