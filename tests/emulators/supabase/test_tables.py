"""What stands between a client and PostgREST; PostgREST itself is in the session `official`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from yarl import URL

from chatkit.testing.emulators.serving import StartError
from tests.emulators.supabase.raw import Raws, serving

pytestmark = pytest.mark.realtime
PATIENCE: Final = 30.0
"""Seconds within which a process has ended."""

# Says what it was asked, in the way that PostgREST is run.
ECHO = f"""#!{sys.executable}
import json, os, pathlib, socketserver
pathlib.Path(__file__).with_name("pid").write_text(str(os.getpid()))
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        asked = [self.command, self.path, dict(self.headers), self.rfile.read(size).decode()]
        body = json.dumps([asked, os.environ["PGRST_JWT_SECRET"]]).encode()
        self.send_response(201 if size else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Range", "0-1/7")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
    do_GET = do_POST = do_HEAD = answer
    def address_string(self):
        return ""
    def log_message(self, *args):
        pass
socketserver.UnixStreamServer(os.environ["PGRST_SERVER_UNIX_SOCKET"], Handler).serve_forever()
"""


def program(folder: Path, text: str) -> str:
    path = folder / "postgrest"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def pid_of(folder: Path) -> int:
    """Of the program that was run last."""
    return int((folder / "pid").read_text(encoding="utf-8"))


async def ended(folder: Path) -> None:
    """Wait until that is gone."""
    async with asyncio.timeout(PATIENCE):
        with suppress(ProcessLookupError):
            while True:
                os.kill(pid_of(folder), 0)
                await asyncio.sleep(0.02)


async def called(raws: Raws, path: str, **options: Any) -> Any:
    url = URL(raws.emulator.url + path, encoded=True)
    async with raws.session.request(options.pop("method", "GET"), url, **options) as answer:
        return answer.status, answer.headers, await answer.json()


async def test_a_call_is_passed_on_with_its_token_and_without_its_key(database: str, tmp_path: Path) -> None:
    """Path and query as they came; a key of the project alone counts as a token, a new one becomes one."""
    async with serving(database, postgrest=program(tmp_path, ECHO)) as raws:
        authority, settings = raws.emulator.authority, raws.emulator.settings
        anon = authority.anon_key
        headers = {"apikey": anon, "Authorization": "Bearer mine", "Prefer": "return=minimal"}
        status, told, ((method, path, passed, body), secret) = await called(
            raws, "/rest/v1/t%20x?apikey=x&a=eq.1%2C2", method="POST", headers=headers, data=b"{}"
        )
        assert (status, told["Content-Range"], method, path, body) == (
            201,
            "0-1/7",
            "POST",
            "/t%20x?a=eq.1%2C2",
            "{}",
        )
        assert (passed["Authorization"], passed["Prefer"], secret) == (
            "Bearer mine",
            "return=minimal",
            settings.jwt_secret,
        )
        assert "apikey" not in passed

        for key, token in (
            (anon, anon),
            (settings.publishable_key, anon),
            (settings.secret_key, authority.service_key),
        ):
            for headers in ({"apikey": key}, {"apikey": key, "Authorization": f"Bearer {key}"}):
                _, _, ((_, path, passed, _), _) = await called(raws, "/rest/v1", headers=headers)
                assert (path, passed["Authorization"]) == ("/", f"Bearer {token}")


async def test_a_call_without_a_key_of_the_project_is_refused(database: str) -> None:
    """401, and which it is."""
    async with serving(database) as raws:
        status, _, told = await called(raws, "/rest/v1/t")
        assert (status, told["message"]) == (401, "No API key found in request")
        status, _, told = await called(raws, "/rest/v1/t?apikey=x")
        assert (status, told["message"]) == (401, "Invalid API key")


@pytest.mark.long
async def test_a_postgrest_that_ends_is_an_error_at_the_start(database: str, tmp_path: Path) -> None:
    """Likewise one that cannot be run; later its calls are answered with 502."""
    with pytest.raises(StartError, match="does not answer"):
        async with serving(database, postgrest=program(tmp_path, "#!/bin/sh\nexit 3\n")):
            pass
    with pytest.raises(StartError, match="cannot be run"):
        async with serving(database, postgrest=str(tmp_path / "none")):
            pass
    async with serving(database, postgrest=program(tmp_path, ECHO)) as raws:
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        await ended(tmp_path)
        status, _, _ = await called(raws, f"/rest/v1/t?apikey={raws.emulator.authority.anon_key}")
        assert status == 502


# Serves until it is killed.
SERVED = """
import asyncio, sys
from chatkit.testing.emulators.supabase import SupabaseEmulator
async def main():
    await SupabaseEmulator(database=sys.argv[1], postgrest=sys.argv[2]).start()
    print("serves", flush=True)
    await asyncio.sleep(1_000)
asyncio.run(main())
"""


def folders(place: Path) -> list[Path]:
    return list(place.glob("chatkit-rest-*"))


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_postgrest_ends_with_an_emulator_that_is_killed(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    """By whichever signal; and its folder is gone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVED, database, program(tmp_path, ECHO)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"serves\n"
        assert folders(tmp_path)
        os.kill(pid_of(tmp_path), 0)

        process.send_signal(how)
        await process.wait()

        await ended(tmp_path)
        async with asyncio.timeout(PATIENCE):
            while folders(tmp_path):
                await asyncio.sleep(0.02)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
