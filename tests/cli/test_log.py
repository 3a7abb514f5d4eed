"""`chatkit log`: what it prints where, and with which code it ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from chatkit.cli.app import app
from chatkit.logs import open_log
from chatkit.testing.clock import VirtualClock
from tests.logs import postgres_server
from tests.logs.postgres_kit import ask

SECRET = "hunter2-very-secret"


def log_id(url: str) -> str:
    async def look() -> str:
        log = open_log(url, clock=VirtualClock(), random=Random(1), inline=True)
        try:
            return (await log.heads(["support"]))["support"].log_id
        finally:
            await log.aclose()

    return asyncio.run(look())


def test_a_database_is_migrated_and_restored() -> None:
    """The first time it names what it applied, the second there is nothing; a restored log has another id."""
    run = CliRunner().invoke
    with postgres_server.server() as server, postgres_server.database(server) as url:
        first, second = run(app, ["log", "migrate", url]), run(app, ["log", "migrate", url])
        before = ask(url, "SELECT log_id FROM chatkit.header")
        restored = run(app, ["log", "restored", url])

        assert (first.exit_code, second.exit_code, restored.exit_code) == (0, 0, 0)
        assert first.stdout.startswith("applied 0001_")
        assert second.stdout == "up to date\n"
        assert log_id(url) in restored.stdout
        assert before not in restored.stdout


def test_a_file_is_restored(tmp_path: Path) -> None:
    """Its log has another id afterwards."""
    url = f"sqlite:///{tmp_path}/shop.db"
    before = log_id(url)

    ran = CliRunner().invoke(app, ["log", "restored", url])

    assert ran.exit_code == 0
    assert log_id(url) in ran.stdout
    assert log_id(url) != before


def test_a_channel_is_trimmed(tmp_path: Path) -> None:
    """What was sent before a time is gone, and the command says up to where; again changes nothing (D26)."""
    url, run = f"sqlite:///{tmp_path}/shop.db", CliRunner().invoke
    lines = tmp_path / "support.jsonl"
    lines.write_text("".join(f'{{"user": "ada", "text": "{n}"}}\n' for n in range(3)), encoding="utf-8")
    assert run(app, ["log", "import", url, "support", str(lines)]).exit_code == 0

    early = run(app, ["log", "trim", url, "support", "--before", "2020-01-31T12:00:00+0200"])
    first, again = (run(app, ["log", "trim", url, "support", "--before", "2999-01-01"]) for _ in range(2))
    left = run(app, ["log", "export", url, "support"])

    assert early.stdout == "nothing is trimmed\n"
    assert first.stdout == again.stdout == f"all up to {3:020d} is gone\n"
    assert left.stdout == ""
    assert {one.exit_code for one in (early, first, again, left)} == {0}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["migrate", "sqlite:///shop.db"], 2, "only logs in PostgreSQL"),
        (["migrate", f"postgresql://ada:{SECRET}@127.0.0.1:1/app"], 1, "no connection"),
        (["migrate", f"postgresql://ada:{SECRET}@127.0.0.1:port/app"], 2, "cannot be read"),
        (["restored", f"postgresql://ada:{SECRET}@127.0.0.1:1/app"], 1, "no connection"),
        (["restored", f"mysql://ada:{SECRET}@127.0.0.1/app"], 2, "no log for mysql"),
        (
            ["trim", f"mysql://ada:{SECRET}@127.0.0.1/app", "support", "--before", "2026-01-31"],
            2,
            "no log for",
        ),
        (["trim", "sqlite:///shop.db", "support", "--before", "yesterday"], 2, "yesterday"),
        (["trim", "sqlite:///shop.db", "dm.ada", "--before", "2026-01-31"], 2, "channel"),
    ],
)
def test_what_went_wrong_is_said_without_the_url(words: list[str], code: int, said: str) -> None:
    """On the error stream: 1 where repeating may help, 2 where it cannot; a password is not shown (I16)."""
    ran = CliRunner().invoke(app, ["log", *words])

    assert (ran.exit_code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert SECRET not in ran.stderr


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every extra."""
    for name in [name for name in sys.modules if name.startswith("chatkit.logs.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    ran = CliRunner().invoke(app, ["log", "migrate", "postgresql://127.0.0.1/app"])

    assert ran.exit_code == 2
    assert "chatkit-realtime[postgres]" in ran.stderr
