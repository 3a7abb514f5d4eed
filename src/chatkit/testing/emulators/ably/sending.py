"""What a client sends to channels: messages, presence, annotations; each frame is answered once.

Source: RTL6, RTP8 to RTP10, RTAN1, RTN7, RTN19 of the features specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.attaching import OPERATIONS
from chatkit.testing.emulators.ably.channel import Channel
from chatkit.testing.emulators.ably.connection import Answer
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.names import parse_name
from chatkit.testing.emulators.ably.plain import is_list, is_object
from chatkit.testing.emulators.ably.publishing import Origin, stamped
from chatkit.testing.emulators.ably.vetting import MEMBER, vetted
from chatkit.testing.emulators.ably.wire import ITEMS, Action, Flag, PresenceAction, Wire

if TYPE_CHECKING:
    from chatkit.testing.emulators.ably.connection import Connection
    from chatkit.testing.emulators.ably.session import Session


class Sending:
    """Takes the frames of one transport that are to be acknowledged.

    Args:
        app: Where they go.
        session: Where they come from.
    """

    def __init__(self, app: Application, session: Session) -> None:
        self._app = app
        self._session = session

    def handle(self, action: Action, wire: Wire) -> None:
        """Do what the frame says, unless it came before; acknowledge or refuse it."""
        connection = self._session.connection
        serial = wire.get("msgSerial") or 0
        if connection is None or isinstance(serial, bool) or not isinstance(serial, int) or serial < 0:
            self._session.fail(AblyError(40000, "msgSerial is a whole number, 0 or above"))
            return
        answer = connection.answered(serial)
        if answer is None:
            answer = self._done(action, wire, connection, serial)
            connection.remember(serial, answer)
        self._session.answer(serial, answer)

    def _done(self, action: Action, wire: Wire, connection: Connection, serial: int) -> Answer:
        try:
            name = parse_name(wire.get("channel"))
            channel = self._app.channel(name.base)
            given = wire.get(ITEMS.get(action, "state"))
            items = [item for item in given if is_object(item)] if is_list(given) else []
            if not is_list(given) or len(items) != len(given):
                raise AblyError(40030, "a frame has a list of items, each an object")
            params = wire.get("params")
            if is_object(params) and str(params.get("_forceNack")) == "true":
                raise AblyError(40099)
            origin = Origin(
                access=connection.access,
                client_id=connection.client_id,
                connection_id=connection.id,
                base=f"{connection.id}:{serial}",
            )
            if action is Action.MESSAGE:
                if not any(item.get("action") for item in items):
                    self._demand_mode(Flag.PUBLISH, channel, origin)
                return self._app.publish(channel, items, origin)
            if action is Action.ANNOTATION:
                self._demand_mode(Flag.ANNOTATION_PUBLISH, channel, origin)
                return self._app.publisher.annotate(channel, items, origin)
            if action is Action.PRESENCE:
                self._present(channel, items, origin, connection)
                return []
            raise AblyError(92000, "objects are not emulated")
        except AblyError as refusal:
            return refusal

    def _demand_mode(self, mode: Flag, channel: Channel, origin: Origin) -> None:
        """Refuse what the channel was attached without; publishing needs no attach."""
        attachment = self._session.attaching.find(channel.name)
        if attachment is not None and mode not in attachment.modes:
            origin.access.demand(OPERATIONS[mode], channel.name)
            raise AblyError(40165)

    def _present(self, channel: Channel, items: list[Wire], origin: Origin, connection: Connection) -> None:
        origin.access.demand("presence", channel.name)
        if self._session.attaching.find(channel.name) is None:
            raise AblyError(91001)
        self._demand_mode(Flag.PRESENCE, channel, origin)
        now = self._app.now()
        made: list[Wire] = []
        for index, item in enumerate(vetted(items, MEMBER, self._app.settings)):
            author = origin.author(item.get("clientId"))
            if author is None:
                raise AblyError(91000)
            if item.get("action") not in (PresenceAction.ENTER, PresenceAction.UPDATE, PresenceAction.LEAVE):
                raise AblyError(40003, "a member enters, updates or leaves")
            made.append({**stamped(item, author, origin, index), "timestamp": now})
        for item in made:
            self._app.present(channel, item)
        if channel.presence.of_connection(connection.id):
            connection.present_on.add(channel.name)
        else:
            connection.present_on.discard(channel.name)
