"""What is within the schema of a project is for nobody but its functions, by no way around them."""

from __future__ import annotations

import json
from collections.abc import Generator

import psycopg
import pytest

from chatkit.model.registers import READ, ROLE
from chatkit.testing.contract.log.kit import SUPPORT, append, read, unread_from
from chatkit.testing.wishes import wish
from tests.logs.supabase_kit import Project, serving
from tests.logs.supabase_rights import Opened

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def served(database: str) -> Generator[Project]:
    with serving(database) as made:
        yield made


@pytest.fixture
def project(served: Project) -> Generator[Project]:
    for user in ("ada", "bob", "mod", "rita"):
        served.member(SUPPORT, user)
    yield served
    served.empty()


INNER = [
    "SELECT chatkit.append('support', '[]')",
    "SELECT chatkit.put('[]')",
    "SELECT chatkit.add_member('support', 'eve')",
    "SELECT chatkit.membership('support', 'ada')",
    "SELECT chatkit.append_as('bob', 'support', '[]')",
    "SELECT chatkit.put_as('bob', '[]')",
    "SELECT chatkit.tell('support', '{}')",
    "SELECT chatkit.restored()",
    "SELECT * FROM chatkit.entries",
    "SELECT * FROM chatkit.header",
    "SELECT * FROM chatkit.members",
    "INSERT INTO chatkit.members VALUES ('support', 'eve')",
    "UPDATE chatkit.entries SET user_id = 'eve' WHERE true",
    "DELETE FROM chatkit.registers WHERE true",
    "TRUNCATE chatkit.entries",
    "INSERT INTO realtime.messages (topic, extension, private) VALUES ('chatkit:support', 'broadcast', true)",
]


@pytest.mark.parametrize("role_name", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("statement", INNER)
async def test_nothing_within_is_for_others(project: Project, role_name: str, statement: str) -> None:
    """Even for who could run SQL as that role, and even with the schema opened to them."""
    if role_name == "service_role" and "realtime" in statement:
        return  # the secret key says what it likes on any topic
    with psycopg.connect(project.dsn) as connection:
        connection.execute("GRANT USAGE ON SCHEMA chatkit TO anon, authenticated, service_role")
        connection.execute(f"SET LOCAL ROLE {role_name}".encode())
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims("ada"),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        connection.rollback()


def claims(user: str | None) -> str:
    return json.dumps({"role": "authenticated" if user else "anon"} | ({"sub": user} if user else {}))


@pytest.mark.parametrize(("user", "rows"), [("ada", 2), ("eve", 0), (None, 0)])
async def test_rows_that_an_app_opens_are_the_members_own(
    project: Project, user: str | None, rows: int
) -> None:
    """An app that grants SELECT finds row-level security in place."""
    project.member("other", "zoe")
    async with Opened(project) as doors:
        await doors["bob"].put([unread_from(1, "bob"), read(1, "bob")])
        await append(doors["service"], wish(10, user="zoe", channel="other"), channel="other")
    with psycopg.connect(project.dsn) as connection:
        connection.execute("GRANT USAGE ON SCHEMA chatkit TO anon, authenticated")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA chatkit TO anon, authenticated")
        connection.execute(f"SET LOCAL ROLE {'authenticated' if user else 'anon'}".encode())
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims(user),))
        counts = {
            table: len(connection.execute(f"SELECT * FROM chatkit.{table}".encode()).fetchall())
            for table in ("entries", "messages", "channels", "header", "texts", "lanes", "members")
        }
        names = {
            name for (name,) in connection.execute("SELECT DISTINCT name FROM chatkit.registers").fetchall()
        }
        connection.rollback()

    one = int(bool(rows))
    assert counts == {
        "entries": rows,
        "messages": rows,
        "channels": one,
        "header": 0,
        "texts": 0,
        "lanes": 0,
        "members": 4 * one,
    }
    assert names == ({READ, ROLE} if rows else set())
