"""What a client sends to channels: messages, presence, annotations; each frame is answered once.

Source: RTL6, RTP8 to RTP10, RTAN1, RTN7, RTN19 of the features specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.channel import Channel
from chatkit.testing.emulators.ably.connection import Answer
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.names import parse_name
from chatkit.testing.emulators.ably.publishing import Origin
from chatkit.testing.emulators.ably.wire import (
    ITEMS,
    Action,
    Flag,
    PresenceAction,
    Wire,
    absorb,
    is_list,
    is_object,
)

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
        if connection is None or isinstance(serial, bool) or not isinstance(serial, int):
            self._session.fail(AblyError(40000, "msgSerial is a whole number"))
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
                return self._app.publish(channel, items, origin)
            if action is Action.ANNOTATION:
                attachment = self._session.attaching.find(channel.name)
                if attachment is not None and Flag.ANNOTATION_PUBLISH not in attachment.modes:
                    origin.access.demand("annotation-publish", channel.name)
                return self._app.publisher.annotate(channel, items, origin)
            if action is Action.PRESENCE:
                self._present(channel, items, origin, connection)
                return []
            raise AblyError(92000, "objects are not emulated")
        except AblyError as refusal:
            return refusal

    def _present(self, channel: Channel, items: list[Wire], origin: Origin, connection: Connection) -> None:
        origin.access.demand("presence", channel.name)
        attachment = self._session.attaching.find(channel.name)
        if attachment is None:
            raise AblyError(91001)
        if Flag.PRESENCE not in attachment.modes:
            raise AblyError(40165)
        now = self._app.now()
        made: list[Wire] = []
        for index, given in enumerate(items):
            item = absorb(given)
            author = origin.author(item.get("clientId"))
            if author is None:
                raise AblyError(91000)
            if item.get("action") not in {PresenceAction.ENTER, PresenceAction.UPDATE, PresenceAction.LEAVE}:
                raise AblyError(40003, "a member enters, updates or leaves")
            item["clientId"] = author
            item["connectionId"] = connection.id
            item["timestamp"] = now
            item.setdefault("id", f"{origin.base}:{index}")
            made.append(item)
        for item in made:
            self._app.present(channel, item)
        if channel.presence.of_connection(connection.id):
            connection.present_on.add(channel.name)
        else:
            connection.present_on.discard(channel.name)
