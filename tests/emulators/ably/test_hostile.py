"""What no client of good will sends: each is refused or ignored, and reaches no other client."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from collections.abc import Generator
from typing import Any

import aiohttp
import msgpack
import pytest

from chatkit.testing.emulators.ably import AblyEmulator
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import DEEPEST, natural
from chatkit.testing.emulators.ably.wire import Action, Format, decode, encode
from tests.emulators.ably.raw import KEY, Raw, call, emulated

pytestmark = pytest.mark.realtime


@pytest.fixture(autouse=True)
def nothing_went_wrong(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """The emulator refuses; it has no accidents, which aiohttp and asyncio would log."""
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.get_records("call") == []


def nested(levels: int, form: Format) -> str | bytes:
    """A frame whose data lies so deep."""
    if form is Format.JSON:
        return '{"action":15,"data":' + "[" * levels + "]" * levels + "}"
    return b"\x82\xa6action\x0f\xa4data" + b"\x91" * levels + b"\xc0"


@pytest.mark.parametrize("form", list(Format))
async def test_depth_is_bounded(form: Format) -> None:
    """At any depth with 40001, long before a reader of JSON gives up."""
    assert decode(nested(DEEPEST - 2, form), form)["action"] == 15
    for levels in (DEEPEST + 1, 2_000, 200_000):
        with pytest.raises(AblyError, match="40001"):
            decode(nested(levels, form), form)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of 4 billion
        b"\xdf\xff\xff\xff\xff\xa1a",  # an object of as many
        b"\xdb\xff\xff\xff\xffabc",  # a text of as many
        b"\xc9\xff\xff\xff\xff\x01",  # an extension of as many
        b"\x81\x01\x02",  # a key that is a number
        b"\x81\xc4\x01a\x02",  # a key of bytes
        b"\x81\xa1a\xd6\xff\x00\x00\x00\x00",  # a time
        b"\x81\xa1a\xc7\x01\x05a",  # an extension
        b"\x81\xa1a\xc4\x01a",  # bytes elsewhere than in data
        b"\x81\xa1a\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",  # infinity
        b"\x01\x02",  # something behind it
        b"",
    ],
)
async def test_msgpack_that_json_has_not_is_refused(bomb: bytes) -> None:
    """With 40001, and without the memory that it claims to need."""
    with pytest.raises(AblyError, match="40001"):
        decode(bomb, Format.MSGPACK)


@pytest.mark.parametrize("text", ["NaN", '{"a":Infinity}', "1e999", "9" * 5_000, "-9223372036854775809", '"'])
async def test_json_that_msgpack_has_not_is_refused(text: str) -> None:
    """With 40001: what came by one format can be written in the other."""
    with pytest.raises(AblyError, match="40001"):
        decode(text, Format.JSON)
    assert decode("18446744073709551615", Format.JSON) == 2**64 - 1


async def test_half_characters_become_replacements() -> None:
    """In both formats, in keys too; bytes packed as text are bytes again in the data of an item, not deeper."""
    value = decode('{"a\\ud800b":["\\udc00","\\ud83d\\ude00"]}', Format.JSON)
    assert value == {"a\ufffdb": ["\ufffd", "\U0001f600"]}
    packed = msgpack.packb({"messages": [{"data": b"\xff", "extras": {"data": b"\xff"}}]}, use_bin_type=False)
    read = decode(packed, Format.MSGPACK)
    assert read == {"messages": [{"data": b"\xff", "extras": {"data": "\ufffd"}}]}
    assert decode('{"messages":[{"data":"\\ud800"}]}', Format.JSON) == {"messages": [{"data": "\ufffd"}]}
    for form in Format:
        encode(value, form)


async def test_a_number_is_plain_digits() -> None:
    """No other script's, no more than 15, no sign."""
    assert [natural(text) for text in ("0", "12", "²", "٣", "1" * 16, "-1", "1.0", "")] == [
        *(0, 12),
        *[None] * 6,
    ]


