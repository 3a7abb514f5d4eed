"""`Sayer`: what turns publishes and members into something that goes out and is answered."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, TypeAlias, TypeVar

from chatkit.adapters.ably.wire import Frame

Waiter: TypeAlias = "asyncio.Future[Any]"
"""Who waits for the answer."""
F_co = TypeVar("F_co", covariant=True)


class Sayer(Protocol[F_co]):
    """Of one connection: by frames, or by calls."""

    @property
    def client_id(self) -> str | None:
        """Whom it speaks for: `*` for anybody, `None` for nobody."""
        ...

    def publish(self, name: str, messages: list[Frame], what: Waiter) -> F_co:
        """Return what publishes messages, all or none."""
        ...

    def annotate(self, name: str, annotations: list[Frame], what: Waiter) -> F_co:
        """Return what makes annotations of one message, or takes them back, all or none."""
        ...

    def present(self, name: str, member: Frame, what: Waiter) -> F_co:
        """Return that by which a member enters, changes or leaves."""
        ...
