"""The owner of a project's database is no superuser at the service: the schema needs no more than it has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator

import psycopg
import pytest

from chatkit.logs.postgres import migrate, migrate_supabase
from chatkit.postgres.calls import as_json
from chatkit.postgres.rows import item
from chatkit.testing.contract.log.kit import SUPPORT
from chatkit.testing.emulators.supabase import SupabaseEmulator
from chatkit.testing.wishes import wish
from tests.logs.postgres_kit import ask, session

OWNER = "project_owner"


@pytest.fixture(scope="module")
def project(database: str) -> Generator[str]:
    """The DSN of a project's database, as its owner: bound by no row-level security, and no more."""

    async def set_up() -> None:
        async with SupabaseEmulator(database=database):
            pass

    asyncio.run(set_up())
    with session(database) as connection:
        name = connection.info.dbname
        connection.execute(
            f"DO $$ BEGIN CREATE ROLE {OWNER} LOGIN CREATEROLE BYPASSRLS;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$".encode()
        )
        for statement in (
            f"GRANT CREATE ON DATABASE {name} TO {OWNER}",
            f"GRANT CREATE, USAGE ON SCHEMA public TO {OWNER}",
            f"GRANT USAGE ON SCHEMA auth, realtime TO {OWNER}",
            f"GRANT SELECT, INSERT ON realtime.messages TO {OWNER}",
            # At the service an extension lets the owner make policies; here it takes the table's owner.
            "ALTER TABLE realtime.messages OWNER TO supabase_realtime_admin",
            f"GRANT supabase_realtime_admin TO {OWNER}",
        ):
            connection.execute(statement.encode())
    yield database.replace("postgres@", f"{OWNER}@")
    with session(database) as connection:
        connection.execute("ALTER TABLE realtime.messages OWNER TO postgres")
        connection.execute(f"DROP OWNED BY {OWNER} CASCADE".encode())


def test_the_schema_is_made_and_used(project: str, database: str) -> None:
    """A member's append is taken and told; nobody else's is."""
    migrate_supabase(project)
    assert (migrate_supabase(project), migrate(project)) == ((), ())
    ask(project, "SELECT chatkit.add_member(%s, 'ada')", SUPPORT)

    outcomes = {}
    for user in ("ada", "eve"):
        with psycopg.connect(database) as connection:
            connection.execute("SET LOCAL ROLE authenticated")
            claims = json.dumps({"role": "authenticated", "sub": user})
            connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
            given = as_json([item(wish(1, user=user))])
            row = connection.execute(
                "SELECT public.chatkit_append(%s, %s::json)", (SUPPORT, given)
            ).fetchone()
            assert row is not None
            outcomes[user] = row[0]["acks"][0]["outcome"]

    assert outcomes == {"ada": "new", "eve": "refused"}
    assert ask(database, "SELECT array_agg(topic) FROM realtime.messages") == ["chatkit:support"]
    assert (
        ask(database, "SELECT count(*) FROM pg_policies WHERE schemaname = 'realtime'") == 7
    )  # and the emulator's


def test_the_owner_speaks_for_anybody(project: str, database: str) -> None:
    """By a direct connection, as a backend does."""
    migrate_supabase(project)
    entry = item(wish(2, user="zoe"))

    found = ask(project, "SELECT public.chatkit_append(%s, %s::json)", SUPPORT, as_json([entry]))

    assert found["acks"][0]["outcome"] == "new"
    assert (
        ask(
            database,
            "SELECT payload #>> '{entries,0,by}' FROM realtime.messages ORDER BY inserted_at DESC LIMIT 1",
        )
        == "backend"
    )
