"""Who lets a connection into a channel: the secret here, or the app by `auth=`.

Source: the Pusher protocol sheet, sections 3.4 and 5.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final, Protocol, cast
from urllib.parse import urlencode

import httpx

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.calls import post
from chatkit.adapters.pusher.signing import Permit, Signer
from chatkit.errors import AuthenticationError, ChatkitError, ConfigError, NotAllowed, TransportError
from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Credentials

TIMEOUT: Final = 6.0
"""Seconds for the app to answer."""
_HINT: Final = (
    "Answer with what the official server package returns for this socket and channel: "
    "auth, for presence channels channel_data with the user's id, for encrypted ones shared_secret."
)
_ASKED_AGAIN: Final = "It is asked again by itself; check the address in auth=, and the app's server."


class Permits(Protocol):
    """Gives each connection its own permit for each channel."""

    def refresh(self) -> None:
        """Ask for a fresh credential the next time."""
        ...

    async def permit(self, name: str, channel: str, socket_id: str) -> Permit:
        """Return what subscribes this connection to a channel.

        Raises:
            NotAllowed: The user may not.
            AuthenticationError: What came is no good.
            TransportError: No answer.
        """
        ...


class OwnPermits:
    """Signs by itself.

    Args:
        signer: With the secret.
        user: As whom it is in presence channels.
    """

    def __init__(self, signer: Signer, user: str) -> None:
        self._signer = signer
        self._user = user

    def refresh(self) -> None:
        """Do nothing: each permit is fresh, and the secret stays."""

    async def permit(self, name: str, channel: str, socket_id: str) -> Permit:  # noqa: ARG002  # who else gives permits knows it by the channel
        """Return what subscribes this connection to a channel."""
        return self._signer.permit(name, socket_id, self._user)


class AskedPermits:
    """Asks the app, by its callable or at its endpoint.

    Args:
        credentials: The app's callable.
        user: Who must be let in.
        key: Of the app.
        endpoint: An address in place of the callable.
        client: Carries calls to it.
    """

    def __init__(
        self, credentials: Credentials, user: str, key: str, endpoint: str | None, client: httpx.AsyncClient
    ) -> None:
        self._credentials = credentials
        self._user = user
        self._key = key
        self._endpoint = endpoint
        self._client = client
        self._refresh = False

    def refresh(self) -> None:
        """Ask for a fresh credential the next time."""
        self._refresh = True

    async def permit(self, name: str, channel: str, socket_id: str) -> Permit:
        """Return what subscribes this connection to a channel. Raises as `Permits.permit`."""
        form = {"socket_id": socket_id, "channel_name": name}
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await (self._ask(channel, form) if self._endpoint is None else self._post(form))
        except TimeoutError:
            raise TransportError(f"auth= gave no answer within {TIMEOUT:g} s", channel=channel) from None
        except ChatkitError as error:
            error.channel = error.channel or channel
            raise
        return self._checked(answer, name, channel)

    async def _ask(self, channel: str, form: Mapping[str, str]) -> Any:
        refresh, self._refresh = self._refresh, False
        try:
            return await self._credentials.get(channel=channel, params=form, refresh=refresh)
        except ChatkitError:
            raise
        except Exception as error:  # the app's code may raise anything
            hint = "It is asked again. auth= is an async function; what it raised is `__cause__`. " + _HINT
            raise TransportError(f"auth= raised {type(error).__name__}", hint=hint) from error

    async def _post(self, form: Mapping[str, str]) -> Any:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await post(
                self._client, self._endpoint or "", urlencode(form).encode(), headers, TIMEOUT
            )
        except TransportError as error:
            raise TransportError(f"the app's auth endpoint: {error.args[0]}", hint=_ASKED_AGAIN) from None
        status = answer.status_code
        if status in (401, 403):
            hint = "Let the user in at the app's auth endpoint, or ask for the channel as another user."
            raise NotAllowed("the app's auth endpoint refuses this user", code=str(status), hint=hint)
        if status >= 500 or status == 429:
            raise TransportError(f"the app's auth endpoint failed ({status})", hint=_ASKED_AGAIN)
        if status != 200:
            raise ConfigError(f"the app's auth endpoint answers {status}", hint=_HINT)
        return frames.parse(answer.text)

    def _checked(self, answer: Any, name: str, channel: str) -> Permit:
        """Return a permit that is for this user and app (D2)."""
        fields = cast("Mapping[str, Any]", answer) if isinstance(answer, Mapping) else EMPTY
        auth, member = fields.get("auth"), fields.get("channel_data")
        if not isinstance(auth, str):
            raise _bad("auth= returns no answer of an auth endpoint", channel)
        if not auth.startswith(f"{self._key}:"):
            raise _bad("auth= signs with another app's key", channel)
        if not name.startswith("presence-"):
            return Permit(auth, None, self._shared(fields.get("shared_secret"), name, channel))
        if not isinstance(member, str):
            raise _bad("auth= returns no channel_data as text", channel)
        if frames.as_object(member).get("user_id") != self._user:
            raise _bad("auth= lets in another user than connect(user=)", channel)
        return Permit(auth, member)

    def _shared(self, secret: Any, name: str, channel: str) -> bytes | None:
        if not name.startswith("private-encrypted-"):
            return None
        try:
            found = b64decode(secret)
        except (TypeError, ValueError):
            found = b""
        if len(found) != 32:
            raise _bad("auth= returns no shared_secret of 32 bytes in base64", channel)
        return found


def _bad(text: str, channel: str) -> AuthenticationError:
    return AuthenticationError(text, channel=channel, hint=_HINT)
