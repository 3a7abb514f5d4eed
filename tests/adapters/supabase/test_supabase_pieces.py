"""The parts of the adapter that need no server: names, verdicts, payloads, members, paces, credentials."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.adapters.supabase import codes, members, payload
from chatkit.adapters.supabase.access import KeyAccess, TokenAccess, headers_of
from chatkit.adapters.supabase.members import Members
from chatkit.adapters.supabase.names import topic_of
from chatkit.adapters.supabase.pace import CALLS, WINDOW, Calls, Turns
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    MessageTooLarge,
    NotAllowed,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.model.entry import Stamp
from chatkit.model.options import Token
from chatkit.model.order import OrderKey
from chatkit.ports.adapter import Moved, Present
from chatkit.testing.clock import VirtualClock
from chatkit.testing.wishes import wish
from tests.adapters.supabase.kit import Unjittered

CHANCE = Unjittered()


# -- names


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("support", "support"),
        ("a.b", "a.b"),
        ("été 🌊", "_c3_a9t_c3_a9_20_f0_9f_8c_8a"),
        ("dm.ada.bob", "dm.ada.bob"),
        ("u.ada", "u.ada"),
    ],
)
def test_a_channel_has_two_topics(channel: str, name: str) -> None:
    """One for the log and one for the rest, escaped as on every wire (D28, D31)."""
    assert topic_of(channel, "log") == f"chatkit:{name}"
    assert topic_of(channel, "live") == f"chatkit-live:{name}"


@pytest.mark.parametrize("channel", ["", "x" * 65, "dm.", "\x00", "é" * 64])
def test_what_is_no_channel_has_no_topic(channel: str) -> None:
    """By name, before anything is asked."""
    with pytest.raises(InvalidMessage):
        _ = topic_of(channel, "log")


# -- verdicts


@pytest.mark.parametrize(
    ("reason", "kind", "again", "after", "whole"),
    [
        ("Unauthorized: You do not have permissions", NotAllowed, "reauthenticate", None, False),
        ("PrivateOnly: This project only allows", ConfigError, "never", None, False),
        ("TopicNameRequired: You must", ConfigError, "never", None, False),
        ("RealtimeDisabledForTenant: x", NotAllowed, "never", None, True),
        ("TenantNotFound: x", NotAllowed, "never", None, True),
        (
            "InvalidJWTToken: Token has expired 3 seconds ago",
            AuthenticationError,
            "reauthenticate",
            None,
            False,
        ),
        ("MalformedJWT: x", AuthenticationError, "reauthenticate", None, False),
        ("JwtSignatureError: x", AuthenticationError, "reauthenticate", None, False),
        ("JwtSignerError: x", AuthenticationError, "reauthenticate", None, False),
        ("ChannelRateLimitReached: Too many channels", RateLimited, "later", 30.0, False),
        ("ConnectionRateLimitReached: x", RateLimited, "later", 30.0, False),
        ("ClientJoinRateLimitReached: x", RateLimited, "later", 30.0, False),
        ("DatabaseConnectionRateLimitReached: x", RateLimited, "later", 30.0, False),
        ("IncreaseConnectionPool: x", RateLimited, "later", 30.0, False),
        ("DatabaseLackOfConnections: x", RateLimited, "later", 30.0, False),
        ("InitializingProjectConnection: x", TransportError, "later", None, False),
        ("MissingPartition: x", TransportError, "later", None, False),
        ("Unknown Error on Channel", TransportError, "later", None, False),
        ("SomethingNew: x", TransportError, "later", None, False),
        ("", TransportError, "later", None, False),
    ],
)
def test_refused_joins_are_judged(
    reason: str, kind: type[ChatkitError], again: str, after: float | None, whole: bool
) -> None:
    """By the code before the colon; what is not known may pass."""
    found = codes.join_refused(reason, "support", CHANCE)

    assert (type(found.error), found.again, found.after, found.whole) == (kind, again, after, whole)
    assert reason == "" or reason not in str(found.error)


@pytest.mark.parametrize(
    ("reason", "crashed", "kind", "again", "after", "whole"),
    [
        ("Too many messages per second", False, RateLimited, "later", 30.0, False),
        ("Too many presence messages per second", False, RateLimited, "later", 30.0, False),
        ("Client presence rate limit exceeded", False, RateLimited, "later", 30.0, False),
        ("Token has expired 0 seconds ago", False, AuthenticationError, "reauthenticate", None, True),
        ("The token provided is not a valid JWT", False, AuthenticationError, "reauthenticate", None, True),
        (
            "Fields `role` and `exp` are required in JWT",
            False,
            AuthenticationError,
            "reauthenticate",
            None,
            True,
        ),
        ("You do not have permissions to read from: T", False, NotAllowed, "reauthenticate", None, False),
        ("You no longer have permission to read: T", False, NotAllowed, "reauthenticate", None, False),
        ("Query was cancelled, please try again", False, TransportError, "later", None, False),
        ("Replication connection was not established in time", False, TransportError, "later", None, False),
        (None, False, TransportError, "now", None, False),
        (None, True, TransportError, "later", None, False),
    ],
)
def test_closed_channels_are_judged(
    reason: str | None, crashed: bool, kind: type[ChatkitError], again: str, after: float | None, whole: bool
) -> None:
    """A token that ended is the whole connection's; a plain close is no reason to wait."""
    found = codes.channel_closed(reason, "support", CHANCE, crashed=crashed)

    assert (type(found.error), found.again, found.after, found.whole) == (kind, again, after, whole)


