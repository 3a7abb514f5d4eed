"""`Config`: where to connect and with what, from a URL, the environment or code.

The URL parser is our own: the standard one quotes the text it refuses, secrets included (I16).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from ipaddress import ip_address
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote

from chatkit.errors import ConfigError
from chatkit.model.values import EMPTY, Value, value

# A place with a colon ends in a port, and only one @ stands bare: a secret that was not percent-encoded, or
# stands where none belongs, is refused rather than shown as a host or a path.
_SHAPE: Final = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*)://
        (?:(?P<credential>[^/?#@]*)@)?
        (?P<place>(?:\[[0-9A-Fa-f:.]*\]|[^/?#@:]*)(?::[0-9]{1,5})?)
        (?:/(?P<path>[^?#@]*))?
        (?:\?(?P<query>[^#@]*))?""",
    re.VERBOSE,
)
_OPTION: Final = re.compile(r"[a-z_][a-z0-9_]{0,63}")
# Control characters, lone surrogates, and what stands for bytes that are no UTF-8.
_UNREADABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffd]")
_LONGEST: Final = 4_096
_FORM: Final = (
    "Write it as scheme://CREDENTIAL[:SECRET]@PLACE/ID?option=value, for example memory://demo; "
    "percent-encode : / ? # @ and spaces in credentials."
)


@value
class Config(Value):
    """A provider's address and credential. Secrets show in no `repr` and in no `to_dict`."""

    scheme: str = ""
    credential: str | None = field(default=None, repr=False, metadata={"public": False})
    """What stands before `@`: a key, or the public half of one."""
    secret: str | None = field(default=None, repr=False, metadata={"public": False})
    place: str = ""
    """Cluster, host, project reference or name."""
    path: str = ""
    """What stands after the place: an app id."""
    options: Mapping[str, str] = field(default_factory=lambda: EMPTY, repr=False, metadata={"public": False})

    @classmethod
    def from_url(cls, url: str) -> Config:
        """Read `scheme://CREDENTIAL[:SECRET]@PLACE/ID?option=value`.

        Raises:
            ConfigError: It has another form, or names an option twice; the URL is not quoted.
        """
        found = _SHAPE.fullmatch(url) if len(url) <= _LONGEST else None
        if found is None or " " in url:
            raise _unreadable()
        credential, _, secret = (found["credential"] or "").partition(":")
        return Config(
            scheme=found["scheme"],
            credential=_plain(credential) or None,
            secret=_plain(secret) or None,
            place=_plain(found["place"]),
            path=_plain(found["path"] or ""),
            options=_options(found["query"] or ""),
        )

    @classmethod
    def from_env(cls) -> Config:
        """Read `CHATKIT_URL`, and `CHATKIT_SECRET` where the URL holds none.

        Raises:
            ConfigError: `CHATKIT_URL` is not set, or cannot be read.
        """
        url = os.environ.get("CHATKIT_URL")
        if not url:
            raise ConfigError(
                "no provider: neither a source nor CHATKIT_URL was given",
                hint="Pass a URL such as memory://demo to connect(), or set CHATKIT_URL.",
            )
        return cls.from_url(url).with_environment()

    def with_environment(self) -> Self:
        """Return it with `CHATKIT_SECRET` filled in where it has no secret of its own."""
        secret = os.environ.get("CHATKIT_SECRET")
        return self if self.secret or not secret else replace(self, secret=secret)


def _options(query: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, text = part.partition("=")
        if not _OPTION.fullmatch(name) or name in found:
            raise ConfigError("an option of the provider URL is misspelt or stands twice", hint=_FORM)
        found[name] = _plain(text)
    return found


def _plain(text: str) -> str:
    """Return percent-encoded text as it was; `+` stands for itself, as keys hold it."""
    plain = unquote(text, errors="replace")
    if _UNREADABLE.search(plain):
        raise _unreadable()
    return plain


def _unreadable() -> ConfigError:
    return ConfigError(
        "the provider URL cannot be read (it may hold a secret, so it is not shown)", hint=_FORM
    )


C = TypeVar("C", bound=Config)


def own_config(
    kind: type[C], config: Config, readers: Mapping[str, Callable[[str], object]], *, form: str
) -> C:
    """Return a configuration as a provider's own, with what its options say in its fields.

    Args:
        kind: The provider's.
        config: A general one, from a URL, or one of this kind already.
        readers: For each option what reads it; raises `KeyError` or `ValueError` where it cannot.
        form: How to write it; the hint of errors.

    Raises:
        ConfigError: There is no such option, or it cannot be read.
    """
    names = ("scheme", "credential", "secret", "place", "path", "options")
    own = config if isinstance(config, kind) else kind(**{name: getattr(config, name) for name in names})
    found: dict[str, Any] = {}
    for name, text in own.options.items():
        if name not in readers:
            raise ConfigError(f"{own.scheme}: there is no option {name!r}", hint=form)
        try:
            found[name] = readers[name](text)
        except (KeyError, ValueError):
            raise ConfigError(f"{own.scheme}: the option {name!r} cannot be read", hint=form) from None
    return replace(own, options=EMPTY, **found)


def switch(text: str) -> bool:
    """Read an option that is on or off.

    Raises:
        KeyError: It is neither `1` nor `0`.
    """
    return {"1": True, "0": False}[text]


def is_local(host: str) -> bool:
    """Say whether a host is this machine: no proxy leads there."""
    host = host.strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
