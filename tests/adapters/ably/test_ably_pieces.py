"""What stands around the protocol: names, places, codes, hosts, credentials, envelopes, turns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatkit.adapters.ably import AblyConfig, name_of
from chatkit.adapters.ably.access import KeyAccess, TokenAccess
from chatkit.adapters.ably.codes import closed, refusal, verdict
from chatkit.adapters.ably.envelopes import (
    BYTES,
    entry_of,
    measure,
    pack,
    pack_logged,
    pack_passing,
    signal_of,
)
from chatkit.adapters.ably.hosts import KEPT, Hosts
from chatkit.adapters.ably.pace import BATCH, BURST, EMITS, RATE, Emits
from chatkit.adapters.ably.places import STEPS, Trail, behind, key_of, moment, place_at, time_of
from chatkit.adapters.ably.stamps import LOG_CLIENT
from chatkit.adapters.ably.wire import ErrorInfo
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    MessageTooLarge,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.entry import Stamp
from chatkit.model.names import user_problem
from chatkit.model.options import Token
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.adapter import Foreign, Received
from chatkit.ports.outgoing import Batch, Outgoing
from chatkit.testing.clock import VirtualClock
from chatkit.testing.emulators.ably.wire import size_of
from tests.adapters.ably.tokens import jwt

# -- names


@pytest.mark.parametrize(
    ("channel", "namespace", "name"),
    [
        ("support", "", "support"),
        ("support", "chat", "chat:support"),
        ("[meta]x:y", "", "_5bmeta_5dx_3ay"),
        ("dm.ada.bob", "chat", "chat:dm.ada.bob"),
    ],
)
def test_a_channel_has_one_name(channel: str, namespace: str, name: str) -> None:
    """Never a qualifier, and no colon but the namespace's (D31)."""
    assert name_of(channel, namespace) == name
    with pytest.raises(InvalidMessage):
        _ = name_of("")


# -- places


def test_places_sort_as_they_happened() -> None:
    """Behind a frame is after its messages and before the next; a time is before what comes at it."""
    serial = "00000000000100-000@a"

    places = [place_at(100), key_of(f"{serial}:000"), key_of(f"{serial}:999"), behind(serial)]
    places += [key_of("00000000000100-001@a:000"), place_at(101)]

    assert places == sorted(places)
    assert (time_of(serial), time_of("opaque")) == (100, None)
    assert moment(100).timestamp() == 0.1


