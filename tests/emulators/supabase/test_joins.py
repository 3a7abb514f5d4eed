"""Connecting and joining: what is let in, what is refused and how, and what ends it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from chatkit.testing.emulators.supabase import SupabaseSettings
from tests.emulators.supabase.raw import PRIVATE, serving

pytestmark = pytest.mark.realtime


async def test_a_handshake_is_refused_with_a_status_and_a_reason(database: str) -> None:
    """Each fault of a key has its own; another version has none."""
    async with serving(database) as raws:
        authority = raws.emulator.authority
        assert await raws.knock() == (401, {"error": "API key is missing"})
        assert await raws.knock(apikey="x") == (401, {"error": "The token provided is not a valid JWT"})
        assert await raws.knock(apikey="sb_secret_unknown") == (
            401,
            {"error": "The token provided is not a valid JWT"},
        )
        assert await raws.knock(apikey=authority.token(seconds=-5)) == (401, {"error": "Token has expired"})
        head, body, _ = authority.token().split(".")
        forged = f"{head}.{body}.AAAA"
        assert await raws.knock(apikey=forged) == (401, {"error": "Failed to validate JWT signature"})
        other = f"eyJhbGciOiJub25lIn0.{body}.AAAA"
        assert (await raws.knock(apikey=other))[1]["error"].startswith("Failed to generate JWT signer")
        assert await raws.knock(apikey=authority.token(exp="soon")) == (
            500,
            {"error": "Error connecting to Realtime"},
        )
        assert (await raws.knock(apikey=authority.anon_key, vsn="3.0.0"))[0] == 403


async def test_keys_of_the_new_kind_are_taken_at_the_handshake(database: str) -> None:
    """They stand for the old ones; in a join `sb_...` means the token of the handshake."""
    async with serving(database) as raws:
        settings = raws.emulator.settings
        for key in (settings.publishable_key, settings.secret_key):
            raw = await raws.open(key=key)
            await raw.join("room", access_token=key)
        anon = await raws.open(key=raws.emulator.authority.anon_key, path="/socket/websocket")
        assert (await anon.refused("room", PRIVATE)).startswith("Unauthorized: ")


async def test_a_refused_join_holds_up_all_that_its_socket_does(database: str) -> None:
    """The answer comes after five seconds, and a heartbeat behind it after that."""
    async with serving(database, join_error_delay=5.0) as raws:
        raw = await raws.open()
        other = await raws.open()
        join = await raw.say("realtime:", "phx_join")
        beat = await raw.say("phoenix", "heartbeat")
        hearing = asyncio.create_task(raw.hear())
        await other.nothing_more()
        assert not hearing.done()

        raws.emulator.clock.advance(5.0)

        reason = {"reason": "TopicNameRequired: You must provide a topic name"}
        assert await hearing == [
            join,
            join,
            "realtime:",
            "phx_reply",
            {"status": "error", "response": reason},
        ]
        assert (await raw.hear())[1] == beat


async def test_a_join_judges_its_token(database: str) -> None:
    """Whatever that of the handshake was."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"seconds": -7}, "InvalidJWTToken: Token has expired 7 seconds ago"),
        ({"seconds": 0}, "InvalidJWTToken: Token has expired 0 seconds ago"),
        ({"exp": 3.5}, "Unknown Error on Channel"),
        ({"iat": "x"}, "Unknown Error on Channel"),
    ]
    async with serving(database) as raws:
        raw = await raws.open()
        for claims, reason in wrong:
            now = int(raws.emulator.clock.unix())
            told = await raw.refused("room", access_token=raws.token(**claims))
            late = int(raws.emulator.clock.unix()) - now  # a second may have passed meanwhile
            assert told in {reason, reason.replace("7", str(7 + late)).replace(" 0 ", f" {late} ")}


async def test_a_token_without_role_or_of_another_secret_is_refused(database: str) -> None:
    """With the code that says which."""
    from chatkit.testing.emulators.supabase.tokens import sign

    async with serving(database) as raws:
        raw = await raws.open()
        secret = raws.emulator.settings.jwt_secret
        wrong = {
            sign({"exp": 9e9}, secret): "InvalidJWTToken: Fields `role` and `exp` are required in JWT",
            sign({"exp": 9e9, "role": "anon"}, "x"): "JwtSignatureError: Failed to validate JWT signature",
            "x.y": "MalformedJWT: The token provided is not a valid JWT",
        }
        for token, reason in wrong.items():
            assert await raw.refused("room", access_token=token) == reason


async def test_a_wrong_part_of_a_join_costs_it_all_parts(database: str) -> None:
    """It is let in as if it had asked for nothing; booleans may be texts."""
    async with serving(database) as raws:
        raw = await raws.open()
        await raw.join("room", {"private": "TRUE", "broadcast": {"ack": "true"}})
        ref = await raw.broadcast("room", "e", {})
        assert (await raw.hear())[1] == ref

        for config in (
            {"broadcast": {"ack": True}, "presence": 3},
            {"broadcast": {"ack": "yes"}},
            {"broadcast": {"ack": True}, "postgres_changes": {}},
        ):
            await raw.join("other", config)
            await raw.broadcast("other", "e", {})
            await raw.nothing_more()
            await raw.answer("realtime:other", "phx_leave")
            await raw.hear_only("phx_close")


async def test_a_second_join_closes_the_first_by_its_ref(database: str) -> None:
    """`phx_close` has the old join's ref and comes before the answer."""
    async with serving(database) as raws:
        raw = await raws.open()
        first = await raw.join("room")
        second = await raw.say("realtime:room", "phx_join", {})
        assert await raw.hear() == [first, first, "realtime:room", "phx_close", {}]
        assert (await raw.hear())[:4] == [second, second, "realtime:room", "phx_reply"]


