"""Calls of the log's functions by HTTP: what is asked, and what each answer means."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import respx

from chatkit.adapters.supabase.access import KeyAccess
from chatkit.adapters.supabase.calls import Broadcasts
from chatkit.adapters.supabase.refusals import MIGRATE, SPOKEN, refusal
from chatkit.adapters.supabase.rpc import ANSWER, LOOK, STALE, Rpc, RpcLog
from chatkit.errors import (
    AuthenticationError,
    CapabilityError,
    ChatkitError,
    ConfigError,
    InvalidMessage,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.postgres import Json
from chatkit.testing.clock import VirtualClock
from chatkit.testing.contract.log.kit import SUPPORT
from chatkit.testing.wishes import wish
from chatkit.transport import http_client

URL = "https://project.example"
BASE = f"{URL}/rest/v1/rpc/chatkit_"
TOKEN = "hunter2-very-secret"
STATE = {"log_id": "log", "head": 0, "floor": 0, "now": 0}


class Given:
    """Credentials, of which so many follow."""

    def __init__(self, fresh: int = 0) -> None:
        self.fresh = fresh
        self.given = 0

    @property
    def renewable(self) -> bool:
        return self.fresh > 0

    async def headers(self) -> Mapping[str, str]:
        return {"apikey": "key", "Authorization": f"Bearer {TOKEN}{self.given}"}

    def refused(self) -> None:
        self.fresh -= 1
        self.given += 1


class Calls:
    """A way to a project that `respx` plays."""

    def __init__(self, fresh: int = 0) -> None:
        self.client = http_client(verify=True, local=True, most=ANSWER)
        self.given = Given(fresh)
        self.times: list[str | None] = []
        self.rpc = Rpc(URL, self.client, self.given, told_time=self.times.append)

    async def __aenter__(self) -> Rpc:
        return self.rpc

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()


def said(code: str, message: str = "words of the server") -> dict[str, Any]:
    return {"code": code, "message": message, "details": None, "hint": None}


@respx.mock
async def test_a_call_is_a_post_with_its_arguments() -> None:
    """Named as the function has them; a replica, which serves GET, is never asked (D28)."""
    route = respx.post(BASE + "heads").respond(json={"a": 1}, headers={"Date": "now"})
    calls = Calls()
    async with calls as rpc:
        found = await rpc.call("heads", names=["ü"], after=Json({"epoch": 1}), limit=None)

    asked = route.calls.last.request
    assert (found, calls.times) == ({"a": 1}, ["now"])
    assert json.loads(asked.content) == {"names": ["ü"], "after": {"epoch": 1}, "limit": None}
    assert asked.headers["apikey"] == "key"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}0"


@respx.mock
async def test_a_function_without_an_answer_answers_nothing() -> None:
    """As `put`."""
    respx.post(BASE + "put").respond(204)
    async with Calls() as rpc:
        assert await rpc.call("put", given=Json([])) is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "PGRST301", AuthenticationError),
        (401, "PGRST302", AuthenticationError),
        (401, "PGRST303", AuthenticationError),
        (401, "", AuthenticationError),
        (401, "42501", NotAllowed),
        (403, "42501", NotAllowed),
        (403, "", NotAllowed),
        (403, "PT403", NotAllowed),
        (413, "PT413", Rejected),
        (422, "PT422", InvalidMessage),
        (418, "PT418", ProviderError),
        (404, "PGRST202", ConfigError),
        (404, "PGRST205", ConfigError),
        (404, "42883", ConfigError),
        (404, "42P01", ConfigError),
        (404, "", ConfigError),
        (429, "", RateLimited),
        (429, "over_request_rate_limit", RateLimited),
        (405, "25006", TransportError),
        (400, "22P02", InvalidMessage),
        (400, "22P05", InvalidMessage),
        (400, "23514", InvalidMessage),
        (409, "23505", InvalidMessage),
        (400, "P0001", ProviderError),
        (400, "PGRST102", ProviderError),
        (500, "40001", TransportError),
        (500, "40P01", TransportError),
        (500, "55P03", TransportError),
        (500, "57014", TransportError),
        (503, "53300", TransportError),
        (503, "08006", TransportError),
        (503, "PGRST001", TransportError),
        (504, "PGRST003", TransportError),
        (502, "", TransportError),
        (540, "", TransportError),
        (500, "55000", ProviderError),
        (500, "XX000", ProviderError),
        (418, "", ProviderError),
    ],
)
def test_a_refusal_means_one_thing(status: int, code: str, kind: type[ChatkitError]) -> None:
    """And what the server says, which may quote what was sent, is not passed on (I16)."""
    error = refusal(status, json.dumps(said(code, TOKEN)) if code else "<html>")

    assert type(error) is kind
    if not code.startswith("PT"):
        assert TOKEN not in f"{error} {error.hint}"


def test_a_pause_that_is_asked_for_is_kept() -> None:
    """It is told with the error."""
    error = refusal(429, "", "7")

    assert isinstance(error, RateLimited)
    assert error.retry_after == 7.0


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "7", '{"code": 5, "message": []}', "[" * 100_000, '{"code": "', "\ud800"]
)
def test_whatever_stands_in_a_refusal_is_read(text: str) -> None:
    """It is a stranger's."""
    assert isinstance(refusal(500, text), TransportError)


def test_what_functions_of_ours_say_is_passed_on_in_part() -> None:
    """Bounded: who knows who answers (I10)."""
    assert len(refusal(403, json.dumps(said("PT403", "x" * 10_000))).args[0]) == SPOKEN


