"""Supabase's own clients believe the emulator."""

from __future__ import annotations

import pytest

from tests.official.supabase.clients import CLIENTS
from tests.official.supabase.served import served

pytestmark = pytest.mark.official


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_an_official_client_believes_the_emulator(client: str, database: str) -> None:
    """Every case of realtime-js and supabase-js 2.119, and of realtime and supabase 2.34, passes."""
    run, cases = CLIENTS[client]

    with served(database) as supabase:  # one for all cases, each on topics of its own
        results = run(supabase)

    assert sorted(results) == sorted(cases())
    failed = {name: error for name, error in results.items() if error is not None}
    assert failed == {}, "\n\n".join(f"{name}: {error}" for name, error in failed.items())
