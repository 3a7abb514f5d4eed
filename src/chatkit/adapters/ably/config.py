"""`AblyConfig`: what stands behind `ably://APP.KEY@`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from chatkit.errors import ConfigError
from chatkit.model.config import Config, is_local, own_config, switch
from chatkit.model.values import value

Form: TypeAlias = Literal["msgpack", "json"]
"""How frames are written."""
Transport: TypeAlias = Literal["auto", "websocket", "sse", "poll"]
"""By what is heard: `auto` begins with WebSockets and does with the others while those do not pass."""
SHORT: Final = 120.0
"""Seconds of history that every account keeps."""
LONG: Final = 365 * 86_400.0
OFTEN: Final = 0.05
"""Least seconds between two looks into a channel that is polled."""
SELDOM: Final = 60.0

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,40}(?:\.[A-Za-z0-9_-]{1,40})?").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]").fullmatch
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_-]{1,60}").fullmatch
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])").fullmatch
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_FORM: Final = (
    "Write ably://APP.KEY@?history=72h&namespace=NAME&native_edits=1&format=msgpack|json"
    "&transport=auto|websocket|sse|poll&poll=SECONDS, for a server of your own with "
    "host=HOST&port=PORT&tls=0; the secret goes into CHATKIT_SECRET, or `auth=` gives tokens."
)


@value
class AblyConfig(Config):
    """Ably, or a server that speaks its protocol.

    With the secret of the key the client is trusted: it speaks for any user. Without it asks `auth=` for
    tokens.
    """

    scheme: str = "ably"
    host: str = ""
    """Of a server of one's own, without fallback hosts; or a routing policy's id."""
    port: int | None = None
    """There; `None`: 443, without TLS 80."""
    tls: bool = True
    format: Form = "msgpack"
    """How frames are written; clients with either one meet."""
    namespace: str = ""
    """What stands before a colon in the names of channels at Ably: rules are set by it."""
    history: float = SHORT
    """Seconds that the account keeps messages of this namespace."""
    transport: Transport = "auto"
    """By what is heard; what is said then goes by the socket, or by calls."""
    poll: float = 2.0
    """Seconds between two looks into a channel that is polled."""
    native_edits: bool = False
    """Edits and deletes are Ably's own: the namespace's rule allows them."""

    @property
    def app(self) -> str:
        """The app's id."""
        return (self.credential or "").partition(".")[0]

    @property
    def realm(self) -> str:
        """Scheme and app (D27); with the namespace, since channels of others are others."""
        return f"ably://{self.app}" + (f"/{self.namespace}" if self.namespace else "")

    @property
    def local(self) -> bool:
        """Whether the server is on this machine: no proxy leads there."""
        return is_local(self.host)


def complete(config: Config) -> AblyConfig:
    """Return the configuration checked and completed.

    Raises:
        ConfigError: It names what is wrong.
    """
    found = own_config(AblyConfig, _placed(config), _READ, form=_FORM)
    rules = (
        (_KEY(found.credential or ""), "the key's name, APP.KEY, or the app's id alone stands before @"),
        (found.secret is None or "." in (found.credential or ""), "a secret belongs to a key: APP.KEY"),
        (not found.place and not found.path, "after @ stands nothing, or HOST or HOST:PORT"),
        (not found.host or _HOST(found.host), "host is a name or an address"),
        (found.port is None or 0 < found.port < 65_536, "port is 1 to 65535"),
        (found.format in get_args(Form), "format is msgpack or json"),
        (not found.namespace or _NAMESPACE(found.namespace), "namespace is letters, digits, - and _"),
        (SHORT <= found.history <= LONG, "history is 2m to 365d"),
        (found.transport in get_args(Transport), "transport is auto, websocket, sse or poll"),
        (OFTEN <= found.poll <= SELDOM, "poll is 0.05 to 60 seconds"),
    )
    for sound, problem in rules:
        if not sound:
            raise ConfigError(f"ably: {problem}", hint=_FORM)
    return found


def _placed(config: Config) -> Config:
    """Return it with HOST:PORT after `@` as the options that it stands for."""
    if not config.place or isinstance(config, AblyConfig):
        return config
    host, colon, port = config.place.rpartition(":") if not config.place.endswith("]") else ("", "", "")
    given = {"host": host, "port": port} if colon else {"host": config.place}
    if given.keys() & config.options.keys():
        raise ConfigError("ably: host or port stands twice", hint=_FORM)
    fields = ("scheme", "credential", "secret", "path")
    return Config(**{name: getattr(config, name) for name in fields}, options={**config.options, **given})


def _span(text: str) -> float:
    found = _SPAN(text)
    if found is None:
        raise ValueError("no span of time")
    return int(found[1]) * _SECONDS[found[2]]


_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "host": str,
    "port": int,
    "tls": switch,
    "format": str,
    "namespace": str,
    "history": _span,
    "transport": str,
    "poll": float,
    "native_edits": switch,
}
