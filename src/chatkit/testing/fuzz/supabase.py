"""What a Supabase project says, or a member of one: frames, answers of functions, tokens, names.

A client that is given any of it reads it, or says in words of its own what is wrong with it; what members can
write to counts as the log's word never, and a token as its user's where it says so itself.
"""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from chatkit.adapters.supabase.access import TokenAccess
from chatkit.adapters.supabase.adapter import FRAME
from chatkit.adapters.supabase.attached import Attached
from chatkit.adapters.supabase.codes import channel_closed, join_refused
from chatkit.adapters.supabase.config import is_service_key
from chatkit.adapters.supabase.hearing import Hearing
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.payload import announced, unpack
from chatkit.adapters.supabase.protocol import Ended, Meaning, Protocol, Refused, Told
from chatkit.adapters.supabase.rpc import Rpc, RpcLog
from chatkit.adapters.supabase.wire import as_object, loads
from chatkit.errors import ChatkitError, ConfigError, InvalidMessage
from chatkit.model.options import Token
from chatkit.model.order import Ident, OrderKey
from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Foreign, Received, Signal
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.clock import VirtualClock, run
from chatkit.testing.fuzz.samples import ENVELOPES, NAMES, SECRET
from chatkit.testing.fuzz.supabase_answers import sound
from chatkit.testing.fuzz.supabase_samples import ANSWERS, CLAIMS, FRAMES, LIVE, LOG, PAYLOADS, binary
from chatkit.testing.fuzz.targets import Target

_C: Final = "support"
_OK: Final[dict[str, Any]] = {"status": "ok", "response": {}}

# -- frames


def read_frame(data: bytes) -> None:
    """Hear a frame as bytes and as text, on a connection that knows of every topic and answer in the samples.

    Raises:
        ChatkitError: Its words were passed on, secret and all.
    """
    for raw in (data, data.decode("utf-8", "replace")):
        _run(_heard(raw))


def read_payload(data: bytes) -> None:
    """Hear frames of every event and topic with the same payload. Raises as `read_frame`."""
    text = data.decode("utf-8", "replace")
    broadcasts = (
        f'{{"type":"broadcast","event":"{event}","payload":{text}}}' for event in ("chatkit", "entries")
    )
    told = (*broadcasts, text)
    frames: list[str | bytes] = [
        *(f'[null,null,"realtime:{topic}","broadcast",{each}]' for topic in (LOG, LIVE) for each in told),
        *(f'[null,null,"realtime:{LIVE}","{event}",{text}]' for event in ("presence_state", "system", "x")),
        *(f'[null,null,"realtime:{LIVE}","presence_diff",{{"{way}":{text}}}]' for way in ("joins", "leaves")),
        f'["3","3","realtime:more","phx_reply",{text}]',
        binary(LOG, "entries", data),
        binary(LIVE, "chatkit", data),
    ]
    _run(_heard(*frames))
    member = json.dumps({"k": {"metas": [{"phx_ref": "1", "chatkit": text}]}})
    _run(_heard(f'[null,null,"realtime:{LIVE}","presence_state",{member}]'))
    _ = (announced(loads(text), _C), unpack(loads(text)))


def _protocol() -> Protocol:
    """Return a connection with two topics that are joined, one that is asked for, and two open questions."""
    protocol = Protocol()
    for ref, topic in (("1", LOG), ("2", LIVE)):
        _ = protocol.join(topic, {}, None)
        [_] = protocol.receive(json.dumps([ref, ref, f"realtime:{topic}", "phx_reply", _OK]))
    _ = (protocol.join("more", {}, None), protocol.push(LIVE, "broadcast", {}), protocol.heartbeat())
    return protocol


async def _heard(*frames: str | bytes) -> None:
    protocol = _protocol()
    hearing = Hearing(VirtualClock(), lambda _one, _entries: None)
    one = Attached(_C, logged=True, presence=True)
    one.early = None
    one.members.replace({})
    hearing.begin(one)
    for raw in frames:
        for meaning in protocol.receive(raw):
            _ = repr(meaning)
            _judge_words(meaning)
            for signal in await _signals(hearing, meaning):
                _judge(meaning, signal)
        hearing.begin(one)


