"""Where the demo's clients meet when a URL says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chatkit.adapters.memory import forget_hub
from chatkit.cli.app import app
from chatkit.cli.demo import corpus
from chatkit.cli.demo.display import heading
from chatkit.cli.demo.story import Plan, play
from chatkit.testing.clock import VirtualClock
from tests.cli.test_story import unseen

LINES = corpus.read(corpus.packaged(), limit=60)


def plan(url: str, log: str | None = None) -> Plan:
    return Plan(lines=LINES, clients=3, seed=5, faults="mild", url=url, log=log)


@pytest.mark.parametrize("own_log", [False, True], ids=["its own memory", "a log beside it"])
@pytest.mark.parametrize("like", ["memory", "supabase", "ably"])
async def test_a_story_is_told_at_a_provider(
    like: str, clock: VirtualClock, tmp_path: Path, *, own_log: bool
) -> None:
    """The judge reads what the provider has, or the log beside it; one client dies, and nothing is lost."""
    name = f"told-{like}"
    log = f"sqlite:///{tmp_path}/log.db" if own_log else None
    try:
        result = await play(plan(f"memory://{name}?like={like}", log), unseen, clock=clock)
    finally:
        forget_hub(name)

    assert not result.verdict.broken
    assert (result.verdict.sent, result.verdict.logged) == (60, 60)
    assert result.verdict.once == {"ada": 60, "bob": 60, "cleo": 60}
    assert result.death is not None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memory://unkept?like=pusher", "--log sqlite:///demo.db"),
        ("memory://x?like=whom", "like is memory"),
        ("nowhere://x", "no adapter"),
        ("ably://app.hunter2@", "CHATKIT_SECRET"),
        ("hunter2 is no URL", "provider URL"),
    ],
)
def test_a_provider_that_will_not_do_is_refused_at_once(url: str, words: str) -> None:
    """With code 2 and what to do; nothing of a key is shown."""
    ran = CliRunner().invoke(app, ["demo", "--url", url])

    assert ran.exit_code == 2
    assert words in ran.stderr
    assert "hunter2" not in ran.stderr


def test_what_is_shown_names_the_provider_and_no_more() -> None:
    """A URL may hold a secret."""
    url = "memory://shown-place"
    try:
        ran = CliRunner().invoke(app, ["demo", "--url", url, "--messages", "4", "--faults", "none", "--json"])
    finally:
        forget_hub("shown-place")

    assert ran.exit_code == 0
    assert json.loads(ran.stdout)["provider"] == "memory"
    assert heading(plan(url)).startswith("60 messages of , at memory://, 3 clients")
    assert "shown-place" not in ran.stdout + heading(plan(url))
