"""One channel: its log of frames, who is attached, what is remembered and who is present."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from chatkit.testing.emulators.ably.names import Rewind
from chatkit.testing.emulators.ably.presence import PresenceSet
from chatkit.testing.emulators.ably.serials import Serials
from chatkit.testing.emulators.ably.settings import Rule, Settings
from chatkit.testing.emulators.ably.store import Store
from chatkit.testing.emulators.ably.wire import (
    ITEMS,
    Action,
    Flag,
    Format,
    MessageAction,
    Wire,
    encode,
    render,
)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One frame of a channel, as it is kept for those who resume.

    Attributes:
        serial: Its place.
        at: When, in milliseconds since 1970.
        action: MESSAGE, PRESENCE or ANNOTATION.
        items: What it carries.
        connection_id: Whose it is; `None` for REST and the emulator's own.
        slices: For an append: the same items with only what was added, for who has the rest.
        base: For an append: the place of the version that `slices` continue.
        ephemeral: Neither kept nor replayed.
    """

    serial: str
    at: int
    action: Action
    items: list[Wire]
    connection_id: str | None = None
    slices: list[Wire] | None = None
    base: str = ""
    ephemeral: bool = False
    _encoded: dict[tuple[str, Format, bool], str | bytes] = field(
        default_factory=dict[tuple[str, Format, bool], "str | bytes"], repr=False
    )

    def frame(self, name: str, form: Format, *, sliced: bool = False) -> str | bytes:
        """The frame for a subscriber who calls the channel by that name; encoded once per format."""
        known = self._encoded.get((name, form, sliced))
        if known is None:
            items = self.slices if sliced and self.slices is not None else self.items
            known = self._encoded[name, form, sliced] = encode(self.wire(name, items, form), form)
        return known

    def wire(self, name: str, items: list[Wire], form: Format) -> Wire:
        """The protocol message itself."""
        wire: Wire = {"action": int(self.action), "channel": name, "timestamp": self.at}
        if self.serial:
            wire["channelSerial"] = self.serial
        if self.connection_id is not None:
            wire["connectionId"] = self.connection_id
        if items and "id" in items[0]:
            wire["id"] = str(items[0]["id"]).rpartition(":")[0] or items[0]["id"]
        wire[ITEMS[self.action]] = [render(item, form) for item in items]
        return wire


class Reader(Protocol):
    """What a channel delivers to: one live transport."""

    form: Format
    echo: bool

    @property
    def connection_id(self) -> str:
        """Of its connection; empty before there is one."""
        ...

    def deliver(self, action: Action, channel: str, frame: str | bytes) -> None:
        """Queue a frame."""
        ...


@dataclass(slots=True, eq=False, kw_only=True)
class Attachment:
    """One reader on one channel.

    Attributes:
        reader: Who.
        name: How it calls the channel.
        modes: What was granted.
        since: The serial from which on it has everything.
        params: What was asked for.
    """

    reader: Reader
    name: str
    modes: Flag
    since: str
    params: dict[str, str]

    def wants(self, entry: Entry) -> bool:
        """Whether the frame is for this reader."""
        own = entry.connection_id == self.reader.connection_id
        if entry.action is Action.MESSAGE:
            return Flag.SUBSCRIBE in self.modes and not (own and not self.reader.echo)
        if entry.action is Action.ANNOTATION:
            return Flag.ANNOTATION_SUBSCRIBE in self.modes
        return own or Flag.PRESENCE_SUBSCRIBE in self.modes

    def give(self, entry: Entry) -> None:
        """Deliver the frame, if it is for this reader."""
        if self.wants(entry):
            sliced = entry.slices is not None and self.since < entry.base
            self.reader.deliver(
                entry.action, self.name, entry.frame(self.name, self.reader.form, sliced=sliced)
            )