@pytest.mark.parametrize(
    ("code", "again", "after"),
    [
        (1000, "now", None),
        (1006, "now", None),
        (1012, "now", None),
        (1011, "now", None),
        (1001, "later", 30.0),
        (1009, "later", None),
        (1002, "later", None),
    ],
)
def test_every_closing_asks_to_come_again(code: int, again: str, after: float | None) -> None:
    """A clean one, too: nobody but this side ends a connection for good."""
    found = codes.closed(code, "supabase://local", CHANCE)

    assert (found.again, found.after) == (again, after)


@pytest.mark.parametrize(
    ("status", "kind", "again", "after"),
    [
        (401, AuthenticationError, "reauthenticate", None),
        (403, NotAllowed, "never", None),
        (404, ConfigError, "never", None),
        (429, RateLimited, "later", 30.0),
        (500, TransportError, "later", None),
        (503, TransportError, "later", None),
    ],
)
def test_refused_handshakes_are_judged(
    status: int, kind: type[ChatkitError], again: str, after: float | None
) -> None:
    """A wrong key ends it after the second time, as any credential does."""
    found = codes.not_opened(status, "supabase://local", CHANCE)

    assert (type(found.__cause__), found.again, found.after) == (kind, again, after)


@pytest.mark.parametrize(
    ("status", "kind", "outcome", "scope", "again", "after"),
    [
        (401, AuthenticationError, "unsent", "connection", "reauthenticate", None),
        (403, NotAllowed, "unsent", "entry", "reauthenticate", None),
        (404, ConfigError, "unsent", "lane", "later", 30.0),
        (413, MessageTooLarge, "refused", "entry", "never", None),
        (415, Rejected, "refused", "entry", "never", None),
        (422, Rejected, "refused", "entry", "never", None),
        (429, RateLimited, "unsent", "connection", "later", 30.0),
    ],
)
def test_refused_calls_are_judged(
    status: int, kind: type[ChatkitError], outcome: str, scope: str, again: str, after: float | None
) -> None:
    """What was broadcast for certain is never in doubt, and what may have been always is."""
    found = codes.call_refused(status, "support", None)

    assert (type(found.error), found.outcome, found.scope, found.again, found.after) == (
        kind,
        outcome,
        scope,
        again,
        after,
    )
    with pytest.raises(TransportError):
        _ = codes.call_refused(503, "support", None)


def test_pauses_are_spread() -> None:
    """Half a minute, and up to ten seconds more."""
    chance = Random(1)
    found = [codes.pause(chance) for _ in range(200)]

    assert 30.0 <= min(found) < 31.0
    assert 39.0 < max(found) < 40.0


