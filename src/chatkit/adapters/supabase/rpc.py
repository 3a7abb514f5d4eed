"""`RpcLog`: the log in a project's own PostgreSQL, its functions called through PostgREST.

Source: the Supabase sheet, section 15.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol, get_args

import httpx

from chatkit.adapters.supabase.codes import NO_WAY
from chatkit.adapters.supabase.refusals import lacks_schema, refusal
from chatkit.errors import AuthenticationError, CapabilityError, ConfigError, TransportError
from chatkit.ports.log import LogFeature
from chatkit.postgres.calls import Json, as_json
from chatkit.postgres.log import FunctionLog

TIMEOUT: Final = httpx.Timeout(8.0, connect=4.0)
"""Seconds of one call: less than the engine waits, so that its answer is told as what it was."""
STALE: Final = 6.0
"""Seconds for which a call of an unknown function is made again: the Data API learns of a new one late."""
LOOK: Final = 0.5
"""Seconds between two such calls."""
ANSWER: Final = 128 << 20
"""Bytes of an answer: for whoever makes the client that carries the calls."""
PREFIX: Final = "chatkit_"
"""Before the names of the functions: they stand in the schema `public` among the app's own."""
_FEATURES: Final[frozenset[LogFeature]] = frozenset(get_args(LogFeature)) - {"notify"}


class Access(Protocol):
    """What goes with calls."""

    @property
    def renewable(self) -> bool:
        """Whether there is another credential to be had."""
        ...

    async def headers(self) -> Mapping[str, str]:
        """Return the key as `apikey`, and whose call it is as `Authorization`."""
        ...

    def refused(self) -> None:
        """Take note that the present credential was refused: the next one is fresh."""
        ...


class Rpc:
    """The way to the functions: POST `/rest/v1/rpc/chatkit_NAME`. Made without I/O; used on one loop.

    Args:
        url: Of the project, scheme and host, without a slash at its end.
        client: Carries the calls, its answers bounded; the owner closes it.
        access: Who calls.
        told_time: Given the `Date` of each answer.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        access: Access,
        *,
        told_time: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._base = f"{url}/rest/v1/rpc/{PREFIX}"
        self._client = client
        self._access = access
        self._told_time = told_time

    async def call(self, name: str, /, **values: Any) -> Any:
        """Call a function; see `chatkit.postgres.calls.Functions`. A refused token is renewed, once.

        A Data API that has not looked at a new schema yet says what it says of a project without one: it is
        asked again for some seconds.

        Raises:
            AuthenticationError: The credential is refused, a fresh one too.
            NotAllowed: Its user may not do this.
            RateLimited: Too many calls.
        """
        given = {key: value.value if isinstance(value, Json) else value for key, value in values.items()}
        body = as_json(given).encode()
        for _ in range(round(STALE / LOOK)):
            try:
                return await self._renewing(name, body)
            except ConfigError as error:
                if not lacks_schema(error):
                    raise
            await asyncio.sleep(LOOK)
        return await self._renewing(name, body)

    async def _renewing(self, name: str, body: bytes) -> Any:
        try:
            return await self._call(name, body)
        except AuthenticationError:
            if not self._access.renewable:
                raise
            self._access.refused()
        return await self._call(name, body)

    async def _call(self, name: str, body: bytes) -> Any:
        headers = {**await self._access.headers(), "Content-Type": "application/json"}
        try:
            answer = await self._client.post(
                self._base + name, content=body, headers=headers, timeout=TIMEOUT
            )
        except httpx.HTTPError as error:
            # Not chained: it holds the call, and with it the credential (I16).
            text = f"log: no answer by HTTP ({type(error).__name__})"
            raise TransportError(text, hint=NO_WAY) from None
        self._told_time(answer.headers.get("Date"))
        if answer.status_code == 204:
            return None
        if answer.status_code != 200:
            # Not `answer.text`: the answer names the codec, and some of Python's unpack or raise anything.
            text = answer.content.decode("utf-8", "replace")
            raise refusal(answer.status_code, text, answer.headers.get("Retry-After"))
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise TransportError("log: there was an answer by HTTP, but none of the project's") from None


class RpcLog(FunctionLog):
    """A `Log` in a Supabase project. A user reads and writes what `chatkit.membership` in the database says.

    Of another user's it takes neither entries nor registers: `NotAllowed`. A secret key speaks for anybody.
    A project without the schema is a `ConfigError` that names the command.

    Args:
        rpc: The way to its functions.
    """

    def __init__(self, rpc: Rpc) -> None:
        super().__init__(rpc)

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        """All but `notify`: what others append is told on the channel's topic."""
        return _FEATURES

    def changes(self) -> AsyncIterator[str]:
        """Decline. `CapabilityError`."""
        raise CapabilityError(
            "log: a project tells of what was appended on its topics alone",
            hint="Attach the channel, or compare `heads`.",
        )

    async def aclose(self) -> None:
        """Do nothing: what carries the calls is the adapter's."""
