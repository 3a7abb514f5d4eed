"""`MemoryConfig`: what stands behind `memory://NAME`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from chatkit.adapters.memory.profiles import Profile, tailor
from chatkit.errors import ConfigError
from chatkit.model.config import Config, own_config, switch
from chatkit.model.values import EMPTY, value

if TYPE_CHECKING:
    from chatkit.adapters.memory.hub import Hub

Like: TypeAlias = Literal["memory", "supabase", "ably", "pusher"]

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


@value
class MemoryConfig(Config):
    """The embedded provider: one hub per process and name, no network, nothing to install.

    It can behave like each of the others, and any capability can be set by name, so that a test meets the
    provider that lacks it.
    """

    scheme: str = "memory"
    name: str = ""
    """Of the hub, ``default`` if none is given: clients of one process that give the same name meet."""
    like: Like = "memory"
    """The provider it behaves like; one for all clients of a hub."""
    offline: bool = False
    """It can never be reached."""
    resume: float | None = None
    """Seconds after a loss within which nothing is missed; `None`: as the provider."""
    history: float | None = None
    """Seconds that history reaches back, 0 for none; `None`: as the provider."""
    trusted: bool = True
    """Whether this client may speak for other users."""
    link: str = ""
    """Tells clients of one user apart in the faulty network, where this one is called `user/link`."""
    capabilities: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)
    """Capabilities by name, in place of the provider's own."""
    hub: Hub | None = field(default=None, repr=False, metadata={"public": False})
    """A hub of one's own instead of the one that the process shares under this name."""


def complete(config: Config) -> MemoryConfig:
    """Return the configuration checked and completed.

    Raises:
        ConfigError: It names what is wrong.
    """
    found = own_config(MemoryConfig, config, _READ, form=_FORM)
    if found.credential is not None or found.path:
        raise ConfigError("memory: the URL is memory://NAME, without a credential or a path", hint=_FORM)
    name = found.name or found.place or (found.hub.name if found.hub else "default")
    found = replace(found, name=name, place=name)
    if not _NAME(found.name):
        raise ConfigError("memory: a name has 1 to 64 characters of A-Z a-z 0-9 . _ -", hint=_FORM)
    if found.like not in get_args(Like):
        raise ConfigError("memory: like is memory, supabase, ably or pusher", hint=_FORM)
    for option in ("resume", "history"):
        seconds = getattr(found, option)
        if seconds is not None and not (seconds >= 0 and isfinite(seconds)):
            raise ConfigError(f"memory: {option} is a number of seconds", hint=_FORM)
    profile_of(found, log=False)
    return found


def profile_of(config: MemoryConfig, *, log: bool) -> Profile:
    """Return what a client of this configuration meets.

    Raises:
        ConfigError: Its capabilities contradict one another.
    """
    short = {"resume_window": config.resume, "history": config.history}
    overrides = {name: seconds for name, seconds in short.items() if seconds is not None}
    return tailor(config.like, {**overrides, **config.capabilities}, trusted=config.trusted, log=log)


_FORM: Final = (
    "Write memory://NAME?like=memory|supabase|ably|pusher&offline=1&resume=SECONDS&history=SECONDS."
)


_READ: Final[Mapping[str, Callable[[str], object]]] = {
    "like": str,
    "offline": switch,
    "resume": float,
    "history": float,
}
