"""A log of which each call is made by the user whom it is about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from chatkit.adapters.supabase.rpc import RpcLog
from chatkit.model.directs import has_part, may_hear
from chatkit.model.names import DIRECT, EVERYONE, user_problem
from chatkit.model.registers import KIND, ROLE, UNREAD, Register
from chatkit.model.views import Unread
from chatkit.ports.log import Appended, LogFeature
from chatkit.ports.outgoing import Outgoing
from tests.logs.supabase_kit import Door, Project

READER = "ada"


class Users:
    """A `Log`: what is of one user goes by their token, what reads by that of a member.

    The rest is what no user may do, or not at once, and goes by the secret key: roles and the kind of a
    channel, appends for several users in one call, channels whose names do not say that they are the
    user's, counts for what is no user's name, trims.

    Args:
        project: Whose channels are open to everyone who is signed in.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._doors: dict[str, Door] = {}

    def _by(self, user: str | None) -> RpcLog:
        name = user or ""
        if name not in self._doors:
            self._doors[name] = self._project.service() if user is None else self._project.user(name)
        return self._doors[name]

    @property
    def capabilities(self) -> frozenset[LogFeature]:
        return self._by(None).capabilities

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        user = _one({entry.ident.user for entry in entries})
        if channel.startswith(DIRECT) and has_part(channel, user or "") is None:
            user = None
        return await self._by(user).append(channel, entries)

    async def put(self, registers: Sequence[Register], /) -> None:
        common = any(cell.name in {ROLE, KIND} or cell.user == EVERYONE for cell in registers)
        user = None if common else _one({cell.user for cell in registers})
        await self._by(user).put(registers)

    async def unread(self, user: str, channels: Sequence[str], /) -> Mapping[str, Unread]:
        return await self._by(None if user_problem(user) else user).unread(user, channels)

    async def registers(
        self, channel: str, names: Sequence[str], /, *, users: Sequence[str] | None = None
    ) -> Sequence[Register]:
        # What is marked unread is seen by its user alone; the contract asks for that of everybody.
        user = READER if UNREAD not in names and may_hear(channel, READER) else None
        return await self._by(user).registers(channel, names, users=users)

    async def trim(self, channel: str, before: Any, /) -> Any:
        return await self._by(None).trim(channel, before)

    async def restored(self) -> str:
        return await self._by(None).restored()

    def changes(self) -> AsyncIterator[str]:
        return self._by(None).changes()

    async def aclose(self) -> None:
        for door in self._doors.values():
            await door.aclose()

    def __getattr__(self, name: str) -> Any:
        """Read as a member."""
        return getattr(self._by(READER), name)


def _one(users: set[str]) -> str | None:
    """The one user of all; `None`: there are several."""
    return users.pop() if len(users) == 1 else None
