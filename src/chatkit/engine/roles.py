"""`Roles`: who may do what in one channel, by its log, else by what the app says (D2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from chatkit.core.roles import objection_to_role, owned, role_of
from chatkit.engine.context import READ_TIMEOUT, bounded
from chatkit.engine.registers import pins_full
from chatkit.errors import InvalidMessage, NotAllowed, StateError, TransportError
from chatkit.model.registers import BROADCAST, MODERATORS, OWNER, PINS, ROLE, Role

if TYPE_CHECKING:
    from chatkit.core.fact import Fact
    from chatkit.engine.context import Context
    from chatkit.engine.register_sync import RegisterSync
    from chatkit.engine.register_wishes import Wish
    from chatkit.engine.registers import RegisterBook
    from chatkit.model.order import Ident
    from chatkit.ports import Messages

ChannelKind: TypeAlias = Literal["group", "broadcast", "topic"]

PATIENCE: Final = 2.0
"""Seconds for which the log is asked what somebody may; then it has the last word when it is written to."""
CALLBACK: Final = 5.0
"""Seconds that the app's callback may take."""
HOLDS: Final = 60.0
"""Seconds for which an answer of the app's callback holds."""
AGAIN: Final = 2.0
"""Seconds for which it holds where somebody would be refused for it."""
ANSWERS: Final = 10_000
"""Answers of the app's callback that are kept of one channel."""
_OWNERS: Final = frozenset({OWNER})


