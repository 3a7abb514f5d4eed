"""What is done to the project at once: from Python, or by the control endpoint.

Those of `chatkit.testing.emulators.faults` and `...supabase.faults` wait for something; these do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.faults import CHECKED

if TYPE_CHECKING:
    from chatkit.testing.emulators.supabase.channel import Channel
    from chatkit.testing.emulators.supabase.project import Project
    from chatkit.testing.emulators.supabase.session import Session


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class Aim:
    """Whom a deed is done to, and what is said.

    Attributes:
        socket: A connection, by its id; `None` is every one.
        topic: A channel's topic without its prefix; `None` is every one.
        text: What `shut` says.
        code: With which `close` closes: 1000, 1001, 1012, or another.
        reason: Likewise.
    """

    socket: str | None = None
    topic: str | None = None
    text: str = "Too many messages per second"
    code: int = 1000
    reason: str = ""


class Deeds:
    """Each takes an `Aim` and returns how many connections or channels it struck.

    Args:
        project: Whose clients.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def named(self) -> dict[str, Callable[[Aim], Awaitable[int]]]:
        """Each by its name at the control endpoint."""
        deeds = (
            *(self.abort, self.stall, self.close, self.drain, self.close_channel, self.crash, self.shut),
            *(self.expire, self.pause_replication, self.resume_replication, self.lose_replication),
            *(self.stop_database, self.start_database, self.restart_database),
        )
        return {deed.__name__.replace("_", "-"): deed for deed in deeds}

    async def abort(self, aim: Aim) -> int:
        """Cut connections without a goodbye."""
        for session in (struck := self._sessions(aim)):
            session.socket.abort()
        return len(struck)

    async def stall(self, aim: Aim) -> int:
        """Silence connections without an end: half open."""
        for session in (struck := self._sessions(aim)):
            session.socket.stall()
        return len(struck)

    async def close(self, aim: Aim) -> int:
        """Close connections cleanly, with the code."""
        for session in (struck := self._sessions(aim)):
            session.socket.close(aim.code, aim.reason)
        return len(struck)

    async def drain(self, aim: Aim) -> int:
        """Send connections away as a node that goes: `Server requested disconnect`, then 1012."""
        for session in (struck := self._sessions(aim)):
            session.drain()
        return len(struck)

    async def close_channel(self, aim: Aim) -> int:
        """Say `phx_close` of channels; their connection lives."""
        for channel in (struck := self._channels(aim)):
            channel.close()
        return len(struck)

    async def crash(self, aim: Aim) -> int:
        """Say `phx_error` of channels."""
        for channel in (struck := self._channels(aim)):
            channel.crash()
        return len(struck)

    async def shut(self, aim: Aim) -> int:
        """Close channels as the server does, for the reason in `text`."""
        for channel in (struck := self._channels(aim)):
            channel.shut(aim.text)
        return len(struck)

    async def expire(self, aim: Aim) -> int:
        """Let the tokens of channels have expired."""
        for channel in (struck := self._channels(aim)):
            channel.shut("Token has expired 0 seconds ago")
        return len(struck)

    async def pause_replication(self, _: Aim) -> int:
        """Hold back database broadcasts."""
        self._project.committed.pause()
        return 1

    async def resume_replication(self, _: Aim) -> int:
        """Say those that were held back, and go on."""
        self._project.committed.resume()
        return 1

    async def lose_replication(self, _: Aim) -> int:
        """End the connection for database broadcasts and make it anew: those in between are lost."""
        committed = self._project.committed
        if committed.lose() is None:
            return 0
        committed.wanted()
        return 1

    async def stop_database(self, _: Aim) -> int:
        """Stop PostgreSQL, if it is the emulator's own."""
        await self._project.database.stop()
        return 1

    async def start_database(self, _: Aim) -> int:
        """Start it again."""
        await self._project.database.start()
        return 1

    async def restart_database(self, aim: Aim) -> int:
        """Stop it and start it again."""
        await self.stop_database(aim)
        return await self.start_database(aim)

    def _sessions(self, aim: Aim) -> list[Session]:
        sessions = self._project.sessions
        return [sessions[name] for name in list(sessions) if aim.socket in {None, name}]

    def _channels(self, aim: Aim) -> list[Channel]:
        return [
            channel
            for session in self._sessions(aim)
            for channel in list(session.channels.values())
            if aim.topic in {None, channel.name}
        ]
