"""Official clients against each server: the emulator in session `official`, soketi in session `servers`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import pytest

from tests.official.pusher.clients import Clients
from tests.official.pusher.kit import Kit, Server, emulator
from tests.servers.soketi.deviations import DEVIATIONS
from tests.servers.soketi.server import Soketi


@pytest.fixture(scope="session")
def clients() -> Generator[Clients]:
    """One Node for all."""
    node = Clients()
    yield node
    node.close()


@pytest.fixture(scope="session")
def soketi(tmp_path_factory: pytest.TempPathFactory) -> Generator[Soketi]:
    """One for all cases, as long as it lives."""
    with Soketi(tmp_path_factory.mktemp("soketi")) as server:
        yield server


@pytest.fixture(
    params=[
        pytest.param("emulator", marks=pytest.mark.official),
        pytest.param("soketi", marks=pytest.mark.servers),
    ]
)
def kit(request: pytest.FixtureRequest, clients: Clients) -> Generator[Kit]:
    """Tools for one case, against one of the servers."""
    if request.param == "emulator":
        with emulator() as server, Kit(server, clients) as tools:
            yield tools
    else:
        deviates = request.node.get_closest_marker("xfail") is not None
        soketi: Soketi = request.getfixturevalue("soketi")
        if not soketi.alive:
            soketi.start()
        server = Server(soketi.host, soketi.port)
        with Kit(server, clients, patience=0.3 if deviates else 5.0) as tools:
            yield tools


@pytest.fixture
def emulated(clients: Clients) -> Generator[Kit]:
    """Tools for a case of the emulator alone: of its settings, its clock and its faults."""
    with emulator() as server, Kit(server, clients) as tools:
        yield tools


DEVIATES: Final = (AssertionError, KeyError, pytest.fail.Exception)
CASES: Final = pytest.StashKey[set[str]]()
"""Those that run against soketi, by their names in the table of deviations."""


@pytest.hookimpl(tryfirst=True)  # before some are left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where soketi deviates, the case must fail; one that passes is a deviation that vanished."""
    cases: set[str] = set()
    config.stash[CASES] = cases
    for item in items:
        if "soketi]" in item.name or "[soketi-" in item.name:
            case = item.name.replace("[soketi]", "").replace("[soketi-", "[")
            cases.add(case)
            if reason := DEVIATIONS.get(case):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=DEVIATES))
