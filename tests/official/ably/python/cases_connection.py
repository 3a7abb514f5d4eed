"""Connect states, resume, credentials."""

from __future__ import annotations

import asyncio
from typing import Any

from ably import AblyException
from ably.types.connectionstate import ConnectionState
from ably.types.tokendetails import TokenDetails
from harness import KEY, RESTRICTED, Tools, case, collect, identity, jwt, listener, reach, refused, until

State = ConnectionState


def states(client: Any) -> list[ConnectionState]:
    """The states that it passes through from now on."""
    seen: list[ConnectionState] = []
    client.connection.on(lambda change: seen.append(change.current))
    return seen


async def failed(client: Any) -> AblyException:
    """With what the connection fails."""
    await until(lambda: client.connection.state == State.FAILED, "failed")
    reason: AblyException = client.connection.error_reason
    return reason


@case("connects and passes through its states")
async def connects(t: Tools) -> None:
    client = t.realtime(auto_connect=False)
    seen = states(client)
    assert client.connection.state == State.INITIALIZED
    client.connect()
    await reach(client.connection, State.CONNECTED)
    await until(lambda: len(seen) == 2)
    assert seen == [State.CONNECTING, State.CONNECTED]
    details = client.connection.connection_details
    assert details.connection_key.startswith(identity(client))
    assert details.connection_state_ttl == 120_000
    assert details.max_idle_interval == 15_000


@case("closes and connects anew")
async def closes(t: Tools) -> None:
    client = await t.connected()
    before = identity(client)
    await client.connection.close()
    await reach(client.connection, State.CLOSED)
    client.connect()
    await reach(client.connection, State.CONNECTED)
    assert identity(client) != before


@case("connects with a key")
async def with_key(t: Tools) -> None:
    client = await t.connected(key=KEY)
    channel = client.channels.get(t.name())
    got = await collect(channel)
    await channel.publish("n", "x")
    await until(lambda: len(got) == 1)


@case("an unknown application fails the connection")
async def unknown_app(t: Tools) -> None:
    error = await failed(t.realtime(key="nonexistent.keyname:keysecret"))
    assert (error.code, error.status_code) == (40101, 401)


@case("a wrong secret fails the connection")
async def wrong_secret(t: Tools) -> None:
    assert (await failed(t.realtime(key="app.key:wrong"))).code == 40101


@case("a ping is answered")
async def ping(t: Tools) -> None:
    client = await t.connected()
    assert await client.connection.ping() >= 0


@case("connects with a native token")
async def native_token(t: Tools) -> None:
    details = await t.rest(key=KEY).auth.request_token({"client_id": "ann"})
    client = await t.connected(token_details=details)
    assert client.auth.client_id == "ann"
    assert details.expires - details.issued == 3_600_000


@case("connects with a JWT")
async def with_jwt(t: Tools) -> None:
    client = await t.connected(token=jwt(client_id="ann"))
    assert client.auth.client_id == "ann"


@case("connects with a callback that gives a token request")
async def with_callback(t: Tools) -> None:
    rest = t.rest(key=KEY)

    async def callback(params: dict[str, Any]) -> Any:
        return await rest.auth.create_token_request(params)

    client = await t.connected(auth_callback=callback)
    assert identity(client)


@case("a token request is taken once")
async def nonce(t: Tools) -> None:
    rest = t.rest(key=KEY)
    request = await rest.auth.create_token_request()
    path = f"/keys/{request.key_name}/requestToken"
    body = request.to_dict()
    first = await rest.http.post(path, body=body, skip_auth=True)
    assert first.to_native()["keyName"] == "app.key"
    await refused(rest.http.post(path, body=body, skip_auth=True), 40105, 401)


@case("a token request with an old timestamp or a wrong key is refused")
async def bad_request(t: Tools) -> None:
    await refused(t.rest(key=KEY).auth.request_token({"timestamp": 1}), 40104, 401)
    await refused(t.rest(key="app.key:wrong").auth.request_token(), 40101, 401)


@case("another client id than the token has is refused")
async def mismatch(t: Tools) -> None:
    client = t.realtime(token=jwt(client_id="ann"), transport_params={"clientId": "bob"})
    assert (await failed(client)).code == 40102


