"""`Whereabouts`: under which serials messages stand at Ably, and of whose serials what is said."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from chatkit.core.raw_page import CREATE
from chatkit.errors import InvalidMessage
from chatkit.model.envelope import Envelope
from chatkit.model.order import Ident

PLACES: Final = 10_000
"""Messages of which it is known where they stand."""
HEARD: Final = 1_000
"""Messages, the latest, that are kept as they came: most of them are never asked for, so they stay unread."""
BYTES: Final = 4_000_000
"""Characters of these together at most."""


class Whereabouts:
    """Of one adapter (I10)."""

    def __init__(self) -> None:
        self._serials: OrderedDict[tuple[str, Ident], str] = OrderedDict()
        self._idents: OrderedDict[tuple[str, str], Ident] = OrderedDict()
        self._heard: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        self._size = 0

    def note(self, channel: str, ident: Ident, serial: str) -> None:
        """Take note of where a message stands."""
        self._serials[channel, ident] = serial
        self._serials.move_to_end((channel, ident))
        self._idents[channel, serial] = ident
        self._idents.move_to_end((channel, serial))
        if len(self._serials) > PLACES:
            _ = self._serials.popitem(last=False)
        if len(self._idents) > PLACES:
            _ = self._idents.popitem(last=False)

    def heard(self, channel: str, serial: str, user: str, text: str) -> None:
        """Take note of a message that came, of which it may be asked what it is."""
        if (channel, serial) in self._heard:
            return
        self._heard[channel, serial] = user, text
        self._size += len(text)
        while len(self._heard) > HEARD or self._size > BYTES:
            _, (_, gone) = self._heard.popitem(last=False)
            self._size -= len(gone)

    def serial_of(self, channel: str, ident: Ident) -> str | None:
        """Return the serial of a message; `None`: it is not known."""
        known = self._serials.get((channel, ident))
        if known is not None:
            return known
        for (name, serial), (user, text) in self._heard.items():  # the first copy is the one that stands
            if name == channel and user == ident.user and ident.id in text:
                found = _ident_of(user, text)
                if found == ident:
                    self.note(channel, ident, serial)
                    return serial
        return None

    def ident_of(self, channel: str, serial: str) -> Ident | None:
        """Return whose message of which id a serial is; `None`: it is not known."""
        known = self._idents.get((channel, serial))
        if known is None and (heard := self._heard.get((channel, serial))) is not None:
            known = _ident_of(*heard)
            if known is not None:
                self.note(channel, known, serial)
        return known


def _ident_of(user: str, text: str) -> Ident | None:
    try:
        envelope = Envelope.parse(text.encode("utf-8", "surrogateescape"))
    except InvalidMessage:
        return None
    return Ident(user, envelope.id) if envelope.kind == CREATE else None
