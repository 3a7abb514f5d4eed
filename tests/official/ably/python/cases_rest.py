"""The REST client: publish, history pages both ways, presence, time, stats, retries."""

from __future__ import annotations

import json
from typing import Any

from ably.types.message import Message
from ably.types.presence import PresenceAction
from ably.types.tokendetails import TokenDetails
from harness import KEY, Tools, case, collect, identity, jwt, pages, refused, until


async def filled(t: Tools, count: int = 5) -> Any:
    channel = t.rest().channels.get(t.name())
    for index in range(count):
        await channel.publish("n", str(index))
    return channel


def data(items: list[Any]) -> str:
    return "".join(item.data for item in items)


@case("a REST publish reaches subscribers")
async def publish(t: Tools) -> None:
    client = await t.connected()
    got, name = [], t.name()
    got = await collect(client.channels.get(name))
    result = await t.rest().channels.get(name).publish("n", {"a": 1})
    await until(lambda: len(got) == 1)
    assert got[0].data == {"a": 1}
    assert result.serials == [got[0].serial]


@case("REST takes a native token and a JWT, and refuses wrong ones")
async def credentials(t: Tools) -> None:
    details = await t.rest(key=KEY).auth.request_token()
    assert isinstance(details, TokenDetails)
    name = t.name()
    await t.rest(token=details.token).channels.get(name).publish("n", "1")
    await t.rest(token=jwt()).channels.get(name).publish("n", "2")
    assert data((await t.rest().channels.get(name).history()).items) == "21"
    await refused(t.rest(token="app.unknown").channels.get(name).history(), 40171)
    wrong = jwt(key="app.key:wrong")
    await refused(t.rest(token=wrong).channels.get(name).history(), 40171)


@case("REST renews an expired JWT")
async def renews(t: Tools) -> None:
    issued = 0

    async def callback(_: dict[str, Any]) -> Any:
        nonlocal issued
        issued += 1
        return jwt(seconds=-60 if issued == 1 else 3600)

    await t.rest(auth_callback=callback).channels.get(t.name()).publish("n", "x")
    assert issued == 2


@case("a restricted token publishes where it may and nowhere else")
async def restricted(t: Tools) -> None:
    name = t.name()
    rest = t.rest(token=jwt(capability={name: ["publish"]}))
    await rest.channels.get(name).publish("n", "x")
    await refused(rest.channels.get(t.name()).publish("n", "x"), 40160, 401)
    await refused(rest.channels.get(name).history(), 40160, 401)


@case("a REST publish with an id is idempotent")
async def idempotent(t: Tools) -> None:
    channel, name = t.rest().channels.get(t.name()), t.name()
    for each in "123":
        await channel.publish(Message("n", each, id=name))
    items = (await channel.history()).items
    assert [(item.id, item.data) for item in items] == [(name, "1")]


@case("a forced NACK is a NACK")
async def forced(t: Tools) -> None:
    channel = t.rest().channels.get(t.name())
    await refused(channel.publish(Message("n", "x"), {"_forceNack": "true"}), 40099)


@case("a REST publish as another client than the token's is refused")
async def other_client(t: Tools) -> None:
    channel = t.rest(token=jwt(client_id="ann")).channels.get(t.name())
    await refused(channel.publish(Message("n", "x", client_id="bob")), 40012)


@case("history pages backwards cover everything once")
async def backwards(t: Tools) -> None:
    channel = await filled(t, 7)
    first = await channel.history(limit=3)
    assert len(first.items) == 3
    await channel.publish("n", "later")
    assert data(await pages(first)) == "6543210"


@case("history pages forwards cover everything once")
async def forwards(t: Tools) -> None:
    channel = await filled(t, 7)
    first = await channel.history(limit=3, direction="forwards")
    assert data(await pages(first)) == "0123456"
    second = await first.next()
    assert data((await second.first()).items) == "012"


@case("history of an empty channel is empty")
async def empty(t: Tools) -> None:
    page = await t.rest().channels.get(t.name()).history()
    assert page.items == []
    assert page.is_last()


