"""`RegisterBook`: what a channel's log says of the channel itself: roles, its kind, pins (D25)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from chatkit.core.roles import role_of, roles_in
from chatkit.engine.register_wishes import (
    Cells,
    Wish,
    WishStatus,
    outcome,
    pin_name,
    pinned_in,
    recalled,
    registers_for,
    slot_name,
    stored,
)
from chatkit.errors import ChatkitError, OutboxFull, StateError
from chatkit.model.events import PinChanged, RoleChanged
from chatkit.model.names import EVERYONE, user_problem
from chatkit.model.order import Ident, OrderKey
from chatkit.model.pins import Pinned, pin_of, pin_text
from chatkit.model.registers import KIND, MODERATORS, PINS, ROLE, Register, Role

if TYPE_CHECKING:
    from chatkit.engine.parts import ChannelParts

NAMES: Final = (ROLE, KIND, *PINS)
"""What is read of a log."""
MEMBERS: Final = 10_000
"""Users without a say whose roles are kept of one channel."""
WISHES: Final = 1_000
"""Most changes of one channel that wait for its log."""
TRIES: Final = 5
"""Places that a pin is tried in where others take them at the same moment."""


class RegisterBook:
    """What the log said last, and on top of it what is wished and not there yet.

    Args:
        parts: Of the channel.
    """

    def __init__(self, parts: ChannelParts) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._progress = parts.progress
        self._dispatcher = parts.dispatcher
        log = parts.context.log
        self.logged = log is not None and "registers" in log.capabilities
        """A log keeps them; else nobody does."""
        self.known = False
        """The log has said what there is, in this life or an earlier one."""
        self.wishes: dict[tuple[str, str], Wish] = {}
        self._slots: set[int] = set()
        """Where in the store wishes lie."""
        self._cells: dict[tuple[str, str], Register] = {}
        self._log_id: str | None = None
        self._stored: dict[str, list[Register]] = {}
        self._roles: Mapping[str, Role] | None = None
        """What `roles` said last, while it holds."""
        self._unsaved: dict[tuple[str, str], Register] = {}
        """What the store does not have yet, as it is to have it."""

    @property
    def dirty(self) -> bool:
        """Whether there is something to be written to the store."""
        return bool(self._unsaved)

    # -- what there is ----------------------------------------------------------------------------------

    @property
    def claimed(self) -> bool:
        """Whether somebody has, or had, a role here: then the log decides who may do what."""
        return any(name == ROLE for name, _ in (*self._cells, *self.wishes))

    @property
    def kind(self) -> str | None:
        """What kind of channel the log says that it is; `None`: it says nothing."""
        found = self._cells.get((KIND, EVERYONE))
        return None if found is None else found.value

    def roles(self) -> Mapping[str, Role]:
        """Return who has a role, what is wished included."""
        if self._roles is None:
            wished = (wish.register for wish in self.wishes.values())
            self._roles = MappingProxyType(roles_in((*self._cells.values(), *wished)))
        return self._roles

    def pins(self) -> tuple[Pinned, ...]:
        """Return what is pinned, newest first, what is wished included."""
        found = _pinned(self._cells)
        for wish in self.wishes.values():
            ident, pinned = wish.pin, pin_of(wish.register.value)
            if ident is not None and pinned is not None:
                found.setdefault(ident, (_age(wish.register), pinned))
            elif ident is not None:
                found.pop(ident, None)
        newest_first = sorted(found.values(), key=lambda one: one[0], reverse=True)
        return tuple(pinned for _, pinned in newest_first)

    # -- what the log says ------------------------------------------------------------------------------

    def settle(self, log_id: str) -> None:
        """Take note of which log it is: what another one said counts for nothing (D18)."""
        if log_id != self._log_id:
            self._log_id = log_id
            self._cells = {(cell.name, cell.user): cell for cell in self._stored.pop(log_id, ())}
            self._roles = None
            self.known = bool(self._cells)

    def replace(self, cells: Iterable[Register], *, tell: bool) -> None:
        """Take over what the log has, all of it; `tell`: what is different is news to readers."""
        before = self._cells
        self._cells = {(cell.name, cell.user): cell for cell in self._sound(cells)}
        self.known, self._roles = True, None
        for place, cell in self._cells.items():
            if before.get(place) != cell:
                self._unsaved[place] = cell._replace(name=f"{cell.name} {self._log_id}")
        if tell and before != self._cells:
            self._tell_roles(roles_in(before.values()))
            self._tell_pins(_pinned(before))

    def _sound(self, cells: Iterable[Register]) -> Iterable[Register]:
        """Leave out what is no role or pin, and members where there are too many; those are counted."""
        members = 0
        for cell in cells:
            members += cell.name == ROLE and cell.value not in MODERATORS
            if _is_sound(cell) and (members <= MEMBERS or cell.name != ROLE or cell.value in MODERATORS):
                yield cell
            else:
                self._context.counters["refused_register"] += 1

    # -- wishes -----------------------------------------------------------------------------------------

    def role_wish(self, user: str, role: Role | None) -> Register:
        """Return what it takes that a user has a role; `None`: none."""
        return self._register(user, ROLE, role or "")

    def kind_wish(self, kind: str) -> Register:
        """Return what it takes that the log knows what kind of channel it is."""
        return self._register(EVERYONE, KIND, kind)

    def pin_wish(self, ident: Ident, by: str | None) -> Register:
        """Return what it takes that a message is pinned by somebody; `None`: that it is not pinned."""
        pinned = None if by is None else Pinned(ident, by, self._context.server_time.now())
        return self._register(ident.user, pin_name(ident), "" if pinned is None else pin_text(pinned))

    async def wish(self, registers: Sequence[Register]) -> list[Wish]:
        """Put wishes into the store, then show them; older ones about the same are discarded.

        Raises:
            OutboxFull: Too many wait for the log.
            StoreError: The store could not keep them; nothing changed.
        """
        if len(self._slots) + len(registers) > WISHES:
            raise OutboxFull(
                f"{WISHES:,} changes of this channel wait for its log",
                channel=self._channel,
                hint="Wait until the log can be reached.",
            )
        free = (slot for slot in range(WISHES) if slot not in self._slots)
        wishes = [Wish(register, slot) for register, slot in zip(registers, free, strict=False)]
        slots = {wish.slot for wish in wishes}
        self._slots |= slots
        try:
            cells = [stored(self._channel, wish.slot, wish.register) for wish in wishes]
            await self._context.store.put(cells)
            self._context.observer.point("registers.wished", channel=self._channel, wishes=len(cells))
        except BaseException:
            self._slots -= slots
            raise
        for wish in wishes:
            self._wait_for(wish)
        return wishes

    def plan(self, wishes: Iterable[Wish]) -> dict[Wish, list[Register]]:
        """Return what is to be put into the log for each wish; one that cannot come true ends here."""
        cells = dict(self._cells)
        planned: dict[Wish, list[Register]] = {}
        for wish in wishes:
            found = registers_for(wish, cells)
            if found is None:
                self.end(wish, "failed", pins_full(self._channel))
                continue
            planned[wish] = found
            cells |= {(cell.name, cell.user): cell for cell in found}
        return planned

    def judge(self, wishes: Iterable[Wish]) -> None:
        """Say what became of wishes, now that the log was read after they were put there."""
        for wish in wishes:
            status = outcome(wish, self._cells)
            if status != "queued":
                self.end(wish, status)
                continue
            wish.tries += 1  # another message took its place in the same moment: there are others
            if wish.tries >= TRIES:
                self.end(wish, "failed", pins_full(self._channel))

    def end(self, wish: Wish, status: WishStatus, error: ChatkitError | None = None) -> None:
        """Show what the log says in place of a wish, unless a newer one took its place."""
        if self.wishes.get(wish.cell) is not wish:
            return
        wish.end(status, error)
        self._roles = None
        del self.wishes[wish.cell]
        self._slots.discard(wish.slot)
        cell = stored(self._channel, wish.slot, None)
        self._unsaved[cell.name, cell.user] = cell
        if status == "failed":
            self._context.counters["refused_register"] += 1

    # -- the store --------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Take up what the store holds; a store that cannot say leaves nothing known."""
        try:
            cells = await self._context.store.registers(self._channel)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, the channel goes on
            self._failed(error)
            return
        wishes: list[Wish] = []
        for cell in cells:
            name, _, origin = cell.name.partition(" ")
            wish = recalled(cell)
            if wish is not None:
                wishes.append(wish)
            elif name in NAMES:
                self._stored.setdefault(origin, []).append(cell._replace(name=name))
        for wish in sorted(wishes, key=lambda one: _age(one.register)):
            self._wait_for(wish)
        former = [self._progress.log_id, *(self._stored if len(self._stored) == 1 else ())]
        log_id = next((one for one in former if one in self._stored), None)
        if self._log_id is None and log_id is not None:
            self.settle(log_id)

    async def save(self) -> None:
        """Write what the store does not have; what it cannot write is written with the next."""
        unsaved, self._unsaved = self._unsaved, {}
        for slot in self._slots:  # another wish lies there by now
            _ = unsaved.pop((slot_name(slot), EVERYONE), None)
        if not unsaved:
            return
        try:
            await self._context.store.put(list(unsaved.values()))
            self._context.observer.point("registers.saved", channel=self._channel, cells=len(unsaved))
        except BaseException as error:  # a cancelled write may not have happened either
            self._unsaved = unsaved | self._unsaved
            if not isinstance(error, Exception):
                raise
            self._failed(error)

    # -- inside -----------------------------------------------------------------------------------------

    def _wait_for(self, wish: Wish) -> None:
        """Show a wish, in place of an older one about the same."""
        older = self.wishes.get(wish.cell)
        if older is not None:
            self.end(older, "discarded")
        self.wishes[wish.cell] = wish
        self._slots.add(wish.slot)
        self._roles = None

    def _register(self, user: str, name: str, value: str) -> Register:
        key = OrderKey(1, self._context.hlc.tick(self._context.server_time.now_ms()))
        old = self._cells.get((name, user))
        if old is not None and old.key is not None:  # of equal ones the later stands: a clock may be behind
            key = max(key, old.key)
        return Register(self._channel, user, name, value, "newest", key)

    def _tell_roles(self, were: Mapping[str, Role]) -> None:
        roles = roles_in(self._cells.values())
        for user in sorted({*roles, *were}):
            role, previous = roles.get(user), were.get(user)
            if role != previous:
                key = self._cells[ROLE, user].key if (ROLE, user) in self._cells else None
                self._dispatcher.tell(
                    RoleChanged(
                        event_id=f"{self._channel}/role/{user}/{key.serial if key else role}",
                        channel=self._channel,
                        at=self._context.server_time.now(),
                        own=user == self._context.user,
                        user=user,
                        role=role,
                        previous=previous,
                    )
                )

    def _tell_pins(self, were: Mapping[Ident, tuple[OrderKey, Pinned]]) -> None:
        pins = _pinned(self._cells)
        for ident in sorted({*pins, *were}):
            added = ident in pins
            if added == (ident in were):
                continue
            key, one = pins[ident] if added else were[ident]
            word = "pin" if added else "unpin"
            self._dispatcher.tell(
                PinChanged(
                    event_id=f"{self._channel}/{word}/{ident.user}/{ident.id}/{key.serial}",
                    channel=self._channel,
                    at=self._context.server_time.now(),
                    own=one.by == self._context.user,
                    message_id=ident.id,
                    user=one.by,
                    added=added,
                )
            )

    def _failed(self, error: Exception) -> None:
        self._context.counters["store_errors"] += 1
        self._context.observer.point("store.failed", error=type(error).__name__)


def pins_full(channel: str) -> StateError:
    """Return why a message cannot be pinned."""
    return StateError(
        f"{len(PINS)} messages are pinned already", channel=channel, hint="Unpin one of them first."
    )


def _pinned(cells: Cells) -> dict[Ident, tuple[OrderKey, Pinned]]:
    """Return what registers pin, and since when; of a message in two places the later one."""
    pinned: dict[Ident, tuple[OrderKey, Pinned]] = {}
    for cell in sorted(cells.values(), key=_age):
        found = pinned_in(cell)
        if found is not None:
            pinned[found.ident] = _age(cell), found
    return pinned


def _age(cell: Register) -> OrderKey:
    return cell.key or OrderKey(0, "")


def _is_sound(cell: Register) -> bool:
    """Say whether a register of a log is what its name says."""
    if cell.name == ROLE:
        return user_problem(cell.user) is None and (not cell.value or role_of(cell.value) is not None)
    free = not cell.value or cell.name not in PINS
    return cell.user == EVERYONE and (free or pin_of(cell.value) is not None)