@case("an expired token without a way to renew it fails the connection")
async def expired(t: Tools) -> None:
    assert (await failed(t.realtime(token=jwt(seconds=-60)))).code in {40142, 40171}


@case("a token that ends is renewed and the connection resumed", alone=True)
async def renewed(t: Tools) -> None:
    issued = 0

    async def callback(_: dict[str, Any]) -> Any:
        nonlocal issued
        issued += 1
        return jwt(now=await t.time() / 1000, seconds=25 if issued == 1 else 3600)

    client = await t.connected(auth_callback=callback)
    before, seen = identity(client), states(client)
    await t.control("/clock", {"advance": 26})
    await until(lambda: State.CONNECTED in seen, "connected again")
    assert identity(client) == before
    assert issued >= 2


@case("a token refused at the start is renewed")
async def renewed_at_start(t: Tools) -> None:
    tag, issued = t.name(), 0
    await t.fault(does="error", action="CONNECT", query={"tag": tag}, error={"code": 40142, "status": 401})

    async def callback(_: dict[str, Any]) -> Any:
        nonlocal issued
        issued += 1
        return jwt()

    await t.connected(auth_callback=callback, transport_params={"tag": tag})
    assert issued == 2


@case("in-band reauthorisation keeps the connection")
async def in_band(t: Tools) -> None:
    async def callback(_: dict[str, Any]) -> Any:
        return jwt()

    client = await t.connected(auth_callback=callback)
    before = identity(client)
    await asyncio.wait_for(client.auth.authorize(), 5)
    assert identity(client) == before
    assert client.connection.state == State.CONNECTED


@case("the server asks for new credentials and gets them")
async def asked(t: Tools) -> None:
    issued = 0

    async def callback(_: dict[str, Any]) -> Any:
        nonlocal issued
        issued += 1
        return jwt()

    client = await t.connected(auth_callback=callback)
    await t.deed("reauth", connection=identity(client))
    await until(lambda: issued == 2, "asked again")
    assert client.connection.state == State.CONNECTED


@case("attaching without the capability fails the channel")
async def no_capability(t: Tools) -> None:
    client = await t.connected(key=RESTRICTED)
    channel = client.channels.get(t.name())
    await refused(channel.attach(), 40160, 401)
    assert client.connection.state == State.CONNECTED


@case("publishing without the capability is refused")
async def no_publish(t: Tools) -> None:
    name = t.name()
    client = await t.connected(token=jwt(capability={name: ["subscribe"]}))
    await refused(client.channels.get(name).publish("n", "x"), 40160, 401)


@case("a cut transport is resumed with the same connection id")
async def resumed(t: Tools) -> None:
    client = await t.connected()
    before, seen = identity(client), states(client)
    key = client.connection.connection_details.connection_key
    await t.cut(client)
    await until(lambda: State.CONNECTED in seen, "connected again")
    assert identity(client) == before
    assert client.connection.connection_details.connection_key != key


@case("messages sent while the transport was gone are not lost")
async def nothing_lost(t: Tools) -> None:
    name = t.name()
    reader, writer = await t.connected(), await t.connected()
    got, channel = await collect(reader.channels.get(name)), writer.channels.get(name)
    await channel.publish("n", "0")
    await until(lambda: len(got) == 1)
    await t.fault(does="abort", action="CONNECT", connection=identity(reader), times=2)
    seen = states(reader)
    await t.cut(reader)
    await until(lambda: State.DISCONNECTED in seen)
    for index in range(1, 10):
        await channel.publish("n", str(index))
    await until(lambda: len(got) == 10, "ten messages")
    assert [message.data for message in got] == list("0123456789")


@case("a refused resume gives a new connection with its error")
async def not_resumed(t: Tools) -> None:
    client = await t.connected()
    before, seen = identity(client), states(client)
    await t.fault(does="refuse", action="CONNECT", connection=before, error={"code": 80018})
    await t.cut(client)
    await until(lambda: State.CONNECTED in seen, "connected again")
    assert identity(client) != before
    assert client.connection.error_reason.code == 80018
    await client.channels.get(t.name()).publish("n", "goes on")


