"""Tables and functions over HTTP without PostgREST: what chat calls, in the same words.

Compared with PostgREST case by case; what it does not know is refused and never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from aiohttp import web
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from chatkit.testing.emulators.supabase import conditions
from chatkit.testing.emulators.supabase.conditions import Query, Unreadable
from chatkit.testing.emulators.supabase.connections import Row
from chatkit.testing.emulators.supabase.plain import Object, dumps, is_list, is_object, loads
from chatkit.testing.emulators.supabase.rest_refusals import Refusal, failed
from chatkit.testing.emulators.supabase.tokens import TokenError

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.project import Project

MOST_ROWS: Final = 1_000
"""Of one answer, as at the service."""
LEEWAY: Final = 30
"""Seconds for which PostgREST takes an expired token yet."""
REPRESENTATION: Final = "return=representation"
NO_RANGE: Final = {"Content-Range": "*/*"}
IS_NEW: Final = Identifier("chatkit is new")
ROW: Final = SQL("r")
VALUE: Final = SQL("r.value")
OBJECT: Final = "application/vnd.pgrst.object+json"


class SmallRest:
    """Answers calls.

    Args:
        project: Whose.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    async def answer(self, request: web.Request, path: str, token: str) -> web.Response:
        """Answer a call.

        Args:
            request: It.
            path: Below the base, without a slash at its start.
            token: Who calls.
        """
        try:
            claims = self._claims(token)
            call = Call(request, claims, await request.read(), path)
            async with self._project.database.connections.one() as connection:
                await call.become(connection)
                return await call.answer(connection)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
        except Unreadable as error:
            text = f'"failed to parse ({error.text})" (line 1, column 1)'
            body = {"code": "PGRST100", "details": None, "hint": None, "message": text}
            return web.json_response(body, status=400)
        except psycopg.Error as error:
            return failed(error, known=self._role(token) != "anon")

    def _role(self, token: str) -> str:
        return str(self._claims(token)["role"])

    def _claims(self, token: str) -> Object:
        try:
            return self._project.authority.claims(token, leeway=LEEWAY)
        except TokenError as error:
            text = "JWT expired" if error.fault == "expired" else error.text
            raise Refusal(401, "PGRST301", text) from None