class Roles:
    """Decides by the roles in the log, where anybody has or had one there, else by what the app says.

    Args:
        context: The client's parts.
        channel: The channel's name.
    """

    def __init__(self, context: Context, channel: str) -> None:
        self._context = context
        self._channel = channel
        self.kind: ChannelKind = "group"
        """What the app takes the channel for."""
        self.judges = False
        """Not everybody's messages are believed."""
        self.owners: tuple[str, ...] = ()
        """Who owns it, as the app says."""
        self._opened: tuple[ChannelKind, tuple[str, ...]] | None = None
        self._answers: OrderedDict[str, tuple[float, Role | None]] = OrderedDict()

    def serve(self, book: RegisterBook, sync: RegisterSync) -> None:
        """Take note of who knows what the log says."""
        self._book = book
        self._sync = sync

    def open(self, kind: ChannelKind, owners: tuple[str, ...]) -> None:
        """Take note of what the app says of the channel; for all users of this client it is the same.

        Raises:
            StateError: It was said to be another one before.
        """
        if self._opened not in (None, (kind, owners)):
            raise StateError("the channel was asked for with other options before", channel=self._channel)
        self._opened = kind, owners
        self.kind, self.owners = kind, owners
        self.judges = kind == BROADCAST
        if self.judges:
            self._sync.need()

    # -- who is what ------------------------------------------------------------------------------------

    async def of(self, user: str) -> Role | None:
        """Return the role of a user, as far as known; the log or the app is asked if it was not lately."""
        await self._look(None)
        return await self._role(user, HOLDS)

    async def all(self) -> Mapping[str, Role]:
        """Return who has a role, as far as known.

        Raises:
            TransportError: The log has never been asked, and gives no answer.
        """
        if self._book.logged:
            _ = await self._sync.ask(None, patience=READ_TIMEOUT)
        if self._book.claimed:
            return self._book.roles()
        if self._book.logged and not self._book.known and not self.owners:
            raise TransportError("nobody has said yet who has which role", channel=self._channel)
        return dict.fromkeys(self.owners, "owner")

    async def holds(self, user: str, wanted: Container[str | None]) -> bool | None:
        """Say whether a user has one of these roles; `None`: nobody can tell now.

        Who has it needs no network; who seems to lack it may have got it a moment ago.
        """
        if await self._role(user, HOLDS) in wanted:
            return True
        await self._look(0.0)
        if await self._role(user, AGAIN) in wanted:
            return True
        said = self._book.known or not self._book.logged or self.owners or self._context.roles is not None
        return False if said else None

    # -- who may do what --------------------------------------------------------------------------------

    async def check_send(self, user: str, *, labelled: bool) -> None:
        """Refuse a message that somebody may not make here; `labelled`: it has a topic, or needs none.

        Raises:
            InvalidMessage: It has no topic, where each has one.
            NotAllowed: Owners alone publish.
        """
        if self.kind == "topic" and not labelled:
            raise InvalidMessage(
                "topic: is missing in a channel of topics",
                channel=self._channel,
                hint='Write send(..., topic="billing").',
            )
        if self.judges and await self.holds(user, _OWNERS) is False:
            raise NotAllowed(
                "only an owner may publish in a broadcast channel",
                channel=self._channel,
                hint="An owner gives the role: `channel.grant(user, 'owner')`; or name owners in "
                "chat.channel(owners=[...]) or connect(roles=...).",
            )

    async def check_moderation(self, user: str, verb: str, message_id: str) -> None:
        """Refuse that somebody deletes or restores the message of another.

        Raises:
            NotAllowed: They moderate nothing here, as its log says; or no log checks who does.
        """
        if self._context.fenced:
            if not self._book.logged or self._book.roles().get(user) in MODERATORS:
                return
            await self._look(0.0)
            if not self._book.known or self._book.roles().get(user) in MODERATORS:
                return
            reason, hint = (
                f"only its author or a moderator may {verb} a message",
                "An owner names moderators.",
            )
        else:
            reason = f"only its author may {verb} a message"
            hint = "Moderators need a log that checks roles: give connect() one with `log=`."
        raise NotAllowed(reason, channel=self._channel, message_id=message_id, hint=hint)

    async def give(self, by: str, user: str, role: Role | None) -> Wish:
        """Wish that a user has a role; `None`: none any more.

        The first role in a log makes owners of whoever the app says are, and the channel what the app says.

        Raises:
            CapabilityError: No log keeps roles here.
            NotAllowed: Somebody else owns the channel.
            OutboxFull, StoreError: The wish could not be kept.
        """
        _ = await self._sync.restored()
        await self._look(0.0)
        book = self._book
        owners: list[str] = []
        if book.claimed:
            problem = objection_to_role(book.roles(), by, user, role)
        elif await self._role(by, AGAIN) == OWNER:
            problem, owners = None, [by, *self.owners]
        else:
            problem = self._objection_to_claim(by, user, role)
        if problem is not None:
            hint = (
                "Nobody owns it yet: claim it with `channel.grant(your_id, 'owner')`."
                if not book.claimed
                else ""
            )
            raise NotAllowed(problem, channel=self._channel, hint=hint)
        registers = [book.role_wish(owner, "owner") for owner in dict.fromkeys(owners) if owner != user]
        registers.append(book.role_wish(user, role))
        if self.judges and book.kind != BROADCAST:
            registers.append(book.kind_wish(BROADCAST))
        wishes = await self._sync.wish(registers)
        return next(wish for wish in wishes if wish.cell == (ROLE, user))

    async def pin(self, by: str, ident: Ident, *, pinned: bool) -> Wish:
        """Wish that a message is pinned, or not any more.

        Raises:
            CapabilityError: No log keeps pins here.
            NotAllowed: Owners and moderators alone pin here.
            StateError: As many are pinned as can be.
            OutboxFull, StoreError: The wish could not be kept.
        """
        _ = await self._sync.restored()
        if not self._book.known:
            await self._look(0.0)
        if not await self._may_pin(by):
            raise NotAllowed(
                "only an owner or a moderator pins messages", channel=self._channel, message_id=ident.id
            )
        now = self._book.pins()
        if pinned and len(now) >= len(PINS) and ident not in [one.ident for one in now]:
            raise pins_full(self._channel)
        (wish,) = await self._sync.wish([self._book.pin_wish(ident, by if pinned else None)])
        return wish

    # -- what arrives -----------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether it can be told who publishes here; until then what arrives waits."""
        return not self.judges or not self._book.logged or self._book.known

    async def admits(self, fact: Fact) -> bool:
        """Say whether to believe a fact: in a broadcast channel owners alone make messages.

        A log that knows of the broadcast has checked it by the roles of that moment. Elsewhere it takes an
        owner for whom somebody vouches.
        """
        if not self.judges or fact.envelope.kind != "message.create":
            return True
        if not (fact.stamped and self.checked) and fact.attested == "none":
            return False
        return await self.admits_author(fact.user)

    async def admits_author(self, user: str) -> bool:
        """Say whether to believe that a message which a log or a provider vouches for is to be here."""
        return not self.judges or self.checked or await self._role(user, HOLDS) == OWNER

    async def admitted(self, page: Messages) -> Messages:
        """Return a page of the log without what is not to be here."""
        if not self.judges:
            return page
        items = [folded for folded in page.items if await self.admits_author(folded.ident.user)]
        return page._replace(items=tuple(items))

    @property
    def checked(self) -> bool:
        """Whether the log itself refuses what others than owners publish."""
        return self._context.fenced and self._book.kind == BROADCAST

    # -- inside -----------------------------------------------------------------------------------------

    async def _role(self, user: str, age: float) -> Role | None:
        """Return what is known of a user; the app's answer may be so many seconds old."""
        if self._book.claimed:
            return self._book.roles().get(user)
        if user in self.owners:
            return "owner"
        return await self._ask(user, age)

    async def _ask(self, user: str, age: float) -> Role | None:
        """Return what the app's callback says; one that fails has said nothing."""
        call = self._context.roles
        if call is None:
            return None
        now = self._context.clock.monotonic()
        at, role = self._answers.pop(user, (float("-inf"), None))
        if now >= at + age:
            try:
                role = role_of(await bounded(lambda: call(self._channel, user), CALLBACK))
            except Exception as error:  # noqa: BLE001  # the app's code may raise anything
                self._context.counters["roles_failed"] += 1
                self._context.observer.point("roles.failed", error=type(error).__name__)
                return None
            at = self._context.clock.monotonic()
        self._answers[user] = at, role
        if len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
        return role

    async def _look(self, age: float | None) -> None:
        """Have the log asked, if there is one and it was not lately; nobody waits long for it."""
        if self._book.logged:
            _ = await self._sync.ask(age, patience=PATIENCE)

    def _objection_to_claim(self, by: str, user: str, role: Role | None) -> str | None:
        """Return why somebody may not give the first role, where the app names no owner of it."""
        backend = self._context.adapter.trusted and by == self._context.user
        if self.owners or self._context.roles is not None:
            return "only an owner gives roles"
        return None if role == OWNER and (by == user or backend) else "nobody owns this channel"

    async def _may_pin(self, user: str) -> bool:
        book = self._book
        has_owner = owned(book.roles()) if book.claimed else bool(self.owners or self._context.roles)
        if not has_owner:
            return True
        return await self.holds(user, MODERATORS) is not False
