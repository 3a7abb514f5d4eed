"""I16 on a database: PostgreSQL quotes values in what it says, and none of that is let out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

import chatkit
from chatkit.adapters.memory import MemoryConfig, new_hub
from chatkit.engine.system import SystemClock, logger
from chatkit.logs.postgres import PostgresLog, errors, migrate
from chatkit.model.order import Ident, OrderKey
from chatkit.model.registers import Register
from chatkit.testing.wishes import change, message_id, wish
from tests.logs import postgres_server
from tests.logs.postgres_kit import session
from tests.spying import Canaries, Spy

if TYPE_CHECKING:
    from collections.abc import Generator
    from random import Random

SAYING: Final = """
CREATE FUNCTION chatkit.blab() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'looking at %', row_to_json(NEW);
    {act}
    RETURN NEW;
END $$;
"""
ACTS: Final = {
    "exception": "RAISE EXCEPTION 'no: %', row_to_json(NEW) USING DETAIL = row_to_json(NEW)::text, HINT = NEW.user_id;",
    "cast": "PERFORM (NEW::text)::integer;",
    "check": "RAISE check_violation USING MESSAGE = 'Failing row contains ' || NEW::text;",
    "unique": "RAISE unique_violation USING DETAIL = 'Key (data)=(' || NEW::text || ') already exists.';",
    "room": "RAISE disk_full USING MESSAGE = 'no room for ' || NEW::text;",
    "cancel": "RAISE query_canceled USING MESSAGE = 'canceled at ' || NEW::text;",
    "rights": "RAISE insufficient_privilege USING MESSAGE = 'not for ' || NEW::text;",
    "shutdown": "RAISE admin_shutdown USING MESSAGE = 'going down at ' || NEW::text;",
    "internal": "RAISE internal_error USING MESSAGE = 'odd: ' || NEW::text;",
    "warning": "",
}
"""What a trigger of somebody else's does with a row; each quotes all of it."""
USER: Final = "ada"
TABLES: Final = ("entries", "registers")


class Story:
    """A database that says no to everything, in words that hold what it was given."""

    def __init__(self, dsn: str) -> None:
        self.say = Canaries()
        self.spy = Spy(self.say)
        self.dsn = dsn

    async def tell(self) -> list[str]:
        """Tell it, and return what was let out."""
        with self.spy.listening():
            await self._strangers()
            for name in ACTS:
                await self._broken(name)
            await self._client()
            await self._gone()
            self._migrated()
        return self.spy.found

    async def _strangers(self) -> None:
        """Who may not come in, and URLs that cannot be read."""
        _, _, tail = self.dsn.partition("@")
        server, _, options = tail.partition("?")
        password = self.say.password
        for dsn in (
            f"postgresql://locked:{password}@{tail}",
            f"postgresql://nobody-there:{password}@{tail}",
            f"postgresql://postgres:{password}@/no_such?{options}",
            f"postgresql://postgres:{password}@127.0.0.1:1{server}",
        ):
            log = PostgresLog(dsn, timeout=2.0)
            self.spy.reprs(log, log._database)
            await self.spy.failing(partial(log.heads, ["support"]))
            await log.aclose()
            await self.spy.failing(partial(_called, migrate, dsn))
        for dsn in (f"postgresql://a:{password}@h:port/x", f"postgresql://a:{password}@h/x?no_such=1"):
            await self.spy.failing(partial(_called, PostgresLog, dsn))

    async def _broken(self, act: str) -> None:
        """Each write meets a trigger that quotes the row; reads go on."""
        say, spy = self.say, self.spy
        log = PostgresLog(self.dsn, timeout=5.0)
        body = {"type": "text", "text": say.body}
        _ = await log.append("support", [wish(1, user=USER, body=body, device="device9")])
        with self._blabbing(act):
            calls: tuple[Callable[[], Awaitable[object]], ...] = (
                lambda: log.append("support", [wish(len(act) + 10, user=USER, body=body, device="device9")]),
                lambda: log.put(
                    [Register("support", USER, "note", say.register, "newest", OrderKey(2, act))]
                ),
            )
            for call in calls:
                if act == "warning":
                    _ = await call()
                else:
                    await spy.failing(call)
        spy.reprs(log, log._database, log._database._pool)
        spy.reprs(await log.search(say.body, limit=5), await log.get("support", [Ident(USER, message_id(1))]))
        spy.reprs(await log.unread(USER, ["support"]))
        await log.aclose()

    def _blabbing(self, act: str) -> Any:
        return Triggered(self.dsn, ACTS[act])

    async def _client(self) -> None:
        """A whole client on it: it waits, says why in its health, and shows nothing."""
        say, spy = self.say, self.spy
        hub = new_hub("stage", clock=SystemClock(), random=_chance())
        log = PostgresLog(self.dsn, timeout=5.0)
        chat = await chatkit.connect(
            MemoryConfig(hub=hub, like="pusher"),
            user="cleo",
            store=":memory:",
            log=log,
            observer=spy,
            seed=1,
        )
        channel = chat.channel("talk")
        await channel.attach(timeout=20)
        _ = await (await channel.send(say.logged)).wait("sent", timeout=20)
        with self._blabbing("exception"):
            broken = await channel.send(say.unlogged)
            await spy.failing(lambda: broken.wait("sent", timeout=1))
            spy.hear("health", chat.health().to_json())
            spy.reprs(chat, chat.engine.context.log, broken, *(await chat.outbox.entries()))
        with self._blabbing("cast"):
            refused = await channel.send(say.refused)
            await spy.failing(lambda: refused.wait("sent", timeout=1))
            spy.hear("health", chat.health().to_json())
        spy.reprs(await chat.aclose(drain=0))
        await log.aclose()

    async def _gone(self) -> None:
        """Connections that are ended, and functions that are no longer there."""
        say, spy = self.say, self.spy
        log = PostgresLog(self.dsn, timeout=5.0)
        _ = await log.heads(["support"])
        listening = log.changes()
        _ = await anext(listening)
        with session(self.dsn) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chatkit'"
            )
        await spy.failing(lambda: anext(listening))
        _ = await log.append("support", [wish(70, body={"type": "text", "text": say.after})])
        with session(self.dsn) as other:
            other.execute("ALTER FUNCTION chatkit.append RENAME TO appended")
            other.execute("ALTER FUNCTION chatkit.search RENAME TO searched")
            other.execute("ALTER FUNCTION chatkit.messages RENAME TO told")
        edit = change(72, "message.update", wish(70), body={"type": "text", "text": say.edited})
        for call in (
            lambda: log.append("support", [edit]),
            lambda: log.search(say.query, limit=5),
            lambda: log.messages(say.channel, limit=5),
        ):
            await spy.failing(call)
        await log.aclose()

    def _migrated(self) -> None:
        """A schema that is not ours any more."""
        with session(self.dsn) as other:
            other.execute("UPDATE chatkit.migrations SET digest = %s", (self.say.digest,))
        try:
            migrate(self.dsn)
        except chatkit.ConfigError as error:
            self.spy.error(error)
        else:
            raise AssertionError("it did not fail")


