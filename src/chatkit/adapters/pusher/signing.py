"""What the secret signs, by the official package: subscriptions, and each call anew.

Source: the Pusher protocol sheet, sections 5 and 9.2; `pusher` 3.3.4.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pusher.http import Request  # pyright: ignore[reportMissingTypeStubs]
from pusher.signature import sign  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from chatkit.adapters.pusher import frames
from chatkit.adapters.pusher.config import PusherConfig
from chatkit.errors import ConfigError

_HINT: Final = "Give the app's `pusher.Pusher`, made with the key of the URL."


class Permit(NamedTuple):
    """What a subscription is asked for with; bound to one connection."""

    auth: str
    channel_data: str | None = None
    shared_secret: bytes | None = None
    """Opens what comes in an encrypted channel."""

    def __repr__(self) -> str:
        return "Permit(...)"


class Signed(NamedTuple):
    """A call that was signed just now: to be made at once, to the byte."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return "Signed(...)"


class Signer:
    """An app's key and secret.

    Args:
        app_id: Of the app.
        key: Public.
        secret: Signs.
        master_key: Of encrypted channels, 32 bytes.
    """

    def __init__(self, app_id: str, key: str, secret: str, master_key: bytes | None) -> None:
        self.app_id = app_id
        self.key = key
        self.secret = secret  # under these names the official package finds them
        self._master_key = master_key

    def __repr__(self) -> str:
        return f"Signer(app_id={self.app_id!r})"

    def permit(self, name: str, socket_id: str, user: str) -> Permit:
        """Return what subscribes a connection to a channel; in a presence channel as a user."""
        text, member = f"{socket_id}:{name}", None
        if name.startswith("presence-"):
            member = frames.dumps({"user_id": user})
            text = f"{text}:{member}"
        secret = self.shared_secret(name) if name.startswith("private-encrypted-") else None
        return Permit(f"{self.key}:{sign(self.secret, text)}", member, secret)

    def shared_secret(self, name: str) -> bytes:
        """Return what an encrypted channel is locked and opened with."""
        return sha256(name.encode() + (self._master_key or b"")).digest()

    def call(self, path: str, body: Mapping[str, Any]) -> Signed:
        """Sign a call below the app, for now."""
        request = Request(self, "POST", f"/apps/{self.app_id}/{path}", dict(body))
        return Signed(request.signed_path, request.headers, request.body)


def signer_of(config: PusherConfig, client: object | None) -> Signer | None:
    """Return who signs: the app's own `pusher.Pusher`, the secret, or (`None`) nobody here.

    Raises:
        ConfigError: The client is none, or another app's.
    """
    key, master = config.credential or "", config.master_key
    if client is None:
        if config.secret is None:
            return None
        return Signer(config.path, key, config.secret, None if master is None else b64decode(master))
    inner: Any = getattr(client, "_pusher_client", client)
    app_id, own, secret = (getattr(inner, name, None) for name in ("app_id", "key", "secret"))
    if not (isinstance(app_id, str) and isinstance(own, str) and isinstance(secret, str)):
        raise ConfigError(f"pusher: client= is no pusher.Pusher, but {type(client).__name__}", hint=_HINT)
    if own != key or config.path not in ("", app_id):
        raise ConfigError("pusher: client= is of another app than the URL", hint=_HINT)
    own_master = getattr(inner, "_encryption_master_key", None)
    if config.channels == "encrypted" and master is None and own_master is None:
        raise ConfigError(
            "pusher: channels=encrypted needs master_key",
            hint="Make the client with encryption_master_key_base64.",
        )
    return Signer(app_id, own, secret, own_master if master is None else b64decode(master))


def http_url_of(config: PusherConfig, client: object | None) -> str:
    """Return where calls go: where the app's own client calls, if there is one."""
    inner: Any = getattr(client, "_pusher_client", client)
    return config.http_url if inner is None else f"{inner.scheme}://{inner.host}:{inner.port}"
