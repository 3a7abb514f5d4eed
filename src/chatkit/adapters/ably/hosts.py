"""`Hosts`: where the service answers, and where else when it does not there.

Source: the Ably sheet, section 1.
"""

from __future__ import annotations

from typing import Final

from chatkit.adapters.ably.config import AblyConfig
from chatkit.ports.context import Clock, RandomSource

TRIES: Final = 3
"""Hosts that one attempt goes to at most."""
KEPT: Final = 600.0
"""Seconds for which calls go first to the fallback host that answered."""


class Hosts:
    """The hosts of one configuration.

    Args:
        config: Completed.
        clock: For how long a fallback is kept.
        random: The order of fallbacks.
    """

    def __init__(self, config: AblyConfig, clock: Clock, random: RandomSource) -> None:
        own = "." in config.host or config.host.startswith("[") or config.host == "localhost"
        routing = config.host or "main"
        self._primary = config.host if own else f"{routing}.realtime.ably.net"
        self._fallbacks = (
            () if own else tuple(f"{routing}.{each}.fallback.ably-realtime.com" for each in "abcde")
        )
        self._suffix = "" if config.port is None else f":{config.port}"
        self._clock = clock
        self._random = random
        self._kept: tuple[str, float] | None = None

    def for_sockets(self) -> list[str]:
        """Return where an attempt to connect goes, one after the other."""
        return self._with_ports(self._primary, *self._shuffled())

    def for_calls(self) -> list[str]:
        """Return where a call goes, one after the other."""
        if self._kept is not None and self._kept[1] < self._clock.monotonic():
            self._kept = None
        first = self._kept[0] if self._kept is not None else self._primary
        others = [host for host in (self._primary, *self._shuffled()) if host != first]
        return self._with_ports(first, *others)

    def answered(self, host: str) -> None:
        """Take note of where a call was answered."""
        name = host.removesuffix(self._suffix)
        if name == self._primary:
            self._kept = None
        elif self._kept is None or self._kept[0] != name:
            self._kept = (name, self._clock.monotonic() + KEPT)

    def _shuffled(self) -> list[str]:
        return sorted(self._fallbacks, key=lambda _: self._random.random())

    def _with_ports(self, *hosts: str) -> list[str]:
        return [f"{host}{self._suffix}" for host in hosts[:TRIES]]