@respx.mock
async def test_a_refused_token_is_renewed_once() -> None:
    """And a second refusal told (D32)."""
    good = httpx.Response(200, json=1)
    bad = httpx.Response(401, json=said("PGRST301"))
    respx.post(BASE + "heads").mock(side_effect=[bad, good, bad, bad])
    calls = Calls(fresh=2)
    async with calls as rpc:
        assert await rpc.call("heads") == 1
        with pytest.raises(AuthenticationError):
            await rpc.call("heads")

    assert calls.given.given == 2


@respx.mock
async def test_a_key_that_is_refused_is_told_at_once() -> None:
    """There is no other."""
    route = respx.post(BASE + "heads").respond(401, json=said("PGRST301"))
    async with Calls() as rpc:
        with pytest.raises(AuthenticationError):
            await rpc.call("heads")

    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError(TOKEN),
        httpx.ReadTimeout(TOKEN),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, content=b"\xff"),
    ],
)
async def test_no_answer_is_said_without_the_call(answer: Any) -> None:
    """The call holds the credential; not even the traceback has it (I16)."""
    respx.post(BASE + "heads").mock(side_effect=[answer])
    async with Calls() as rpc:
        with pytest.raises(TransportError) as failed:
            await rpc.call("heads")

    assert TOKEN not in "".join(traceback.format_exception(failed.value))


@respx.mock
async def test_where_nothing_answers_it_is_said_what_to_look_at() -> None:
    """A host that was typed wrong is no outage that passes: both calls name the URL."""
    unreachable = httpx.ConnectError("")
    respx.post(BASE + "heads").mock(side_effect=unreachable)
    respx.get(f"{URL}/auth/v1/health").mock(side_effect=unreachable)
    calls = Calls()
    async with calls as rpc:
        broadcasts = Broadcasts(URL, calls.client, KeyAccess("key"), told_time=calls.times.append)
        for asked in (rpc.call("heads"), broadcasts.ask_time()):
            with pytest.raises(TransportError) as failed:
                await asked
            assert "check the network, and the project in supabase://" in failed.value.hint


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_project_names_the_page_that_has_both(status: int) -> None:
    """As the end of a connection does, and docs/providers/supabase.md says."""
    assert "the dashboard's page API Keys" in refusal(status, "").hint


@respx.mock
@pytest.mark.parametrize(
    ("function", "answer"),
    [
        ("append", {"state": STATE, "acks": []}),
        ("append", {"state": STATE, "acks": [{"outcome": "bananas"}]}),
        ("append", {"state": STATE, "acks": [{"outcome": "new"}]}),
        ("append", {"state": STATE, "acks": [{"outcome": "duplicate", "at": 1, "prev": 0}]}),
        ("append", {"state": STATE, "acks": [{"outcome": ["new"], "serial": 1, "at": 1, "prev": 0}]}),
        ("append", {"state": STATE, "acks": [{"outcome": "new", "serial": "x", "at": 1, "prev": 0}]}),
        ("append", {"state": STATE, "acks": [{"outcome": "refused", "error": "ClassVar", "reason": ""}]}),
        ("append", {"state": {**STATE, "now": 10**30}, "acks": [{"outcome": "too_late"}]}),
        ("append", {"state": {**STATE, "head": None}, "acks": 5}),
        ("append", [1, 2]),
    ],
)
async def test_an_answer_that_is_none_of_the_logs_is_no_answer(function: str, answer: Any) -> None:
    """Whatever it holds: what was to be appended stays in doubt."""
    respx.post(BASE + function).respond(json=answer)
    async with Calls() as rpc:
        with pytest.raises(TransportError, match="none of the log's") as failed:
            await RpcLog(rpc).append(SUPPORT, [wish(1)])

    assert failed.value.channel == SUPPORT


@respx.mock
async def test_who_may_not_write_is_asked_for_a_fresh_credential() -> None:
    """Once, before the entry fails (D12): they may have become a member meanwhile."""
    refused = {"outcome": "refused", "error": "NotAllowed", "reason": "no member", "again": "reauthenticate"}
    respx.post(BASE + "append").respond(json={"state": STATE, "acks": [refused]})
    async with Calls() as rpc:
        (ack,) = (await RpcLog(rpc).append(SUPPORT, [wish(1)])).acks

    assert (ack.outcome, ack.again) == ("refused", "reauthenticate")
    assert isinstance(ack.error, NotAllowed)


async def test_a_project_tells_of_appends_on_its_topics_alone() -> None:
    """There is nothing to listen to over HTTP."""
    async with Calls() as rpc:
        log = RpcLog(rpc)
        assert "notify" not in log.capabilities
        with pytest.raises(CapabilityError):
            log.changes()
        await log.aclose()


@respx.mock
async def test_a_function_that_is_unknown_for_a_moment_is_called_again(clock: VirtualClock) -> None:
    """The Data API learns of a new one late."""
    route = respx.post(BASE + "heads")
    route.side_effect = [httpx.Response(404, json=said("PGRST202"))] * 3 + [httpx.Response(200, json={})]
    before = clock.monotonic()
    async with Calls() as rpc:
        assert await rpc.call("heads", names=[]) == {}

    assert clock.monotonic() - before == pytest.approx(3 * LOOK)


@respx.mock
@pytest.mark.parametrize(
    ("code", "seconds"), [("PGRST202", STALE), ("PGRST205", STALE), ("", 0.0), ("PT404", 0.0)]
)
async def test_what_stays_unknown_is_told(clock: VirtualClock, code: str, seconds: float) -> None:
    """After some seconds; that there is no project at once."""
    respx.post(BASE + "heads").respond(404, json=said(code))
    before = clock.monotonic()
    async with Calls() as rpc:
        with pytest.raises(ChatkitError) as told:
            await rpc.call("heads", names=[])

    assert clock.monotonic() - before == pytest.approx(seconds)
    assert (told.value.hint == MIGRATE) == bool(seconds)
