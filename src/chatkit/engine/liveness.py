"""Liveness: whether a session lives, judged by received frames on both clocks (I11, D32)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatkit.engine.context import Context, bounded, foreign
from chatkit.ports import SessionClosed

if TYPE_CHECKING:
    from chatkit.errors import ChatkitError
    from chatkit.ports import Session

LOOK: Final = 5.0
"""Most seconds between two looks at the clocks, so that a machine that slept is noticed soon (D32)."""


class Liveness:
    """Watches one session.

    Args:
        context: The client's parts.
        session: Just opened.
        on_wake: Called when the machine slept.
    """

    def __init__(self, context: Context, session: Session, *, on_wake: Callable[[], None]) -> None:
        self._context = context
        self._session = session
        self._on_wake = on_wake
        self._heard = context.clock.monotonic()
        self._sleeps = context.server_time.sleeps()

    def heard(self) -> None:
        """A frame came."""
        self._heard = self._context.clock.monotonic()

    async def death(self) -> ChatkitError:
        """Return why it is dead, once it is: probed after half the time allowed, given up at its end."""
        half = self._context.adapter.capabilities.liveness / 2
        while True:
            await asyncio.sleep(max(0.01, min(LOOK, half - self._quiet)))
            if self._slept() or self._quiet >= half:
                why = await self._probe(half)
                if why is not None:
                    return why

    @property
    def _quiet(self) -> float:
        return self._context.clock.monotonic() - self._heard

    def _slept(self) -> bool:
        before, self._sleeps = self._sleeps, self._context.server_time.sleeps()
        if self._sleeps == before:
            return False
        self._context.observer.point("connection.woke")
        self._on_wake()
        return True

    async def _probe(self, within: float) -> ChatkitError | None:
        """Make the peer answer; returns why the session counts as dead, or `None`: it lives."""
        asked = self._context.clock.monotonic()
        try:
            await bounded(self._session.probe, within)
        except SessionClosed as closed:
            return closed
        except Exception as error:  # noqa: BLE001  # whatever it was, the probe has no answer
            if self._heard > asked:
                return None  # other frames came: only its answer is missing
            dead = SessionClosed("the connection gave no sign of life", again="now")
            dead.__cause__ = foreign(error)
            return dead
        self.heard()
        return None
