"""The PostgreSQL of emulators, where it runs as another user than we do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from chatkit.testing.emulators.postgres import PostgresServer


@pytest.mark.realtime
def test_it_runs_where_temporary_files_are_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root it runs as `nobody`, who may not go there: its folder is made elsewhere."""
    (tmp_path / "in").mkdir()
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "in"))

    with PostgresServer() as server, psycopg.connect(server.dsn) as connection:
        row = connection.execute("SELECT current_user").fetchone()
        inside = list((tmp_path / "in").glob("chatkit-pg-*"))

    assert row == ("postgres",)
    assert len(inside) == (0 if os.geteuid() == 0 else 1)
