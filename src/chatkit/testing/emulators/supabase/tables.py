"""Tables and functions over HTTP: PostgREST itself where it is present, else a small equivalent."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web
from yarl import URL

from chatkit.testing.emulators.serving import StartError
from chatkit.testing.emulators.supabase import gateway
from chatkit.testing.emulators.supabase.small_rest import MOST_ROWS, SmallRest

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

BASE: Final = "/rest/v1"
PATIENCE: Final = 20.0
"""Real seconds until PostgREST must answer, or have ended."""
OWN: Final = frozenset(
    {"host", "apikey", "authorization", "connection", "content-length", "transfer-encoding", "keep-alive"}
)
"""Headers that are not passed on as they came."""


class Tables:
    """Runs PostgREST beside the database and passes calls on to it.

    Args:
        project: Whose.
        program: Its path; without one it is looked for on the `PATH`; where it is not there, a small
            equivalent answers.
    """

    def __init__(self, project: Project, program: str | None) -> None:
        self._project = project
        self._program = program or shutil.which("postgrest")
        self._small = SmallRest(project)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """Its calls: all below `/rest/v1`."""
        return [web.route("*", BASE + "{rest:(?:/.*)?}", self._pass_on)]

    async def begin(self) -> None:
        """Run it, if it is present; it answers when this returns.

        Raises:
            StartError: It does not.
        """
        if self._program is None:
            return
        self._folder = Path(tempfile.mkdtemp(prefix="chatkit-rest-"))
        path = self._folder / "s"
        settings = {
            "DB_URI": self._project.database.dsn_of("authenticator"),
            "DB_SCHEMAS": "public",
            "DB_ANON_ROLE": "anon",
            "DB_MAX_ROWS": str(MOST_ROWS),
            "JWT_SECRET": self._project.settings.jwt_secret,
            "SERVER_UNIX_SOCKET": str(path),
            "LOG_LEVEL": "crit",
        }
        try:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                env={**os.environ, **{f"PGRST_{name}": value for name, value in settings.items()}},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise StartError(f"PostgREST cannot be run: {error.strerror}: {self._program}") from error
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(path), limit=0), auto_decompress=False
        )
        await self._await()

    async def end(self) -> None:
        """End it; nothing of it stays."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _await(self) -> None:
        assert self._session is not None
        assert self._process is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while self._process.returncode is None:
                    try:
                        async with self._session.head("http://postgrest/") as answer:
                            if answer.status < 500:
                                return
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        raise StartError(f"PostgREST does not answer: {self._program}")

    async def _pass_on(self, request: web.Request) -> web.Response:
        authority = self._project.authority
        if (refusal := gateway.refused(request, authority)) is not None:
            return refusal
        token = gateway.bearer(request, authority)
        if self._session is None:
            path = request.path.removeprefix(BASE).strip("/")
            return await self._small.answer(request, path, token)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in OWN]
        headers.append(("Authorization", f"Bearer {token}"))
        path, _, query = request.raw_path.removeprefix(BASE).partition("?")
        asked = "&".join(part for part in query.split("&") if not part.startswith("apikey="))
        url = URL(f"http://postgrest{path or '/'}{'?' if asked else ''}{asked}", encoded=True)
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read() or None, allow_redirects=False
            ) as answer:
                body = await answer.read()
                kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in OWN]
                response = web.Response(status=answer.status, body=body)
                response.headers.extend(kept)
                return response
        except aiohttp.ClientError:
            text = "An invalid response was received from the upstream server"
            return web.json_response({"message": text}, status=502)
