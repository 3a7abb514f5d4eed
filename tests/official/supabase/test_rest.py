"""PostgREST itself gives the answers that its small equivalent is held against."""

from __future__ import annotations

import pytest

from tests.emulators.supabase.raw import serving
from tests.emulators.supabase.rest_cases import ANSWERS, CALLS, PROJECT, answer
from tests.official.supabase.served import postgrest

pytestmark = [pytest.mark.official, pytest.mark.realtime]


async def test_postgrest_answers_as_recorded(database: str) -> None:
    """Call by call, on the same project."""
    async with serving(database, policy=PROJECT, postgrest=postgrest()) as raws:
        answers = {call.name: await answer(raws, call) for call in CALLS}

    assert answers == ANSWERS
