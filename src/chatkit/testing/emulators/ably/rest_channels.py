"""REST calls about channels: messages, their versions and annotations, presence, status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.history import Query, page
from chatkit.testing.emulators.ably.publishing import Origin
from chatkit.testing.emulators.ably.rest import Answer, Call
from chatkit.testing.emulators.ably.wire import MessageAction, Wire


async def publish(call: Call) -> Answer:
    """`POST /channels/{channel}/messages`."""
    if call.query.get("_forceNack") == "true":
        raise AblyError(40099)
    items, origin, channel = call.items(), call.origin(), call.channel
    key = next((item["connectionKey"] for item in items if item.get("connectionKey")), None)
    if key is not None:
        origin = _on_behalf(call, str(key), origin)
    serials = call.app.publish(channel, items, origin)
    identity = items[0].get("id") or f"{origin.base}:0"
    return Answer(body={"channel": channel.name, "messageId": identity, "serials": serials}, status=201)


def _on_behalf(call: Call, key: str, origin: Origin) -> Origin:
    """The origin of a publish for a realtime connection (TM2h)."""
    try:
        connection = call.app.resumable(key, None)
    except AblyError as error:
        raise AblyError(40006) from error
    return replace(origin, client_id=connection.client_id or origin.client_id, connection_id=connection.id)


async def history(call: Call) -> Answer:
    """`GET /channels/{channel}/messages` and `/history`."""
    channel, query = call.demand("history"), Query.parse(call.query)
    if query.until is not None:
        attached = channel.serials.at(query.until.partition(":")[0])
        if attached is None:
            raise AblyError(40024)
        if attached < call.app.now() - int(call.app.settings.window_seconds * 1000):
            raise AblyError(90008)
    messages = channel.store.latest()
    return call.paged(page(messages, query, mark=lambda each: str(each["serial"]), time=_time))


async def message(call: Call) -> Answer:
    """`GET /channels/{channel}/messages/{serial}`."""
    return Answer(body=call.demand("history").store.find(call.request.match_info["serial"]).latest)


async def versions(call: Call) -> Answer:
    """`GET /channels/{channel}/messages/{serial}/versions`."""
    stored = call.demand("history").store.find(call.request.match_info["serial"])
    query = Query.parse(call.query, order="forwards")
    return call.paged(
        page(
            stored.versions,
            query,
            mark=lambda each: str(each["version"]["serial"]),
            time=lambda each: int(each["version"]["timestamp"]),
        )
    )


async def change(call: Call) -> Answer:
    """`PATCH /channels/{channel}/messages/{serial}`."""
    items = call.items()
    if items[0].get("action") not in (MessageAction.UPDATE, MessageAction.DELETE, MessageAction.APPEND):
        raise AblyError(40003, "a change is an update, delete or append")
    item = {**items[0], "serial": call.request.match_info["serial"]}
    serials = call.app.publish(call.channel, [item], call.origin())
    return Answer(body={"versionSerial": serials[0], "serial": item["serial"]})


async def annotate(call: Call) -> Answer:
    """`POST /channels/{channel}/messages/{serial}/annotations`."""
    serial = call.request.match_info["serial"]
    items = [{**item, "messageSerial": serial} for item in call.items()]
    origin, channel = call.origin(), call.channel
    serials = call.app.publisher.annotate(channel, items, origin)
    return Answer(body={"channel": channel.name, "serials": serials}, status=201)


async def list_annotations(call: Call) -> Answer:
    """`GET /channels/{channel}/messages/{serial}/annotations`."""
    channel = call.demand("annotation-subscribe")
    stored = channel.store.find(call.request.match_info["serial"])
    query = Query.parse(call.query, order="forwards")
    return call.paged(page(stored.annotations, query, mark=lambda each: str(each["serial"]), time=_time))


async def presence(call: Call) -> Answer:
    """`GET /channels/{channel}/presence`."""
    channel = call.demand("subscribe")
    wanted = {name: call.query[name] for name in ("clientId", "connectionId") if name in call.query}
    members = [
        member
        for member in sorted(channel.presence.present(), key=_member)
        if all(member[name] == value for name, value in wanted.items())
    ]
    query = Query.parse(call.query, order="forwards")
    return call.paged(page(members, query, mark=_member, time=_time))


async def presence_history(call: Call) -> Answer:
    """`GET /channels/{channel}/presence/history`."""
    channel, query = call.demand("history"), Query.parse(call.query)
    cut = page(channel.presence_history, query, mark=lambda each: str(each["serial"]), time=_time)
    items = [{name: value for name, value in item.items() if name != "serial"} for item in cut.items]
    return call.paged(replace(cut, items=items))


async def status(call: Call) -> Answer:
    """`GET /channels/{channel}`."""
    channel = call.demand("channel-metadata")
    metrics = channel.metrics()
    active = bool(metrics["connections"] or metrics["presenceMembers"])
    state: dict[str, Any] = {"isActive": active, "occupancy": {"metrics": metrics}}
    return Answer(body={"channelId": channel.name, "name": channel.name, "status": state})


def _time(item: Wire) -> int:
    return int(item["timestamp"])


def _member(item: Wire) -> str:
    return f"{item['clientId']}\n{item['connectionId']}"