class Channel:
    """The state of one channel.

    Args:
        name: Without qualifiers.
        rule: What its namespace allows.
        settings: Bounds.
        serials: Makes its places.
        now: Milliseconds since 1970.
    """

    def __init__(
        self, name: str, *, rule: Rule, settings: Settings, serials: Serials, now: Callable[[], int]
    ) -> None:
        self.name = name
        self.rule = rule
        self.serials = serials
        self.store = Store(settings.stored)
        self.presence = PresenceSet(settings.members)
        self.presence_history: deque[Wire] = deque(maxlen=settings.stored)
        self.known: OrderedDict[str, tuple[int, list[str]]] = OrderedDict()
        self.attachments: dict[Reader, Attachment] = {}
        self.listeners: dict[object, Callable[[Entry], None]] = {}
        """What hears each new entry beside the attachments: event streams."""
        self.continuous_from = serials.head
        self.touched = now()
        self._log: deque[Entry] = deque()
        self._most = settings.stored
        self._now = now

    def add(self, entry: Entry) -> None:
        """Keep a frame and give it to everyone whom it is for."""
        if not entry.ephemeral:
            self._log.append(entry)
            if len(self._log) > self._most:
                self.continuous_from = self._log.popleft().serial
        for attachment in list(self.attachments.values()):
            attachment.give(entry)
        for hear in list(self.listeners.values()):
            hear(entry)

    def since(self, serial: str) -> list[Entry] | None:
        """Everything after a place; `None` when that can no longer be known."""
        if serial < self.continuous_from or serial > self.serials.head or not self.serials.owns(serial):
            return None
        return [entry for entry in self._log if entry.serial > serial]

    def rewound(self, rewind: Rewind) -> tuple[str, list[Entry]]:
        """Where an attach with rewind begins, and the messages after it, oldest first."""
        oldest = 0 if rewind.seconds is None else self._now() - int(rewind.seconds * 1000)
        messages = [message for message in self.store.latest() if message["timestamp"] >= oldest]
        messages = messages[-rewind.messages :] if rewind.messages else []
        entries = [
            Entry(
                serial=message["serial"].rpartition(":")[0],
                at=message["timestamp"],
                action=Action.MESSAGE,
                items=[message],
                connection_id=message.get("connectionId"),
            )
            for message in messages
        ]
        if not entries:
            return self.serials.head, []
        return before(entries[0].serial), entries

    def forget(self, continuity: int, history: int) -> None:
        """Drop what is older than those times: frames to resume from, and history."""
        while self._log and self._log[0].at < continuity:
            self.continuous_from = self._log.popleft().serial
        self.store.forget(history)
        while self.presence_history and self.presence_history[0]["timestamp"] < history:
            self.presence_history.popleft()

    def lose(self) -> None:
        """Lose what could be resumed from: from now on only what comes next can."""
        self._log.clear()
        self.continuous_from = self.serials.next()

    def know(self, key: str, at: int, serials: list[str]) -> None:
        """Remember what a publish with that id came to; as many as messages are kept."""
        self.known[key] = (at, serials)
        while len(self.known) > self._most:
            self.known.popitem(last=False)

    def forget_ids(self, before_time: int) -> None:
        """Drop message ids first seen before that time."""
        while self.known and next(iter(self.known.values()))[0] < before_time:
            self.known.popitem(last=False)

    def idle(self, before: int) -> bool:
        """Whether nothing would be lost without it, nor was since that time."""
        return self.touched < before and not (
            self.attachments
            or self._log
            or self.known
            or self.listeners
            or len(self.store)
            or len(self.presence)
        )

    def metrics(self) -> dict[str, int]:
        """Its occupancy."""
        modes = [attachment.modes for attachment in self.attachments.values()]
        return {
            "connections": len(modes) + len(self.listeners),
            "publishers": sum(Flag.PUBLISH in each for each in modes),
            "subscribers": sum(Flag.SUBSCRIBE in each for each in modes) + len(self.listeners),
            "presenceConnections": sum(
                bool(each & (Flag.PRESENCE | Flag.PRESENCE_SUBSCRIBE)) for each in modes
            ),
            "presenceMembers": len(self.presence),
            "presenceSubscribers": sum(Flag.PRESENCE_SUBSCRIBE in each for each in modes),
        }


def before(serial: str) -> str:
    """A place right before that one, after everything earlier."""
    head, at, series = serial.partition("@")
    millis, _, counter = head.partition("-")
    place = int(millis) * 1000 + int(counter) - 1
    return f"{place // 1000:014d}-{place % 1000:03d}{at}{series}"


def is_changed(message: Wire) -> bool:
    """Whether it is another version than the first."""
    return bool(message.get("action", MessageAction.CREATE) != MessageAction.CREATE)