async def _signals(hearing: Hearing, meaning: Meaning) -> list[Signal]:
    """Return what is handed on; whoever hands on waits for room, so it is taken meanwhile."""
    taking = asyncio.get_running_loop().create_task(hearing.take(meaning))
    found: list[Signal] = []
    while True:
        await asyncio.sleep(0)
        ended = taking.done()
        while (signal := hearing.line.next()) is not None:
            found.append(signal)
        if ended:
            await taking
            return found


def _judge(meaning: Meaning, signal: Signal) -> None:
    if isinstance(signal, Received):
        assert isinstance(meaning, Told), "something that nobody broadcast"
        assert signal.unforgeable == (meaning.topic == LOG), "a member's word counts as the log's"
        assert (signal.stamp is not None) == signal.unforgeable, "a member's word has a place"
        assert isinstance(signal.data, bytes), "an envelope that is no text"
    if not isinstance(signal, Foreign):
        assert SECRET not in repr(signal) or not isinstance(signal, Received), "shows a body"


def _judge_words(meaning: Meaning) -> None:
    """Look at what becomes of the service's own words."""
    if isinstance(meaning, Refused):
        _show(join_refused(meaning.reason, _C, _HALF).error)
    elif isinstance(meaning, Ended):
        _show(channel_closed(meaning.reason, _C, _HALF, crashed=meaning.crashed).error)


def _show(error: ChatkitError) -> None:
    if SECRET in f"{error!r}{error}{error.args}":
        raise error


class _Half:
    def random(self) -> float:
        return 0.5

    def getrandbits(self, bits: int, /) -> int:
        return 1 << (bits - 1)


_HALF: Final = _Half()

# -- answers of functions

_WISH: Final = Outgoing(
    Ident("mallory", "018f6c1e-7b3a-7c11-9d3e-000000000001"), "k3v9x2", 1, ENVELOPES[0], None
)
_PLACE: Final = OrderKey(1, f"{9:020d}")
_CALLS: Final[tuple[Callable[[RpcLog], Awaitable[Any]], ...]] = (
    lambda log: log.append(_C, [_WISH]),
    lambda log: log.heads([_C, "other"]),
    lambda log: log.entries(_C, after=None, limit=2),
    lambda log: log.messages(_C, limit=2),
    lambda log: log.messages(_C, before=_PLACE, limit=2),
    lambda log: log.get(_C, [_WISH.ident]),
    lambda log: log.versions(_C, _WISH.ident),
    lambda log: log.find(_C, [_WISH.ident]),
    lambda log: log.registers(_C, ["read"]),
    lambda log: log.unread("ada", [_C, "other"]),
    lambda log: log.search("tea", limit=2),
    lambda log: log.trim(_C, _PLACE),
    lambda log: log.restored(),
)
_REFUSALS: Final = (204, 400, 401, 403, 404, 413, 422, 429, 500, 503)


def read_answer(data: bytes) -> None:
    """Take the same body as the answer of every function, and of every status.

    Raises:
        ChatkitError: It is the answer of none of them.
    """
    _run(_answered(data))


async def _answered(data: bytes) -> None:
    spoken = b"PT" in data  # what functions of ours say is passed on
    refused: list[ChatkitError] = []
    async with _Project(data) as log:
        for call in _CALLS:
            try:
                sound(await call(log))
            except ChatkitError as error:
                refused.append(_looked_at(error, spoken=spoken))
        for log.status in _REFUSALS:
            try:
                _ = await log.heads([_C])
            except ChatkitError as error:
                _ = _looked_at(error, spoken=spoken)
    if len(refused) == len(_CALLS):
        raise refused[-1]


def _looked_at(error: ChatkitError, *, spoken: bool) -> ChatkitError:
    """Return an error that shows nothing, without what it holds: that is as much as the whole answer."""
    if not spoken:
        _show(error)
    error.__context__ = None
    return error.with_traceback(None)