async def test_what_is_not_joined_is_unmatched_and_leaving_it_is_fine(database: str) -> None:
    """Without a join's ref; also a topic without the prefix."""
    async with serving(database) as raws:
        raw = await raws.open()
        for topic in ("realtime:room", "room", "phoenix"):
            ref = await raw.say(topic, "broadcast", {}, join_ref="9")
            reason = {"status": "error", "response": {"reason": "unmatched topic"}}
            assert await raw.hear() == [None, ref, topic, "phx_reply", reason]
        assert await raw.answer("room", "phx_join") == ("error", {"reason": "unmatched topic"})
        assert await raw.answer("realtime:room", "phx_leave") == ("ok", {})


async def test_version_1_says_no_join_ref(database: str) -> None:
    """Four keys, in every message of the server."""
    async with serving(database) as raws:
        raw = await raws.open(version=1)
        ref = await raw.say("realtime:room", "phx_join", {})
        told = await raw.hear()
        response = {"status": "ok", "response": {"postgres_changes": []}}
        assert told == {"topic": "realtime:room", "event": "phx_reply", "payload": response, "ref": ref}
        await raw.say("realtime:room", "phx_leave")
        assert (await raw.hear())["event"] == "phx_reply"
        assert await raw.hear() == {"topic": "realtime:room", "event": "phx_close", "payload": {}, "ref": ref}


async def test_what_is_no_frame_is_dropped_and_the_socket_stays(database: str) -> None:
    """Bad JSON, other JSON, missing keys, too deep, binary of no kind, parts longer than the frame."""
    async with serving(database) as raws:
        for version in (1, 2):
            raw = await raws.open(version=version)
            for text in ("{oops", "[]", "{}", "null", '[1,2,3,4,{"a":NaN}]', "[" * 100_000, "[1,2,3,4,5]"):
                await raw.socket.send_str(text)
            for frame in (
                b"",
                b"\x00" * 9,
                b"\x03\xff\xff\xff\xff\xff\x01",
                b"\x03\x00\x00\x01\x00\x00\x01\xff",
            ):
                await raw.socket.send_bytes(frame)
            ref = await raw.say("phoenix", "heartbeat")
            told = await raw.hear()
            assert (told["ref"] if version == 1 else told[1]) == ref


async def test_changes_of_tables_are_echoed_and_then_refused(database: str) -> None:
    """Each with a number in the order asked, so that a client can join."""
    async with serving(database) as raws:
        raw = await raws.open()
        asked = [{"event": "INSERT", "schema": "public", "table": t} for t in ("a", "b")]
        status, response = await raw.try_to_join("room", {"postgres_changes": asked})
        assert status == "ok"
        assert response["postgres_changes"] == [{**asked[0], "id": 1}, {**asked[1], "id": 2}]
        told = await raw.hear_only("system")
        assert (told["extension"], told["status"], told["channel"]) == ("postgres_changes", "error", "room")


async def test_too_many_channels_connections_and_joins_are_refused(database: str) -> None:
    """A leave makes room; too many joins also close the socket."""
    async with serving(database, channels=1, connections=1, joins_per_second=1) as raws:
        raw = await raws.open()
        second = await raws.open()
        await raw.join("a")
        assert await raw.refused("b") == "ChannelRateLimitReached: Too many channels"
        await raw.answer("realtime:a", "phx_leave")
        await raw.hear_only("phx_close")
        await raw.join("b")
        assert await second.refused("a") == "ConnectionRateLimitReached: Too many connected users"
        key = raws.emulator.authority.anon_key
        assert await raws.knock(apikey=key) == (429, {"error": "Too many connected users"})
        raws.emulator.change(connections=9)
        raws.emulator.project.joins.count(20)
        raws.emulator.clock.advance(5.0)
        assert await second.refused("c") == "ClientJoinRateLimitReached: Too many joins per second"
        assert await second.end() == 1001
        assert await raws.knock(apikey=key) == (429, {"error": "Too many joins per second"})


async def test_only_private_channels_where_the_project_says_so(database: str) -> None:
    """A public join is refused."""
    async with serving(database, private_only=True) as raws:
        raw = await raws.open()
        assert await raw.refused("room") == "PrivateOnly: This project only allows private channels"
        await raw.join("room", PRIVATE)


async def test_silence_ends_a_socket_and_so_does_having_no_channel(database: str) -> None:
    """1000 after a minute without a frame; a cut after ten without a channel."""
    async with serving(database) as raws:
        silent, lonely, busy = [await raws.open() for _ in range(3)]
        await silent.join("room")
        await busy.join("room")
        clock = raws.emulator.clock
        for _ in range(2):
            clock.advance(30.0)
            for raw in (lonely, busy):
                await raw.nothing_more()
        assert await silent.end() == 1000
        for step in range(18):
            clock.advance(30.0)
            for raw in (lonely, busy) if step < 17 else (busy,):
                await raw.nothing_more()
        assert await lonely.end() == 1006
        await busy.nothing_more()


async def test_a_frame_that_is_too_large_closes_with_1009(database: str) -> None:
    """At five million bytes, or what the settings say."""
    async with serving(database, largest_frame=1_000) as raws:
        raw = await raws.open()
        await raw.socket.send_str(json.dumps([None, "1", "phoenix", "heartbeat", {"x": "y" * 1_000}]))
        assert await raw.end() == 1009


def test_a_short_secret_is_refused() -> None:
    """PostgREST and the service ask for 32 characters."""
    with pytest.raises(ValueError, match="32 characters"):
        SupabaseSettings(jwt_secret="short")
