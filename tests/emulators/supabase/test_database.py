"""Broadcasts from the database, and replay."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import psycopg
import pytest

from chatkit.testing.emulators.serving import StartError
from chatkit.testing.emulators.supabase import SupabaseEmulator
from tests.emulators.supabase.raw import PRIVATE, Raw, serving

pytestmark = pytest.mark.realtime

READY = {"private": True, "broadcast": {"replication_ready": True}}
SEND = "SELECT realtime.send(%s, %s, %s)"


async def ready(raw: Raw, name: str = "room", **broadcast: Any) -> None:
    """Join, and be told that the database is heard."""
    await raw.join(name, {"private": True, "broadcast": {"replication_ready": True, **broadcast}})
    told = await raw.hear_only("system")
    assert told == {
        "extension": "system",
        "status": "ok",
        "message": "Replication connection established",
        "channel": name,
    }


def read(frame: bytes) -> tuple[dict[str, Any], str, bytes]:
    """The metadata, event and payload of a binary frame."""
    sizes = frame[1:4]
    at = 5 + sizes[0]
    event = frame[at : at + sizes[1]].decode()
    at += sizes[1]
    return json.loads(frame[at : at + sizes[2]]), event, frame[at + sizes[2] :]


async def test_what_is_committed_is_broadcast_in_the_order_of_commits(database: str) -> None:
    """With the row's id, in the order of the inserts within a transaction; what is rolled back is not."""
    async with serving(database) as raws:
        raw, first = await raws.open(), await raws.open(version=1)
        await ready(raw)
        await first.say("realtime:room", "phx_join", {"config": PRIVATE})
        await first.hear()
        early = await psycopg.AsyncConnection.connect(database)
        async with early:
            await early.execute(SEND, ('{"n":3}', "late", "room"))
            await raws.sql(SEND, '{"n":1}', "e", "room")
            await raws.sql("SELECT realtime.send_binary('\\x00ff', 'b', 'room')")
            await early.execute(SEND, ('{"id":"mine"}', "late", "room"))
        gone = await psycopg.AsyncConnection.connect(database)
        await gone.execute(SEND, ("{}", "never", "room"))
        await gone.close()

        heard = [read(await raw.hear()) for _ in range(4)]
        assert [event for _, event, _ in heard] == ["e", "b", "late", "late"]
        meta, _, payload = heard[0]
        assert json.loads(payload) == {"n": 1, "id": meta["id"]}
        assert heard[1][2] == b"\x00\xff"
        assert [json.loads(heard[n][2]) for n in (2, 3)] == [
            {"n": 3, "id": heard[2][0]["id"]},
            {"id": "mine"},
        ]
        texts = [(await first.hear())["payload"] for _ in range(3)]
        assert texts[0] == {"type": "broadcast", "event": "e", "payload": json.loads(payload), "meta": meta}
        await raw.nothing_more()


async def test_a_trigger_broadcasts_the_changes_of_a_table(database: str) -> None:
    """Old and new record, privately."""
    async with serving(database) as raws:
        raw = await raws.open()
        await ready(raw, "notes")
        await raws.sql("""
            CREATE TABLE notes (id int PRIMARY KEY, text text);
            CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
              PERFORM realtime.broadcast_changes('notes', TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NEW, OLD);
              RETURN NULL; END $$;
            CREATE TRIGGER told AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION told();
            INSERT INTO notes VALUES (1, 'a');
            UPDATE notes SET text = 'b';
        """)
        _, event, payload = read(await raw.hear())
        told = json.loads(payload)
        assert (event, told["record"], told["old_record"]) == ("INSERT", {"id": 1, "text": "a"}, None)
        told = json.loads(read(await raw.hear())[2])
        assert (told["old_record"]["text"], told["record"]["text"], told["table"]) == ("a", "b", "notes")