class Call:
    """One call.

    Args:
        request: It.
        claims: Of who calls.
        body: What came with it.
        path: Below the base, without a slash at its start.
    """

    def __init__(self, request: web.Request, claims: Object, body: bytes, path: str) -> None:
        self._request = request
        self._claims = claims
        self._body = body
        self._path = path
        self._name = Identifier(path.removeprefix("rpc/"))
        given = ((name, value) for name, value in request.query.items() if name != "apikey")
        self._query: Query = conditions.read(given, self._name)
        self._prefers = {
            part.strip() for each in request.headers.getall("Prefer", []) for part in each.split(",")
        }

    async def become(self, connection: AsyncConnection[Row]) -> None:
        """Be who calls, for this transaction."""
        headers = {name.lower(): value for name, value in self._request.headers.items()}
        settings = {
            "search_path": "public",
            "request.jwt.claims": dumps(self._claims),
            "request.headers": dumps(headers),
            "request.method": self._request.method,
            "role": str(self._claims["role"]),
        }
        for name, value in settings.items():
            await connection.execute("SELECT set_config(%s, %s, true)", (name, value))

    async def answer(self, connection: AsyncConnection[Row]) -> web.Response:
        """Do it.

        Raises:
            Refusal: It cannot be done.
            psycopg.Error: PostgreSQL says so.
        """
        if self._path.startswith("rpc/"):
            return await self._function(connection, self._path.removeprefix("rpc/"))
        table = Identifier("public", self._path)
        match self._request.method:
            case "GET":
                return await self._rows(connection, table)
            case "POST":
                return await self._insert(connection, table)
            case "PATCH":
                return await self._update(connection, table)
            case "DELETE":
                deleted = SQL("DELETE FROM {} AS {}{} RETURNING {}").format(
                    table, self._name, self._query.where, self._query.columns
                )
                return await self._changed(connection, deleted)
            case _:
                raise Refusal(405, "PGRST117", f"Unsupported HTTP method: {self._request.method}")

    # -- tables

    async def _rows(self, connection: AsyncConnection[Row], source: Composable) -> web.Response:
        query = self._query
        limit = MOST_ROWS if query.limit is None else min(query.limit, MOST_ROWS)
        rows = SQL("{} AS {}{}").format(source, self._name, query.where)
        wanted = SQL("SELECT {} FROM {}{} LIMIT {} OFFSET {}").format(
            query.columns, rows, query.order, Literal(limit), Literal(query.offset)
        )
        total: int | None = None
        if "count=exact" in self._prefers:
            total = (await _one(connection, SQL("SELECT count(*) FROM {}").format(rows)))[0]
        text, count = await _one(connection, _aggregated(wanted))
        if total is not None and query.offset > total:
            details = f"An offset of {query.offset} was requested, but there are only {total} rows."
            text, beyond = "Requested range not satisfiable", {"Content-Range": f"*/{total}"}
            raise Refusal(416, "PGRST103", text, details=details, headers=beyond)
        span = f"{query.offset}-{query.offset + count - 1}" if count else "*"
        partial = total is not None and count < total
        told = {"Content-Range": f"{span}/{'*' if total is None else total}"}
        return self._told(text, count, 206 if partial else 200, told)

    async def _insert(self, connection: AsyncConnection[Row], table: Identifier) -> web.Response:
        given, names = self._rows_given()
        columns = SQL(", ").join(Identifier(name) for name in names)
        made = SQL("INSERT INTO {} AS {} ({}) SELECT {} FROM json_populate_recordset(NULL::{}, {})").format(
            table, self._name, columns, columns, table, Literal(given)
        )
        if not names:
            made = SQL("INSERT INTO {} AS {} DEFAULT VALUES").format(table, self._name)
        resolution = self._prefers & {"resolution=ignore-duplicates", "resolution=merge-duplicates"}
        if resolution:
            keys = SQL(", ").join(Identifier(name) for name in self._query.on_conflict)
            where = SQL(" ON CONFLICT ({})").format(keys) if self._query.on_conflict else SQL(" ON CONFLICT")
            merged = SQL(", ").join(SQL("{0} = EXCLUDED.{0}").format(Identifier(name)) for name in names)
            ignored = resolution == {"resolution=ignore-duplicates"}
            made += where + (SQL(" DO NOTHING") if ignored else SQL(" DO UPDATE SET ") + merged)
        made = SQL("{} RETURNING {}").format(made, self._query.columns)
        if resolution == {"resolution=merge-duplicates"}:
            return await self._merged(connection, made)
        return await self._changed(connection, made, status=201)

    async def _merged(self, connection: AsyncConnection[Row], made: Composed) -> web.Response:
        """201 if a row is new, else 200."""
        marked = SQL("{}, ({}.xmax = 0) AS {}").format(made, self._name, IS_NEW)
        query = SQL(
            "WITH r AS ({}) SELECT coalesce(jsonb_agg(to_jsonb(r) - {}), '[]')::text, count(*),"
            " coalesce(bool_or(r.{}), false) FROM r"
        ).format(marked, Literal("chatkit is new"), IS_NEW)
        text, count, is_new = await _one(connection, query)
        status = 201 if is_new else 200
        if REPRESENTATION not in self._prefers:
            return web.Response(status=status, headers=NO_RANGE)
        return self._told(text, count, status, NO_RANGE)

    async def _update(self, connection: AsyncConnection[Row], table: Identifier) -> web.Response:
        body = self._read()
        if not is_object(body):
            raise Refusal(400, "PGRST102", "Empty or invalid json")
        changes = SQL(", ").join(SQL("{0} = b.{0}").format(Identifier(name)) for name in body)
        source = SQL("json_populate_record(NULL::{}, {})").format(table, Literal(dumps(body)))
        updated = SQL("UPDATE {} AS {} SET {} FROM {} AS b{} RETURNING {}").format(
            table, self._name, changes, source, self._query.where, self._query.columns
        )
        return await self._changed(connection, updated)

    async def _changed(
        self, connection: AsyncConnection[Row], change: Composed, *, status: int = 200
    ) -> web.Response:
        text, count = await _one(connection, _aggregated(change))
        counted = self._request.method == "PATCH" and count
        span = {"Content-Range": f"0-{count - 1}/*"} if counted else NO_RANGE
        if REPRESENTATION not in self._prefers:
            return web.Response(status=status if status == 201 else 204, headers=span)
        return self._told(text, count, status, span)

    def _rows_given(self) -> tuple[str, tuple[str, ...]]:
        body = self._read()
        rows = body if is_list(body) else [body]
        if not all(is_object(row) for row in rows):
            raise Refusal(400, "PGRST102", "Empty or invalid json")
        names = tuple(rows[0]) if rows else ()
        if self._query.names:
            names = self._query.names
        elif any(row.keys() != rows[0].keys() for row in rows):
            raise Refusal(400, "PGRST102", "All object keys must match")
        return dumps(rows), names

    # -- functions

    async def _function(self, connection: AsyncConnection[Row], name: str) -> web.Response:
        if self._request.method != "POST":
            raise Refusal(405, "PGRST101", "only POST is emulated")
        body: Any = self._read() if self._body else {}
        if not is_object(body):
            raise Refusal(400, "PGRST102", "Empty or invalid json")
        types, returns_set, is_row, is_void = await self._found(connection, name, body)
        named = SQL(", ").join(SQL("{0} => a.{0}").format(Identifier(each)) for each in types)
        # The catalog's own names of types.
        kinds = [SQL(kind) for kind in types.values()]
        pairs = zip(types, kinds, strict=True)
        typed = SQL(", ").join(SQL("{} {}").format(Identifier(each), kind) for each, kind in pairs)
        given = SQL("json_to_record({}) AS a({}), ").format(Literal(dumps(body)), typed) if types else SQL("")
        alias = SQL("t") if is_row or is_void else SQL("t(t)")
        called = SQL("{}LATERAL {}({}) AS {}").format(given, Identifier("public", name), named, alias)
        if is_void:
            await connection.execute(SQL("SELECT FROM {}").format(called))
            return web.Response(status=204, headers={"Content-Range": "0-0/*"})
        if is_row and returns_set:
            source = SQL("(SELECT t.* FROM {})").format(called)
            return await self._rows(connection, source)
        if is_row or not returns_set:
            rows = SQL("(SELECT t.* FROM {}) AS {}").format(called, self._name)
            chosen = SQL("SELECT to_json(r)::text FROM (SELECT {} FROM {}) AS r").format(
                self._query.columns, rows
            )
            scalar = SQL("SELECT to_json(t.t)::text FROM {}").format(called)
            (text,) = await _one(connection, chosen if is_row else scalar)
            return self._told(text or "null", 1, 200, {"Content-Range": "0-0/*"}, whole=True)
        values = SQL("SELECT t.t AS value FROM {}").format(called)
        text, count = await _one(connection, _aggregated(values, VALUE))
        return self._told(text, count, 200, {"Content-Range": f"0-{count - 1}/*" if count else "*/*"})

    async def _found(
        self, connection: AsyncConnection[Row], name: str, body: Object
    ) -> tuple[dict[str, Any], bool, bool, bool]:
        """The types of the arguments given, and what it returns: a set, rows, nothing."""
        rows = await connection.execute(
            "SELECT coalesce(proargnames, '{}'), pronargs, pronargdefaults,"
            " proargtypes::oid[]::regtype[]::text[], coalesce(proargmodes::text[], '{}'), proretset,"
            " typtype = 'c' OR prorettype = 'record'::regtype, prorettype = 'void'::regtype"
            " FROM pg_proc JOIN pg_type ON pg_type.oid = prorettype"
            " WHERE pronamespace = 'public'::regnamespace AND proname = %s",
            (name,),
        )
        for names, many, defaults, kinds, modes, returns_set, is_row, is_void in await rows.fetchall():
            inputs = [each for n, each in enumerate(names) if not modes or modes[n] in {"i", "b", "v"}][:many]
            if set(body) <= set(inputs) and set(inputs[: many - defaults]) <= set(body):
                types = dict(zip(inputs, kinds, strict=True))
                return {each: types[each] for each in body}, returns_set, is_row, is_void
        asked = f"({', '.join(sorted(body))})" if body else " without parameters"
        text = f"Could not find the function public.{name}{asked} in the schema cache"
        raise Refusal(404, "PGRST202", text)

    # -- within

    def _read(self) -> Any:
        try:
            return loads(self._body)
        except ValueError:
            raise Refusal(400, "PGRST102", "Empty or invalid json") from None

    def _told(
        self, text: str, count: int, status: int, headers: dict[str, str], *, whole: bool = False
    ) -> web.Response:
        kind = "application/json"
        if OBJECT in self._request.headers.get("Accept", ""):
            if count != 1:
                details = f"The result contains {count} rows"
                message = "JSON object requested, multiple (or no) rows returned"
                raise Refusal(406, "PGRST116", message, details=details)
            kind, text = OBJECT, text if whole else dumps(loads(text)[0])
        told = {**headers, "Content-Type": f"{kind}; charset=utf-8"}
        return web.Response(status=status, body=text.encode(), headers=told)


def _aggregated(rows: Composable, value: Composable = ROW) -> Composed:
    query = SQL("WITH r AS ({}) SELECT coalesce(json_agg({}), '[]')::text, count(*) FROM r")
    return query.format(rows, value)


async def _one(connection: AsyncConnection[Row], query: Composed) -> Row:
    found = await (await connection.execute(query)).fetchone()
    assert found is not None
    return found
