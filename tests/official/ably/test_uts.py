"""The table of Ably's universal test specification is complete, and its cases exist."""

from __future__ import annotations

from pathlib import Path

from tests.official.ably.clients import CLIENTS
from tests.official.ably.uts import UTS, Deviates, Shown

IDS = Path(__file__).with_name("uts-ids.txt").read_text(encoding="utf-8").split()


def test_every_id_of_the_specification_has_its_row() -> None:
    """The ids are those of the integration tests, taken from the specification itself; none is left out."""
    assert sorted(UTS) == sorted(IDS)
    assert len(IDS) >= 100


def test_every_row_names_cases_that_exist() -> None:
    """The session `official` runs every case, so that a row that names one is shown by it."""
    known = {client: set(cases()) for client, (_, cases) in CLIENTS.items()}

    unknown = {
        name: case
        for name, row in UTS.items()
        if isinstance(row, Shown)
        for case in row.cases
        if case not in known[row.client]
    }

    assert unknown == {}
    assert all(row.cases for row in UTS.values() if isinstance(row, Shown))


def test_what_deviates_says_why() -> None:
    """At least 100 ids are shown; the others have a reason."""
    deviating = [row for row in UTS.values() if isinstance(row, Deviates)]
    assert all(len(row.reason) > 40 for row in deviating)
    assert len(UTS) - len(deviating) >= 100


def test_each_client_has_at_least_forty_cases() -> None:
    """Each is run over JSON and over msgpack."""
    for _, cases in CLIENTS.values():
        names = cases()
        assert len(names) == len(set(names)) >= 40
