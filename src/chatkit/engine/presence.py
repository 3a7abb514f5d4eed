"""`PresenceFeed`: presence in one channel: who is there, and this client's wishes to be (D32)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from chatkit.engine.presence_entering import Entering
from chatkit.engine.presence_set import PresenceSet
from chatkit.engine.presence_wishes import PresenceWishes
from chatkit.engine.presence_words import ASK, STATUS, PresenceWords
from chatkit.engine.syncing import doze
from chatkit.errors import CapabilityError, ChatkitError, StateError
from chatkit.model.values import EMPTY
from chatkit.ports import Moved, Roster

if TYPE_CHECKING:
    from chatkit.core.said import Said
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.reading import Passing
    from chatkit.engine.receipts import ReceiptBook
    from chatkit.model.views import Member
    from chatkit.ports import Present, Session


class Listener(Protocol):
    """Shows who is there."""

    def changed(self) -> None:
        """It may be others now."""
        ...


class PresenceFeed:
    """What a channel's readers are told of who is there, and what others are told of this client's users.

    The latter in a task of its own, which begins with the first need of it.

    Args:
        parts: Of the channel.
        book: Its receipts.
        wanted: The app asked for the channel with presence.
        session: Returns the live session, or `None`.
        device: Returns this device's name.
        emit: Writes an ephemeral envelope; says whether there was a connection for it.
    """

    def __init__(
        self,
        parts: ChannelParts,
        book: ReceiptBook,
        *,
        wanted: bool,
        session: Callable[[], Session | None],
        device: Callable[[], str],
        emit: Callable[[str, bytes], Awaitable[bool]],
    ) -> None:
        self._context = context = parts.context
        self._channel = parts.name
        self._session = session
        self.wanted = wanted
        """The app asked for the channel with presence."""
        self.listeners: WeakSet[Listener] = WeakSet()
        """Told when who is there, or why it is not known, may be different."""
        self._known = PresenceSet(parts, book, changed=self.changed)
        self._wishes = PresenceWishes(context, parts.name)
        self._words: PresenceWords | None = None
        self._telling: Entering | PresenceWords
        if context.adapter.capabilities.support("presence") == "emulated":
            self._telling = self._words = PresenceWords(parts, self._wishes, device=device, emit=emit)
        else:
            self._telling = Entering(parts, self._wishes, changed=self.changed)
        self._never = self._refused = _impossible(parts, wanted=wanted)
        self._attached = self._running = False
        self._wake = asyncio.Event()

    @property
    def asks(self) -> bool:
        """Whether the channel is to be attached with presence."""
        return self._never is None

    @property
    def synced(self) -> bool:
        """Whether the provider's whole set is in, and the channel is received."""
        return self._known.synced

    @property
    def present(self) -> int:
        """How many users are there."""
        return self._known.present

    @property
    def members(self) -> dict[str, Member]:
        """Everybody known, by user: who is there, who was, and of whom there is another sign."""
        return self._known.members if self.asks else {}

    @property
    def refused(self) -> ChatkitError | None:
        """Why nobody can be seen here, if so."""
        return self._refused

    def error(self, user: str) -> ChatkitError | None:
        """Return why nobody can be seen here, or a user of this client is not let in."""
        return self._refused or self._telling.denied.get(user)

    # -- wishes -----------------------------------------------------------------------------------------

    def wish(self, user: str) -> Said | None:
        """Return as what a user wishes to be here; `None`: not at all."""
        found = self._wishes.get(user)
        return None if found is None or found.status == "offline" else found

    def enter(self, user: str, said: Said) -> None:
        """Have a user be here from now on, after each reconnect too.

        Raises:
            CapabilityError: There is no presence here, or no room: in that case the wish stays.
            StateError: The channel was asked for without presence.
        """
        self._check(user)
        self._wishes.put(user, said)
        self._begin(user)
        known = self.error(user)
        if isinstance(known, CapabilityError):
            raise known

    def leave(self, user: str) -> None:
        """Have a user be here no longer. Raises as `enter`."""
        self._check(user)
        self._telling.leave(user)
        self._begin(user)

    def look(self) -> None:
        """Somebody looks."""
        if self._words is not None and self.asks:
            self._words.look()
            self._start()

    # -- told by the channel ----------------------------------------------------------------------------

    def attaching(self) -> None:
        """The channel is being attached: what was refused may be possible now."""
        self._refused = self._never

    def refuse(self, error: ChatkitError) -> None:
        """The provider does not let us see who is there; the channel is attached without."""
        error.channel = self._channel
        self._refused = error
        self.changed()

    def attached(self) -> None:
        """The channel is received: the wishes are told again."""
        self._attached = True
        self._telling.attached()
        self._wake.set()

    def left(self, *, detached: bool) -> None:
        """The channel is not received: what is known grows old, or (`detached`) is given up."""
        self._attached = False
        if detached:
            self._known.clear()
        else:
            self._known.pause()

    def renew(self) -> None:
        """The machine slept: others may have forgotten us (D32)."""
        self._telling.renew()
        self._wake.set()

    def changed(self) -> None:
        """Who is there, or why it is not known, may be different."""
        for listener in tuple(self.listeners):
            listener.changed()

    def signal(self, signal: Roster | Moved) -> None:
        """Take what the provider says of its presence set; who has no say in the channel is not there."""
        if isinstance(signal, Roster):
            self._known.replace(tuple(filter(self._admits, signal.members)), self._own_word)
            return
        if not self._admits(signal.member):
            return
        self._known.move(signal)
        if signal.change == "leave":
            self._telling.left()
            self._wake.set()
        elif signal.change == "enter" and self._words is not None:
            self._words.came(self._known.present)
            self._say()

    def _admits(self, member: Present) -> bool:
        admitted = self._context.admits(self._channel, member.user)
        self._context.counters["foreign:not_a_member"] += not admitted
        return admitted

    def hear(self, passing: Passing) -> None:
        """Take a word of a device beside the set; one that nobody vouches for is refused."""
        kind, words = passing.envelope.kind, self._words
        if words is None or kind not in {STATUS, ASK}:
            self._context.counters["unread_kind"] += 1
        elif passing.attested == "none":
            self._context.counters["unattested_presence"] += 1
        elif kind == ASK:
            words.answer()
            self._say()
        else:
            if passing.user == self._context.user and words.silent:
                words.answer(always=True)  # a silent device would be taken for the one that spoke
                self._say()
            self._known.hear(passing.user, passing.envelope.sender.device, passing.envelope.body or EMPTY)

    def marked(self, passing: Passing) -> None:
        """Take a register that came by: a read mark shows that somebody is there."""
        body = passing.envelope.body or EMPTY
        if passing.envelope.kind == "state.read" and passing.attested != "none" and "id" in body:
            self._known.marked(passing.user)

    # -- inside -----------------------------------------------------------------------------------------

    @property
    def _own_word(self) -> Said | None:
        """What this device is, where the provider's set does not carry it and somebody wished something."""
        mine = self._wishes.get(self._context.user)
        return None if self._words is None or mine is None else self._words.word

    def _check(self, user: str) -> None:
        if self._never is not None:
            raise self._never
        if self._words is not None and user != self._context.user:
            raise CapabilityError(
                "this provider shows only the connection's own user as present", channel=self._channel
            )

    def _begin(self, user: str) -> None:
        """A user has another wish, or is another one by now."""
        self._telling.look_at(user)
        own = self._own_word
        if own is not None:
            self._known.say(own)
        self._start()

    def _say(self) -> None:
        """This device may have something to say."""
        if self._words is not None and self._words.pending:
            self._start()

    def _start(self) -> None:
        """There may be something to do."""
        if not self._running and not self._context.tasks.closing:
            self._running = True
            self._context.activity.on_back.append(self._wake.set)
            self._context.tasks.keep(self._run, f"presence:{self._channel}")
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await doze(self._wake, await self._work())

    async def _work(self) -> float | None:
        """Tell what is to be told; returns the seconds until there may be more, or `None`."""
        me, session = self._context.user, self._session()
        if session is None or not self._attached or self._refused is not None:
            return None
        self._telling.look_at(me)  # who may be idle by now
        own = self._own_word
        if own is not None:
            self._known.say(own)
        waits = (await self._telling.work(session), self._wishes.changes_in)
        return min((wait for wait in waits if wait is not None), default=None)


def _impossible(parts: ChannelParts, *, wanted: bool) -> ChatkitError | None:
    """Return why there can be no presence in a channel, or `None`."""
    if not wanted:
        return StateError(
            "the channel was asked for without presence",
            hint="Ask for it with `chat.channel(name, presence=True)`.",
            channel=parts.name,
        )
    if parts.context.adapter.capabilities.support("presence") == "none":
        return CapabilityError("this provider has no presence", channel=parts.name)
    return None