@given(st.integers(min_value=0, max_value=99_999_999_999_999))
@settings(max_examples=200)
def test_a_time_is_exact_to_the_millisecond(milliseconds: int) -> None:
    """Whatever a serial says, far ahead too."""
    assert (moment(milliseconds) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(
        milliseconds=1
    ) == milliseconds
    assert moment(milliseconds).microsecond == milliseconds % 1_000 * 1_000


@pytest.mark.parametrize("serial", ["", "1" * 14, "1" * 13 + "-", "1" * 13 + "²-000", "1" * 15 + "-"])
def test_what_does_not_begin_with_a_time_tells_none(serial: str) -> None:
    """Serials are opaque: one that looks otherwise costs longer reads, and nothing else."""
    assert time_of(serial) is None


SERIALS = [f"{n:014d}-000@a" for n in range(1, 9)]


@given(st.permutations(SERIALS), st.integers(0, 8))
def test_a_trail_never_goes_on_behind_what_is_missing(order: list[str], applied: int) -> None:
    """Whatever order frames came in: from the point that it names on, all that is not applied comes again."""
    trail = Trail("00000000000000-000@a")
    for serial in order:
        trail.step(f"{serial}:000", serial)
    after = trail.start if applied == 0 else key_of(f"{SERIALS[applied - 1]}:000")

    point = trail.back_to(after)

    came = ["00000000000000-000@a", *order]
    assert point in came
    again = came[came.index(point) + 1 :]
    assert {serial for serial in SERIALS if key_of(f"{serial}:000") > after} <= set(again)
    if order == SERIALS:
        assert again == SERIALS[applied:]
    assert trail.back_to(after) == point  # what follows is forgotten: it comes again


@pytest.mark.parametrize(
    ("after", "given_place", "point"),
    [
        (None, "", None),
        (OrderKey(2, "00000000000002-000@a:000"), "", None),
        (key_of("00000000000000-999@a:000"), "", None),
        (key_of("zzzz"), "", None),
        (key_of("00000000000009-000@a:000"), "", None),
        (key_of("00000000000009-000@a:000"), "00000000000009-000@a:000", "00000000000002-000@a"),
        (key_of("00000000000001-000@a:~"), "", "00000000000001-000@a"),
    ],
)
def test_a_trail_knows_the_places_that_were_given(
    after: OrderKey | None, given_place: str, point: str | None
) -> None:
    """By itself or by a read; of others nobody can say what is missing after them."""
    trail = Trail("00000000000001-000@a")
    trail.step("00000000000002-000@a:000", "00000000000002-000@a")

    assert trail.back_to(after, given=given_place) == point


def test_a_long_trail_becomes_coarser() -> None:
    """It is bounded (I10), keeps its beginning and the newest one by one."""
    trail = Trail("00000000000000-000@a")
    for number in range(1, 5 * STEPS):
        trail.step(f"{number:014d}-000@a:000", f"{number:014d}-000@a")

    assert len(trail._steps) <= STEPS
    newest = key_of(f"{5 * STEPS - 3:014d}-000@a:000")
    assert trail.back_to(newest) == f"{5 * STEPS - 3:014d}-000@a"
    assert trail.back_to(key_of("00000000000007-000@a:000")) == "00000000000000-000@a"


# -- codes


@pytest.mark.parametrize(
    ("code", "status", "fatal", "again", "after", "cause"),
    [
        (None, 0, False, "now", None, TransportError),
        (80003, 400, False, "now", None, TransportError),
        (50001, 500, False, "now", None, ProviderError),
        (50001, 500, True, "later", None, ProviderError),
        (40142, 401, True, "reauthenticate", None, AuthenticationError),
        (40149, 401, False, "reauthenticate", None, AuthenticationError),
        (40150, 401, True, "later", 1.0, RateLimited),
        (40160, 401, True, "never", None, AuthenticationError),
        (40101, 401, True, "never", None, AuthenticationError),
        (40171, 401, True, "never", None, AuthenticationError),
        (40300, 403, True, "never", None, NotAllowed),
        (40111, 403, True, "later", 1.0, RateLimited),
        (42910, 429, True, "later", 1.0, RateLimited),
        (42921, 429, False, "later", 5.0, RateLimited),
        (80000, 400, True, "later", None, ProviderError),
        (80020, 400, True, "later", None, ProviderError),
        (40000, 400, True, "never", None, ProviderError),
        (99999, 429, True, "later", 1.0, RateLimited),
    ],
)
def test_what_ends_a_connection(
    code: int | None,
    status: int,
    fatal: bool,
    again: str,
    after: float | None,
    cause: type[ChatkitError],
) -> None:
    """Each code asks for one of four things (D12); 40160 is no token error."""
    found = closed(None if code is None else ErrorInfo(code, status), "ably://app", fatal=fatal)

    assert (found.again, found.after, type(found.__cause__)) == (again, after, cause)
    assert found.hint
    assert code is None or str(code) in str(found)


@pytest.mark.parametrize(
    ("code", "status", "error", "outcome", "scope", "again"),
    [
        (40009, 413, MessageTooLarge, "refused", "entry", "never"),
        (40013, 400, Rejected, "refused", "entry", "never"),
        (42213, 422, Rejected, "refused", "entry", "never"),
        (40012, 400, NotAllowed, "unsent", "entry", "reauthenticate"),
        (40160, 401, NotAllowed, "unsent", "entry", "reauthenticate"),
        (40141, 401, AuthenticationError, "unsent", "connection", "reauthenticate"),
        (40101, 401, AuthenticationError, "unsent", "connection", "later"),
        (42911, 429, RateLimited, "unsent", "connection", "later"),
        (93002, 400, CapabilityError, "refused", "entry", "never"),
        (42913, 429, RateLimited, "unsent", "lane", "later"),
        (40115, 403, RateLimited, "unsent", "connection", "later"),
        (90021, 429, RateLimited, "unsent", "connection", "later"),
    ],
)
def test_what_a_nack_of_a_publish_means(
    code: int, status: int, error: type[ChatkitError], outcome: str, scope: str, again: str
) -> None:
    """How far it reaches, and what to do (D12)."""
    found = verdict(ErrorInfo(code, status), "support")

    assert (type(found.error), found.outcome, found.scope, found.again) == (error, outcome, scope, again)
    assert found.error.channel == "support"


def test_a_failing_service_may_have_published() -> None:
    """So it is in doubt, and goes out again as it was (D10)."""
    with pytest.raises(TransportError):
        _ = verdict(ErrorInfo(50003, 503), "support")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (40142, 401, AuthenticationError),
        (40160, 401, NotAllowed),
        (40101, 401, AuthenticationError),
        (90010, 400, RateLimited),
        (91003, 400, CapabilityError),
        (50000, 500, TransportError),
        (93002, 400, CapabilityError),
        (40030, 400, Rejected),
    ],
)
def test_why_a_channel_a_member_or_a_call_is_refused(
    code: int, status: int, error: type[ChatkitError]
) -> None:
    """By the same codes; no answer is one that may be repeated."""
    assert type(refusal(ErrorInfo(code, status), "support")) is error
    assert type(refusal(None, "support")) is TransportError


