"""`chatkit dev supabase`: what it says when it serves, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from chatkit.cli.app import app
from chatkit.testing.emulators import serving
from chatkit.testing.emulators.supabase import SupabaseEmulator, SupabaseSettings
from chatkit.testing.emulators.supabase.tokens import Authority

SECRET = "a-secret-of-at-least-32-characters-that-a-test-made"


def test_a_secret_that_is_too_short_is_refused() -> None:
    """Before anything is started."""
    ran = CliRunner().invoke(app, ["dev", "supabase", "--jwt-secret", "short"])

    assert ran.exit_code == 2
    assert "32 characters" in ran.output


def test_a_policy_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Likewise."""
    ran = CliRunner().invoke(app, ["dev", "supabase", "--policy", str(tmp_path / "none.sql")])

    assert ran.exit_code == 2
    assert "--policy" in ran.output


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    """Code 1, and why."""
    url = "postgresql://ada:s3cret@127.0.0.1:1/app"
    ran = CliRunner().invoke(app, ["dev", "supabase", "--database-url", url])

    assert ran.exit_code == 1
    assert "PostgreSQL: OperationalError" in ran.stderr
    assert "s3cret" not in ran.output


@pytest.mark.realtime
async def test_the_keys_follow_the_ready_line(postgres: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`anon KEY` and `service_role KEY`, signed with the secret."""
    from tests.logs import postgres_server

    with postgres_server.database(postgres) as dsn:
        settings = SupabaseSettings(jwt_secret=SECRET)
        serve = asyncio.create_task(serving.serve(SupabaseEmulator(settings, database=dsn)))
        while "service_role" not in (told := capsys.readouterr().out):
            await asyncio.sleep(0.001)
        signal.raise_signal(signal.SIGTERM)
        await serve

    ready, anon, service = told.splitlines()
    assert ready.startswith("ready supabase http://127.0.0.1:")
    authority = Authority(lambda: settings, lambda: 0.0)
    for line, role in ((anon, "anon"), (service, "service_role")):
        name, key = line.split()
        assert (name, authority.claims(key)["role"]) == (role, role)


@pytest.mark.long
def test_it_serves_on_a_postgresql_of_its_own_and_ends_on_sigterm(tmp_path: Path) -> None:
    """Code 0, nothing on standard error, no server left; the policy of a file is applied."""
    policy = tmp_path / "policy.sql"
    policy.write_text("CREATE TABLE public.mine (n int)", encoding="utf-8")
    program = "from chatkit.cli import main; main()"
    command = [sys.executable, "-c", program, "dev", "supabase", "--policy", str(policy)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        said = [running.stdout.readline().split() for _ in range(4)]
        assert [line[0] for line in said] == ["ready", "anon", "service_role", "database"]
        with psycopg.connect(said[3][1]) as connection:
            assert connection.execute("SELECT count(*) FROM public.mine").fetchone() == (0,)

        running.send_signal(signal.SIGTERM)

        assert running.wait(20) == 0
        assert running.stdout.read() == running.stderr.read() == ""
    assert not Path(said[3][1].partition("host=")[2]).parent.exists()
