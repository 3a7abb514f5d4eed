"""The HTTP API: one call is one attempt, signed anew, and what its answer means.

Source: the Pusher protocol sheet, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import httpx

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.signing import Signer
from chatkit.errors import (
    AuthenticationError,
    ChatkitError,
    MessageTooLarge,
    NotAllowed,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.ports.outgoing import Scope
from chatkit.transport import pause_of

TIMEOUT: Final = 8.0
"""Seconds for one call: less than the engine waits, so that its answer is told as what it was."""
ANSWER: Final = 1 << 20
"""Bytes of an answer, many times what any takes."""
BATCH: Final = 10
"""Events in one call."""
PAUSE: Final = 60.0
"""Seconds to wait where the app is disabled or over its quota: nothing that passes soon."""


class Event(NamedTuple):
    """One event in one channel."""

    name: str
    event: str
    data: str

    def __repr__(self) -> str:
        return f"Event(name={self.name!r}, event={self.event!r}, data=...)"


class Verdict(NamedTuple):
    """What an answer means for all that the call held; `error` is `None` where it was accepted."""

    error: ChatkitError | None = None
    outcome: Literal["refused", "unsent"] = "unsent"
    scope: Scope = "connection"
    after: float | None = None


ACCEPTED: Final = Verdict()


class Calls:
    """Calls the API of one app. Made without I/O; used on one loop.

    Args:
        url: Scheme, host and port.
        signer: Signs.
        client: Carries the calls; the owner closes it.
        told_time: Given the `Date` of each answer.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        client: httpx.AsyncClient,
        *,
        told_time: Callable[[str | None], None],
    ) -> None:
        self._url = url
        self._signer = signer
        self._client = client
        self._told_time = told_time

    async def publish(self, events: Sequence[Event], *, but: str | None = None) -> Verdict:
        """Publish events in order; `but`: the id of a connection that does not hear them.

        Raises:
            TransportError: No answer, or the server failed: it may have published.
        """
        bodies = [{"name": each.event, "channel": each.name, "data": each.data} for each in events]
        if but is not None:
            bodies = [body | {"socket_id": but} for body in bodies]
        if len(bodies) == 1:
            return await self._call("events", bodies[0])
        return await self._call("batch_events", {"batch": bodies})

    async def _call(self, path: str, body: dict[str, Any]) -> Verdict:
        signed = self._signer.call(path, body)
        answer = await post(self._client, self._url + signed.path, signed.body, signed.headers, TIMEOUT)
        self._told_time(answer.headers.get("Date"))
        return verdict(_status(answer), answer.text, answer.headers.get("Retry-After"))


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], timeout: float
) -> httpx.Response:
    """Post to an address whose query is nobody's business: it shows in no log and no error (I16).

    Raises:
        TransportError: No answer.
    """
    shown, _, query = url.partition("?")
    target = httpx.URL(shown).raw_path + (b"?" + query.encode() if query else b"")
    try:
        return await client.post(
            shown, content=body, headers=dict(headers), timeout=timeout, extensions={"target": target}
        )
    except httpx.HTTPError as error:
        raise TransportError(f"no answer by HTTP ({type(error).__name__})") from None


def _status(answer: httpx.Response) -> int:
    """Return the status; some servers answer 200 and tell it in the body alone."""
    if answer.status_code == 200:
        told = frames.as_object(answer.text)
        code = told.get("code", told.get("status"))
        if "error" in told and isinstance(code, int):
            return code
    return answer.status_code


def verdict(status: int, text: str, retry_after: str | None = None) -> Verdict:
    """Return what an answer means.

    Raises:
        TransportError: The server failed and may have published.
    """
    code = str(status)
    if status in (200, 202):
        return ACCEPTED
    if status == 401:
        return Verdict(_unauthorized(text))
    if status == 403:
        hint = "Look at the app's state and its message quota in Pusher's dashboard; what is queued waits."
        error = NotAllowed("the app is disabled, or over its message quota", code=code, hint=hint)
        return Verdict(error, after=PAUSE)
    if status == 404:
        hint = "Compare cluster and app id in pusher://KEY@CLUSTER/APP_ID with the dashboard's page App Keys."
        return Verdict(
            AuthenticationError("there is no app with this id in this cluster", code=code, hint=hint)
        )
    if status == 413:
        return Verdict(MessageTooLarge("Pusher takes 10,240 bytes an event"), "refused", "entry")
    if status == 429:
        after = pause_of(retry_after)
        return Verdict(RateLimited("too many calls", code=code, retry_after=after), after=after)
    if 400 <= status <= 499:
        return Verdict(Rejected("Pusher refused the event", code=code), "refused", "entry")
    raise TransportError(f"the HTTP API failed ({status}) and may have published")


def _unauthorized(text: str) -> ProviderError:
    """Return why a signature is refused; the text itself may quote what was signed, and is not passed on."""
    if "Timestamp expired" in text:
        what = "the call's time stamp is refused: this machine's clock is off by more than 600 s"
        hint = "Set the clock (NTP), then queued messages go by themselves."
    elif "Unknown auth_key" in text:
        what = "the key is unknown"
        hint = "Compare key, cluster and app id in pusher://KEY@CLUSTER/APP_ID with the page App Keys."
    else:
        what = "the signature is refused: the secret does not belong to the key"
        hint = (
            "Compare CHATKIT_SECRET with the dashboard's page App Keys; what is queued waits for a good one."
        )
    return AuthenticationError(what, code="401", hint=hint)