# -- payloads


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_envelopes_come_as_they_went(texts: list[str]) -> None:
    """One or several in one broadcast, to the byte; each is measured with what stands around it."""
    data = [text.encode("utf-8", "replace") for text in texts]

    assert payload.unpack(payload.pack(data)) == data
    assert all(payload.measure(one) > len(one) for one in data)


@pytest.mark.parametrize(
    "given", [None, 1, [], {}, {"data": None}, {"data": 1}, {"data": ["a", 1]}, {"data": []}]
)
def test_what_carries_no_envelope_is_none(given: Any) -> None:
    """Whatever else members broadcast."""
    assert payload.unpack(given) is None


AT = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)
STAMP = Stamp(OrderKey(1, f"{7:020d}"), f"{6:020d}", "log-1", "ada", AT)


def test_an_announcement_tells_what_a_log_took_in() -> None:
    """With the stamps that it gave, to the microsecond, in order."""
    first = STAMP._replace(key=OrderKey(1, f"{1:020d}"), prev="")
    told = payload.announcement("support", [wish(1), wish(2)], [first, STAMP])

    found = payload.announced(told, "support")

    assert found is not None
    assert [entry.stamp for entry in found] == [first, STAMP]
    assert [entry.data for entry in found] == [wish(1).data, wish(2).data]
    assert {entry.attested for entry in found} == {"backend"}


def test_a_large_entry_is_announced_without_its_envelope() -> None:
    """It is there, and is to be read."""
    told = payload.announcement("support", [wish(1)], [STAMP])
    del told["entries"][0]["data"]

    found = payload.announced(told, "support")

    assert found is not None
    assert found[0].data is None


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"log": ""},
        {"log": None},
        {"epoch": "1"},
        {"epoch": True},
        {"channel": "other"},
        {"entries": []},
        {"entries": {}},
        {"entries": [1]},
        {"entries": [{}] * 1_001},
        *(
            {"entries": [{name: wrong}]}
            for name in ("serial", "prev", "user", "at", "by")
            for wrong in (None, 1.5)
        ),
        {"entries": [{"data": 1}]},
        {"entries": [{"serial": ""}]},
        {"entries": [{"serial": "x" * 201}]},
        {"entries": [{"at": 10**30}]},
        {"entries": [{"by": "ada"}]},
    ],
)
def test_what_is_no_announcement_prompts_a_read(change: dict[str, Any]) -> None:
    """A newer version, another channel's, or nothing that can be read: the log says."""
    told = payload.announcement("support", [wish(1)], [STAMP])
    rows = change.get("entries")
    if isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], dict) and rows[0]:
        change = {"entries": [told["entries"][0] | rows[0]]}

    assert payload.announced(told | change, "support") is None


# -- members


def meta(ref: str, *users: str, prev: str | None = None, **data: Any) -> dict[str, Any]:
    told = members.pack(dict.fromkeys(users, data))
    return {"metas": [{"phx_ref": ref, **({"phx_ref_prev": prev} if prev else {}), **told}]}


def test_members_enter_change_and_leave() -> None:
    """By the refs of what their connections say; several users of one connection are several members."""
    room = Members()
    room.replace({"k1": meta("a", "ada")})
    assert room.all() == (Present("ada", "k1:ada", {}),)

    entered = room.move("support", {"k2": meta("b", "bob", "eve")}, {})
    changed = room.move("support", {"k1": meta("c", "ada", prev="a", mood="x")}, {"k1": meta("a", "ada")})
    less = room.move("support", {"k2": meta("d", "eve", prev="b")}, {"k2": meta("b", "bob", "eve")})
    left = room.move("support", {}, {"k1": meta("c", "ada")})

    assert entered == [
        Moved("support", "enter", Present("bob", "k2:bob", {})),
        Moved("support", "enter", Present("eve", "k2:eve", {})),
    ]
    assert changed == [Moved("support", "update", Present("ada", "k1:ada", {"mood": "x"}))]
    assert less == [Moved("support", "leave", Present("bob", "k2:bob", {}))]
    assert left == [Moved("support", "leave", Present("ada", "k1:ada", {"mood": "x"}))]
    assert room.all() == (Present("eve", "k2:eve", {}),)