# -- hosts


@pytest.mark.parametrize(
    ("host", "primary", "fallback"),
    [
        ("", "main.realtime.ably.net", "main.a.fallback.ably-realtime.com"),
        ("acme", "acme.realtime.ably.net", "acme.c.fallback.ably-realtime.com"),
        ("localhost", "localhost", None),
        ("ably.example.org", "ably.example.org", None),
        ("[::1]", "[::1]", None),
    ],
)
def test_where_the_service_is(host: str, primary: str, fallback: str | None, clock: VirtualClock) -> None:
    """First at its own host; at fallbacks where it is Ably's (RSC15)."""
    hosts = Hosts(AblyConfig(credential="app.key", host=host), clock, Random(1))

    found = [hosts.for_sockets() for _ in range(40)]

    assert {each[0] for each in found} == {primary}
    others = {name for each in found for name in each[1:]}
    assert fallback is None and others == set() if fallback is None else fallback in others
    assert all(len(set(each)) == len(each) <= 3 for each in found)


def test_a_fallback_that_answered_is_kept_for_a_while(clock: VirtualClock) -> None:
    """For calls, ten minutes; with the port of the configuration (RSC15f)."""
    hosts = Hosts(AblyConfig(credential="app.key", port=8443), clock, Random(1))
    assert hosts.for_calls()[0] == "main.realtime.ably.net:8443"

    hosts.answered("main.b.fallback.ably-realtime.com:8443")
    assert hosts.for_calls()[0] == "main.b.fallback.ably-realtime.com:8443"
    assert hosts.for_sockets()[0] == "main.realtime.ably.net:8443"
    clock.advance(KEPT + 1)

    assert hosts.for_calls()[0] == "main.realtime.ably.net:8443"
    hosts.answered("main.b.fallback.ably-realtime.com:8443")
    hosts.answered("main.realtime.ably.net:8443")
    assert hosts.for_calls()[0] == "main.realtime.ably.net:8443"


# -- credentials


class Given:
    """`Credentials` that give what they are told to."""

    def __init__(self, *found: Any) -> None:
        self.found = list(found)
        self.asked: list[bool] = []

    async def get(self, *, refresh: bool = False, **_: Any) -> Token | Mapping[str, Any]:
        self.asked.append(refresh)
        found: Token | Mapping[str, Any] = self.found.pop(0)
        return found

    def secret(self) -> str | None:
        return None


