"""Broadcasts by HTTP, where no connection stands in the channel; and the server's time, out of every answer.

Source: the Supabase sheet, section 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import httpx

from chatkit.adapters.supabase.access import Access
from chatkit.adapters.supabase.codes import NO_WAY, Verdict, call_refused
from chatkit.adapters.supabase.wire import Object, dumps
from chatkit.errors import TransportError
from chatkit.transport import pause_of

TIMEOUT: Final = 8.0
"""Seconds for one call: less than the engine waits, so that its answer is told as what it was."""
ANSWER: Final = 1 << 20
"""Bytes of an answer, many times what any takes."""


class Broadcasts:
    """Calls of one project.

    Args:
        url: Scheme, host and port.
        client: Carries the calls; the owner closes it.
        access: Goes with them.
        told_time: Given the `Date` of each answer.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        access: Access,
        *,
        told_time: Callable[[str | None], None],
    ) -> None:
        self._url = url
        self._client = client
        self._access = access
        self._told_time = told_time

    async def say(
        self, channel: str, topic: str, event: str, payload: Object, *, private: bool
    ) -> Verdict | None:
        """Broadcast once; `None`: the service took it.

        Raises:
            TransportError: No answer, or the service failed: it may have broadcast.
        """
        path = f"/realtime/v1/api/broadcast/{quote(topic, safe='')}/events/{quote(event, safe='')}"
        url = f"{self._url}{path}{'?private=true' if private else ''}"
        sent = {**await self._access.headers(), "Content-Type": "application/json"}
        answer = await self._call("POST", url, sent, dumps(payload).encode())
        if answer.status_code == 202:
            return None
        if answer.status_code == 401:
            self._access.refused()
        return call_refused(answer.status_code, channel, pause_of(answer.headers.get("Retry-After")))

    async def ask_time(self) -> None:
        """Have the project answer anything: each answer tells its time. `TransportError`."""
        _ = await self._call("GET", f"{self._url}/auth/v1/health", {"apikey": self._access.key}, b"")

    async def _call(self, method: str, url: str, sent: dict[str, str], body: bytes) -> httpx.Response:
        try:
            answer = await self._client.request(method, url, content=body, headers=sent, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise TransportError(f"no answer by HTTP ({type(error).__name__})", hint=NO_WAY) from None
        self._told_time(answer.headers.get("Date"))
        return answer
