"""What is answered where a call of tables or functions cannot be done, in PostgREST's words."""

from __future__ import annotations

from typing import Final

import psycopg
from aiohttp import web

STATUSES: Final = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "53400": 500,
    "54": 500,
    "55": 500,
    "57": 500,
    "57P01": 503,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0001": 400,
    "P0": 500,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "42501": 403,
}
"""By SQLSTATE, or the class of one: the status of an answer. Others are 400."""


class Refusal(Exception):
    """An answer that is an error.

    Args:
        status: Of HTTP.
        code: As PostgREST names it.
        message: In words.
        details: More of them.
        hint: What to do.
        headers: Beside it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: str | None = None,
        hint: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.headers = headers
        self.status = status
        self.body = {"code": code, "details": details, "hint": hint, "message": message}


def failed(error: psycopg.Error, *, known: bool) -> web.Response:
    """Return the answer to a call at which PostgreSQL failed.

    Args:
        error: Its own.
        known: The caller is somebody, and may not; else nobody knows who calls.
    """
    state = error.sqlstate or "08006"
    status = STATUSES.get(state, STATUSES.get(state[:2], 400))
    if state == "42501" and not known:
        status = 401
    if state.startswith("PT") and state[2:].isdecimal():
        status = int(state[2:])
    diagnosis = error.diag
    body = {
        "code": state,
        "details": diagnosis.message_detail,
        "hint": diagnosis.message_hint,
        "message": diagnosis.message_primary or "no connection to the database",
    }
    return web.json_response(body, status=status)