class _Project(RpcLog):
    """The log of a project that answers all alike; an asynchronous context manager."""

    def __init__(self, data: bytes) -> None:
        self.status = 200
        self._data = data
        self._left = _MOST
        self._trimmed = 0
        self._http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), trust_env=False)
        super().__init__(Rpc("https://project.example", self._http, _Key()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self._left -= 1
        assert self._left > 0, f"asks without end: {request.url.path}"
        self._trimmed += request.url.path.endswith("trimmed")
        status = 503 if self._trimmed > _TRIMMED else self.status  # there are as many as a channel may need
        return httpx.Response(status, content=self._data, headers={"Content-Type": "application/json"})


_MOST: Final = 400
"""Calls for one input: some are made again for seconds."""
_TRIMMED: Final = 10
"""Calls of one `trim`."""


class _Key:
    renewable = False

    async def headers(self) -> dict[str, str]:
        return {"apikey": "key"}

    def refused(self) -> None: ...


# -- tokens


def read_token(data: bytes) -> None:
    """Take a token from an app, as it is and as the claims of a JWT, in each form in which one may be given.

    Raises:
        ConfigError: None of them was taken.
    """
    text = data.decode("utf-8", "surrogateescape")
    claims = urlsafe_b64encode(data).decode().rstrip("=")
    refused: list[ConfigError] = []
    for value in (text, f"e30.{claims}.c2ln", f"e30.{claims}", f"{text}.{claims}.{text}"):
        _ = is_service_key(value)
        for given in (Token(value=value), {"access_token": value}, value, data):
            try:
                _run(_presented(given))
            except ConfigError as error:
                _show(error)
                refused.append(error)
    if len(refused) == 16:
        raise refused[-1]


async def _presented(given: Any) -> None:
    access = TokenAccess("anon", _Given(given), "ada", VirtualClock())
    headers = await access.headers()
    _ = httpx.Request("POST", "https://project.example", headers=dict(headers))
    value = await access.renew()
    said = loads(_b64(value.split(".")[1]))
    assert as_object(said).get("sub") == "ada", "another user's token was taken"
    if access.expires_at is not None:
        assert access.expires_at.timestamp() >= 0, "a token that ends before time began"


def _b64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class _Given:
    """`Credentials` of an app that gives whatever it likes."""

    def __init__(self, given: Any) -> None:
        self._given = given

    async def get(self, *, channel: Any = None, params: Any = EMPTY, refresh: bool = False) -> Any:
        del channel, params, refresh
        return self._given

    def secret(self) -> None:
        """Hold none."""


# -- names


def read_topic(data: bytes) -> None:
    """Name the topics of a channel: two that are no other channel's, short, and the same in a URL.

    Raises:
        InvalidMessage: It is no channel's name.
    """
    name = data.decode("utf-8", "surrogateescape")
    log, live = topic_of(name, "log"), topic_of(name, "live")
    assert log != live, "two topics are one"
    for topic in (log, live):
        assert topic.isascii(), "a topic that is counted in bytes or in letters"
        assert len(topic) <= 160, "a topic that is too long"
        assert quote(topic, safe="") == topic.replace(":", "%3A"), "a topic that a URL changes"
    for other in (f"{name}.", name.upper(), name.replace("_", "."), f"_{name}"):
        with suppress(InvalidMessage):
            assert other == name or topic_of(other, "log") not in (log, live), "the topic of another channel"


def _run(work: Coroutine[Any, Any, None]) -> None:
    run(work, clock=VirtualClock())


SUPABASE: Final = (
    Target("supabase frames", FRAMES, read_frame, largest=FRAME),
    Target("supabase payloads", PAYLOADS, read_payload, largest=FRAME // 32),  # heard so often
    Target("supabase answers", ANSWERS, read_answer, largest=1_000_000),  # each read by every call
    Target("supabase tokens", CLAIMS, read_token, largest=1_000_000),
    Target("supabase topics", NAMES, read_topic, largest=50_000),
)
"""All that a project says and is asked for."""