class Triggered:
    """Within the block each row that is written meets a trigger of somebody else's."""

    def __init__(self, dsn: str, act: str) -> None:
        self._dsn = dsn
        self._act = act

    def __enter__(self) -> None:
        with session(self._dsn) as other:
            other.execute(SAYING.format(act=self._act).encode())
            for table in TABLES:
                other.execute(
                    f"CREATE TRIGGER blab BEFORE INSERT OR UPDATE ON chatkit.{table}"
                    " FOR EACH ROW EXECUTE FUNCTION chatkit.blab()".encode()
                )

    def __exit__(self, *_: object) -> None:
        with session(self._dsn) as other:
            other.execute("DROP FUNCTION chatkit.blab CASCADE")


async def _called(make: Callable[..., object], *given: Any) -> None:
    await asyncio.to_thread(make, *given)


def _chance() -> Random:
    from random import Random

    return Random(1)


@pytest.fixture
def own(postgres: str) -> Generator[str]:
    """A migrated database that a story may ruin, and a role that wants another password."""
    with postgres_server.database(postgres) as dsn:
        migrate(dsn)
        with session(dsn) as other:
            other.execute(
                f"DO $$ BEGIN CREATE ROLE {postgres_server.LOCKED} LOGIN PASSWORD 'x';"
                " EXCEPTION WHEN duplicate_object THEN NULL; END $$".encode()
            )
        yield dsn


@pytest.mark.long
@pytest.mark.realtime
async def test_nothing_that_a_database_quotes_is_let_out(own: str) -> None:
    """Neither to a log at DEBUG, of the driver's or of its pool's, nor in an error, what is behind it, or a point."""
    story = Story(own)

    assert await story.tell() == []

    kinds = {where.split()[0] for where, _ in story.spy.heard}
    assert {"log", "point", "repr", "traceback", "health"} <= kinds
    assert len(story.say.planted) > 10


@pytest.mark.long
@pytest.mark.realtime
@pytest.mark.parametrize("way", ["behind", "quoted", "logged"])
async def test_a_leak_of_a_database_is_heard(own: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """With the driver's error behind ours, its words in ours, or in a line of the log, the same story turns red."""
    sound = errors.calling

    def leaking(error: psycopg.Error) -> chatkit.ChatkitError:
        ours = sound(error)
        if way == "quoted":
            ours.args = (f"{ours.args[0]}: {error}",)
        else:
            logger.debug("the database says %s", error)
        return ours

    if way == "behind":
        monkeypatch.setattr(errors, "unchained", nullcontext)
    else:
        monkeypatch.setattr(errors, "calling", leaking)

    found = await Story(own).tell()

    assert any(one.startswith("body in ") for one in found), found
