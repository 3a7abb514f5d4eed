"""Ably's own clients believe the emulator."""

from __future__ import annotations

import pytest

from tests.official.ably.clients import CLIENTS
from tests.official.ably.served import served

pytestmark = pytest.mark.official


@pytest.mark.parametrize("form", ["json", "msgpack"])
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_an_official_client_believes_the_emulator(client: str, form: str) -> None:
    """Every case of ably-js 2 and ably-python 3.1.4 passes over either format."""
    run, cases = CLIENTS[client]

    with served() as ably:  # one for all cases, each on channels of its own
        results = run(ably.url, form)

    assert sorted(results) == sorted(cases())
    failed = {name: error for name, error in results.items() if error is not None}
    assert failed == {}, "\n\n".join(f"{name}: {error}" for name, error in failed.items())
