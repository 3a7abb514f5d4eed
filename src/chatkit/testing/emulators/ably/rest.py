"""The REST interface: how a call is authorised, read and answered.

Source: RSC, RSL, RSP, RSA of the features specification; ably/docs api/rest-api.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from multidict import CIMultiDict

from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.auth import Access, unpacked
from chatkit.testing.emulators.ably.channel import Channel
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.history import Page
from chatkit.testing.emulators.ably.names import parse_name
from chatkit.testing.emulators.ably.plain import is_list, is_object
from chatkit.testing.emulators.ably.publishing import Origin, fresh_id
from chatkit.testing.emulators.ably.wire import Format, Wire, decode, encode, render

SECRET: Final = frozenset({"key", "accessToken", "access_token", "envelope", "cursor"})
"""Parameters that a link to another page does not repeat."""

NOT_OF_HEADERS: Final = re.compile(r"[^ -~]")
"""What would end a header, or be read in many ways there."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call comes to.

    Attributes:
        body: Written in the format that the caller reads.
        status: Of HTTP.
        links: By relation, relative to the call.
    """

    body: Any
    status: int = 200
    links: Mapping[str, str] | None = None


class Call:
    """One call.

    Args:
        app: What it talks to.
        request: As it came.
        body: Its body, decoded; `None` without one.
    """

    def __init__(self, app: Application, request: web.Request, body: Any) -> None:
        self.app = app
        self.request = request
        self.query = dict(request.query)
        self.body = body
        self._access: Access | None = None

    @property
    def access(self) -> Access:
        """With what it came, verified.

        Raises:
            AblyError: 401xx.
        """
        if self._access is None:
            access = self.app.authority.by_header(self.request.headers.get("Authorization"), self.query)
            named = self.request.headers.get("X-Ably-ClientId")
            if named:
                access = replace(access, client_id=access.identify(unpacked(named)))
            self._access = access
        return self._access

    @property
    def channel(self) -> Channel:
        """The channel of its path.

        Raises:
            AblyError: 40010.
        """
        return self.app.channel(parse_name(self.request.match_info["channel"]).base)

    def demand(self, operation: str) -> Channel:
        """The channel of its path, if it may do that there.

        Raises:
            AblyError: 401xx, 40010, 40160.
        """
        access = self.access
        access.demand(operation, parse_name(self.request.match_info["channel"]).base)
        return self.channel

    def origin(self) -> Origin:
        """As whom it publishes."""
        return Origin(
            access=self.access, client_id=self.access.client_id, connection_id=None, base=fresh_id()
        )

    def items(self) -> list[Wire]:
        """Its body as a list of objects.

        Raises:
            AblyError: 40001.
        """
        items = self.body if is_list(self.body) else [self.body]
        objects = [item for item in items if is_object(item)]
        if not objects or len(objects) != len(items):
            raise AblyError(40001, "the body is an object, or a list of objects")
        return objects

    def paged(self, page: Page[T]) -> Answer:
        """Answer with a page and links to its neighbours."""
        kept = {name: value for name, value in self.query.items() if name not in SECRET}
        segment = self.request.path.rpartition("/")[2]
        here = {"cursor": self.query["cursor"]} if "cursor" in self.query else {}
        links = {"first": kept, "current": {**kept, **here}}
        if page.next is not None:
            links["next"] = {**kept, "cursor": page.next}
        # A link needs a parameter: the official JavaScript client takes none without.
        written = {
            rel: f"./{segment}?{urlencode(params or {'limit': '100'})}" for rel, params in links.items()
        }
        return Answer(body=page.items, links=written)


Handler = Callable[[Call], Awaitable[Answer]]


def served(
    app: Callable[[], Application], handler: Handler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler as the server calls it: formats, errors and links are seen to here."""

    async def serve(request: web.Request) -> web.Response:
        accepted = request.headers.get("Accept", "") + request.query.get("format", "")
        form = Format.MSGPACK if "msgpack" in accepted else Format.JSON
        count = app().stats.count
        try:
            raw = await request.read()
            sent = Format.MSGPACK if "msgpack" in request.content_type else Format.JSON
            answer = await handler(Call(app(), request, decode(raw, sent) if raw else None))
        except web.HTTPRequestEntityTooLarge:
            refusal = AblyError(40009, f"a body has at most {app().settings.largest_body} bytes")
        except AblyError as error:
            refusal = error
        else:
            count("apiRequests.all.succeeded.count")
            return _response(answer, form, request)
        count("apiRequests.all.refused.count")
        return refused(refusal, form, request)

    return serve


def refused(error: AblyError, form: Format, request: web.Request) -> web.Response:
    """The answer to a call that is refused."""
    return _response(Answer(body={"error": error.wire()}, status=error.status), form, request, error)


def _response(
    answer: Answer, form: Format, request: web.Request, error: AblyError | None = None
) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict()
    for rel, link in (answer.links or {}).items():
        headers.add("Link", f'<{link}>; rel="{rel}"')
    if error is not None:
        headers.add("X-Ably-Errorcode", str(error.code))
        headers.add("X-Ably-Errormessage", NOT_OF_HEADERS.sub("?", error.message))
    body, status = shown(answer.body, form), answer.status
    if request.query.get("envelope") in {"json", "msgpack"}:
        body = {
            "statusCode": status,
            "headers": {name.lower(): headers[name] for name in headers},
            "response": body,
        }
        status = 200
    text = encode(body, form)
    return web.Response(
        status=status,
        body=text if isinstance(text, bytes) else text.encode(),
        headers=headers,
        content_type=form.content_type,
    )


def shown(body: Any, form: Format) -> Any:
    """A body with every item in it as a reader of the format gets it."""
    if is_list(body):
        return [shown(each, form) for each in body]
    if is_object(body):
        rendered = render(body, form)
        return {name: shown(value, form) if name in NESTED else value for name, value in rendered.items()}
    return body


NESTED: Final = frozenset({"results", "presence"})
