"""The cases would notice: an emulator broken on purpose fails the right ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.official.supabase.clients import CLIENTS
from tests.official.supabase.defects import CONTROL, DEFECTS
from tests.official.supabase.served import served

pytestmark = pytest.mark.official

PATIENCE, LENIENCE = 2_500, 60_000
"""Milliseconds for a case that is to fail, also by waiting in vain, and for the one that is to pass."""


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_deliberate_defect_fails_the_right_cases(
    name: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both clients notice each defect by the cases that are about it; one that it does not touch passes."""
    defect = DEFECTS[name]
    defect.breaks(monkeypatch)
    wanted = {"javascript 2.0.0": defect.javascript, "python": defect.python}

    with served(database) as supabase, ThreadPoolExecutor() as pool:

        def run(client: str) -> dict[str, str | None]:
            patience = {**dict.fromkeys(wanted[client], PATIENCE), CONTROL: LENIENCE}
            return CLIENTS[client][0](supabase, patience)

        results = dict(zip(wanted, pool.map(run, wanted), strict=True))

    for client, cases in wanted.items():
        failed = {case for case, error in results[client].items() if error is not None}
        assert failed == set(cases), f"{client}: {results[client]}"
