"""`SupabaseConfig`: what stands behind `supabase://KEY@REF`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from chatkit.errors import ConfigError
from chatkit.model.config import Config, is_local, own_config, switch
from chatkit.model.values import value
from chatkit.transport import claims_of

Mode: TypeAlias = Literal["database", "broadcast"]
"""`database`: the project's own PostgreSQL keeps and numbers messages. `broadcast`: nothing does."""

_KEY: Final = re.compile(r"[A-Za-z0-9_.=-]{1,3000}").fullmatch
_REF: Final = re.compile(r"[a-z0-9]{1,40}").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]").fullmatch
_SECRET: Final = "sb_secret_"  # noqa: S105  # how such keys begin
_FORM: Final = (
    "Write supabase://KEY@REF?mode=database|broadcast&private=1&anonymous=1&payload=KB&events=RATE, for a "
    "server of your own supabase://KEY@HOST:PORT?tls=0; a secret key goes into CHATKIT_SECRET."
)


@value
class SupabaseConfig(Config):
    """A Supabase project.

    With a `service_role` or secret key the client is trusted: in `database` mode it speaks for any user.
    Without one it asks `auth=` for the tokens of its user; if `anonymous`, nobody.
    """

    scheme: str = "supabase"
    host: str = ""
    """Where the project is, if that is elsewhere than its reference says: a server or domain of one's own."""
    port: int | None = None
    """There; `None`: 443, without TLS 80."""
    tls: bool = True
    mode: Mode = "database"
    private: bool = False
    """In `broadcast` mode: whether channels are private, open to whom the project's policies let in."""
    anonymous: bool = False
    """Nobody signs in: what the project opens to anybody is read, with its public key alone."""
    payload: int = 256
    """Thousands of bytes of a broadcast that the project's plan takes."""
    events: int | None = None
    """Events a second of the project's plan, of which this client takes a tenth; `None`: it does not pace."""

    @property
    def key(self) -> str:
        """The key that goes with every call."""
        return self.secret or self.credential or ""

    @property
    def trusted(self) -> bool:
        """Whether that key is bound by no policy."""
        return is_service_key(self.key)

    @property
    def is_open(self) -> bool:
        """Whether it says nothing of project and key: `client=` does."""
        return not (self.key or self.place or self.host)

    @property
    def http_url(self) -> str:
        """Where calls go: scheme and host."""
        return f"{'https' if self.tls else 'http'}://{self._where}"

    @property
    def socket_url(self) -> str:
        """Where connections go, without the key."""
        return f"{'wss' if self.tls else 'ws'}://{self._where}/realtime/v1/websocket"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine: no proxy leads there."""
        return is_local(self.host)

    @property
    def realm(self) -> str:
        """Scheme and project (D27)."""
        return f"supabase://{self.place or self._where}"

    @property
    def _where(self) -> str:
        host = self.host or f"{self.place}.supabase.co"
        return host if self.port is None else f"{host}:{self.port}"


def is_service_key(key: str) -> bool:
    """Say whether no policy binds a key."""
    return key.startswith(_SECRET) or claims_of(key).get("role") == "service_role"


def complete(config: Config) -> SupabaseConfig:
    """Return the configuration checked and completed.

    Raises:
        ConfigError: It names what is wrong.
    """
    found = own_config(SupabaseConfig, _placed(config), _READ, form=_FORM)
    rules = (
        (_KEY(found.key) or found.is_open, "the key stands before @"),
        (found.secret is None or is_service_key(found.secret), "the secret is a service_role or secret key"),
        (found.place or found.host or found.is_open, "after @ stands the project's reference, or HOST:PORT"),
        (not found.place or _REF(found.place), "the project's reference is letters and digits"),
        (not found.path, "nothing stands after the project"),
        (not found.host or _HOST(found.host), "host is a name or an address"),
        (found.port is None or 0 < found.port < 65_536, "port is 1 to 65535"),
        (found.mode in get_args(Mode), "mode is database or broadcast"),
        (
            not found.private or found.mode == "broadcast",
            "private is for mode=broadcast: a database always is",
        ),
        (
            not found.anonymous or (not found.trusted and (found.mode == "database" or found.private)),
            "anonymous is for a public key, where others sign in",
        ),
        (1 <= found.payload <= 3_000, "payload is 1 to 3000 thousand bytes"),
        (found.events is None or 1 <= found.events <= 1_000_000, "events is 1 to 1000000 a second"),
    )
    for sound, problem in rules:
        if not sound:
            raise ConfigError(f"supabase: {problem}", hint=_FORM)
    return found


def _placed(config: Config) -> Config:
    """Return it with a host after `@` as the options that it stands for."""
    place = config.place
    if (_REF(place) and place != "localhost") or not place or isinstance(config, SupabaseConfig):
        return config
    host, colon, port = place.rpartition(":") if not place.endswith("]") else ("", "", "")
    given = {"host": host, "port": port} if colon else {"host": place}
    if given.keys() & config.options.keys():
        raise ConfigError("supabase: host or port stands twice", hint=_FORM)
    fields = ("scheme", "credential", "secret", "path")
    return Config(**{name: getattr(config, name) for name in fields}, options={**config.options, **given})


_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "host": str,
    "port": int,
    "tls": switch,
    "mode": str,
    "private": switch,
    "anonymous": switch,
    "payload": int,
    "events": int,
}
