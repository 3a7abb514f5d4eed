"""The REST interface of Ably's emulator: what the official clients do not ask for, or not so."""

from __future__ import annotations

import asyncio
import base64
import json

import aiohttp
import msgpack
import pytest

from chatkit.testing.emulators.ably.wire import Action
from tests.emulators.ably.raw import KEY, Raw, basic, call, emulated

pytestmark = pytest.mark.realtime


async def test_an_error_is_in_body_and_headers() -> None:
    """`error`, `X-Ably-Errorcode`, `X-Ably-Errormessage`."""
    async with emulated() as ably:
        status, body, headers = await call(ably, "GET", "/channels/c/messages", key=None)
        assert status == 401
        assert body["error"]["code"] == 40101
        assert headers["X-Ably-Errorcode"] == "40101"
        assert headers["X-Ably-Errormessage"]
        assert (await call(ably, "GET", "/nothing"))[0] == 404
        assert (await call(ably, "GET", "/"))[1]["error"]["code"] == 40400


async def test_credentials_come_by_header_or_by_query() -> None:
    """Basic, Bearer raw or in base64, `key`, `access_token`."""
    async with emulated() as ably:
        token = ably.app.authority.issue("app.key", {}, ably.app.authority.by_key(KEY))["token"]
        packed = base64.b64encode(token.encode()).decode()
        path = "/channels/c/messages"
        for value in (token, packed):
            headers = {"Authorization": f"Bearer {value}"}
            assert (await call(ably, "GET", path, key=None, headers=headers))[0] == 200
        for query in ({"key": KEY}, {"access_token": token}, {"accessToken": token}):
            assert (await call(ably, "GET", path, key=None, params=query))[0] == 200
        headers = {"Authorization": "Bearer nonsense"}
        assert (await call(ably, "GET", path, key=None, headers=headers))[1]["error"]["code"] == 40143


async def test_a_basic_client_says_who_it_is_by_a_header() -> None:
    """RSA7e2: `X-Ably-ClientId`, in base64 or plain."""
    async with emulated() as ably:
        for value in (base64.b64encode(b"ann").decode(), "bob!"):
            headers = {"X-Ably-ClientId": value}
            await call(ably, "POST", "/channels/c/messages", {"name": "n"}, headers=headers)
        _, items, _ = await call(ably, "GET", "/channels/c/messages")
        assert [item["clientId"] for item in items] == ["bob!", "ann"]


async def test_an_envelope_holds_status_headers_and_body() -> None:
    """For clients that cannot see headers."""
    async with emulated() as ably:
        _, body, _ = await call(
            ably, "GET", "/channels/c/messages", params={"envelope": "json", "limit": "1"}
        )
        assert body["statusCode"] == 200
        assert body["response"] == []
        assert "link" in body["headers"]


async def test_msgpack_is_read_and_written_by_its_content_type() -> None:
    """Bytes stay bytes, and JSON sees them in base64; a broken body is 40001."""
    async with (
        emulated() as ably,
        aiohttp.ClientSession(headers=basic()) as session,
    ):
        url, kind = f"{ably.url}/channels/c/messages", "application/x-msgpack"
        body = msgpack.packb([{"data": b"\x00\xff"}])
        async with session.post(url, data=body, headers={"Content-Type": kind, "Accept": kind}) as answer:
            assert answer.status == 201
            assert len(msgpack.unpackb(await answer.read())["serials"]) == 1
        _, items, _ = await call(ably, "GET", "/channels/c/messages")
        assert (items[0]["data"], items[0]["encoding"]) == ("AP8=", "base64")
        async with session.post(url, data=b"\xc1", headers={"Content-Type": kind}) as answer:
            assert (await answer.json())["error"]["code"] == 40001
        async with session.post(url, data=b"3", headers={"Content-Type": "application/json"}) as answer:
            assert (await answer.json())["error"]["code"] == 40001


BAD_REQUESTS: list[tuple[dict[str, object], int]] = [
    ({"keyName": "app.listener"}, 40101),
    ({"ttl": "long"}, 40003),
    ({"ttl": 0}, 40003),
    ({"ttl": 90_000_000}, 40003),
    ({"capability": "no json"}, 40000),
    ({"mac": "wrong"}, 40101),
]