FRAMES: list[dict[str, Any]] = [
    {"action": 10, "channel": "c", "flags": "all"},
    {"action": 10, "channel": "c", "flags": -1},
    {"action": 10, "channel": "c", "params": {"rewind": "1" * 5_000}},
    {"action": 10, "channel": "c", "params": [3]},
    {"action": 10, "channel": "c", "channelSerial": {"a": 1}},
    {"action": 10, "channel": ["c"]},
    {"action": 15, "channel": "c", "messages": [{"action": [1], "serial": "s"}]},
    {"action": 15, "channel": "c", "messages": [{"action": 1.5, "serial": ["s"]}]},
    {"action": 15, "channel": "c", "messages": [{"encoding": {"a": 1}, "data": "x"}]},
    {"action": 15, "channel": "c", "messages": [{"encoding": "base64", "data": "\u00ff"}]},
    {"action": 15, "channel": "c", "messages": [{"extras": {"a\r\nb": 1}}]},
    {"action": 15, "channel": "c", "messages": {"a": 1}},
    {"action": 15, "channel": "c", "messages": [{"data": "x"}], "params": {"_forceNack": []}},
    {"action": 14, "channel": "c", "presence": [{"action": [2]}]},
    {"action": 14, "channel": "c", "presence": [{"action": 2, "id": [1]}]},
    {"action": 14, "channel": "c", "presence": [{"action": 2, "strange": 1}]},
    {"action": 21, "channel": "mutable:c", "annotations": [{"action": [0]}]},
    {"action": 21, "channel": "mutable:c", "annotations": [{"type": ["x:flag.v1"]}]},
    {"action": 21, "channel": "mutable:c", "annotations": [{"type": "x:unique.v1", "name": ["n"]}]},
    {"action": 21, "channel": "mutable:c", "annotations": [{"type": "x:multiple.v1", "count": [1]}]},
    {"action": [15], "channel": "c"},
    {"action": {"a": 1}},
    {"action": 16, "channel": 3},
    {"action": 12, "channel": None},
    {"action": 17},
    {"action": 17, "auth": {"accessToken": 3}},
    {"action": 15, "msgSerial": -1, "channel": "c", "messages": []},
    {"action": 15, "msgSerial": "1", "channel": "c", "messages": []},
    {"action": 15, "msgSerial": True, "channel": "c", "messages": []},
    {"action": 0, "id": {"a": [1]}},
]


@pytest.mark.parametrize("form", list(Format))
async def test_a_wild_frame_costs_its_sender_alone(form: Format) -> None:
    """It is refused, ignored, or the end of its own connection; another client talks on, in the other format."""
    other = Format.JSON if form is Format.MSGPACK else Format.MSGPACK
    async with emulated() as ably, Raw(ably, other, clientId="bob") as bob:
        await bob.attach("c", params={"occupancy": "metrics"})
        serial = (await bob.publish("mutable:c", {"data": "x"}))["res"][0]["serials"][0]
        for number, frame in enumerate(FRAMES):
            for annotation in frame.get("annotations", []):
                annotation["messageSerial"] = serial
            async with Raw(ably, form, clientId="ann") as ann:
                await ann.attach("c")
                await ann.raw(encode(frame, form))
                await ann.raw(encode({"action": int(Action.HEARTBEAT), "id": "done"}, form))
                try:
                    while (await ann.next()).get("id") != "done":
                        pass
                except ConnectionError:
                    pass
            await bob.send(Action.MESSAGE, channel="c", messages=[{"data": str(number)}])
            while (await bob.until(Action.MESSAGE))["messages"][0].get("data") != str(number):
                pass
        assert (await call(ably, "GET", "/channels/mutable:c/messages"))[0] == 200


def bearer(token: str) -> dict[str, str]:
    """A header with a token, as the official clients send it."""
    return {"Authorization": f"Bearer {base64.b64encode(token.encode()).decode()}"}


def jwt(header: str, claims: str) -> str:
    """A token of these parts; nobody signed it."""
    parts = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join((*parts, "AA"))


