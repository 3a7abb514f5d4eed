"""`PusherConfig`: what stands behind `pusher://KEY@CLUSTER/APP_ID`."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, get_args

from chatkit.adapters.pusher.names import Kind
from chatkit.errors import ConfigError
from chatkit.model.config import Config, is_local, own_config, switch
from chatkit.model.values import value

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,100}").fullmatch
_CLUSTER: Final = re.compile(r"[a-z0-9-]{1,40}").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]").fullmatch
_APP: Final = re.compile(r"[0-9]{1,20}").fullmatch
_FORM: Final = (
    "Write pusher://KEY@CLUSTER/APP_ID?channels=presence|private|encrypted&cache=1, for a server of your own "
    "with host=HOST&port=PORT&tls=0; the secret goes into CHATKIT_SECRET."
)


@value
class PusherConfig(Config):
    """Pusher Channels, or a server that speaks its protocol.

    With a secret the client is trusted: it publishes over HTTP and speaks for any user. Without one it asks
    `auth=` for each channel and publishes by client events.
    """

    scheme: str = "pusher"
    host: str = ""
    """Of a server of one's own, in place of the cluster's; an IPv6 address in brackets."""
    port: int | None = None
    """There; `None`: 443, without TLS 80."""
    tls: bool = True
    channels: Kind = "presence"
    """What carries messages: the same for all clients of an app."""
    cache: bool = False
    """Whether channels keep their newest event, which can prove that nothing was missed. Where anybody sends
    client events it cannot: those are not kept."""
    auth: str | None = field(default=None, repr=False, metadata={"public": False})
    """Address of the app's auth endpoint; or give `connect` a callable."""
    master_key: str | None = field(default=None, repr=False, metadata={"public": False})
    """Of encrypted channels, 32 bytes in base64; for trusted clients."""

    @property
    def socket_url(self) -> str:
        """Where connections go, without the key."""
        host = self.host or f"ws-{self.place}.pusher.com"
        return f"{'wss' if self.tls else 'ws'}://{host}{self._port}/app/"

    @property
    def http_url(self) -> str:
        """Where calls go."""
        host = self.host or f"api-{self.place}.pusher.com"
        return f"{'https' if self.tls else 'http'}://{host}{self._port}"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine: no proxy leads there."""
        return is_local(self.host)

    @property
    def realm(self) -> str:
        """Scheme and app (D27)."""
        return f"pusher://{self.place or self.host}/{self.path or self.credential}"

    @property
    def _port(self) -> str:
        return "" if self.port is None else f":{self.port}"


def complete(config: Config) -> PusherConfig:
    """Return the configuration checked and completed.

    Raises:
        ConfigError: It names what is wrong.
    """
    found = own_config(PusherConfig, config, _READ, form=_FORM)
    rules = (
        (_KEY(found.credential or ""), "the key stands before @"),
        (not found.place or _CLUSTER(found.place), "the cluster, such as eu or mt1, stands after @"),
        (found.place or found.host, "the cluster stands after @, or host= names a server"),
        (not found.host or _HOST(found.host), "host is a name or an address"),
        (found.port is None or 0 < found.port < 65_536, "port is 1 to 65535"),
        (not found.path or _APP(found.path), "the app id has only digits"),
        (found.secret is None or found.path, "with a secret the app id stands after the cluster"),
        (found.channels in get_args(Kind), "channels is presence, private or encrypted"),
        (_is_address(found.auth), "auth is an address that begins with https:// or http://"),
        (_is_master_key(found.master_key), "master_key is 32 bytes in base64"),
        (
            found.secret is None or found.channels != "encrypted" or found.master_key,
            "channels=encrypted needs master_key",
        ),
    )
    for sound, problem in rules:
        if not sound:
            raise ConfigError(f"pusher: {problem}", hint=_FORM)
    return found


def _is_address(text: str | None) -> bool:
    return text is None or text.startswith(("https://", "http://"))


def _is_master_key(text: str | None) -> bool:
    try:
        return text is None or len(b64decode(text, validate=True)) == 32
    except ValueError:
        return False


_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "host": str,
    "port": int,
    "tls": switch,
    "channels": str,
    "cache": switch,
    "auth": str,
    "master_key": str,
}