@case("lost continuity is told, not hidden")
async def lost_continuity(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    await channel.attach()
    changes: list[Any] = []
    channel.on(listener(changes))
    await t.deed("lose-continuity", channel=channel.name)
    await t.cut(client)
    await until(lambda: any(change.current == "attached" for change in changes), "attached again")
    attached = next(change for change in changes if change.current == "attached")
    assert not attached.resumed


@case("a channel attached through a resume says so")
async def kept_continuity(t: Tools) -> None:
    client = await t.connected()
    channel = client.channels.get(t.name())
    await channel.attach()
    changes: list[Any] = []
    channel.on(listener(changes))
    await t.cut(client)
    await until(lambda: any(change.current == "attached" for change in changes), "attached again")
    assert next(change for change in changes if change.current == "attached").resumed


@case("DISCONNECTED is followed by a resume")
async def disconnected(t: Tools) -> None:
    client = await t.connected()
    before, seen = identity(client), states(client)
    await t.deed("disconnect", connection=before, error={"code": 80003, "status": 400})
    await until(lambda: State.CONNECTED in seen, "connected again")
    assert identity(client) == before


@case("ERROR on an established connection fails it")
async def fatal(t: Tools) -> None:
    client = await t.connected()
    await t.deed("fail", connection=identity(client), error={"code": 50000})
    assert (await failed(client)).code == 50000


@case("a refused transport is tried again")
async def tried_again(t: Tools) -> None:
    tag = t.name()
    await t.fault(does="abort", action="CONNECT", query={"tag": tag})
    client = t.realtime(transport_params={"tag": tag})
    await reach(client.connection, State.CONNECTED)


@case("a connection that gets no CONNECTED is tried again")
async def no_connected(t: Tools) -> None:
    tag = t.name()
    await t.fault(does="drop", action="CONNECT", query={"tag": tag})
    client = t.realtime(transport_params={"tag": tag}, realtime_request_timeout=1500)
    await until(lambda: client.connection.state == State.DISCONNECTED, "given up")
    await reach(client.connection, State.CONNECTED)


@case("an unacknowledged publish is sent again after a resume and is there once")
async def sent_again(t: Tools) -> None:
    name = t.name()
    client, reader = await t.connected(), await t.connected()
    got = await collect(reader.channels.get(name))
    await t.fault(does="abort", way="out", action="ACK", connection=identity(client))
    result = await client.channels.get(name).publish("n", "once")
    await reader.channels.get(name).publish("n", "end")
    await until(lambda: len(got) == 2)
    assert [message.data for message in got] == ["once", "end"]
    assert got[0].serial == result.serials[0]


@case("without ids a publish whose ACK was lost is there twice after a failed resume")
async def twice(t: Tools) -> None:
    name = t.name()
    client, reader = await t.connected(), await t.connected()
    got, before = await collect(reader.channels.get(name)), identity(client)
    await t.fault(does="refuse", action="CONNECT", connection=before, error={"code": 80018})
    await t.fault(does="abort", way="out", action="ACK", connection=before)
    await client.channels.get(name).publish("n", "twice")
    await until(lambda: len(got) == 2, "the second")


@case("a NACK fails the publish with its error")
async def nacked(t: Tools) -> None:
    name = t.name()
    client = await t.connected()
    await t.fault(does="nack", action="MESSAGE", channel=name, error={"code": 42911})
    await refused(client.channels.get(name).publish("n", "x"), 42911, 429)
    await client.channels.get(name).publish("n", "x")


@case("after two minutes the state is gone", alone=True)
async def two_minutes(t: Tools) -> None:
    client = await t.connected()
    before, seen = identity(client), states(client)
    await t.fault(does="abort", action="CONNECT", connection=before, times=5)
    await t.cut(client)
    await until(lambda: State.DISCONNECTED in seen)
    await t.control("/clock", {"advance": 121})
    await until(lambda: State.CONNECTED in seen, "connected again")
    assert identity(client) != before
    assert client.connection.error_reason.code == 80023


@case("token details tell their client id and capability")
async def details(t: Tools) -> None:
    found: TokenDetails = await t.rest(key=RESTRICTED).auth.request_token(
        {"capability": {"channel2": ["publish", "history"]}, "client_id": "ann"}
    )
    assert found.client_id == "ann"
    assert {name: set(rights) for name, rights in found.capability.items()} == {"channel2": {"publish"}}