async def test_a_bad_token_request_is_refused() -> None:
    """RSA9, and its bounds."""
    async with emulated() as ably:
        for change, code in BAD_REQUESTS:
            _, body, _ = await call(ably, "POST", "/keys/app.key/requestToken", change)
            assert body["error"]["code"] == code, change


async def test_a_key_asks_for_tokens_of_its_own_only() -> None:
    """Unsigned with the key itself, never with a token or another key."""
    async with emulated() as ably:
        status, details, _ = await call(ably, "POST", "/keys/app.key/requestToken", {"ttl": "1000"})
        assert status == 201
        assert details["expires"] - details["issued"] == 1000
        path = "/keys/app.listener/requestToken"
        assert (await call(ably, "POST", path, {}))[1]["error"]["code"] == 40101
        headers = {"Authorization": f"Bearer {details['token']}"}
        answer = await call(ably, "POST", "/keys/app.key/requestToken", {}, key=None, headers=headers)
        assert answer[1]["error"]["code"] == 40101


async def test_a_signed_token_request_is_checked() -> None:
    """The nonce has 16 characters, the timestamp is a number and current."""
    import hashlib
    import hmac

    async with emulated() as ably:

        async def request(**fields: object) -> int:
            body = {"keyName": "app.key", "timestamp": ably.app.now(), "nonce": "n" * 16, **fields}
            names = ("keyName", "ttl", "capability", "clientId", "timestamp", "nonce")
            text = "".join(f"{body.get(name, '')}\n" for name in names)
            digest = hmac.new(b"secret", text.encode(), hashlib.sha256).digest()
            body["mac"] = base64.b64encode(digest).decode()
            _, answer, _ = await call(ably, "POST", "/keys/app.key/requestToken", body, key=None)
            return int(answer["error"]["code"]) if "error" in answer else 0

        assert await request(clientId="ann") == 0
        assert await request() == 40105
        assert await request(nonce="short") == 40003
        assert await request(timestamp="soon") == 40003
        assert await request(timestamp=1) == 40104


