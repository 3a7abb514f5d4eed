"""A log behind the demo's bad network: answers come late, or never, also of what was carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from chatkit.errors import TransportError

if TYPE_CHECKING:
    from chatkit.adapters.memory.network import Call, Link
    from chatkit.ports import Log


def distant(log: Log, link: Link) -> Log:
    """Return a log as the client at the end of a link reaches it; closing it closes nothing."""
    return cast("Log", _Distant(log, link))


class _Distant:
    def __init__(self, log: Log, link: Link) -> None:
        self._log = log
        self._link = link

    @property
    def capabilities(self) -> Any:
        return self._log.capabilities - {"notify"}  # whoever tells of changes is as far away

    async def aclose(self) -> None:
        """Do nothing: others use the log too."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Call = "publish" if name == "append" else "read"

        async def over_the_link(*args: Any, **kwargs: Any) -> Any:
            await self._travel(lost=self._link.loses_request(call))
            found = await getattr(self._log, name)(*args, **kwargs)
            await self._travel(lost=self._link.loses_ack(call))
            return found

        return over_the_link

    async def _travel(self, *, lost: bool) -> None:
        """Let a packet travel.

        Raises:
            TransportError: It was lost, or there is no network.
        """
        link, loop = self._link, asyncio.get_running_loop()
        if link.stumbles(loop.time()) or link.state(loop.time()) == "cut":
            raise TransportError("there is no network")
        if lost or link.state(loop.time()) == "half-open":
            await asyncio.sleep(link.timeout)
            raise TransportError(f"no answer within {link.timeout:g} s")
        await asyncio.sleep(link.delay())