@case("history between two times")
async def between(t: Tools) -> None:
    channel = await filled(t, 2)
    now = await t.time()
    assert len((await channel.history(start=int(now) - 60_000, end=int(now) + 1000)).items) == 2
    assert (await channel.history(start=int(now) - 61_000, end=int(now) - 60_000)).items == []


@case("another client sees history over its socket's channel")
async def cross(t: Tools) -> None:
    one, two = await t.connected(), await t.connected()
    name = t.name()
    for each in "abc":
        await one.channels.get(name).publish("n", each)
    assert data((await two.channels.get(name).history()).items) == "cba"


@case("REST tells who is present, in pages")
async def present(t: Tools) -> None:
    client = await t.connected(key=KEY, client_id="*")
    channel = client.channels.get(t.name())
    await channel.attach()
    for each in "abcde":
        await channel.presence.enter_client(each, {"is": each})
    first = await t.rest().channels.get(channel.name).presence.get(limit=2)
    assert len(first.items) == 2
    members = await pages(first)
    assert {member.client_id: member.data for member in members} == {each: {"is": each} for each in "abcde"}
    assert all(member.action == PresenceAction.PRESENT for member in members)
    assert all(member.connection_id == identity(client) for member in members)


@case("presence history tells what happened")
async def presence_history(t: Tools) -> None:
    client = await t.connected(client_id="ann")
    channel = client.channels.get(t.name())
    await channel.presence.enter("first")
    await channel.presence.update("second")
    await channel.presence.leave("third")
    presence = t.rest().channels.get(channel.name).presence
    assert [item.data for item in (await presence.history()).items] == ["third", "second", "first"]
    forwards = await presence.history(direction="forwards", limit=2)
    assert [item.data for item in await pages(forwards)] == ["first", "second", "third"]


@case("status tells occupancy")
async def status(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    await channel.attach()
    found = await t.rest().channels.get(channel.name).status()
    assert found.status.is_active
    assert found.status.occupancy.metrics.subscribers == 1


@case("time is the server's")
async def time(t: Tools) -> None:
    assert abs(await t.rest().time() - await t.time()) < 60_000


@case("stats are a page")
async def stats(t: Tools) -> None:
    await t.rest().channels.get(t.name()).publish("n", "x")
    page = await t.rest().stats()
    assert page.items[0].unit == "minute"


@case("a request of one's own is answered in pages")
async def request(t: Tools) -> None:
    channel = await filled(t, 3)
    path = f"/channels/{channel.name}/messages"
    page = await t.rest().request("GET", path, version="3", params={"limit": "2"})
    assert page.status_code == 200
    assert len(page.items) == 2
    assert len((await page.next()).items) == 1
    lost = await t.rest().request("GET", "/nothing/here", version="3")
    assert lost.status_code == 404
    assert lost.error_code == "40400"


@case("batch publish reaches several channels")
async def batch(t: Tools) -> None:
    names = [t.name(), t.name()]
    body = {"channels": names, "messages": [{"name": "n", "data": "x"}]}
    answer = await t.rest().request("POST", "/messages", version="3", body=body)
    assert answer.status_code == 201
    for name in names:
        assert data((await t.rest().channels.get(name).history()).items) == "x"


@case("a 503, a cut call and CloudFront go to a fallback host")
async def fallback(t: Tools) -> None:
    name = t.name()
    path = f"/channels/{name}/"
    rest = t.rest(fallback_hosts=["localhost"])
    for fault in (
        {"does": "fail", "status": 503},
        {"does": "reset"},
        {"does": "fail", "status": 403, "headers": {"Server": "CloudFront"}},
    ):
        await t.control("/faults/call", {"path": path, **fault})
        assert (await rest.channels.get(name).history()).items == []


@case("an error of the server tells its code")
async def server_error(t: Tools) -> None:
    name = t.name()
    body = json.dumps({"error": {"code": 50000, "statusCode": 500, "message": "unavailable"}})
    await t.control(
        "/faults/call",
        {
            "does": "fail",
            "path": f"/channels/{name}/",
            "status": 500,
            "body": body,
            "headers": {"Content-Type": "application/json"},
        },
    )
    await refused(t.rest().channels.get(name).history(), 50000, 500)
    assert (await t.rest().channels.get(name).history()).items == []