DEEP = "[" * 3_000 + "]" * 3_000
HEADERS: list[dict[str, str]] = [
    {"Authorization": "Basic"},
    {"Authorization": "Digest x"},
    bearer(jwt("[" * 1_500 + "]" * 1_500, "{}")),
    bearer(jwt('{"alg":"HS256","kid":"app.key"}', "{}")),
    bearer(jwt('{"alg":"HS256","kid":["app.key"]}', "{}")),
    bearer(jwt("[]", "3")),
    bearer(".."),
]
TOKENS: list[dict[str, Any]] = [
    {"capability": 5},
    {"capability": [["a"]]},
    {"capability": DEEP},
    {"capability": {"a": [["b"]]}},
    {"capability": '{"a":NaN}'},
    {"ttl": "²"},
    {"ttl": 1e300},
    {"ttl": [1]},
    {"ttl": 0},
    {"clientId": [1]},
    {"mac": "ä"},
    {"mac": [1], "timestamp": 1e300, "nonce": [1]},
]


async def test_wild_credentials_are_refused() -> None:
    """With a code and a status, in headers and in token requests."""
    async with emulated() as ably:
        for header in ("Basic \udcff", "Basic app.key:\udcff", "Bearer \udcff", "Bearer a.b.\udcff"):
            with pytest.raises(AblyError, match=r"40[01]"):
                ably.app.authority.by_header(header, {})
        for headers in HEADERS:
            status, body, _ = await call(ably, "GET", "/channels/c/messages", key=None, headers=headers)
            assert status in {400, 401}, headers
            assert 40000 <= body["error"]["code"] < 40200
        for request in TOKENS:
            status, body, _ = await call(ably, "POST", "/keys/app.key/requestToken", request)
            assert status in {400, 401}, request
            assert "error" in body


BODIES: list[bytes] = [
    b"",
    b"null",
    b"3",
    b"[[]]",
    b"{",
    b'{"data":"\\ud800","name":"\\udfff"}',
    b'{"connectionKey":[1]}',
    b'{"connectionKey":"a!b"}',
    b'{"action":[1]}',
    b'{"id":3}',
    b'{"messages":[3],"channels":[3]}',
    b'{"messages":[{"id":[1]}],"channels":"c"}',
    b'{"targets":[[1]]}',
    b'{"targets":["clientId:"],"issuedBefore":"now"}',
    DEEP.encode(),
]
PATHS = (
    "/channels/c/messages",
    "/messages",
    "/keys/app.key/revokeTokens",
    "/channels/mutable:c/messages/x/annotations",
)
QUERIES: list[tuple[str, dict[str, str]]] = [
    ("/channels/c/messages", {"limit": "nan"}),
    ("/channels/c/messages", {"limit": "inf"}),
    ("/channels/c/messages", {"limit": "1" * 5_000}),
    ("/channels/c/messages", {"start": "²"}),
    ("/channels/c/messages", {"cursor": "\u0000"}),
    ("/stats", {"start": "9999-99-99", "unit": "month"}),
    ("/stats", {"unit": "century"}),
    ("/channels/%0A/messages", {}),
    ("/channels/%5B%3Frewind=1%5D/messages", {}),
    ("/sse", {"v": "1.2", "channels": "c", "lastEvent": DEEP[:2_000]}),
    ("/sse", {"v": "1.2", "channels": "c", "rewind": "²s²"}),
    ("/sse", {"channels": "c"}),
    ("/sse", {"v": "1.2", "channels": ",".join(f"c{n}" for n in range(300))}),
]


async def test_wild_calls_are_refused() -> None:
    """Or do what they say; none is an internal error."""
    async with emulated() as ably, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Basic {base64.b64encode(KEY.encode()).decode()}"}
        for path in PATHS:
            for kind in ("application/json", "application/x-msgpack"):
                for body in BODIES:
                    given = {**headers, "Content-Type": kind}
                    async with session.post(ably.url + path, data=body, headers=given) as answer:
                        assert answer.status < 500, (path, body)
                        assert json.loads(await answer.read()) is not None
        for path, query in QUERIES:
            status, body, _ = await call(ably, "GET", path, params=query)
            assert (status == 400 and "error" in body) or "cursor" in query, (path, query)


