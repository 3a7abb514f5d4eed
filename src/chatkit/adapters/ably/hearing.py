"""`Hearing`: from what the protocol says of channels to signals, and to those who wait for an answer."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from chatkit.adapters.ably import envelopes
from chatkit.adapters.ably.annotations import SUMMARY, Register, annotation_of, summary_of
from chatkit.adapters.ably.codes import refusal
from chatkit.adapters.ably.members import Member
from chatkit.adapters.ably.memory import Memory
from chatkit.adapters.ably.names import name_of
from chatkit.adapters.ably.places import Trail, annotation_key
from chatkit.adapters.ably.protocol import (
    Annotated,
    Attached,
    Came,
    Detached,
    Ended,
    Meaning,
    Moved,
    Present,
    Protocol,
    Refused,
)
from chatkit.adapters.ably.saying import Waiter
from chatkit.adapters.ably.versions import Version, received, version_of
from chatkit.adapters.ably.wire import Frame, as_frame, as_text, text_of
from chatkit.errors import AuthenticationError, ChatkitError, TransportError
from chatkit.model.envelope import Envelope
from chatkit.model.order import OrderKey
from chatkit.model.values import EMPTY
from chatkit.ports import adapter as port
from chatkit.ports.adapter import Attachment, Foreign, Lost, Roster, Signal
from chatkit.ports.outgoing import Again


class Hearing:
    """The channels of one connection.

    Args:
        protocol: That hears it.
        memory: What outlives it: trails are taken from there, and left there at the end.
        namespace: Of the channels.
        logged: A log beside Ably numbers.
        native: What is changed, or reacted to, is that at Ably.
    """

    def __init__(
        self, protocol: Protocol[Waiter], memory: Memory, *, namespace: str, logged: bool, native: bool
    ) -> None:
        self.ready: Final = deque[Signal]()
        """What was heard and not handed on yet."""
        self.trails: Final = dict[str, Trail]()
        self.waiting: Final = dict[str, Waiter]()
        """Who waits for the answer about a channel, by its name at Ably."""
        self._protocol = protocol
        self._memory = memory
        self._namespace = namespace
        self._logged = logged
        self._keep = native
        self.on_unknown: Callable[[str, Frame, Version], None] = self.unknown
        """Told a version that does not say of which message it is."""
        self.on_reactions: Callable[[str, str, frozenset[Register] | None], None] = _ignore
        """Told of which message reactions are to be listed, and what stands, if that was said."""
        self.on_attached: Callable[[str], None] = _ignore
        self._channels: dict[str, str] = {}
        memory.recall.reacted.begin()

    def behind(self, channel: str, after: OrderKey | None) -> str | None:
        """Return the serial from where to go on, with all that lies behind a place; `None`: nobody knows."""
        trail = self.trails.get(channel) or self._memory.take_trail(channel)
        if trail is None or self._logged:
            return None
        self.trails[channel] = trail
        return trail.back_to(after, given=self._memory.given(channel))

    def attach(self, channel: str, *, presence: bool, behind: str | None) -> tuple[str, str | bytes]:
        """Hear a channel once it is attached; returns its name at Ably, and the frame that asks for it."""
        name = name_of(channel, self._namespace)
        self._channels[name] = channel
        return name, self._protocol.attach(name, presence=presence, behind=behind)

    def detach(self, channel: str) -> tuple[str, str | bytes | None]:
        """Hear a channel no longer; returns its name at Ably, and the frame that says so, if any."""
        name = name_of(channel, self._namespace)
        _ = self._channels.pop(name, None)
        _ = self.trails.pop(channel, None)
        _ = self._memory.take_trail(channel)
        self._memory.ended(channel)
        self._memory.recall.reacted.unwant(channel)
        kept = [one for one in self.ready if getattr(one, "channel", None) != channel]
        self.ready.clear()
        self.ready.extend(kept)
        self._memory.recall.reacted.begin()  # what waited is gone
        return name, self._protocol.detach(name)

    async def ask(
        self, name: str, frame: str | bytes, waiter: Waiter, write: Callable[[str | bytes], Awaitable[None]]
    ) -> Any:
        """Ask about a channel; only the last who asks is answered."""
        self._fail(name, TransportError("something else was asked of the channel meanwhile"))
        self.waiting[name] = waiter
        try:
            await write(frame)
            return await waiter
        finally:
            if self.waiting.get(name) is waiter:
                del self.waiting[name]

    def take(self, came: Came) -> None:
        """Pass on messages, but ephemeral ones of this very connection."""
        channel = self._channels.get(came.name)
        if channel is None:
            return
        for item in came.items:
            if item.get("connectionId") != self._protocol.connection_id or not envelopes.is_passing(item):
                self._hear(channel, item)
        last = _last_place(came)
        trail = self.trails.get(channel)
        if trail is not None and last is not None and came.serial is not None:
            trail.step(last, came.serial)

    def changed(self, channel: str, version: Version, now: Envelope) -> None:
        """Pass on what a version changes; `now`: the message's creation with the body of this version."""
        if channel not in self._channels.values():
            return  # not heard any more
        changes = version.changes(now)
        self._memory.recall.change(channel, version.serial, changes)
        self._memory.note(channel, version.key.serial)
        self.ready.extend(received(channel, entry) for entry in changes)

    def unknown(self, channel: str, item: Frame, _: Version) -> None:
        """Pass on a version of which nobody knows what message it is of."""
        if channel in self._channels.values():
            self.ready.append(envelopes.signal_of(channel, item))

    def annotated(self, came: Annotated) -> None:
        """Pass on reactions that are annotations."""
        channel = self._channels.get(came.name)
        if channel is None or self._logged:
            return
        recall = self._memory.recall
        for item in came.items:
            annotation = annotation_of(item)
            if annotation is None:
                self.ready.append(
                    Foreign(channel, as_text(item.get("name")), item.get("data"), "other_message", None)
                )
                continue
            target = recall.places.ident_of(channel, annotation.message)
            reaction = None if target is None else annotation.reaction(channel, target)
            if reaction is not None:
                recall.reacted.note(channel, annotation.message, [reaction])
                recall.reacted.came(channel, annotation.message)
                self.reacted(channel, annotation.message)
            elif target is None:
                self.on_reactions(channel, annotation.message, None)
        numbers = [number for item in came.items if (number := as_text(item.get("serial"))) is not None]
        trail = self.trails.get(channel)
        if trail is not None and numbers and came.serial is not None:
            trail.step(annotation_key(numbers[-1]).serial, came.serial)

    def reacted(self, channel: str, serial: str) -> None:
        """Pass on what was not yet of the reactions to a message."""
        if channel not in self._channels.values():
            return
        for entry in self._memory.recall.reacted.untold(channel, serial):
            self._memory.note(channel, entry.stamp.key.serial)
            self.ready.append(received(channel, entry))

    def note(self, meaning: Meaning) -> None:
        """Tell who waits for an answer about a channel, or the reader."""
        match meaning:
            case Attached():
                self._attached(meaning)
            case Detached(name=name):
                resolve(self.waiting.get(name), meaning)
            case Refused(name=name, error=error):
                self._fail(name, refusal(error, self._channels.pop(name, None)))
            case Ended(name=name, error=error):
                self._lose(name, refusal(error, self._channels.get(name)))
            case Present(name=name, members=members):
                if (channel := self._channels.get(name)) is not None:
                    self.ready.append(Roster(channel, tuple(map(present_of, members))))
            case Moved(name=name, moves=moves):
                if (channel := self._channels.get(name)) is not None:
                    self.ready.extend(port.Moved(channel, change, present_of(one)) for change, one in moves)
            case _:
                pass

    # -- inside

    def _attached(self, found: Attached) -> None:
        channel = self._channels.get(found.name)
        if channel is None:
            return
        if not found.resumed or channel not in self.trails:
            trail = self.trails[channel] = Trail(found.serial)
            self._memory.broke(channel)
            self._memory.note(channel, trail.start.serial)  # no log may stand below where live begins
        self._memory.unbroken(channel, self.trails[channel].start.serial)
        self.on_attached(channel)
        if found.asked:
            resolve(self.waiting.get(found.name), found)
        elif not found.resumed:  # continuity was lost: the log is read
            start = None if self._logged else self.trails[channel].start
            self.ready.append(Attachment(channel, resumed=False, start=start, may_publish=found.may_publish))

    def _hear(self, channel: str, item: Frame) -> None:
        changed = item.get("action") and not self._logged  # most are new
        if changed and item["action"] == SUMMARY and self._summed(channel, item):
            return
        version = version_of(item) if changed else None
        if version is None:
            if self._keep and (serial := as_text(item.get("serial"))) is not None:
                self._keep_as_came(channel, serial, item)
            self.ready.append(envelopes.signal_of(channel, item, logged=self._logged))
            return
        now = version.creation(channel)
        if now is None:
            self.on_unknown(channel, item, version)
        else:
            self.changed(channel, version, now)

    def _summed(self, channel: str, item: Frame) -> bool:
        """Take note of what reactions stand; `False`: it is said of something else."""
        serial, summary = as_text(item.get("serial")), summary_of(item)
        if serial is None or summary is None:
            return False
        if not self._memory.recall.reacted.hear(channel, serial, summary):
            self.on_reactions(channel, serial, summary)
        return True

    def _keep_as_came(self, channel: str, serial: str, item: Frame) -> None:
        """Keep a message that may be reacted to."""
        user, text = as_text(item.get("clientId")), text_of(item)
        if user is not None and text is not None and not envelopes.is_passing(item):
            self._memory.recall.places.heard(channel, serial, user, text)

    def _lose(self, name: str, error: ChatkitError) -> None:
        channel = self._channels.pop(name, None)
        if channel is None:
            return
        _ = self.trails.pop(channel, None)
        self._memory.ended(channel)
        again: Again = "now" if type(error) is TransportError else "later" if error.retryable else "never"
        if isinstance(error, AuthenticationError):
            again = "reauthenticate"
        self.ready.append(Lost(channel, error, again, None))

    def _fail(self, name: str, error: ChatkitError) -> None:
        waiter = self.waiting.get(name)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)


def _ignore(*_: object) -> None:
    """Take no note."""


def resolve(waiter: Waiter | None, found: object = None) -> None:
    """Give who waits what was found; whoever has gone needs nothing."""
    if waiter is not None and not waiter.done():
        waiter.set_result(found)


def _last_place(came: Came) -> str | None:
    """Return the place of the last thing that a frame tells."""
    if not came.items:
        return None
    item = came.items[-1]
    if not item.get("action"):  # most are new
        return as_text(item.get("serial"))
    version = version_of(item)
    if version is not None:
        return version.key.serial
    return (
        None if came.serial is None else f"{came.serial}:000"
    )  # about an older message, whose serial it has


def present_of(member: Member) -> port.Present:
    """Return a member; what it says is nothing where that is no object."""
    text = text_of(member.item)
    try:
        data = as_frame(json.loads(text)) if text else None
    except (ValueError, RecursionError):
        data = None
    return port.Present(member.client_id, f"{member.connection_id}:{member.client_id}", data or EMPTY)
