"""`Rest`: calls by HTTP: the time, pages of history, tokens for token requests.

Source: the Ably sheet, section 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urljoin

import httpx

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.codes import is_token_error, refusal
from chatkit.adapters.ably.hosts import Hosts
from chatkit.adapters.ably.wire import VERSION, ErrorInfo, Frame, as_frame, as_list, error_of
from chatkit.errors import ChatkitError, TransportError

TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0)
"""Seconds of one call: less than the engine waits, so that its answer is told as what it was."""
CONNECTIONS: Final = 20
PAGE: Final = 1_000
"""Most messages in one answer."""


class Page(NamedTuple):
    """Messages, and where the next ones are; `None`: there are none."""

    items: list[Frame]
    next: str | None


class Rest:
    """Calls one app's REST interface. Made without I/O; used on one loop.

    Args:
        scheme: `https` or `http`.
        hosts: Where.
        client: Carries the calls; the owner closes it.
    """

    def __init__(self, scheme: str, hosts: Hosts, client: httpx.AsyncClient) -> None:
        self._scheme = scheme
        self._hosts = hosts
        self._client = client

    async def time(self) -> int:
        """Return the service's clock in milliseconds since 1970.

        Raises:
            ChatkitError: No answer, or a refusal.
        """
        told = _body(await self._send("GET", "/time"))
        match told:
            case [int(at)]:
                return at
            case _:
                raise TransportError("Ably told no time")

    async def request_token(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the token details for a token request that the app has signed.

        Raises:
            ChatkitError: No answer, or a refusal.
        """
        path = f"/keys/{quote(str(request.get('keyName')), safe='')}/requestToken"
        return as_frame(_body(await self._send("POST", path, json=dict(request)))) or {}

    async def history(self, name: str, access: Access, **params: str) -> Page:
        """Return the first page of a channel's history. Raises as `time`."""
        path = f"/channels/{quote(name, safe='')}/messages"
        return await self.page(f"{path}?{httpx.QueryParams(params)}", access)

    async def page(self, path: str, access: Access) -> Page:
        """Return a page; with a fresh token if the present one is refused. Raises as `time`."""
        try:
            answer = await self._send("GET", path, authorization=await access.header())
        except _StaleToken:
            access.refused()
            try:
                answer = await self._send("GET", path, authorization=await access.header())
            except _StaleToken as stale:
                raise stale.error from None
        items = [item for each in as_list(_body(answer)) if (item := as_frame(each)) is not None]
        return Page(items, _next(path, answer))

    async def _send(
        self, method: str, path: str, *, authorization: str | None = None, json: object = None
    ) -> httpx.Response:
        """Call, from one host to the next while they fail."""
        headers = {"X-Ably-Version": VERSION, "Accept": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        failure: ChatkitError = TransportError("Ably has no host")
        for host in self._hosts.for_calls():
            url = f"{self._scheme}://{host}{path}"
            try:
                answer = await self._client.request(method, url, headers=headers, json=json, timeout=TIMEOUT)
            except httpx.HTTPError as error:
                failure = TransportError(f"no answer by HTTP ({type(error).__name__})")
                continue
            if answer.status_code < 400:
                self._hosts.answered(host)
                return answer
            told = error_of(as_frame(_body(answer)) or {}) or ErrorInfo(0, answer.status_code)
            if answer.status_code < 500:
                refused = refusal(told)
                raise _StaleToken(refused) if is_token_error(told) else refused
            failure = TransportError(f"Ably failed ({told.code or answer.status_code})")
        raise failure


class _StaleToken(Exception):  # passed on within this module alone
    """A token was refused."""

    def __init__(self, error: ChatkitError) -> None:
        super().__init__()
        self.error = error


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _next(path: str, answer: httpx.Response) -> str | None:
    """Return the path of the next page: a link beside this one."""
    for header in answer.headers.get_list("Link"):
        for link in header.split(","):
            target, _, rest = link.strip().partition(">")
            if 'rel="next"' in rest and target.startswith("<"):
                found = urljoin(f"http://host{path}", target[1:])
                return found.removeprefix("http://host") if found.startswith("http://host/") else None
    return None
