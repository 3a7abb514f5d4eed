"""`Governed`: who may do what in a channel, and what is pinned there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, get_args

from chatkit.changes import Change
from chatkit.engine.context import READ_TIMEOUT
from chatkit.errors import ChatkitError, ConfigError, TransportError
from chatkit.model.names import check_user
from chatkit.model.registers import Role
from chatkit.model.views import Pin
from chatkit.reading import Reading
from chatkit.timeline import as_own

if TYPE_CHECKING:
    from chatkit.model.message import Message, User
    from chatkit.model.order import Ident
    from chatkit.refs import MessageRef

ROLES: Final[tuple[Role, ...]] = get_args(Role)


class Governed(Reading):
    """Roles and pins of one channel: registers in its log, the same for everybody (D25)."""

    # -- roles ------------------------------------------------------------------------------------------

    async def roles(self) -> Mapping[str, Role]:
        """Return who is owner, moderator or member here, by user id, as far as known.

        That is what the log says, where anybody ever had a role there, with what this client wishes; else
        the owners that `chat.channel(owners=)` names. Of what `connect(roles=)` would say it has nothing.

        Raises:
            TransportError: The log has never been asked, and gives no answer; safe to repeat.
        """
        self._chat.check_use()
        return await self._channel_engine.roles.all()

    async def role(self, user: str | User | None = None) -> Role | None:
        """Return what a user is here, as far as known; `None`: nothing.

        Args:
            user: Whose; `None`: mine.
        """
        self._chat.check_use()
        return await self._channel_engine.roles.of(self._chat.user.id if user is None else self._user(user))

    async def grant(self, user: str | User, role: Role) -> Change:
        """Give a user a role in place of the one they have; safe on return, offline too.

        Owners do. A channel in which nobody has a role yet and nobody else has spoken belongs to whoever
        claims it: `grant(my_id, "owner")`. The first role in the log makes owners of those whom the app
        names, and a channel of `kind="broadcast"` is one for everybody from then on.

        Args:
            user: Who gets it.
            role: `"owner"`: publishes in a broadcast channel, gives roles; `"moderator"`: deletes and
                restores messages of others, pins; `"member"`: belongs to it.

        Raises:
            NotAllowed: Somebody else owns the channel, as far as known here; else `Change.wait` says so.
            CapabilityError: No log keeps roles here: `connect(roles=)` decides.
            ConfigError: There is no such role.
            StoreError: The store could not keep it.
        """
        if role not in ROLES:
            raise ConfigError(f"a role is one of {', '.join(ROLES)}, not {role!r}", channel=self._name)
        return await self._give(user, role)

    async def revoke(self, user: str | User) -> Change:
        """Take a user's role; an owner does, and anybody gives up their own. The last owner stays.

        Raises:
            NotAllowed, CapabilityError, StoreError: As for `grant`.
        """
        return await self._give(user, None)

    # -- pins -------------------------------------------------------------------------------------------

    async def pin(self, message: MessageRef, /) -> Change:
        """Pin a message for everybody; safe on return, offline too. Pinned twice is pinned once.

        Owners and moderators do; where nobody owns the channel, everybody. At most 50 are pinned.

        Raises:
            NotAllowed: Others pin here, as far as known; else `Change.wait` says so.
            StateError: 50 messages are pinned already.
            MessageNotFound: There is no such message.
            CapabilityError: No log keeps pins here.
            StoreError: The store could not keep it.
        """
        return await self._pin(message, pinned=True)

    async def unpin(self, message: MessageRef, /) -> Change:
        """Pin a message no more; as `pin`. One that is not pinned stays so."""
        return await self._pin(message, pinned=False)

    async def pins(self) -> tuple[Pin, ...]:
        """Return what is pinned, newest first, what this client wishes included; deleted messages are not.

        Raises:
            CapabilityError: No log keeps pins here.
            TransportError: The log has never been asked, and gives no answer; safe to repeat.
        """
        self._chat.check_use()
        engine = self._channel_engine
        if not await engine.registers.ask(None, patience=READ_TIMEOUT) and not engine.registers.book.wishes:
            raise TransportError("nobody has said yet what is pinned", channel=self._name)
        await engine.restored()
        pinned = engine.registers.book.pins()
        found = await self._found([one.ident for one in pinned])
        return tuple(
            Pin(message_id=id, author=user, by=one.by, at=one.at, message=found[one.ident])
            for one in pinned
            for user, id in (one.ident,)
            if one.ident in found
        )

    # -- inside -----------------------------------------------------------------------------------------

    async def _give(self, user: str | User, role: Role | None) -> Change:
        self._chat.check_use()
        who = self._user(user)
        wish = await self._channel_engine.roles.give(self._chat.user.id, who, role)
        return Change(wish, self._name, self._chat.owner)

    async def _pin(self, message: MessageRef, *, pinned: bool) -> Change:
        self._chat.check_use()
        target = await self.ident_of(message)
        wish = await self._channel_engine.roles.pin(self._chat.user.id, target, pinned=pinned)
        return Change(wish, self._name, self._chat.owner)

    def _user(self, user: str | User) -> str:
        try:
            return check_user(user if isinstance(user, str) else user.id)
        except ChatkitError as error:
            error.channel = self._name
            raise

    async def _found(self, idents: Sequence[Ident]) -> Mapping[Ident, Message | None]:
        """Return messages that are to be seen; `None`: the log has one, if any has, and cannot be asked."""
        found: dict[Ident, Message | None] = {}
        absent: list[Ident] = []
        for ident in idents:
            message = self.timeline.lookup(ident)
            if message is None:
                absent.append(ident)
            elif not message.deleted:
                found[ident] = as_own(message, self._chat.user.id)
        if not absent:
            return found
        try:
            page = await self._read(lambda log: log.get(self._name, absent))
        except TransportError:
            return {**dict.fromkeys(absent), **found}
        for folded in page.items:
            shown = None if folded.deleted else await self._shown(folded, page)
            if shown is not None:
                found[folded.ident] = shown
        return found