def test_what_comes_before_the_whole_set_is_added_to_it() -> None:
    """Differences may overtake the state that they are of."""
    room = Members()

    assert room.move("support", {"k2": meta("b", "bob")}, {"k1": meta("a", "ada")}) == []
    room.replace({"k1": meta("a", "ada")})

    assert [member.user for member in room.all()] == ["bob"]
    room.replace({"k1": meta("a", "ada")})
    assert [member.user for member in room.all()] == ["ada"]


def test_members_of_other_programs_are_nobody() -> None:
    """Whatever they track; and a row that is none names nobody."""
    room = Members()
    room.replace(
        {
            "k1": {"metas": [{"phx_ref": "a", "online_at": 1}, 7]},
            "k2": {"metas": [{"phx_ref": "b", "chatkit": "{oops"}]},
            "k3": {"metas": [{"phx_ref": "c", "chatkit": '[["ada"],[1,{}],["bob",[]],7]'}]},
            "k4": 7,
        }
    )

    assert room.all() == (Present("bob", "k3:bob", {}),)


def test_members_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, what they say, and what waits for the first state (I10)."""
    monkeypatch.setattr(members, "MOST", 3)
    monkeypatch.setattr(members, "EARLY", 2)
    room = Members()
    for number in range(5):
        assert room.move("support", {f"k{number}": meta("a", "ada")}, {}) == []
    room.replace({})
    assert len(room.all()) == 2
    room.replace({f"k{number}": meta("a", "ada") for number in range(5)})
    assert len(room.all()) == 3


def test_nobody_is_pushed_out_under_their_own_key() -> None:
    """However many say something there, for whomever, and in whatever order a state has them."""
    strangers = [
        *(meta(f"x{number}", f"eve-{number}") for number in range(50)),
        meta("y", "ada", mood="forged"),
    ]
    first = {"metas": [*meta("a", "ada", mood="well")["metas"], *(one["metas"][0] for one in strangers)]}
    room = Members()

    room.replace({"k1": meta("a", "ada", mood="well")})
    for one in strangers:
        _ = room.move("support", {"k1": one}, {})
    assert room.all()[0] == Present("ada", "k1:ada", {"mood": "well"})
    assert room.move("support", {"k1": meta("b", "ada", prev="a", mood="ill")}, {"k1": meta("a", "ada")})
    assert [one.data for one in room.all() if one.user == "ada"] == [{"mood": "forged"}, {"mood": "ill"}]
    for metas in (first["metas"], first["metas"][::-1]):
        room.replace({"k1": {"metas": metas}})
        assert {"mood": "well"} in [one.data for one in room.all() if one.user == "ada"]
    for one in strangers:
        _ = room.move("support", {}, {"k1": one})
    assert room.all() == (Present("ada", "k1:ada", {"mood": "well"}),)


def test_whoever_is_there_stays_where_there_is_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they say something else, and whatever other programs track."""
    monkeypatch.setattr(members, "MOST", 3)
    room = Members()
    room.replace(
        {"k1": meta("a", "ada"), "k2": {"metas": [{"phx_ref": str(n), "name": "x"} for n in range(9)]}}
    )
    for number in range(9):
        _ = room.move("support", {f"x{number % 2}": meta(f"{number}", f"eve-{number}")}, {})
    moved = room.move("support", {"k1": meta("b", "ada", prev="a", mood="x")}, {"k1": meta("a", "ada")})

    assert moved == [Moved("support", "update", Present("ada", "k1:ada", {"mood": "x"}))]
    assert {one.user for one in room.all()} == {"ada", "eve-0", "eve-1"}


def test_whoever_speaks_for_many_stands_behind_those_who_speak_for_one() -> None:
    """What shows them has room for so many: none of one connection's crowd takes another's."""
    room = Members()
    room.replace({"k1": meta("a", *(f"eve-{number}" for number in range(100))), "k2": meta("b", "ada")})

    assert [one.user for one in room.all()][:3] == ["eve-0", "ada", "eve-1"]


# -- paces


@given(st.lists(st.floats(0, 1), min_size=20, max_size=60))
def test_no_second_has_more_than_ten_joins(pauses: list[float]) -> None:
    """However they come (section 13 of the sheet)."""
    turns, now, times = Turns(8.0, 2), 0.0, list[float]()
    for pause in pauses:
        now += pause * 0.2
        wait = turns.turn(now)
        assert wait is not None
        times.append(now + wait)

    assert times == sorted(times)
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[10:], strict=False))