async def test_an_event_of_a_stream_stays_one_event() -> None:
    """Whatever ends a line in a name or in data."""
    async with emulated() as ably, Raw(ably) as writer, aiohttp.ClientSession() as session:
        query = {"v": "1.2", "key": KEY, "channels": "a", "enveloped": "false"}
        async with session.get(f"{ably.url}/sse", params=query) as answer:
            await writer.publish("a", {"name": "n\r\nevent: fake", "data": "1\rid: 2\r\n\n3"})
            await writer.publish("a", {"data": "end"})
            text = (await answer.content.readuntil(b"data: end\n\n")).decode()
        events = [event.split("\n") for event in text.split("\n\n") if event]
        assert [[line.partition(":")[0] for line in event] for event in events] == [
            ["id", "event", *["data"] * 4],
            ["id", "event", "data"],
        ]
        assert "event: n event: fake" in events[0]
        assert events[0][2:] == ["data: 1", "data: id: 2", "data: ", "data: 3"]


def _wild(chance: random.Random, depth: int = 0) -> Any:
    """A value of any kind."""
    kinds: list[Any] = [
        None,
        True,
        -1,
        0,
        1,
        2,
        15,
        2**63,
        1.5,
        "",
        "c",
        "mutable:c",
        "x:flag.v1",
        "\ud800",
        "ä",
    ]
    if depth < 4 and chance.random() < 0.4:
        size = chance.randrange(4)
        if chance.random() < 0.5:
            return [_wild(chance, depth + 1) for _ in range(size)]
        return {chance.choice(NAMES): _wild(chance, depth + 1) for _ in range(size)}
    return chance.choice(kinds)


NAMES = (
    *("action", "channel", "messages", "presence", "annotations", "msgSerial", "flags", "params", "auth"),
    *("channelSerial", "data", "name", "id", "clientId", "encoding", "extras", "serial", "version", "type"),
    *("messageSerial", "count", "headers", "rewind", "accessToken", "error"),
)


def _frame(chance: random.Random) -> dict[str, Any]:
    frame: dict[str, Any] = {
        "action": chance.choice([10, 12, 14, 15, 16, 17, 19, 21, _wild(chance)]),
        "channel": chance.choice(["c", "mutable:c", "mutable:c", _wild(chance)]),
    }
    item = {chance.choice(NAMES): _wild(chance) for _ in range(chance.randrange(5))}
    field = chance.choice(["messages", "presence", "annotations", "params", "flags"])
    frame[field] = chance.choice([[item], [item, item], _wild(chance)])
    return frame


async def _wild_client(ably: AblyEmulator, form: Format, chance: random.Random, count: int) -> None:
    done = 0
    while done < count:
        async with Raw(ably, form, clientId="ann") as ann:
            await ann.attach("mutable:c")
            try:
                while done < count:
                    done += 1
                    frame = _frame(chance)
                    raw = (
                        json.dumps(frame)
                        if form is Format.JSON
                        else msgpack.packb(frame, unicode_errors="surrogatepass")
                    )
                    await ann.raw(raw)
                    await ann.raw(encode({"action": int(Action.HEARTBEAT), "id": "done"}, form))
                    while (await ann.next()).get("id") != "done":
                        pass
            except ConnectionError:
                continue


@pytest.mark.long
async def test_thousands_of_wild_frames_cost_nobody_else() -> None:
    """Of both formats, from a seed; a third client hears what is said, and everything said can be read."""
    async with emulated(stored=200, idle_seconds=2.0) as ably, Raw(ably, clientId="bob") as bob:
        await bob.attach("mutable:c")
        listening = asyncio.ensure_future(bob.until(Action.CLOSED))
        await asyncio.gather(
            *(
                _wild_client(ably, form, random.Random(7 + number), 2_000)
                for number, form in enumerate(Format)
            )
        )
        await bob.send(Action.CLOSE)
        await listening
        for path in ("messages", "presence", "presence/history"):
            assert (await call(ably, "GET", f"/channels/mutable:c/{path}"))[0] == 200
