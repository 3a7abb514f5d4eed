"""`Rest`: calls by HTTP: the time, pages of history, publishes, members, tokens for token requests.

Source: the Ably sheet, section 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote, urljoin

import httpx

from chatkit.adapters.ably.access import Access
from chatkit.adapters.ably.codes import is_token_error, refusal
from chatkit.adapters.ably.hosts import Hosts
from chatkit.adapters.ably.wire import VERSION, ErrorInfo, Frame, as_frame, as_list, as_text, error_of
from chatkit.errors import ChatkitError, TransportError

TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0)
"""Seconds of one call: less than the engine waits, so that its answer is told as what it was."""
ANSWER: Final = 96 << 20
"""Bytes of an answer: a page of the largest messages, in JSON, is two thirds of that."""
PAGE: Final = 1_000
"""Most messages in one answer."""

SLOWER: Final = 429
"""A status that says the same whoever answers."""


class Page(NamedTuple):
    """Messages, and where the next ones are; `None`: there are none."""

    items: list[Frame]
    next: str | None


class Posted(NamedTuple):
    """What became of a publish."""

    serials: list[str | None]
    """Of its messages."""
    error: ErrorInfo | None
    """It was refused."""


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
        told = _body(await self._call("GET", "/time"))
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
        return as_frame(_body(await self._call("POST", path, json=dict(request)))) or {}

    async def history(
        self, name: str, access: Access, params: Mapping[str, str], *, renew: bool = True
    ) -> Page:
        """Return the first page of a channel's history. As `page`."""
        path = f"{_channel(name)}/messages?{httpx.QueryParams(params)}"
        return await self.page(path, access, renew=renew)

    async def members(self, name: str, access: Access) -> Page:
        """Return the first page of who is present in a channel. Raises as `time`."""
        return await self.page(f"{_channel(name)}/presence?limit={PAGE}", access)

    async def versions(self, name: str, serial: str, access: Access, params: Mapping[str, str]) -> Page:
        """Return the first page of a message's versions. Raises as `time`."""
        return await self.page(f"{_message(name, serial)}/versions?{httpx.QueryParams(params)}", access)

    async def annotations(self, name: str, serial: str, access: Access) -> Page:
        """Return the first page of a message's annotations. Raises as `time`."""
        return await self.page(f"{_message(name, serial)}/annotations?limit={PAGE}", access)

    async def page(self, path: str, access: Access, *, renew: bool = True) -> Page:
        """Return a page; raises as `time`. `renew`: with a fresh token if the present one is refused."""
        try:
            answer = await self._send("GET", path, authorization=await access.header())
        except _Refused as refused:
            if not renew or not is_token_error(refused.told):
                raise refusal(refused.told) from None
            access.refused()
            answer = await self._call("GET", path, authorization=await access.header())
        told: object = _body(answer)
        if not isinstance(told, list):  # a proxy that answers for Ably must not pass for an empty channel
            raise TransportError("there was an answer by HTTP, but none of Ably's")
        items = [item for each in as_list(cast("object", told)) if (item := as_frame(each)) is not None]
        return Page(items, _next(path, answer))

    async def change(self, name: str, serial: str, message: Frame, access: Access) -> Posted:
        """Update or delete a message. Raises as `publish`."""
        try:
            answer = await self._send(
                "PATCH", _message(name, serial), authorization=await access.header(), json=message
            )
        except _Refused as refused:
            return Posted([], refused.told)
        told = as_frame(_body(answer))
        if told is None or "versionSerial" not in told:
            raise TransportError("there was an answer by HTTP, but none of Ably's")
        return Posted([as_text(told["versionSerial"])], None)

    async def annotate(self, name: str, serial: str, annotations: list[Frame], access: Access) -> Posted:
        """Make annotations of a message, or take them back. Raises as `publish`."""
        path = f"{_message(name, serial)}/annotations"
        try:
            answer = await self._send("POST", path, authorization=await access.header(), json=annotations)
        except _Refused as refused:
            return Posted([], refused.told)
        told = as_frame(_body(answer))
        if told is None and answer.content:  # whether the service tells places is written nowhere
            raise TransportError("there was an answer by HTTP, but none of Ably's")
        return Posted([as_text(each) for each in as_list((told or {}).get("serials"))], None)

    async def publish(self, name: str, messages: list[Frame], access: Access) -> Posted:
        """Publish messages, all or none.

        Raises:
            TransportError: The outcome is unknown.
            ChatkitError: There was no token to be had.
        """
        path = f"{_channel(name)}/messages"
        try:
            answer = await self._send("POST", path, authorization=await access.header(), json=messages)
        except _Refused as refused:
            return Posted([], refused.told)
        told = as_frame(_body(answer)) or {}
        if "messageId" not in told:
            raise TransportError("there was an answer by HTTP, but none of Ably's")
        return Posted([as_text(each) for each in as_list(told.get("serials"))], None)

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Call, and say of a refusal what it means."""
        try:
            return await self._send(method, path, **options)
        except _Refused as refused:
            raise refusal(refused.told) from None

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
            told = _refusal(answer)
            if told is not None and answer.status_code < 500:
                raise _Refused(told)
            failure = TransportError(f"Ably failed ({answer.status_code if told is None else told.code})")
        raise failure


class _Refused(Exception):  # passed on within this module alone
    """A call was refused."""

    def __init__(self, told: ErrorInfo) -> None:
        super().__init__()
        self.told = told


def _message(name: str, serial: str) -> str:
    return f"{_channel(name)}/messages/{quote(serial, safe='')}"


def _channel(name: str) -> str:
    return f"/channels/{quote(name, safe='')}"


def _body(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _refusal(answer: httpx.Response) -> ErrorInfo | None:
    """Return the error of an answer; `None`: it is none of Ably's, so that another host may do better.

    Whatever stands before Ably may say no in its own words: that is no reason to give a message up.
    """
    told = error_of(as_frame(_body(answer)) or {})
    if told is not None and told.code:
        return told
    return ErrorInfo(0, answer.status_code) if answer.status_code == SLOWER else None


def _next(path: str, answer: httpx.Response) -> str | None:
    """Return the path of the next page: a link beside this one."""
    for header in answer.headers.get_list("Link"):
        for link in header.split(","):
            target, _, rest = link.strip().partition(">")
            if 'rel="next"' in rest and target.startswith("<"):
                found = urljoin(f"http://host{path}", target[1:])
                return found.removeprefix("http://host") if found.startswith("http://host/") else None
    return None
