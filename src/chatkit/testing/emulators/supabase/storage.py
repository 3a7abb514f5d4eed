"""Objects in buckets: uploads, downloads, signed URLs, by the row-level security of `storage.objects`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import psycopg
from aiohttp import web
from psycopg import AsyncConnection, errors

from chatkit.testing.emulators.supabase import gateway
from chatkit.testing.emulators.supabase.connections import Row
from chatkit.testing.emulators.supabase.plain import Object, dumps, is_integer, is_list, is_object, loads
from chatkit.testing.emulators.supabase.tokens import TokenError, sign

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

BASE: Final = "/storage/v1"
OBJECT: Final = "/{bucket}/{name:.+}"
UPLOAD_SECONDS: Final = 7200
"""For which a URL to upload to is good."""


class StorageError(Exception):
    """A call that is refused: with 400, and the status that is meant in the body.

    Args:
        status: That.
        error: For programs.
        text: For people.
    """

    def __init__(self, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.body = {"statusCode": str(status), "error": error, "message": text}


NO_OBJECT: Final = ("not_found", "Object not found")
DENIED: Final = ("Unauthorized", "new row violates row-level security policy")


class Storage:
    """The calls.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    def routes(self) -> list[web.RouteDef]:
        """Theirs."""
        calls = [
            ("POST", "/bucket", self._make_bucket),
            ("GET", "/bucket/{bucket}", self._bucket),
            ("POST", "/object/upload/sign" + OBJECT, self._sign_upload),
            ("POST", "/object/sign" + OBJECT, self._sign),
            ("POST", "/object" + OBJECT, self._upload),
            ("PUT", "/object" + OBJECT, self._upload),
            ("GET", "/object/authenticated" + OBJECT, self._download),
            ("DELETE", "/object/{bucket}", self._delete),
        ]
        keyless = [
            ("PUT", "/object/upload/sign" + OBJECT, self._upload_signed),
            ("GET", "/object/sign" + OBJECT, self._download_signed),
            ("GET", "/object/public" + OBJECT, self._download_public),
        ]
        return [
            *(
                web.route(method, BASE + path, self._answered(call, key=False))
                for method, path, call in keyless
            ),
            *(web.route(method, BASE + path, self._answered(call, key=True)) for method, path, call in calls),
            web.get(BASE + "/object" + OBJECT, self._answered(self._download, key=True)),
        ]

    def _answered(self, call: Any, *, key: bool) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            if key and (refusal := gateway.refused(request, self._project.authority)) is not None:
                return refusal
            try:
                answered: web.StreamResponse = await call(request)
            except StorageError as error:
                return web.json_response(error.body, status=400)
            except errors.InsufficientPrivilege:
                return web.json_response(StorageError(403, *DENIED).body, status=400)
            except errors.ForeignKeyViolation:
                return web.json_response(
                    StorageError(404, "Bucket not found", "Bucket not found").body, status=400
                )
            except errors.UniqueViolation:
                body = StorageError(409, "Duplicate", "The resource already exists").body
                return web.json_response(body, status=400)
            except psycopg.OperationalError:
                body = StorageError(544, "DatabaseTimeout", "The connection to the database timed out").body
                return web.json_response(body, status=544)
            return answered

        return answer

    # -- buckets

    async def _make_bucket(self, request: web.Request) -> web.Response:
        body = await _json(request)
        name = body.get("name") or body.get("id")
        if not isinstance(name, str):
            raise StorageError(400, "invalid_request", "body must have required property 'name'")
        bucket = str(body.get("id") or name)
        async with self._as(request) as connection:
            await connection.execute(
                "INSERT INTO storage.buckets (id, name, public) VALUES (%s, %s, %s)",
                (bucket, name, body.get("public") is True),
            )
        return web.json_response({"name": bucket})

    async def _bucket(self, request: web.Request) -> web.Response:
        async with self._as(request) as connection:
            found = await connection.execute(
                "SELECT to_json(b)::text FROM storage.buckets b WHERE id = %s",
                (request.match_info["bucket"],),
            )
            row = await found.fetchone()
        if row is None:
            raise StorageError(404, "Bucket not found", "Bucket not found")
        more = {"owner": "", "file_size_limit": None, "allowed_mime_types": None}
        return web.json_response({**loads(row[0]), **more})

    # -- objects

    async def _upload(self, request: web.Request) -> web.Response:
        upsert = request.method == "PUT" or request.headers.get("x-upsert") == "true"
        return await self._stored(request, self._claims(request), upsert=upsert)

    async def _upload_signed(self, request: web.Request) -> web.Response:
        claims = self._signed(request, "upload")
        return await self._stored(request, claims["by"], upsert=claims["upsert"])

    async def _stored(self, request: web.Request, claims: Object, *, upsert: bool) -> web.Response:
        body, kind = await _content(request)
        bucket, name = _named(request)
        async with self._being(claims) as connection:
            row = await self._insert(connection, request, claims, (kind, len(body)), upsert=upsert)
            await connection.execute("RESET ROLE")
            await connection.execute(
                "INSERT INTO storage.emulator_bodies VALUES (%s, %s)"
                " ON CONFLICT (object) DO UPDATE SET body = EXCLUDED.body",
                (row, body),
            )
        return web.json_response({"Id": str(row), "Key": f"{bucket}/{name}"})

    async def _insert(
        self,
        connection: AsyncConnection[Row],
        request: web.Request,
        claims: Object,
        meta: tuple[str, int],
        *,
        upsert: bool,
    ) -> Any:
        merge = (
            b" ON CONFLICT (bucket_id, name) DO UPDATE SET metadata = EXCLUDED.metadata, updated_at = now()"
            if upsert
            else b""
        )
        insert = (
            b"INSERT INTO storage.objects (bucket_id, name, owner, owner_id, metadata)"
            b" VALUES (%s, %s, auth.uid(), %s, %s)" + merge + b" RETURNING id"
        )
        told = dumps({"mimetype": meta[0], "size": meta[1]})
        made = await connection.execute(insert, (*_named(request), claims.get("sub"), told))
        row = await made.fetchone()
        assert row is not None
        return row[0]

    async def _download(self, request: web.Request) -> web.Response:
        bucket, name = _named(request)
        async with self._as(request) as connection:
            found = await connection.execute(
                "SELECT id FROM storage.objects WHERE bucket_id = %s AND name = %s", (bucket, name)
            )
            if await found.fetchone() is None:
                raise StorageError(404, *NO_OBJECT)
        return await self._body(bucket, name)

    async def _download_public(self, request: web.Request) -> web.Response:
        bucket, name = _named(request)
        rows = await self._project.database.fetch(
            "SELECT FROM storage.buckets WHERE id = %s AND public", (bucket,)
        )
        if not rows:
            raise StorageError(404, "Bucket not found", "Bucket not found")
        return await self._body(bucket, name)

    async def _download_signed(self, request: web.Request) -> web.Response:
        self._signed(request, "download")
        return await self._body(*_named(request))

    async def _body(self, bucket: str, name: str) -> web.Response:
        rows = await self._project.database.fetch(
            "SELECT metadata ->> 'mimetype', body FROM storage.objects"
            " JOIN storage.emulator_bodies ON object = id"
            " WHERE bucket_id = %s AND name = %s",
            (bucket, name),
        )
        if not rows:
            raise StorageError(404, *NO_OBJECT)
        ((kind, body),) = rows
        return web.Response(body=bytes(body), headers={"Content-Type": kind})

    async def _delete(self, request: web.Request) -> web.Response:
        prefixes = (await _json(request)).get("prefixes")
        if not is_list(prefixes):
            raise StorageError(400, "invalid_request", "body must have required property 'prefixes'")
        async with self._as(request) as connection:
            gone = await connection.execute(
                "DELETE FROM storage.objects WHERE bucket_id = %s AND name = ANY(%s)"
                " RETURNING bucket_id, name, id::text",
                (request.match_info["bucket"], [str(each) for each in prefixes]),
            )
            rows = await gone.fetchall()
        return web.json_response([{"bucket_id": row[0], "name": row[1], "id": row[2]} for row in rows])

    # -- signed URLs

    async def _sign(self, request: web.Request) -> web.Response:
        given = (await _json(request)).get("expiresIn")
        seconds = int(given) if isinstance(given, str) and given.lstrip("-").isdecimal() else given
        if not is_integer(seconds):
            raise StorageError(400, "invalid_request", "body must have required property 'expiresIn'")
        await self._download(request)  # who may read it may let others
        token = self._sealed(request, {"for": "download"}, seconds)
        return web.json_response({"signedURL": f"/object/sign/{_path(request)}?token={token}"})

    async def _sign_upload(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        upsert = request.headers.get("x-upsert") == "true"
        async with self._being(claims) as connection, connection.transaction(force_rollback=True):
            await self._insert(connection, request, claims, ("", 0), upsert=upsert)
        token = self._sealed(request, {"for": "upload", "by": claims, "upsert": upsert}, UPLOAD_SECONDS)
        return web.json_response(
            {"url": f"/object/upload/sign/{_path(request)}?token={token}", "token": token}
        )

    def _sealed(self, request: web.Request, more: Object, seconds: int) -> str:
        exp = int(self._project.clock.unix()) + seconds
        claims = {"url": _path(request), "role": "signed", "exp": exp, **more}
        return sign(claims, self._project.settings.jwt_secret)

    def _signed(self, request: web.Request, what: str) -> Object:
        try:
            claims = self._project.authority.claims(request.query.get("token", ""))
        except TokenError as error:
            text = '"exp" claim timestamp check failed' if error.fault == "expired" else error.text
            raise StorageError(400, "InvalidJWT", text) from None
        if claims.get("url") != _path(request) or claims.get("for") != what:
            raise StorageError(400, "InvalidSignature", "The url do not match the signature")
        return claims

    # -- who calls

    def _claims(self, request: web.Request) -> Object:
        try:
            return self._project.authority.claims(gateway.bearer(request, self._project.authority))
        except TokenError as error:
            text = '"exp" claim timestamp check failed' if error.fault == "expired" else error.text
            raise StorageError(403, "Unauthorized", text) from None

    def _as(self, request: web.Request) -> Any:
        return self._being(self._claims(request))

    @asynccontextmanager
    async def _being(self, claims: Object) -> AsyncGenerator[AsyncConnection[Row]]:
        async with self._project.database.connections.one() as connection:
            await connection.execute(
                "SELECT set_config('request.jwt.claims', %s, true), set_config('role', %s, true)",
                (dumps(claims), str(claims["role"])),
            )
            yield connection


def _named(request: web.Request) -> tuple[str, str]:
    return request.match_info["bucket"], request.match_info["name"]


def _path(request: web.Request) -> str:
    bucket, name = _named(request)
    return quote(f"{bucket}/{name}")


async def _json(request: web.Request) -> Object:
    try:
        body: Any = loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not is_object(body):
        raise StorageError(400, "invalid_request", "body must be object")
    return body


async def _content(request: web.Request) -> tuple[bytes, str]:
    """What is uploaded: the body, or the file of a form."""
    if request.content_type != "multipart/form-data":
        return await request.read(), request.headers.get("Content-Type", "application/octet-stream")
    for part in (await request.post()).values():
        if isinstance(part, web.FileField):
            with part.file:
                return part.file.read(), part.content_type
    raise StorageError(400, "invalid_request", "no file")