def test_whoever_would_wait_too_long_takes_no_turn() -> None:
    """And makes nobody wait longer."""
    turns = Turns(1.0, 1)

    assert [turns.turn(0.0, patience=1.5) for _ in range(4)] == [0.0, 1.0, None, None]
    assert turns.turn(2.0, patience=0.0) == 0.0


@given(st.lists(st.floats(0, 20), min_size=10, max_size=40))
def test_no_half_minute_has_a_sixth_word_on_presence(pauses: list[float]) -> None:
    """The service would close the channel."""
    calls, now, made = Calls(), 0.0, list[float]()
    for pause in pauses:
        now += pause
        wait = calls.wait(now)
        if wait == 0:
            calls.made(now)
            made.append(now)
        else:
            assert 0 < wait <= WINDOW

    assert all(later - earlier >= WINDOW for earlier, later in zip(made, made[CALLS:], strict=False))


# -- credentials


def test_a_key_of_the_new_kind_is_no_token() -> None:
    """It goes as itself alone; one that is a token stands for its caller, too."""
    assert headers_of("sb_publishable_x", "sb_publishable_x") == {"apikey": "sb_publishable_x"}
    assert headers_of("anon", "jwt") == {"apikey": "anon", "Authorization": "Bearer jwt"}


async def test_a_key_alone_has_nothing_to_renew() -> None:
    """Nor does it end."""
    access = KeyAccess("sb_secret_x")
    access.refused()

    assert (await access.token(), await access.renew(), access.expires_at, access.renewable) == (
        None,
        None,
        None,
        False,
    )
    assert await access.headers() == {"apikey": "sb_secret_x"}


class Given:
    """Tokens as a test gives them."""

    def __init__(self, *tokens: Any) -> None:
        self.tokens = list(tokens)
        self.asked: list[bool] = []

    async def get(self, *, channel: Any = None, params: Any = None, refresh: bool = False) -> Any:
        del channel, params
        self.asked.append(refresh)
        return self.tokens.pop(0)

    def secret(self) -> None:
        return None


def jwt(user: str, number: int = 0, **claims: Any) -> str:
    from chatkit.testing.emulators.supabase.tokens import sign

    return sign({"sub": user, "jti": number, "exp": 1_800_000_000, **claims}, "x" * 32)


async def test_a_token_is_fetched_once_for_all(clock: VirtualClock) -> None:
    """Until it is refused; then once more, for all who were refused with it (D32)."""
    one, two, three = (jwt("ada", number) for number in range(3))
    credentials = Given(Token(value=one), Token(value=two), {"access_token": three})
    access = TokenAccess("anon", credentials, "ada", clock)

    assert [await access.token(), await access.token()] == [one, one]
    assert access.expires_at == datetime.fromtimestamp(1_800_000_000, UTC)
    access.refused()
    assert [await access.renew(), await access.renew(), await access.token()] == [two, two, two]
    await asyncio.sleep(1)
    access.refused()
    assert (await access.headers())["Authorization"] == f"Bearer {three}"
    assert credentials.asked == [False, True, True]


@pytest.mark.parametrize(
    "given",
    [Token(value=""), {"token": "x"}, {"access_token": 1}, Token(value="no-jwt"), Token(value=jwt("eve"))],
)
async def test_a_token_must_be_the_users(clock: VirtualClock, given: Any) -> None:
    """Of another, or of nobody, is a mistake in the program; the token is not shown (D2, I16)."""
    access = TokenAccess("anon", Given(given), "ada", clock)

    with pytest.raises(ConfigError) as wrong:
        _ = await access.token()

    assert jwt("eve") not in str(wrong.value)


def test_times_are_those_of_the_log() -> None:
    """Whole microseconds since 1970, before it, too."""
    early = STAMP._replace(at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
    told = payload.announcement("support", [wish(1)], [early])

    assert told["entries"][0]["at"] == -1
    found = payload.announced(told, "support")
    assert found is not None
    assert found[0].stamp.at - early.at == timedelta(0)
