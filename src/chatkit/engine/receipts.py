"""`ReceiptBook`: the receipts of one channel, or thread: marks, and what they leave unread (D25, I9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias
from weakref import WeakValueDictionary

from chatkit.core.receipts import PUBLIC, Marks
from chatkit.core.unread import Faces, Tally, tally
from chatkit.model.events import ReceiptAdvanced
from chatkit.model.order import OrderKey
from chatkit.model.registers import DELIVERED, READ, UNREAD, Register, place_text, thread_suffix
from chatkit.model.views import Unread

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts

Mode: TypeAlias = Literal["read", "read+delivered", "off"]
"""Which marks of a user others are told: `off`: none, what is read is noted on this device alone."""

NAMES: Final = (*PUBLIC, UNREAD)
_KINDS: Final[dict[str, Literal["read", "delivered"]]] = {READ: "read", DELIVERED: "delivered"}


class Listener(Protocol):
    """Who wants to know a user's count."""

    @property
    def followed(self) -> bool:
        """Whether somebody looks at each change."""
        ...

    def changed(self) -> None:
        """The count may be another one."""
        ...


class First(NamedTuple):
    """The oldest unread message among those that are loaded."""

    key: OrderKey | None
    whole: bool
    """There is no older one."""


class ReceiptBook:
    """Keeps marks of a channel, or of one thread, and counts from them.

    A mark is a place, which means something beside the numbers of one log alone: when another log stands
    behind the channel, the marks of the former one stay in the store under its name and count for nothing.

    Args:
        parts: Of the channel.
        live: Returns whether the timeline shows all there is.
    """

    def __init__(self, parts: ChannelParts, live: Callable[[], bool]) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._thread = parts.thread
        self._suffix = thread_suffix(parts.thread)
        self._timeline = parts.timeline
        self._progress = parts.progress
        self._dispatcher = parts.dispatcher
        self._screen = parts.presenter.screen
        self._live = live
        log = parts.context.log
        self.logged = log is not None and "registers" in log.capabilities
        """A log keeps the marks; else they are announced, and each device keeps what it heard."""
        self.modes: dict[str, Mode] = {}
        """The users of this client that have receipts here."""
        # Weak: whom an app forgets need not be told, and a backend speaks for very many users.
        self.listeners: WeakValueDictionary[str, Listener] = WeakValueDictionary()
        """Told when a user's count may be another one."""
        self.marks = Marks(self.modes)
        self.unsaved: dict[tuple[str, str], Register] = {}
        """Marks that the store does not have yet, as it is to have them."""
        self.synced = False
        """The log's marks were read since live began."""
        self.turn = 0
        """Counts what may change a count."""
        self.lacking: Callable[[str], None] = lambda _: None
        """Told whose messages cannot be counted from what is loaded."""
        self.present: Callable[[], int] = lambda: 0
        """Returns how many users are there."""
        self._origin: str | None = None if parts.context.log is not None else parts.context.origin
        self._stored: dict[str, list[Register]] = {}
        self._answers: dict[str, tuple[int, Unread]] = {}
        self._restored = False
        self._faces = Faces()

    @property
    def crowd(self) -> int:
        """How many users are known to whom a mark may be news: who is there, or has a mark."""
        return max(self.present(), self.marks.users)

    @property
    def watched(self) -> bool:
        """Whether somebody follows a count."""
        return any(listener.followed for listener in tuple(self.listeners.values()))

    @property
    def moderated(self) -> bool:
        """Some messages do not count, of which the log knows nothing: only what is loaded can be counted."""
        return self._screen.active

    def seen(self, users: frozenset[str]) -> frozenset[str]:
        """Return those of some users of whom something may be shown."""
        return users - self._screen.hidden(users)

    @property
    def log_id(self) -> str | None:
        """Whose numbers the marks are of, where there is a log and it has said its name."""
        return self._origin if self._context.log is not None else None

    # -- marks ------------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Take up what the store holds; a store that cannot say leaves nothing read."""
        try:
            cells = await self._context.store.registers(self._channel)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, the channel goes on
            self._context.counters["store_errors"] += 1
            self._context.observer.point("store.failed", error=type(error).__name__)
            cells = ()
        for cell in cells:
            name, _, origin = cell.name.partition(" ")
            mark = self.unnamed(cell._replace(name=name))
            if mark is not None:
                self._stored.setdefault(origin, []).append(mark)
        self._restored = True
        self.settle(self._progress.log_id)
        self._take_stored()
        self.changed()

    def settle(self, log_id: str | None) -> None:
        """Take note of whose numbers count now."""
        if self._context.log is None or log_id is None or log_id == self._origin:
            return
        if self._origin not in (None, self._context.origin):
            self.marks = Marks(self.modes)
            self._answers.clear()
            self.synced = False
        self._origin = log_id
        self._take_stored()
        self.changed()

    def stored(self, register: Register) -> Register:
        """Return a register as the store keeps it: its name says whose numbers its place is of."""
        named = self.named(register)
        return named._replace(name=f"{named.name} {self._origin or self._context.origin}")

    def named(self, register: Register) -> Register:
        """Return a mark as the register that a log or a store keeps: a thread has names of its own."""
        return register._replace(name=register.name + self._suffix)

    def unnamed(self, register: Register) -> Register | None:
        """Return the mark that a register is; `None`: it is none of these."""
        name = register.name.removesuffix(self._suffix)
        fits = name in NAMES and register.name == name + self._suffix
        return register._replace(name=name) if fits else None

    def learn(self, origin: str | None) -> None:
        """Take note of who numbered a message, where the log has not said its name yet."""
        if self._origin is None and origin != self._context.origin:
            self.settle(origin)

    def counts(self, origin: str | None) -> bool:
        """Whether a place that somebody numbered can be compared with the marks."""
        return self._origin is None or origin in (self._origin, self._context.origin, None)

    def take(self, register: Register, *, tell: bool) -> bool:
        """Merge a mark from elsewhere; returns whether it changed anything."""
        if not self.marks.take(register):
            return False
        self.noted(register.user, register.name)
        if tell:
            self.tell(register.user, register.name)
        return True

    def noted(self, user: str, name: str, *, saved: bool = False) -> None:
        """Take note that a mark changed."""
        found = self.marks.get(user, name)
        if found is not None and not saved:
            self.unsaved[user, name] = self.stored(found)
        self._answers.pop(user, None)
        self.changed()

    async def keep(self, registers: Sequence[Register]) -> tuple[str, ...]:
        """Put own marks into the store, then believe them; returns the names of those that changed.

        None do where another log took the place of theirs meanwhile (D18).

        Raises:
            StoreError: The store could not keep them; they are as before.
        """
        marks = self.marks
        self._context.observer.point("receipts.keeping", channel=self._channel)
        await self._context.store.put([self.stored(register) for register in registers])
        self._context.observer.point("receipts.kept", channel=self._channel)
        if marks is not self.marks:
            return ()
        changed = tuple(register.name for register in registers if self.marks.take(register))
        for register in registers:
            self.noted(register.user, register.name, saved=True)
        return changed

    def read(self, user: str, key: OrderKey, id: str) -> list[Register]:
        """Return the registers that change when a user has read up to a message."""
        found: list[Register] = []
        place, again = self.marks.place(user), self.marks.again(user)
        if place is None or place < key:
            found.append(Register(self._channel, user, READ, id, "greatest", key))
        if again is not None and again <= key:
            found.append(self._private(user, ""))
        return found

    def received(self, user: str) -> Register | None:
        """Return the register that says that a user has all there is, if it is to change."""
        window = self._timeline.window
        newest = next(reversed(window), None)
        if newest is None or window.has_newer or not self._live():
            return None
        place = self.marks.place(user, DELIVERED)
        if place is not None and place >= newest.key:
            return None
        return Register(self._channel, user, DELIVERED, newest.id, "greatest", newest.key)

    def unread_from(self, user: str, key: OrderKey) -> Register:
        """Return the register that says that all from a message on is unread again."""
        return self._private(user, place_text(key))

    def tell(self, user: str, name: str) -> None:
        """Tell readers how far a mark has come."""
        found, kind = self.marks.get(user, name), _KINDS.get(name)
        if found is None or kind is None:
            return
        self._dispatcher.tell(
            ReceiptAdvanced(
                event_id=f"{self._channel}/{kind}/{user}/{found.value}",
                channel=self._channel,
                at=self._context.server_time.now(),
                own=user == self._context.user,
                user=user,
                kind=kind,
                message_id=found.value,
            ),
            thread=self._thread,
        )

    # -- counts -----------------------------------------------------------------------------------------

    def changed(self) -> None:
        """What is counted may be different."""
        self.turn += 1
        self._tell_listeners()

    def tally(self, user: str) -> Tally:
        """Count what a user has not read of what is loaded."""
        start, again = self._start(user)
        counts = self._counts if self.moderated else None
        newest_first, within = reversed(self._timeline.window), self._thread is not None
        return tally(newest_first, user, self._faces, start=start, again=again, counts=counts, thread=within)

    def first_loaded(self, user: str) -> First:
        """Return where the oldest loaded message stands that a user has not read."""
        found = self.tally(user)
        return First(None if found.first is None else found.first.key, self._whole(user, found))

    def unread(self, user: str) -> Unread:
        """Return what a user has not read, from what is loaded, else from what the log said last."""
        found = self.tally(user)
        here = Unread(
            messages=found.messages,
            mentions=found.mentions,
            exact=self._whole(user, found) and self._sure(user),
            first=None if found.first is None else found.first.id,
        )
        if not self._restored or self._whole(user, found) or self.moderated:
            return here
        self.lacking(user)
        turn, told = self._answers.get(user, (self.turn, None))
        if told is None:
            return here
        if turn == self.turn and self._live():
            return told
        return Unread(
            messages=max(here.messages, told.messages),
            mentions=max(here.mentions, told.mentions),
            exact=False,
            first=told.first or here.first,
        )

    def answered(self, user: str, turn: int, found: Unread) -> None:
        """Take note of what the log counted while the book was at `turn`."""
        before = self._answers.get(user)
        self._answers[user] = turn, found
        if before != (turn, found):
            self._tell_listeners()

    def asked(self, user: str) -> bool:
        """Whether the log has counted a user's messages as they are now."""
        return self._answers.get(user, (-1,))[0] == self.turn

    # -- inside -----------------------------------------------------------------------------------------

    def _counts(self, author: str, mentioned: bool) -> bool:  # noqa: FBT001  # a callback's shape
        return self._screen.counts(self._channel, author, mentioned=mentioned)

    def _tell_listeners(self) -> None:
        for listener in tuple(self.listeners.values()):
            listener.changed()

    def _take_stored(self) -> None:
        for origin in (self._origin, self._context.origin):
            for cell in self._stored.pop(origin or "", ()):
                _ = self.marks.take(cell)

    def _private(self, user: str, value: str) -> Register:
        key = OrderKey(1, self._context.hlc.tick(self._context.server_time.now_ms()))
        old = self.marks.get(user, UNREAD)
        if old is not None and old.key is not None:  # of equal ones the later stands: a clock may be behind
            key = max(key, old.key)
        return Register(self._channel, user, UNREAD, value, "newest", key)

    def _start(self, user: str) -> tuple[OrderKey | None, bool]:
        """Return from where on messages are unread, and whether the one there is."""
        read, again = self.marks.place(user), self.marks.again(user)
        if read is None or again is None or again > read:
            return read, False
        return again, True

    def _sure(self, user: str) -> bool:
        """Whether nothing can have happened elsewhere that is not known here."""
        own = self.synced or self.modes.get(user) == "off"  # whose marks are nowhere else
        return self.logged and own and self._live()

    def _whole(self, user: str, found: Tally) -> bool:
        """Whether all that may be unread is loaded."""
        window, floor = self._timeline.window, self._progress.floor
        start, again = self._start(user)
        if self._thread is not None:  # its pages are of it alone: what the channel skipped is no hole here
            return not window.has_newer and (found.reached or not window.has_older)
        if window.has_newer or any(start is None or above > start for _, above in self._progress.holes):
            return False
        if found.reached:
            return True
        if window.has_older:
            return False
        return floor is None or (start is not None and (floor < start or (floor == start and not again)))
