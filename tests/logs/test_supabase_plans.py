"""What a member's call reads of a large log: the pages that it needs, whatever else there is."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, Final

import pytest

from chatkit.postgres.calls import as_json
from chatkit.postgres.rows import item
from chatkit.testing.contract.log.kit import SUPPORT, key
from chatkit.testing.wishes import change, message_id, wish
from tests.logs.postgres_kit import Session, session
from tests.logs.supabase_kit import serving

OTHERS = 100
"""Channels beside the large one."""


FILL: Final = """
WITH made AS (
    INSERT INTO chatkit.channels (name, head, at) VALUES (%(channel)s, %(count)s, now()) RETURNING number, at
), said AS (
    SELECT
        made.number AS channel, n AS serial, made.at - (%(count)s - n) * interval '1 second' AS at,
        ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
        json_build_object('type', 'text', 'text', 'all m' || n || CASE WHEN n %% 50 = 0 THEN ' some' ELSE '' END)
            AS body
    FROM made, generate_series(1, %(count)s) AS n
), entered AS (
    INSERT INTO chatkit.entries (channel, serial, at, id, user_id, digest, data)
    SELECT channel, serial, at, id, 'bob', '\\x00', json_build_object(
        'v', 1, 'id', id, 'kind', 'message.create', 'channel', %(channel)s::text,
        'sender', json_build_object('user', 'bob', 'device', 'device1'),
        'at', '2026-01-01T00:00:00.000Z', 'body', body
    )::text FROM said
), mentioned AS (
    INSERT INTO chatkit.mentions (channel, user_id, message)
    SELECT channel, 'ada', serial FROM said WHERE serial %% 100 = 0
), shown AS (
    INSERT INTO chatkit.messages (channel, serial, id, user_id, root_id, root_user, stands, shown, changed)
    SELECT channel, serial, id, 'bob',
        CASE WHEN serial %% 10 = 0 THEN '00000000-0000-7000-8000-000000000001'::uuid END,
        CASE WHEN serial %% 10 = 0 THEN 'bob' END, true, true, serial
    FROM said
)
INSERT INTO chatkit.texts (channel, serial, at, user_id, words)
SELECT channel, serial, at, 'bob', chatkit.indexed(channel, 'bob', body::jsonb) FROM said
"""
"""As appends would have left it; that many would take minutes."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(100_000, marks=pytest.mark.long),
        pytest.param(1_000_000, marks=pytest.mark.nightly),
    ],
    ids=lambda count: f"{count:,}",
)
def inside(database: str, request: pytest.FixtureRequest) -> Generator[tuple[Session, int]]:
    """A session in a project whose log holds so many messages, four of five in one channel."""
    with serving(database) as project, session(project.dsn) as connection:
        large = request.param * 4 // 5
        connection.execute("SET search_path = chatkit, public")
        connection.execute(FILL, {"channel": SUPPORT, "count": large})
        for other in range(OTHERS):
            connection.execute(FILL, {"channel": f"c{other}", "count": (request.param - large) // OTHERS})
        connection.execute("SELECT chatkit.add_member('', '*')")
        connection.execute(
            "INSERT INTO chatkit.members SELECT 'c' || n % 1000, 'user' || n FROM generate_series(1, 20000) AS n"
        )
        connection.execute("VACUUM ANALYZE")
        yield connection, large


def blocks(connection: Session, function: str, **values: Any) -> int:
    """How many blocks of the database a member's call looks at."""
    given = {
        name: as_json(value) if isinstance(value, list | dict) and name not in {"names", "users"} else value
        for name, value in values.items()
    }
    named = ", ".join(f"{name} => %({name})s" for name in values)
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE authenticated")
        claims = json.dumps({"role": "authenticated", "sub": "ada"})
        connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
        query = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT public.chatkit_{function}({named})"
        if function != "append":  # of which the second one would find duplicates
            connection.execute(f"SELECT public.chatkit_{function}({named})".encode(), given)
        row = connection.execute(query.encode(), given).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def place(number: int) -> dict[str, Any]:
    return {"epoch": 1, "serial": key(number).serial}


def test_a_call_reads_what_it_answers_with(inside: tuple[Session, int]) -> None:
    """A few blocks for each row of the answer, in a log of any size."""
    connection, count = inside
    middle, names = count // 2, [f"c{n}" for n in range(OTHERS)]
    fifty = [["bob", message_id(number)] for number in range(middle, middle + 50)]
    target = wish(middle, user="bob")
    new = [item(wish(count + number, user="ada")) for number in range(1, 51)]
    edit = [item(change(count + 1, "message.delete", target, user="ada"))]
    calls: dict[str, tuple[int, dict[str, Any]]] = {
        "append": (50, {"channel": SUPPORT, "entries": new}),
        "append refused": (1, {"channel": SUPPORT, "entries": edit}),
        "heads": (OTHERS, {"names": names}),
        "entries": (100, {"channel": SUPPORT, "after": place(count - 100), "how_many": 100}),
        "entries middle": (100, {"channel": SUPPORT, "after": place(middle), "how_many": 100}),
        "entries by time": (100, {"channel": SUPPORT, "after": {"at": 10**15}, "how_many": 100}),
        "messages": (50, {"channel": SUPPORT, "how_many": 50}),
        "messages before": (50, {"channel": SUPPORT, "before": place(middle), "how_many": 50}),
        "messages around": (50, {"channel": SUPPORT, "around": place(middle), "how_many": 50}),
        "messages thread": (
            50,
            {"channel": SUPPORT, "how_many": 50, "root_user": "bob", "root_id": message_id(1)},
        ),
        "get": (50, {"channel": SUPPORT, "idents": fifty}),
        "versions": (1, {"channel": SUPPORT, "user_id": "bob", "id": message_id(middle)}),
        "find": (50, {"channel": SUPPORT, "idents": fifty}),
        "registers": (1, {"channel": SUPPORT, "names": ["read", "role"]}),
        "put": (1, {"given": [[SUPPORT, "ada", "read", "x", "greatest", 1, key(count).serial]]}),
        "put role": (1, {"given": [["new", "ada", "role", "owner", "newest", None, None]]}),
    }
    found = {
        name: (blocks(connection, name.split(" ")[0], **given), rows) for name, (rows, given) in calls.items()
    }

    assert {name: seen for name, (seen, rows) in found.items() if seen > 600 + 60 * rows} == {}


def test_a_count_reads_what_is_unread(inside: tuple[Session, int]) -> None:
    """Not what lies below the mark."""
    connection, count = inside
    mark = as_json([[SUPPORT, "ada", "read", "x", "greatest", 1, key(count - 100).serial]])
    connection.execute("SELECT chatkit.put(%s::json)", (mark,))

    assert blocks(connection, "unread", reader="ada", names=[SUPPORT]) < 1_000


@pytest.mark.parametrize("names", [[SUPPORT], None], ids=["one channel", "all channels"])
@pytest.mark.parametrize("said", ["all", "some", "m77", "absent"])
def test_a_search_reads_a_part(inside: tuple[Session, int], said: str, names: list[str] | None) -> None:
    """Of words that all have the newest, of words that few have those: never the whole log."""
    connection, _ = inside

    assert blocks(connection, "search", said=said, names=names, how_many=50) < 6_000
