"""Tables and functions over HTTP: PostgREST itself where it is present, else a small equivalent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import web
from yarl import URL

from chatkit.testing.emulators.supabase import gateway
from chatkit.testing.emulators.supabase.postgrest import PostgRest
from chatkit.testing.emulators.supabase.small_rest import MOST_ROWS, SmallRest

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

BASE: Final = "/rest/v1"
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
        found = program or shutil.which("postgrest")
        self._server = None if found is None else PostgRest(found)
        self._small = SmallRest(project)

    def routes(self) -> list[web.RouteDef]:
        """Its calls: all below `/rest/v1`."""
        return [web.route("*", BASE + "{rest:(?:/.*)?}", self._pass_on)]

    async def begin(self) -> None:
        """Run it, if it is present; it answers when this returns.

        Raises:
            StartError: It does not.
        """
        if self._server is not None:
            await self._server.begin(
                {
                    "DB_URI": self._project.database.dsn_of("authenticator"),
                    "DB_SCHEMAS": "public",
                    "DB_ANON_ROLE": "anon",
                    "DB_MAX_ROWS": str(MOST_ROWS),
                    "JWT_SECRET": self._project.settings.jwt_secret,
                }
            )

    async def end(self) -> None:
        """End it; nothing of it stays."""
        if self._server is not None:
            await self._server.end()

    async def _pass_on(self, request: web.Request) -> web.Response:
        authority = self._project.authority
        if (refusal := gateway.refused(request, authority)) is not None:
            return refusal
        token = gateway.bearer(request, authority)
        if self._server is None:
            path = request.path.removeprefix(BASE).strip("/")
            return await self._small.answer(request, path, token)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in OWN]
        headers.append(("Authorization", f"Bearer {token}"))
        path, _, query = request.raw_path.removeprefix(BASE).partition("?")
        asked = "&".join(part for part in query.split("&") if not part.startswith("apikey="))
        url = URL(f"http://postgrest{path or '/'}{'?' if asked else ''}{asked}", encoded=True)
        try:
            async with self._server.session.request(
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