@pytest.mark.long
async def test_sending_as_a_user_obeys_the_policies_and_swallows_the_error(database: str) -> None:
    """The caller's transaction commits; a missing partition is swallowed too, and makes a join fail."""
    async with serving(database) as raws:
        raw = await raws.open()
        await ready(raw)
        as_user = "SET LOCAL role authenticated; SELECT realtime.send('{}', 'e', '%s')"
        await raws.sql(as_user % "room:denied")
        await raws.sql(as_user % "room")
        assert read(await raw.hear())[1] == "e"

        days = "SELECT string_agg(format('DROP TABLE realtime.%I', relname), ';') FROM pg_class"
        await raws.sql(
            f"DO $$ BEGIN EXECUTE ({days} WHERE relname ~ '^messages_\\d' AND relkind = 'r'); END $$"
        )
        await raws.sql(SEND, "{}", "e", "room")
        await raw.nothing_more()
        text = "Realtime was unable to find the expected messages partition"
        other = await raws.open()
        assert await other.refused("other", PRIVATE) == f"MissingPartition: {text}"
        await raw.say("realtime:room", "access_token", {"access_token": raws.token(n=1)})
        assert (await raw.hear_only("system"))["message"] == text
        await raw.hear_only("phx_close")

        raws.emulator.clock.advance(86_400.0)  # the day's chores
        for _ in range(200):
            await asyncio.sleep(0.01)
            other = await raws.open()
            if (await other.try_to_join("room", PRIVATE))[0] == "ok":
                break
        else:
            pytest.fail("no partitions")


async def test_nothing_is_broadcast_before_replication_is_there_or_after_it_was_lost(database: str) -> None:
    """A join's answer does not mean it; a pause holds back, a loss loses."""
    async with serving(database, replication_start=5.0) as raws:
        raw = await raws.open()
        await raw.join("room", READY)
        await raws.sql(SEND, "{}", "too early", "room")
        raws.emulator.clock.advance(5.0)
        await raw.hear_only("system")
        await raws.sql(SEND, "{}", "heard", "room")
        assert read(await raw.hear())[1] == "heard"

        await raws.deed("pause-replication")
        await raws.sql(SEND, "{}", "held", "room")
        await raw.nothing_more()
        assert raws.emulator.project.committed.paused
        await raws.deed("resume-replication")
        assert read(await raw.hear())[1] == "held"

        await raws.deed("lose-replication")
        await raws.sql(SEND, "{}", "lost", "room")
        raws.emulator.clock.advance(5.0)
        other = await raws.open()
        await other.join("room", READY)
        await other.hear_only("system")
        await raws.sql(SEND, "{}", "again", "room")
        assert read(await raw.hear())[1] == "again"


async def test_replication_that_does_not_come_closes_who_waits_for_it(database: str) -> None:
    """After a minute; and it ends when nobody has been connected for long."""
    async with serving(database, replication_start=1e6, replication_linger=10.0, idle=1e6) as raws:
        raw = await raws.open()
        await raw.join("room", READY)
        await raw.nothing_more()
        raws.emulator.clock.advance(61.0)
        message = (await raw.hear_only("system"))["message"]
        assert message == "Replication connection was not established in time"
        await raw.hear_only("phx_close")
        await raw.socket.close()
        while raws.emulator.project.sessions:
            await asyncio.sleep(0.001)
        raws.emulator.clock.advance(10.0)
        await asyncio.sleep(0.01)
        assert raws.emulator.project.committed.lose() is None


async def test_replay_gives_the_latest_once(database: str) -> None:
    """Oldest first, 25 at most, each marked; one that is replayed does not come again live."""
    async with serving(database) as raws:
        raw, v1 = await raws.open(), await raws.open(version=1)
        since = int(time.time() * 1000) - 1000
        await raws.sql("""
            INSERT INTO realtime.messages (topic, extension, event, private, payload, inserted_at)
            SELECT 'story', 'broadcast', 'e', true, jsonb_build_object('n', n), now() - (27 - n) * interval '1 ms'
            FROM generate_series(0, 26) n
        """)
        await raws.sql("SELECT realtime.send_binary('\\x01', 'b', 'story')")
        await raws.sql("SELECT realtime.send('{}', 'public', 'story', false)")
        await raw.join("story", {"private": True, "broadcast": {"replay": {"since": since, "limit": 99}}})
        replayed = [await raw.hear() for _ in range(25)]
        texts = replayed[:-1]
        assert [frame[4]["payload"]["n"] for frame in texts] == list(range(3, 27))
        assert all(frame[:4] == ["1", None, "realtime:story", "broadcast"] for frame in texts)
        assert texts[0][4]["meta"]["replayed"] is True
        assert read(replayed[-1])[1:] == ("b", b"\x01")
        await raw.nothing_more()

        joined = {"config": {"private": True, "broadcast": {"replay": {"since": since, "limit": 2}}}}
        await v1.say("realtime:story", "phx_join", joined)
        await v1.hear()
        told = (await v1.hear())["payload"]
        assert (told["payload"]["n"], told["event"]) == (26, "e")
        channel = next(iter(raws.emulator.project.sessions.values())).channels["realtime:story"]
        from chatkit.testing.emulators.supabase.wire import UserBroadcast

        channel.deliver(UserBroadcast(event="e", payload=b"{}", meta={"id": texts[-1][4]["meta"]["id"]}))
        await raw.nothing_more()