async def test_a_revocation_is_checked() -> None:
    """RSA17: basic auth, the own key, bounds; where keys do not issue revocable tokens it is 40163."""
    body: dict[str, object] = {"targets": ["clientId:ann"]}
    path = "/keys/app.key/revokeTokens"
    async with emulated() as ably:
        token = ably.app.authority.issue("app.key", {}, ably.app.authority.by_key(KEY))["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert (await call(ably, "POST", path, body, key=None, headers=headers))[1]["error"]["code"] == 40162
        wrong = "/keys/app.listener/revokeTokens"
        assert (await call(ably, "POST", wrong, body))[1]["error"]["code"] == 40133
        assert (await call(ably, "POST", path, {"targets": []}))[1]["error"]["code"] == 40003
        late = {**body, "issuedBefore": ably.app.now() + 60_000}
        assert (await call(ably, "POST", path, late))[1]["error"]["code"] == 40003
        both = {"targets": ["channel:c", "revocationKey:r"]}
        assert (await call(ably, "POST", path, both))[1]["successCount"] == 2
        async with Raw(ably, accessToken=token) as client:
            assert client.greeting["error"]["code"] == 40141
        ably.change(revocable=False)
        assert (await call(ably, "POST", path, body))[1]["error"]["code"] == 40163


async def test_a_revocation_with_a_margin_applies_later() -> None:
    """RSA17f: 30 seconds, in which a client may renew its token."""
    async with emulated() as ably:
        key = ably.app.authority.by_key(KEY)
        token = ably.app.authority.issue("app.key", {"clientId": "ann"}, key)["token"]
        async with Raw(ably, accessToken=token) as client:
            body = {"targets": ["clientId:ann"], "allowReauthMargin": True}
            await call(ably, "POST", "/keys/app.key/revokeTokens", body)
            await client.send(Action.HEARTBEAT, id="still here")
            assert (await client.next())["id"] == "still here"
            ably.clock.advance(31)
            assert (await client.until(Action.DISCONNECTED))["error"]["code"] == 40141


async def test_channels_are_listed() -> None:
    """Those with somebody on them, by prefix, in pages."""
    async with emulated() as ably, Raw(ably) as client:
        for name in ("a:1", "a:2", "b"):
            await client.attach(name)
        assert (await call(ably, "GET", "/channels"))[1] == ["a:1", "a:2", "b"]
        assert (await call(ably, "GET", "/channels", params={"prefix": "a", "limit": "1"}))[1] == ["a:1"]
        for path in ("/channels", "/stats"):
            answer = await call(ably, "GET", path, key="app.listener:secret")
            assert answer[1]["error"]["code"] == 40160


async def test_bad_batches_are_refused() -> None:
    """A batch has channels, and messages."""
    async with emulated() as ably:
        bad: list[dict[str, object]] = [{"channels": []}, {"channels": "c", "messages": 3}]
        for body in bad:
            assert (await call(ably, "POST", "/messages", body))[1]["error"]["code"] == 40003
        assert (await call(ably, "GET", "/presence"))[1]["error"]["code"] == 40003
        one = {"channels": "c", "messages": {"name": "n"}}
        assert (await call(ably, "POST", "/messages", one))[1]["successCount"] == 1


async def test_a_change_that_is_none_is_refused() -> None:
    """A PATCH updates, deletes or appends; a message for no connection is refused."""
    async with emulated() as ably:
        path = "/channels/mutable:c/messages/x"
        assert (await call(ably, "PATCH", path, {"data": "x"}))[1]["error"]["code"] == 40003
        assert (await call(ably, "PATCH", path, {"action": 1}))[1]["error"]["code"] == 40400
        body = {"name": "n", "connectionKey": "none!x"}
        assert (await call(ably, "POST", "/channels/c/messages", body))[1]["error"]["code"] == 40006


async def test_an_attach_point_of_another_region_is_told() -> None:
    """40024, as where another region serves the history."""
    async with emulated() as ably:
        query = {"fromSerial": "00000000000001-000@other"}
        answer = await call(ably, "GET", "/channels/c/messages", params=query)
        assert answer[1]["error"]["code"] == 40024


async def test_an_event_stream_gives_messages_as_they_come() -> None:
    """By name, with the place in its id, from which the next stream goes on; or only the data."""
    async with emulated() as ably, Raw(ably) as writer, aiohttp.ClientSession() as session:
        await writer.publish("a", {"name": "old", "data": "0"})

        async def read(count: int, **query: str) -> list[dict[str, str]]:
            events: list[dict[str, str]] = []
            params = {"v": "1.2", "key": KEY, "channels": "a,b", **query}
            async with session.get(f"{ably.url}/sse", params=params) as answer:
                assert answer.headers["Content-Type"] == "text/event-stream"
                event: dict[str, str] = {}
                ready.set()
                async for line in answer.content:
                    name, _, value = line.decode().rstrip("\n").partition(": ")
                    if name:
                        event[name] = f"{event[name]}\n{value}" if name in event else value
                    elif event:
                        events.append(event)
                        event = {}
                        if len(events) == count:
                            return events
            return events

        ready = asyncio.Event()
        reading = asyncio.ensure_future(read(2))
        await ready.wait()
        await writer.publish("a", {"name": "n", "data": "1"})
        await writer.publish("b", {"data": "two\nlines"})
        first, second = await reading
        message = json.loads(first["data"])
        assert (message["channel"], message["data"], message["name"]) == ("a", "1", "n")
        assert first["event"] == "message"
        await writer.publish("a", {"data": "3"})
        (missed,) = await read(1, lastEvent=second["id"])
        assert json.loads(missed["data"])["data"] == "3"
        (whole, rewound) = await read(2, rewind="2", channels="a", enveloped="false")
        assert (whole["data"], rewound["data"]) == ("1", "3")
        assert whole["event"] == "n"
        (lost,) = await read(1, lastEvent='{"a":"00000000000001-000@other"}')
        assert lost["event"] == "error"
        assert json.loads(lost["data"])["code"] == 90003


BAD_STREAMS: list[tuple[dict[str, str], int]] = [
    ({}, 40101),
    ({"key": KEY, "channels": "a"}, 40017),
    ({"key": KEY, "v": "1.2"}, 40000),
    ({"key": KEY, "v": "1.2", "channels": "a", "lastEvent": "{"}, 40003),
    ({"key": KEY, "v": "1.2", "channels": ":bad"}, 40010),
]


async def test_a_bad_event_stream_is_refused() -> None:
    """Before it begins."""
    async with emulated() as ably:
        for query, code in BAD_STREAMS:
            _, body, _ = await call(ably, "GET", "/event-stream", key=None, params=query)
            assert body["error"]["code"] == code, query


async def test_an_event_stream_ends_with_its_token() -> None:
    """By the emulator's clock, at once, in silence too; also where the token is revoked."""
    async with emulated() as ably, Raw(ably) as writer, aiohttp.ClientSession() as session:
        key = ably.app.authority.by_key(KEY)
        query = {"v": "1.2", "channels": "a"}
        for name in ("ann", "bob"):
            token = ably.app.authority.issue("app.key", {"ttl": 60_000, "clientId": name}, key)["token"]
            async with session.get(f"{ably.url}/sse", params={**query, "accessToken": token}) as answer:
                await writer.publish("a", {"data": name})
                assert f'"data": "{name}"' in (await answer.content.readuntil(b"\n\n")).decode()
                if name == "ann":
                    ably.clock.advance(61)
                else:
                    ably.app.authority.revoke(key.key, "clientId:bob", 2**53, 0)
                    ably.app.revoke_now()
                assert set((await answer.text()).split("\n")) <= {"", ":keepalive"}
        assert ably.app.streams == set()
        assert ably.app.channel("a").listeners == {}


async def test_a_silent_event_stream_is_kept_alive() -> None:
    """By a comment every ten seconds; its reader is a connection and a subscriber while it lasts."""
    async with emulated() as ably, Raw(ably) as watcher, aiohttp.ClientSession() as session:
        await watcher.attach("a", params={"occupancy": "metrics"})

        async def told() -> tuple[int, int]:
            metrics = json.loads((await watcher.until(Action.MESSAGE))["messages"][0]["data"])["metrics"]
            return metrics["connections"], metrics["subscribers"]

        assert await told() == (1, 1)
        query = {"v": "1.2", "channels": "a", "key": KEY}
        async with session.get(f"{ably.url}/sse", params=query) as answer:
            assert await told() == (2, 2)
            for _ in range(2):
                ably.clock.advance(10)
                assert await answer.content.readline() == b":keepalive\n"
                await answer.content.readline()
        while ably.app.streams:  # that its reader has gone shows when something is written
            ably.clock.advance(10)
            for _ in range(3):
                await asyncio.sleep(0)
        assert await told() == (1, 1)


async def test_history_is_paged_by_links() -> None:
    """`first`, `current` and `next`, one header each, relative, ending in the last segment of the path."""
    async with emulated() as ably:
        for name in ("a", "b", "c"):
            await call(ably, "POST", "/channels/x%2Fy/messages", {"name": name})
        seen, path = [], "/channels/x%2Fy/messages?limit=2"
        while path:
            _, items, headers = await call(ably, "GET", path)
            seen += [item["name"] for item in items]
            links = {
                rel: link for link, _, rel in (each.partition(">; rel=") for each in headers.getall("Link"))
            }
            assert {'"first"', '"current"'} <= set(links)
            following = links.get('"next"', "")
            path = f"/channels/x%2Fy{following[2:]}" if following else ""
            assert following.startswith("<./messages?") or not following
        assert seen == ["c", "b", "a"]


async def test_a_message_is_changed_annotated_and_read() -> None:
    """Its versions oldest first, its annotations, and what they sum up to."""
    path = "/channels/mutable:c/messages"
    async with emulated() as ably:
        _, published, _ = await call(ably, "POST", path, {"name": "n", "data": "a"})
        message = f"{path}/{published['serials'][0]}"
        _, changed, _ = await call(ably, "PATCH", message, {"action": 5, "data": "b"})
        assert changed["versionSerial"] > published["serials"][0]
        _, read, _ = await call(ably, "GET", message)
        assert (read["data"], read["action"]) == ("ab", 1)
        assert [each["data"] for each in (await call(ably, "GET", f"{message}/versions"))[1]] == ["a", "ab"]
        assert (await call(ably, "POST", f"{message}/annotations", [{"type": "x:total.v1"}]))[0] == 201
        assert len((await call(ably, "GET", f"{message}/annotations"))[1]) == 1
        assert (await call(ably, "GET", path))[1][0]["annotations"]["summary"] == {"x:total.v1": {"total": 1}}
        assert (await call(ably, "POST", f"{path}?_forceNack=true", {}))[1]["error"]["code"] == 40099


async def test_presence_and_occupancy_are_told() -> None:
    """By REST, and to those attached with the parameter `occupancy`, all of it or one figure."""
    async with emulated() as ably, Raw(ably, clientId="ann") as ann, Raw(ably) as all_of_it, Raw(ably) as one:
        await ann.attach("c")
        await ann.send(Action.PRESENCE, channel="c", presence=[{"action": 2, "data": "x"}])
        await ann.answer()
        await all_of_it.attach("c", params={"occupancy": "metrics"})
        await one.attach("c", params={"occupancy": "metrics.subscribers"})
        told = (await one.until(Action.MESSAGE))["messages"][0]
        assert told["name"] == "[meta]occupancy"
        assert json.loads(told["data"]) == {"metrics": {"subscribers": 3}}
        told = (await all_of_it.until(Action.MESSAGE))["messages"][0]
        assert json.loads(told["data"])["metrics"]["presenceMembers"] == 1
        _, details, _ = await call(ably, "GET", "/channels/c")
        assert details["status"]["occupancy"]["metrics"]["connections"] == 3
        query = {"clientId": "ann", "connectionId": ann.id}
        assert [
            each["data"] for each in (await call(ably, "GET", "/channels/c/presence", params=query))[1]
        ] == ["x"]
        assert (await call(ably, "GET", "/channels/c/presence", params={"clientId": "bob"}))[1] == []
        (event,) = (await call(ably, "GET", "/channels/c/presence/history"))[1]
        assert (event["action"], "serial" in event) == (2, False)
        assert (await call(ably, "GET", "/presence", params={"channels": "c,d"}))[1]["successCount"] == 2
        assert isinstance((await call(ably, "GET", "/time", key=None))[1][0], int)
        body = {"name": "n", "connectionKey": ann.key}
        await call(ably, "POST", "/channels/c/messages", body)
        assert (await call(ably, "GET", "/channels/c/history"))[1][0]["connectionId"] == ann.id
        assert (await call(ably, "GET", "/stats"))[1][0]["entries"]["messages.inbound.all.all.count"] == 1


async def test_a_jwt_is_checked() -> None:
    """Its algorithm, its key, its signature, its times; its claims say who and what."""
    import hashlib
    import hmac

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    async with emulated() as ably:
        now = ably.app.now() // 1000

        async def tried(
            header: dict[str, object], claims: dict[str, object], secret: bytes = b"secret"
        ) -> int:
            text = f"{part({'alg': 'HS256', 'kid': 'app.key', **header})}.{part(claims)}"
            digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
            token = f"{text}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
            headers = {"Authorization": f"Bearer {token}"}
            _, body, _ = await call(ably, "GET", "/channels/c/messages", key=None, headers=headers)
            return int(body["error"]["code"]) if isinstance(body, dict) else 0

        times: dict[str, object] = {"iat": now, "exp": now + 60}
        assert await tried({}, times) == 0
        assert await tried({}, {**times, "x-ably-capability": '{"d":["*"]}'}) == 40160
        assert await tried({}, {**times, "exp": now - 1}) == 40142
        assert await tried({}, {"iat": now}) == 40144
        assert await tried({"alg": "none"}, times) == 40144
        assert await tried({"kid": "none.key"}, times) == 40101
        assert await tried({}, times, b"guess") == 40144
