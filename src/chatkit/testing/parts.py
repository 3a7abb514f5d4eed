"""`parts`: what `connect` would give an adapter, for tests that make one by hand."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from chatkit.model.values import EMPTY
from chatkit.ports.adapter import Parts
from chatkit.ports.context import Unobserved

if TYPE_CHECKING:
    from chatkit.ports.adapter import Credentials
    from chatkit.ports.context import Clock, RandomSource
    from chatkit.ports.log import Log


class NoCredentials:
    """Credentials of a provider that needs none: to ask for them fails the test."""

    async def get(
        self,
        *,
        channel: str | None = None,  # noqa: ARG002  # the signature of the port
        params: Mapping[str, str] = EMPTY,  # noqa: ARG002  # likewise
        refresh: bool = False,  # noqa: ARG002  # likewise
    ) -> Mapping[str, Any]:
        """Fail."""
        raise AssertionError("the adapter asked for a token")

    def secret(self) -> str | None:
        """Fail."""
        raise AssertionError("the adapter asked for a secret")


def parts(
    user: str,
    clock: Clock,
    *,
    random: RandomSource | None = None,
    log: Log | None = None,
    credentials: Credentials | None = None,
    client: object | None = None,
) -> Parts:
    """Return what `connect` would give an adapter; nothing that is not given is to be had."""
    chance = random or Random(1)  # noqa: S311  # for tests
    return Parts(user, credentials or NoCredentials(), log, client, clock, chance, Unobserved())