async def test_replay_wants_numbers_and_a_private_channel(database: str) -> None:
    """Else the join is refused; what is no map is ignored."""
    async with serving(database) as raws:
        raw = await raws.open()
        for replay in ({}, {"since": "x"}, {"since": 1, "limit": 1.5}, {"since": 10**20}):
            broadcast = {"broadcast": {"replay": replay}}
            told = await raw.refused("room", {"private": True, **broadcast})
            assert told == "UnableToReplayMessages: Replay params are not valid"
            told = await raw.refused("room", broadcast)
            assert told == "UnableToReplayMessages: Replay is not allowed for public channels"
        await raw.join("room", {"private": True, "broadcast": {"replay": 3}})


async def test_what_is_incomplete_or_too_large_is_stored_and_not_broadcast(database: str) -> None:
    """As the service, which says so in its log alone."""
    async with serving(database, payload_kb=1) as raws:
        raw = await raws.open()
        await ready(raw)
        insert = "INSERT INTO realtime.messages (topic, extension, event, private, payload) VALUES "
        await raws.sql(insert + "('room', 'broadcast', NULL, true, '{}')")
        await raws.sql(insert + "('room', 'broadcast', 'e', NULL, '{}')")
        await raws.sql(insert + "('room', 'broadcast', 'e', true, NULL)")
        await raws.sql(SEND, json.dumps({"x": "y" * 1_600}), "large", "room")
        await raws.sql(SEND, "{}", "last", "room")
        assert read(await raw.hear())[1] == "last"


async def test_the_database_is_stopped_only_if_it_is_ours(database: str) -> None:
    """A given one is somebody else's."""
    async with serving(database) as raws:
        with pytest.raises(ValueError, match="give no database"):
            await raws.emulator.database.stop()
        assert not raws.emulator.database.is_own


async def test_a_database_that_cannot_be_reached_is_an_error_at_the_start() -> None:
    """And nothing is left of the emulator."""
    emulator = SupabaseEmulator(database="postgresql://postgres@127.0.0.1:1/none")
    with pytest.raises(StartError, match="OperationalError"):
        await emulator.start()


@pytest.mark.long
async def test_a_postgresql_of_its_own_is_restarted() -> None:
    """Meanwhile joins of private channels fail; then all goes on, and what was committed is there."""
    async with serving(None) as raws:
        raw = await raws.open()
        await ready(raw)
        await raws.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        assert raws.emulator.database.is_own

        await raws.deed("stop-database")
        other = await raws.open()
        reason = await other.refused("other", PRIVATE)
        assert reason.startswith("UnableToConnectToProject: ")
        await raw.say("realtime:room", "access_token", {"access_token": raws.token(n=1)})
        shut = await raw.hear_only("system")
        assert shut["message"] == "Realtime was unable to connect to the project database"
        await raw.hear_only("phx_close")
        await raws.deed("start-database")

        await ready(raw, "again")
        await raws.sql("INSERT INTO kept VALUES (2)")
        await raws.sql("SELECT realtime.send(to_jsonb(kept), 'e', 'again') FROM kept ORDER BY n")
        assert [json.loads(read(await raw.hear())[2])["n"] for _ in range(2)] == [1, 2]
        await raws.deed("restart-database")


async def test_who_goes_while_the_database_answers_leaves_no_connection(database: str) -> None:
    """One that is looked at, whether PostgreSQL has not ended it, is closed with its owner."""
    async with serving(database) as raws:
        connections = raws.emulator.database.connections
        async with connections.one() as kept:
            pass

        async def use() -> None:
            async with connections.one():
                raise AssertionError("it was given up before")

        using = asyncio.create_task(use())
        await asyncio.sleep(0)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using

        assert kept.closed
