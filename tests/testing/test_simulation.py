"""The simulation: seeds that never broke, and that a seed is the same story wherever it is told (I15)."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import chatkit
from chatkit.errors import CursorInvalid
from chatkit.testing.simulation import PROFILES, simulate
from chatkit.testing.simulation.dangers import Dangers
from chatkit.testing.simulation.player import Player
from chatkit.testing.simulation.program import main
from chatkit.testing.simulation.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = (
    # Seeds that broke a promise once, with the profile that they broke it in: kept for ever.
    ("pusher-log", 41),
    ("ably", 135),
    ("pusher", 25),
    ("ably", 3660),
    ("ably", 990),
    ("memory", 1029),
    ("replication-pause", 1077),
    ("restored-log", 448),
    ("lagging-replica", 1342),
    ("ably", 1410),
    ("lagging-replica", 1522),
    ("replication-pause", 1572),
    ("ably", 2355),
    ("pusher", 2395),
    ("clock-2099", 4413),
    ("late-finish", 8363),
    ("replication-pause", 9357),
    ("batch-refused", 10787),
    ("supabase", 11009),
    ("pusher-log", 11921),
    ("pusher-log", 13226),
    ("forged", 14331),
    ("forged", 396),
    ("restored-log", 5055),
    ("restored-log", 5085),
    ("restored-log", 15508),
    ("late-finish", 18128),
    ("restored-log", 19123),
)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_short_story_of_each_kind_keeps_every_promise(profile: str) -> None:
    """Sixty steps; the long ones run in a session of their own."""
    outcome = simulate(7, steps=60, profile=profile)
    assert not outcome.breaches, "\n".join(map(str, outcome.breaches))
    assert outcome.accepted > 5


def test_a_story_that_is_over_leaves_nothing() -> None:
    """Twenty thousand of them fit one process, the clients that died in them too."""
    before = _alive()

    _ = simulate(7, steps=60, profile="restored-log")

    gc.collect()
    assert not [one for one in _alive() if not any(one is other for other in before)]


def _alive() -> list[Any]:
    return [one for one in gc.get_objects() if isinstance(one, chatkit.Chat | Stage)]


def test_pages_that_cannot_be_read_when_all_is_whole_are_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is refused is no excuse at the end (I14)."""

    async def refused(*_: object, **__: object) -> None:
        raise CursorInvalid("planned")

    monkeypatch.setattr(Player, "page", refused)
    outcome = simulate(7, steps=1, profile="memory")

    assert {breach.invariant for breach in outcome.breaches} == {"I14"}


def test_a_token_expires_where_all_that_it_strikes_are_connected() -> None:
    """A fresh one that is refused too ends a client for good; a user's name strikes all of its devices."""
    stage = Stage(1, PROFILES["memory"])
    dangers = Dangers(stage, Random(1))

    async def story() -> list[bool]:
        await stage.join("ada", "")
        await stage.join("ada", "phone")
        ada, phone = stage.players
        await stage.advance(5.0)
        await stage.end(phone, drain=None)
        struck = []
        for again in (False, True):
            if again:
                await stage.start(phone)
                await stage.advance(5.0)
            dangers._expire_token(ada)
            links = (stage.hub.network.link("ada", device) for device in ("", "phone"))
            struck += [link._refusal is not None for link in links]
        return struck

    assert stage.run(story()) == [False, False, True, True]


@pytest.mark.long
@pytest.mark.parametrize(("profile", "seed"), FAILED)
def test_a_seed_that_failed_once_does_not_fail_again(profile: str, seed: int) -> None:
    """What they found is mended, and has a test of its own beside the code."""
    outcome = simulate(seed, profile=profile)
    assert not outcome.breaches, "\n".join(map(str, outcome.breaches))


def told(python: str, environment: Mapping[str, str], *arguments: str) -> list[Any]:
    """Return what the program prints as JSON, in a process of its own."""
    command = [python, "-m", "chatkit.testing.simulation", "--json", "--jobs", "1", *arguments]
    found = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, check=True, text=True
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.long
def test_a_seed_is_the_same_story_in_every_process() -> None:
    """Two processes with two hash seeds: the histories are equal to the last record (I15)."""
    first, second = (
        told(sys.executable, {"PYTHONHASHSEED": seed}, "--seeds", str(len(PROFILES))) for seed in ("1", "2")
    )
    assert [one["digest"] for one in first[:-1]] == [one["digest"] for one in second[:-1]]


def test_the_program_tells_a_story_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """`--replay` shows step by step what was done; the exit code says whether a promise was broken."""
    assert main(["--replay", "3", "--steps", "20", "--profile", "memory"]) == 0
    *story, last = capsys.readouterr().out.splitlines()
    assert len(story) > 10
    assert "calm" in story[-1]
    assert last.startswith("1 seeds, ")
    assert "0 seeds broken" in last


def test_the_program_refuses_what_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers below one, and profiles that there are not."""
    for wrong in (["--seeds", "0"], ["--steps", "-1"], ["--profile", "mars"]):
        with pytest.raises(SystemExit):
            main(wrong)
    assert "is at least 1" in capsys.readouterr().err