async def no_exchange(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise AssertionError("nothing is to be exchanged")


async def test_a_token_is_asked_for_once_until_it_is_refused() -> None:
    """Then a fresh one, once (D32)."""
    credentials = Given(Token(value="t1"), Token(value="t2"), Token(value="t3"))
    access = TokenAccess(credentials, "ada", no_exchange)

    assert await access.query() == {"accessToken": "t1", "clientId": "ada"}
    assert await access.header() == "Bearer dDE="
    access.refused()
    access.refused()
    assert (await access.query())["accessToken"] == "t2"
    assert await access.token() == "t3"
    assert credentials.asked == [False, True, True]


async def test_what_ablys_own_clients_take_is_taken() -> None:
    """A JWT, token details, a token request; each tells when it ends."""
    request = {"keyName": "app.key", "mac": "m", "nonce": "n", "timestamp": 1}

    async def exchange(given_request: Mapping[str, Any]) -> Mapping[str, Any]:
        assert given_request == request
        return {"token": "t3", "expires": 3_000}

    token = jwt("ada", seconds=60)
    credentials = Given(Token(value=token), {"token": "t2", "expires": 2_000}, request, {}, {"token": "t4"})
    access = TokenAccess(credentials, "ada", exchange)

    assert (await access.query())["accessToken"] == token
    assert access.expires_at is not None
    found = [(await access.token(), access.expires_at) for _ in range(2)]
    assert found == [("t2", moment(2_000)), ("t3", moment(3_000))]
    with pytest.raises(ConfigError, match="neither a token"):
        _ = await access.token()
    assert await access.token() == "t4"
    assert not access.expires_at


async def test_a_token_may_end_within_a_second() -> None:
    """RFC 7519 allows a fraction; an end that is none is passed over."""
    access = TokenAccess(Given(Token(value="a.eyJleHAiOjE3OTU4MjAwMDAuNX0.c")), "ada", no_exchange)
    _ = await access.query()
    assert access.expires_at == moment(1_795_820_000_500)


@pytest.mark.parametrize(
    "token", ["a.b.c", "..", "a.W10.c", "a.eyJleHAiOiAieCJ9.c", "a.eyJleHAiOiAxZTk5OX0.c"]
)
async def test_a_token_that_does_not_say_when_it_ends_is_a_token(token: str) -> None:
    """Nobody knows, then."""
    access = TokenAccess(Given(Token(value=token)), "ada", no_exchange)

    assert (await access.query())["accessToken"] == token
    assert access.expires_at is None


async def test_a_key_speaks_for_anybody() -> None:
    """Named to nobody, and renewed by nothing."""
    access = KeyAccess("app.key", "hush")

    assert await access.query() == {"key": "app.key:hush"}
    assert await access.header() == "Basic YXBwLmtleTpodXNo"
    with pytest.raises(ConfigError):
        _ = await access.token()


# -- envelopes


def outgoing(text: str, user: str = "ada") -> Outgoing:
    return Outgoing(Ident(user, text), "device1", 1, text.encode(), None)


def test_ids_of_a_publish_are_one_key() -> None:
    """`BATCH:INDEX` (D10); with whose each is, where the connection does not say it."""
    entries = (outgoing("one"), outgoing("two", "bob"))
    batch = Batch("b1", "support", entries)

    assert pack(batch, list(entries), named=True) == [
        {"id": "b1:0", "name": "chatkit", "data": "one", "clientId": "ada"},
        {"id": "b1:1", "name": "chatkit", "data": "two", "clientId": "bob"},
    ]
    assert "clientId" not in pack(batch, [entries[0]], named=False)[0]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.text("aü", min_size=1, max_size=64))
def test_no_message_is_larger_than_it_measures(text: str, user: str) -> None:
    """As the service counts: name, data, client id and extras."""
    data = text.encode()

    assert size_of(pack_passing(data, user)) <= measure(data) <= len(data) + 200
    assert measure(b"") < BYTES


LIVE: dict[str, Any] = {
    "id": "b1:0",
    "name": "chatkit",
    "data": "{}",
    "clientId": "ada",
    "connectionId": "c5",
    "timestamp": 5,
    "serial": "00000000000100-000@a:000",
    "action": 0,
}


def test_a_message_is_attested_and_stands_at_its_serial() -> None:
    """By Ably, which has checked the client id (D2, D3)."""
    found = signal_of("support", LIVE)

    assert isinstance(found, Received)
    assert (found.data, found.user, found.attested, found.unforgeable) == (b"{}", "ada", "provider", True)
    assert found.stamp is not None
    assert (found.stamp.key, found.stamp.user, found.stamp.at) == (key_of(LIVE["serial"]), "ada", moment(100))
    entry = entry_of(LIVE)
    assert entry is not None
    assert (entry.data, entry.stamp) == (b"{}", found.stamp)
    opaque = entry_of({**LIVE, "serial": "opaque"})
    assert opaque is not None
    assert opaque.stamp.at == moment(5)


