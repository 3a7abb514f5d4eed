"""Tables and functions where PostgREST is not present: the small equivalent."""

from __future__ import annotations

import pytest
from psycopg.sql import Identifier

from chatkit.testing.emulators.supabase import conditions
from tests.emulators.supabase.raw import serving
from tests.emulators.supabase.rest_cases import ANSWERS, CALLS, PROJECT, Call, answer

pytestmark = pytest.mark.realtime


async def test_the_small_equivalent_answers_as_postgrest_does(database: str) -> None:
    """Call by call, status, range and body; of an error its code and what it says."""
    async with serving(database, policy=PROJECT) as raws:
        answers = {call.name: await answer(raws, call) for call in CALLS}

    assert answers == ANSWERS


async def test_what_the_small_equivalent_does_not_know_is_refused(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never guessed."""
    wrong = {
        "a method": (Call(name="", path="t", method="PUT", body={}), 405),
        "a function by GET": (Call(name="", path="rpc/f"), 405),
        "a change that is no object": (Call(name="", path="t", method="PATCH", body=[1]), 400),
        "rows that are none": (Call(name="", path="t", method="POST", body=[1]), 400),
        "arguments that are none": (Call(name="", path="rpc/f", method="POST", body=[1]), 400),
        "a token that is none": (Call(name="", path="t", role="none"), 401),
    }
    async with serving(database) as raws:
        authority = raws.emulator.authority
        key = authority.service_key
        monkeypatch.setattr(authority, "token", lambda *_, role, **__: "x" if role == "none" else key)
        for what, (call, status) in wrong.items():
            assert (await answer(raws, call))[0] == status, what


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("select", "a,b(c)"),
        ("select", "a::text"),
        ("select", "count()"),
        ("order", "a.up"),
        ("limit", "x"),
        ("offset", "-1"),
        ("a", "1"),
        ("a", "is.maybe"),
        ("a", "in.1"),
        ("a", "cs.{1}"),
        ("or", "a.eq.1"),
        ("or", "()"),
        ("and", "(a)"),
    ],
)
def test_a_query_that_is_not_emulated_is_unreadable(name: str, value: str) -> None:
    """Embedded tables, casts, aggregates, other operators, and what is misspelt."""
    with pytest.raises(conditions.Unreadable):
        conditions.read([(name, value)], Identifier("t"))
