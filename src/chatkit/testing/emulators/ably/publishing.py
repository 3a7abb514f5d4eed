"""Publishing: what is checked, stamped, recognised as a repeat, and added to the channel.

Source: RSL1, RTL6, RTL32, RSAN1, RTAN1 of the features specification.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from chatkit.testing.emulators.ably.auth import Access
from chatkit.testing.emulators.ably.channel import Channel, Entry
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import is_object
from chatkit.testing.emulators.ably.settings import Settings
from chatkit.testing.emulators.ably.store import Stored
from chatkit.testing.emulators.ably.summaries import CREATE, DELETE, check_annotation
from chatkit.testing.emulators.ably.vetting import (
    ANNOTATION,
    CHANGE,
    MESSAGE,
    check_extras,
    idempotency_key,
    vetted,
)
from chatkit.testing.emulators.ably.wire import Action, MessageAction, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who publishes.

    Attributes:
        access: With which rights.
        client_id: As whom; `None` for nobody, `*` for whom each message names.
        connection_id: On which connection; `None` for REST.
        base: The id of the publish, of which those of its messages are made where they have none.
    """

    access: Access
    client_id: str | None
    connection_id: str | None
    base: str

    def author(self, claimed: object) -> str | None:
        """The client id that a message gets.

        Raises:
            AblyError: 40012, it claims another than the connection's, or one that nobody can have.
        """
        if claimed is None or claimed == "":
            return None if self.client_id == "*" else self.client_id
        if not isinstance(claimed, str) or claimed == "*" or self.client_id not in {"*", claimed}:
            raise AblyError(40012)
        return claimed


