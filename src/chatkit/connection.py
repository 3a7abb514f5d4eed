"""`Connection`: the link to the provider as users see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from chatkit.core.connection import PublicState, State
from chatkit.engine.holding import as_it_is
from chatkit.engine.link import reason_of
from chatkit.errors import ChatkitError, ConfigError, StateError
from chatkit.stream import Stream, Watched, within

if TYPE_CHECKING:
    from chatkit.engine.link import Link
    from chatkit.model.views import ConnectionView
    from chatkit.shared import Shared

STATES: Final = frozenset(get_args(PublicState))


class Connection:
    """Opens and reopens by itself; this is for looking at it.

    Args:
        link: Returns the engine's link; raises before the client is opened.
        owner: The life of the client.
    """

    def __init__(self, link: Callable[[], Link], owner: Shared) -> None:
        self._link = link
        self._owner = owner
        self._watched: Watched[ConnectionView] = Watched(self._view)

    @property
    def state(self) -> PublicState:
        """`disconnected`, `connecting`, `connected`, `suspended`, `closing`, `closed` or `failed`."""
        return self._link().state.public

    @property
    def reason(self) -> ChatkitError | None:
        """Why it is not connected; `None` while it is."""
        return reason_of(self._link())

    @property
    def transport(self) -> str | None:
        """By what it is carried: `websocket`, `sse`, `poll`, else the provider's scheme; `None`: nothing."""
        return self._link().view.transport

    async def wait(self, state: str = "connected", *, timeout: float | None = None) -> None:
        """Wait for a state.

        Raises:
            ChatkitError: It failed for good; the reason itself.
            WaitTimeout: Not within `timeout` seconds; says in which state it is, and why.
            StateError: The client was closed before.
            ConfigError: There is no such state.
        """
        self._owner.check_loop()
        if state not in STATES:
            raise ConfigError(
                f"{state!r} is no connection state", hint=f"One of {', '.join(sorted(STATES))}."
            )

        async def reached() -> None:
            async for view in self._watched.watch():
                if view.state == state:
                    return
                if view.state == "failed" and view.reason is not None:
                    raise view.reason
            raise StateError("the client was closed", hint="Call connect() again for another client.")

        await within(
            timeout, reached, f"the connection was not {state}", why=lambda: as_it_is(self._link(), "it")
        )

    def watch(self) -> Stream[ConnectionView]:
        """Follow it: the present value first, then the newest after each change."""
        self._owner.check_loop()
        return self._watched.watch()

    def retry_now(self) -> None:
        """End a backoff and try at once; after a failure, try again."""
        self._owner.check_open()
        self._link().retry_now()

    def _view(self) -> ConnectionView:
        link = self._link()
        return replace(link.view, reason=reason_of(link))

    def changed(self) -> None:
        """Tell readers; called by the client."""
        self._watched.changed()
        if self._link().state is State.CLOSED:
            self._watched.close()