@pytest.mark.parametrize(
    ("change", "user", "attested"),
    [
        ({"clientId": None}, None, "none"),
        ({"extras": {"ephemeral": True}}, "ada", "provider"),
        ({"serial": None}, "ada", "provider"),
    ],
)
def test_what_is_not_kept_or_nobodys_has_no_place(
    change: dict[str, Any], user: str | None, attested: str
) -> None:
    """It is passed on, and never an entry."""
    found = signal_of("support", {**LIVE, **change})

    assert isinstance(found, Received)
    assert (found.user, found.attested, found.stamp, found.unforgeable) == (user, attested, None, False)
    assert entry_of({**LIVE, **change}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"name": None},
        {"data": None},
        {"data": 7},
        {"data": b"\xff"},
        {"data": "/w==", "encoding": "base64"},
        {"data": "%", "encoding": "utf-8/base64"},
        {"data": "x", "encoding": "utf-8/cipher+aes-256-cbc/base64"},
        {"action": 1},
        {"action": 2},
        {"action": 4},
    ],
)
def test_what_is_not_ours_is_foreign(change: dict[str, Any]) -> None:
    """Other messages, other data, and Ably's own changes, whose serial is their message's and names none of them."""
    found = signal_of("support", {**LIVE, **change})

    assert isinstance(found, Foreign)
    assert found.id == (None if "action" in change else LIVE["serial"])
    assert entry_of({**LIVE, **change}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data": "e30=", "encoding": "utf-8/base64"},
        {"data": b"{}", "encoding": "utf-8"},
        {"encoding": "json"},
        {"encoding": "utf-8"},
        {"action": None},
    ],
)
def test_text_is_read_however_it_was_written(change: dict[str, Any]) -> None:
    """As other clients may write it."""
    found = signal_of("support", {**LIVE, **change})

    assert isinstance(found, Received)
    assert found.data == b"{}"


# -- stamps of a log

STAMP = Stamp(
    OrderKey(2, f"{17:020d}"), f"{16:020d}", "log-1", "bob", datetime(2026, 11, 23, 10, 0, 0, 123_456, UTC)
)


@pytest.mark.parametrize("stamp", [STAMP, STAMP._replace(prev=None), STAMP._replace(prev="", log_id=None)])
def test_what_a_log_numbered_says_so(stamp: Stamp) -> None:
    """To the microsecond; believed beside a log, elsewhere it stands where Ably has it (D16, D17)."""
    item = {**LIVE, **pack_logged(b"{}", stamp)}

    beside, apart = signal_of("support", item, logged=True), signal_of("support", item)

    assert beside == Received("support", b"{}", "bob", "provider", stamp, unforgeable=True)
    assert isinstance(apart, Received)
    assert apart.stamp == Stamp(key_of(LIVE["serial"]), None, None, "bob", moment(100))
    assert "id" not in pack_logged(b"{}", stamp)


def test_a_member_cannot_forge_a_stamp() -> None:
    """Under its own client id it is no more than its message; the log's is no user's (D17)."""
    forged = {**LIVE, **pack_logged(b"{}", STAMP), "clientId": "eve"}

    found = signal_of("support", forged, logged=True)

    assert found == Received("support", b"{}", "eve", "provider", None, unforgeable=False)
    assert user_problem(LOG_CLIENT) is not None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"epoch":1}',
        '{"epoch":"1","serial":"1","user":"a","at":"2026-11-23T10:00:00Z"}',
        '{"epoch":1,"serial":"1","user":"a","at":"2026-11-23T10:00:00"}',
        '{"epoch":1,"serial":"1","user":"a","at":"2026-11-23T10:00:00Z","prev":1}',
        "[" * 5_000,
    ],
)
def test_a_stamp_that_cannot_be_read_is_foreign(text: str | None) -> None:
    """Nobody vouches for it, and it breaks nothing."""
    extras = {"headers": {"chatkit-stamp": text}}

    assert isinstance(
        signal_of("support", {**LIVE, "clientId": LOG_CLIENT, "extras": extras}, logged=True), Foreign
    )


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128))
def test_no_announcement_is_larger_than_it_measures(user: str) -> None:
    """As the service counts."""
    if len(user.encode()) <= 128:
        stamp = STAMP._replace(user=user, log_id="l" * 36)
        assert size_of(pack_logged(b"{}", stamp)) <= measure(b"{}", logged=True)


# -- turns


@settings(max_examples=40)
@given(st.lists(st.floats(0, 0.4), max_size=60))
def test_ephemeral_messages_leave_room_for_the_others(waits: list[float]) -> None:
    """In no second do more than 12 go, which with what is kept stays below what the service takes."""
    emits, now, went = Emits(), 0.0, list[float]()
    for wait in waits:
        now += wait
        turn = emits.turn(now)
        if turn is not None:
            went.append(now + turn)

    assert went == sorted(went)
    for first in went:
        assert sum(first <= at < first + 1 for at in went) <= BURST + EMITS
    assert BURST + EMITS + RATE + BATCH <= 52


def test_too_many_ephemeral_messages_are_dropped() -> None:
    """Rather than kept waiting for long (D25)."""
    emits = Emits()

    turns = [emits.turn(0.0) for _ in range(100)]

    assert turns[:BURST] == [0.0] * BURST
    assert None in turns
    assert emits.turn(60.0) == 0.0
