"""`client=`: chatkit with the credentials of Ably's own Python client."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.official.ably.clients import HERE, PINS, results_of
from tests.official.ably.served import served
from tests.official.environments import interpreter
from tests.official.node import ROOT

pytestmark = pytest.mark.official

CASES: Final = {"websocket", "sse", "poll", "refusals", "renewal"}


def test_an_apps_own_client_gives_its_credentials(tmp_path: Path) -> None:
    """Made of a key, of a token, of a callback, of a key that signs tokens; each way of hearing, one chat."""
    script = HERE / "python" / "own_client.py"
    # Not installed there, chatkit asks for its version all the same.
    installed = tmp_path / "chatkit_realtime-0.dist-info"
    installed.mkdir()
    _ = (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: chatkit-realtime\nVersion: 0\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{tmp_path}"}

    with served() as ably:
        ran = subprocess.run(
            [interpreter(PINS), script, ably.url],
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            env=environment,
        )

    assert ran.returncode == 0, ran.stderr[-4000:]
    assert results_of(ran.stdout) == dict.fromkeys(CASES)
