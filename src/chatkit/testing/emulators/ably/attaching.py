"""Attaching and detaching of one transport: modes, continuity, rewind, the presence sync.

Source: RTL4, RTL5, RTL12, RTP1, RTP18 of the features specification.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.channel import Attachment, Channel, Entry
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.names import parse_modes, parse_name, parse_rewind
from chatkit.testing.emulators.ably.plain import is_object
from chatkit.testing.emulators.ably.wire import ALL_MODES, DEFAULT_MODES, Action, Flag, Wire, render

if TYPE_CHECKING:
    from chatkit.testing.emulators.ably.session import Session

OPERATIONS: Final = {
    Flag.PRESENCE: "presence",
    Flag.PUBLISH: "publish",
    Flag.SUBSCRIBE: "subscribe",
    Flag.PRESENCE_SUBSCRIBE: "subscribe",
    Flag.ANNOTATION_PUBLISH: "annotation-publish",
    Flag.ANNOTATION_SUBSCRIBE: "annotation-subscribe",
}
"""Which right each mode takes."""


class Attaching:
    """The channels of one transport.

    Args:
        app: Where they are.
        session: Whose.
    """

    def __init__(self, app: Application, session: Session) -> None:
        self._app = app
        self._session = session
        self._attached: dict[str, tuple[Channel, Attachment]] = {}
        self._syncs = itertools.count(1)

    @property
    def names(self) -> set[str]:
        """The channels attached, without qualifiers."""
        return set(self._attached)

    def find(self, base: str) -> Attachment | None:
        """How a channel is attached here."""
        return self._attached[base][1] if base in self._attached else None

    def clear(self) -> None:
        """The transport is gone."""
        for base in list(self._attached):
            self._remove(base)

    def attach(self, wire: Wire) -> None:
        """Answer ATTACH."""
        try:
            name = parse_name(wire.get("channel"))
            given = wire.get("params")
            asked: Wire = given if is_object(given) else {}
            params = {**name.params, **{key: str(value) for key, value in asked.items()}}
            flags = wire.get("flags") or 0
            if not isinstance(flags, int):
                raise AblyError(40003, "flags is a whole number")
            modes = self._granted(name.base, params, flags)
            rewind = parse_rewind(params["rewind"]) if "rewind" in params else None
            if (
                name.base not in self._attached
                and len(self._attached) >= self._app.settings.connection_channels
            ):
                raise AblyError(90010)
            channel = self._app.channel(name.base)
        except AblyError as refusal:
            self._session.refuse_channel(str(wire.get("channel") or ""), refusal)
            return
        serial, error, missed = wire.get("channelSerial"), None, None
        since, backlog, resumed = channel.serials.present(), list[Entry](), False
        if serial:
            missed = channel.since(str(serial))
            if missed is None:
                error = AblyError(90003)
            else:
                since, backlog, resumed = str(serial), missed, True
        elif rewind is not None and name.base not in self._attached:
            since, backlog = channel.rewound(rewind)
        attachment = Attachment(
            reader=self._session, name=str(wire["channel"]), modes=modes, since=since, params=params
        )
        self._attached[name.base] = (channel, attachment)
        channel.attachments[self._session] = attachment
        self._confirm(channel, attachment, backlog, error, resumed=resumed)
        self._app.occupancy.changed(channel)

    def _confirm(
        self,
        channel: Channel,
        attachment: Attachment,
        backlog: list[Entry],
        error: AblyError | None,
        *,
        resumed: bool,
    ) -> None:
        """Say ATTACHED, then what was missed, then who is present."""
        replayed = [
            entry for entry in backlog if entry.action is not Action.PRESENCE and attachment.wants(entry)
        ]
        flags = attachment.modes
        if replayed:
            flags |= Flag.HAS_BACKLOG
        if resumed:
            flags |= Flag.RESUMED
        present = Flag.PRESENCE_SUBSCRIBE in attachment.modes and len(channel.presence) > 0
        if present:
            flags |= Flag.HAS_PRESENCE
        wire: Wire = {
            "action": int(Action.ATTACHED),
            "channel": attachment.name,
            "channelSerial": attachment.since,
            "flags": int(flags),
        }
        if attachment.params:
            wire["params"] = attachment.params
        if error is not None:
            wire["error"] = error.wire()
        self._session.send(wire)
        for entry in replayed:
            form = self._session.form
            self._session.deliver(entry.action, attachment.name, entry.frame(attachment.name, form))
        if present:
            self._sync(channel, attachment)

    def _granted(self, base: str, params: dict[str, str], flags: int) -> Flag:
        asked = parse_modes(params["modes"]) if params.get("modes") else Flag(flags & int(ALL_MODES))
        asked = asked or DEFAULT_MODES
        capability = self._session.access.capability
        granted = Flag(0)
        for mode, operation in OPERATIONS.items():
            if mode in asked and capability.allows(operation, base):
                granted |= mode
        if not granted:
            raise AblyError(40160, f"nothing of what was asked for is permitted on channel {base!r}")
        return granted

    def sync(self, wire: Wire) -> None:
        """Answer a SYNC: say once more who is present."""
        found = self._of(wire)
        if found is not None:
            self._sync(*found)

    def _sync(self, channel: Channel, attachment: Attachment) -> None:
        sequence = f"{self._app.site}{next(self._syncs)}"
        for serial, members in channel.presence.pages(sequence, self._app.settings.sync_page):
            items = [render(member, self._session.form) for member in members]
            self._session.send(
                {
                    "action": int(Action.SYNC),
                    "channel": attachment.name,
                    "channelSerial": serial,
                    "presence": items,
                }
            )

    def detach(self, wire: Wire) -> None:
        """Answer DETACH; the members of this connection leave the channel."""
        found = self._of(wire)
        if found is not None:
            channel, _ = found
            self._remove(channel.name)
            connection = self._session.connection
            if connection is not None and channel.name in connection.present_on:
                self._app.leave(connection, channel)
        self._session.send({"action": int(Action.DETACHED), "channel": wire.get("channel")})

    def expel(self, base: str, error: AblyError | None, *, failed: bool) -> None:
        """Detach a channel unasked: DETACHED, or ERROR where it failed."""
        if base not in self._attached:
            return
        name = self._attached[base][1].name
        self._remove(base)
        connection = self._session.connection
        if failed and connection is not None and base in connection.present_on:
            self._app.leave(connection, self._app.channel(base))
        wire: Wire = {"action": int(Action.ERROR if failed else Action.DETACHED), "channel": name}
        self._session.send(wire if error is None else {**wire, "error": error.wire()})

    def repeat(self, base: str, error: AblyError | None) -> None:
        """Say ATTACHED unasked and without RESUMED: continuity was lost here (RTL12)."""
        if base in self._attached:
            channel, attachment = self._attached[base]
            attachment.since = channel.serials.present()
            self._confirm(channel, attachment, [], error, resumed=False)

    def check_rights(self) -> None:
        """Fail the channels that new credentials no longer allow, and take away modes of the others."""
        for base, (_, attachment) in list(self._attached.items()):
            try:
                attachment.modes = self._granted(base, {}, int(attachment.modes))
            except AblyError as refusal:
                self.expel(base, refusal, failed=True)

    def _of(self, wire: Wire) -> tuple[Channel, Attachment] | None:
        try:
            return self._attached.get(parse_name(wire.get("channel")).base)
        except AblyError:
            return None

    def _remove(self, base: str) -> None:
        channel, _ = self._attached.pop(base)
        channel.attachments.pop(self._session, None)
        channel.touched = self._app.now()
        self._app.occupancy.changed(channel)
