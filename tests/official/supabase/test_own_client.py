"""`client=`: chatkit with the project, key and session of Supabase's own Python client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from chatkit.logs.postgres import migrate_supabase
from tests.official.environments import interpreter
from tests.official.node import ROOT
from tests.official.supabase.clients import HERE, PINS, results_of
from tests.official.supabase.served import served

pytestmark = pytest.mark.official

CASES: Final = {"database", "broadcast", "refusals"}


def test_an_apps_own_client_gives_its_credentials(database: str, tmp_path: Path) -> None:
    """Of users who signed in and of a backend, in both modes, over PostgREST itself; sessions are renewed."""
    script = HERE / "python" / "own_client.py"
    # Not installed there, chatkit asks for its version all the same.
    installed = tmp_path / "chatkit_realtime-0.dist-info"
    installed.mkdir()
    _ = (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: chatkit-realtime\nVersion: 0\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}

    with served(database, policy=None, session_seconds=15) as supabase:
        _ = migrate_supabase(database, everyone=True)
        authority = supabase.authority
        ran = subprocess.run(
            [interpreter(PINS), script, supabase.url, authority.anon_key, authority.service_key],
            capture_output=True,
            encoding="utf-8",
            timeout=180,
            check=False,
            env=environment,
        )

    assert ran.returncode == 0, ran.stderr[-4000:]
    assert results_of(ran.stdout) == dict.fromkeys(CASES)