class Publisher:
    """Takes publishes for any channel.

    Args:
        settings: Gives the limits and windows now in force.
        now: Milliseconds since 1970.
    """

    def __init__(self, settings: Callable[[], Settings], now: Callable[[], int]) -> None:
        self._settings = settings
        self._now = now

    def publish(self, channel: Channel, messages: list[Wire], origin: Origin) -> list[str]:
        """Add the messages of one publish, all or none.

        Returns:
            One serial each: of the message, or of its new version. A repeat gets those of the first publish.

        Raises:
            AblyError: What is wrong with them; nothing was added.
        """
        if not messages:
            raise AblyError(40030, "a publish has messages")
        if any(message.get("action") for message in messages):
            if len(messages) != 1:
                raise AblyError(40030, "an update, delete or append is published alone")
            (item,) = vetted(messages, CHANGE, self._settings())
            return [self._change(channel, item, origin)]
        origin.access.demand("publish", channel.name)
        return self._create(channel, vetted(messages, MESSAGE, self._settings()), origin)

    def _create(self, channel: Channel, items: list[Wire], origin: Origin) -> list[str]:
        key = idempotency_key(items)
        channel.forget_ids(self._now() - int(self._settings().idempotent_seconds * 1000))
        if key is not None and key in channel.known:
            return channel.known[key][1]
        authors = [origin.author(item.get("clientId")) for item in items]
        for item in items:
            check_extras(item)
        now, serial = self._now(), channel.serials.next()
        made: list[Wire] = []
        for index, (item, author) in enumerate(zip(items, authors, strict=True)):
            place = f"{serial}:{index:03d}"
            message = stamped(item, author, origin, index)
            version = {"serial": place, "timestamp": now}
            made.append({**message, "timestamp": now, "serial": place, "action": 0, "version": version})
        ephemeral = all(_is_ephemeral(item) for item in items)
        serials = [message["serial"] for message in made]
        if key is not None:
            channel.know(key, now, serials)
        if not ephemeral:
            for message in made:
                channel.store.create(message)
        channel.add(
            Entry(
                serial=serial,
                at=now,
                action=Action.MESSAGE,
                items=made,
                connection_id=origin.connection_id,
                ephemeral=ephemeral,
            )
        )
        return serials

    def _change(self, channel: Channel, item: Wire, origin: Origin) -> str:
        try:
            action = MessageAction(item["action"])
        except ValueError as error:
            raise AblyError(40030, "unknown message action") from error
        if action not in {MessageAction.UPDATE, MessageAction.DELETE, MessageAction.APPEND}:
            raise AblyError(40030, f"a client does not publish {action.name.lower()}")
        if not channel.rule.mutable:
            raise AblyError(93002)
        given = item.get("version")
        described: Wire = given if is_object(given) else {}
        author = origin.author(item.get("clientId") or described.get("clientId"))
        if not item.get("serial"):
            raise AblyError(40003, "the serial of the message to be changed is missing")
        stored = channel.store.find(item["serial"])
        _demand_change(channel, action, author, stored.versions[0].get("clientId"), origin.access)
        check_extras(item)
        now, place = self._now(), channel.serials.next()
        version: Wire = {"serial": f"{place}:000", "timestamp": now}
        if author is not None:
            version["clientId"] = author
        for name in ("description", "metadata"):
            if described.get(name) is not None:
                version[name] = described[name]
        base = str(stored.versions[-1]["version"]["serial"]).partition(":")[0]
        whole = channel.store.change(stored, item, version, self._settings())
        slices: list[Wire] | None = None
        if action is MessageAction.APPEND:
            piece = {**whole, "action": int(MessageAction.APPEND)}
            piece.pop("data", None)
            added: Wire = {name: item[name] for name in ("data", "encoding") if name in item}
            slices = [{**piece, **added}]
        channel.add(
            Entry(
                serial=place,
                at=now,
                action=Action.MESSAGE,
                items=[whole],
                connection_id=origin.connection_id,
                slices=slices,
                base=base,
            )
        )
        return str(version["serial"])

    def annotate(self, channel: Channel, items: list[Wire], origin: Origin) -> list[str]:
        """Add the annotations of one publish, then tell what each annotated message sums up to.

        Raises:
            AblyError: 93002 without the rule, 40160, 40400 for an unknown message, or a malformed annotation.
        """
        origin.access.demand("annotation-publish", channel.name)
        if not channel.rule.mutable:
            raise AblyError(93002)
        if not items:
            raise AblyError(40030, "a publish has annotations")
        now, made = self._now(), list[tuple[Stored, Wire]]()
        for index, given in enumerate(vetted(items, ANNOTATION, self._settings())):
            action = given.get("action") or CREATE
            if action not in (CREATE, DELETE):
                raise AblyError(40003, "an annotation is created or deleted")
            author = origin.author(given.get("clientId"))
            item = {**stamped(given, author, origin, index), "action": action, "timestamp": now}
            check_annotation(item)
            made.append((channel.store.find(item.get("messageSerial")), item))
        serial = channel.serials.next()
        for index, (stored, item) in enumerate(made):
            item["serial"] = f"{serial}:{index:03d}"
            channel.store.annotate(stored, item)
        entry = Entry(
            serial=serial,
            at=now,
            action=Action.ANNOTATION,
            items=[item for _, item in made],
            connection_id=origin.connection_id,
        )
        channel.add(entry)
        for stored in {id(stored): stored for stored, _ in made}.values():
            channel.add(self._summary(channel, stored.versions[-1], stored.summary(), now))
        return [item["serial"] for _, item in made]

    def _summary(self, channel: Channel, message: Wire, summary: Wire, now: int) -> Entry:
        item = {
            "action": int(MessageAction.SUMMARY),
            "serial": message["serial"],
            "timestamp": message["timestamp"],
            "version": message["version"],
            "annotations": {"summary": summary},
        }
        for name in ("name", "clientId"):
            if name in message:
                item[name] = message[name]
        serial = channel.serials.next()
        return Entry(serial=serial, at=now, action=Action.MESSAGE, items=[{**item, "id": f"{serial}:0"}])


def fresh_id() -> str:
    """The base of message ids where a publisher gave none."""
    return secrets.token_urlsafe(9)


def stamped(item: Wire, author: str | None, origin: Origin, index: int) -> Wire:
    """An item with its id, and whose it is."""
    stamped: Wire = {"id": f"{origin.base}:{index}", **item}
    stamped.pop("clientId", None)
    if author is not None:
        stamped["clientId"] = author
    if origin.connection_id is not None:
        stamped["connectionId"] = origin.connection_id
    return stamped


def _is_ephemeral(item: Wire) -> bool:
    extras = item.get("extras")
    return is_object(extras) and extras.get("ephemeral") is True


def _demand_change(
    channel: Channel, action: MessageAction, author: str | None, creator: str | None, access: Access
) -> None:
    verb = "delete" if action is MessageAction.DELETE else "update"
    if access.capability.allows(f"message-{verb}-any", channel.name):
        return
    access.demand(f"message-{verb}-own", channel.name)
    if author is None:
        raise AblyError(40166)
    if author != creator:
        raise AblyError(40160, "only the message's own author may change it with this capability")
