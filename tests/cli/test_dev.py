"""`chatkit dev`: a line when it serves, and an end without a trace."""

from __future__ import annotations

import asyncio
import builtins
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from typer.testing import CliRunner

from chatkit.cli.app import app
from chatkit.testing.emulators import serving
from chatkit.testing.emulators.pusher import PusherEmulator


def test_it_says_one_line_and_ends_on_sigterm() -> None:
    """`ready pusher URL` on standard output, code 0, nothing on standard error."""
    program = "from chatkit.cli import main; main()"
    command = [sys.executable, "-c", program, "dev", "pusher", "--port", "0", "--app-id", "7", "--key", "k"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        name, provider, url = running.stdout.readline().split()
        assert (name, provider) == ("ready", "pusher")
        with urllib.request.urlopen(f"{url}/_emulator", timeout=10) as answer:
            assert b'"app_id": "7", "key": "k"' in answer.read()

        running.send_signal(signal.SIGTERM)

        assert running.wait(10) == 0
        assert running.stdout.read() == ""
        assert running.stderr.read() == ""


def test_a_port_that_is_taken_is_told() -> None:
    """Code 1, and which one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ran = CliRunner().invoke(app, ["dev", "pusher", "--port", str(port)])

    assert ran.exit_code == 1
    assert f"cannot serve at 127.0.0.1:{port}" in ran.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--app-id", "my-app"), ("--app-id", ""), ("--key", "a b"), ("--key", "a/b")]
)
def test_an_app_that_no_client_could_name_is_refused(option: str, value: str) -> None:
    """Before it serves, with what is allowed."""
    ran = CliRunner().invoke(app, ["dev", "pusher", option, value])

    assert ran.exit_code == 2
    assert option in ran.output


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 2, and what to install."""
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("chatkit.testing.emulators"):
            raise ModuleNotFoundError("No module named 'aiohttp'", name="aiohttp")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)

    ran = CliRunner().invoke(app, ["dev", "pusher"])

    assert ran.exit_code == 2
    assert "pip install 'chatkit-realtime[emulators]'" in ran.stderr


@pytest.mark.realtime
async def test_an_interrupt_ends_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    """As Ctrl-C sends it."""
    emulator = PusherEmulator()
    serve = asyncio.create_task(serving.serve(emulator))
    while "ready" not in capsys.readouterr().out:
        await asyncio.sleep(0.001)

    signal.raise_signal(signal.SIGINT)

    await serve
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((emulator.host, emulator.port), 1)
