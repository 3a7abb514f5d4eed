"""How clients lived: I10, I11, I12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chatkit.testing.checker.case import Breach, Case

TASKS: Final = 200
"""Most tasks of one world: some for each client, channel and reader, none for each message."""


def check_bounds(case: Case) -> Iterator[Breach]:
    """I10: what waits has a limit, and no task is made for each message."""
    for life, moments in case.stood.items():
        for stood in moments:
            if stood.depth > stood.most:
                yield Breach("I10", case.name(life), f"{stood.depth} entries queued of {stood.most}")
            if stood.tasks > TASKS:
                yield Breach("I10", case.name(life), f"{stood.tasks} tasks")


def check_liveness(case: Case, *, bound: float) -> Iterator[Breach]:
    """I11: a dead network shows in health within the bound, and a whole one brings everything back."""
    for life, moments in case.stood.items():
        for stood in moments:
            if stood.unreachable > bound and stood.health == "ok":
                yield Breach(
                    "I11", case.name(life), f"health is ok after {stood.unreachable:.0f} s of silence"
                )
        if case.settled(life) and moments[-1].connection != "connected":
            yield Breach("I11", case.name(life), f"is {moments[-1].connection}, though all is whole")


def check_ends(case: Case) -> Iterator[Breach]:
    """I12: closing takes as long as it may, and leaves nothing."""
    for life, ended in case.ended.items():
        if ended.how == "closed" and ended.took > ended.allowed:
            yield Breach("I12", case.name(life), f"closing took {ended.took:.1f} s of {ended.allowed:.1f}")
        if ended.left:
            yield Breach("I12", case.name(life), f"closing left {', '.join(ended.left)}")
