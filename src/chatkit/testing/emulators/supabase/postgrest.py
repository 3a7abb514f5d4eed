"""PostgREST beside the emulator: of this process, and gone with it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

from chatkit.testing.emulators.serving import StartError

PATIENCE: Final = 20.0
"""Real seconds until it must answer, or have ended."""

# Ends PostgREST when its standard input ends: when its owner is done, and when that was killed. Then nothing
# of it stays. Says first that it runs, by an empty line, or why it does not.
_KEEPER: Final = """
import os, shutil, subprocess, sys, threading
folder, program = sys.argv[1:]
quiet = subprocess.DEVNULL
try:
    server = subprocess.Popen([program], stdin=quiet, stdout=quiet, stderr=quiet)
except OSError as error:
    print(error.strerror, flush=True)
    sys.exit(1)
print(flush=True)
def watch():
    os.read(0, 1)
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
threading.Thread(target=watch, daemon=True).start()
server.wait()
shutil.rmtree(folder, ignore_errors=True)
"""


class PostgRest:
    """One run of it, on a socket of its own.

    Args:
        program: Its path, or its name on the `PATH`.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder: Path | None = None
        self._keeper: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """For calls to it, of any host; it runs."""
        assert self._session is not None
        return self._session

    async def begin(self, settings: Mapping[str, str]) -> None:
        """Run it; it answers when this returns.

        Args:
            settings: Its own, by their names in the environment without `PGRST_`.

        Raises:
            StartError: It does not.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="chatkit-rest-"))
        path = self._folder / "s"
        given = {**settings, "SERVER_UNIX_SOCKET": str(path), "LOG_LEVEL": "crit"}
        self._keeper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _KEEPER, str(self._folder), self._program),
            env={**os.environ, **{f"PGRST_{name}": value for name, value in given.items()}},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is for its owner, who ends it
        )
        assert self._keeper.stdout is not None
        why = (await self._keeper.stdout.readline()).decode().strip()
        if why:
            raise StartError(f"PostgREST cannot be run: {why}: {self._program}")
        connector = aiohttp.UnixConnector(str(path), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        await self._await(self._keeper)

    async def end(self) -> None:
        """End it; nothing of it stays."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            assert keeper.stdin is not None
            keeper.stdin.close()
            await asyncio.wait_for(keeper.wait(), PATIENCE)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _await(self, keeper: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while keeper.returncode is None:
                    try:
                        async with self.session.head("http://postgrest/") as answer:
                            if answer.status < 500:
                                return
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        raise StartError(f"PostgREST does not answer: {self._program}")
