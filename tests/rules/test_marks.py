"""Marks advance, in whatever order they come, and what is unread is what a list says (I5, I9, D25)."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from chatkit.core.fact import Fact
from chatkit.core.hlc import HybridClock
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_changes import target_of
from chatkit.engine.receipts import ReceiptBook
from chatkit.model.order import OrderKey
from chatkit.model.registers import DELIVERED, READ, UNREAD, Register, place_of
from chatkit.model.views import Unread
from tests.core.folding import change, create, timeline
from tests.rules.driving import Machine, drive, examples
from tests.rules.strategies import USERS, numbers, users
from tests.rules.stubs import Hider, Told, parts

PUBLIC = (READ, DELIVERED)


class Device:
    """One device of a user: what it has heard, the marks that have come to it."""

    def __init__(self, machine: MarksMachine, user: str) -> None:
        self.user = user
        self.told = Told()
        self.room: Timeline = timeline(viewer=user)
        self.heard: list[Fact] = []
        self.marks: list[Register] = []
        """All that came, or were made here, in that order."""
        made = parts(user, machine.clock, self.told, Hider(), hlc=machine.hlc, room=self.room)
        self.book = ReceiptBook(made, lambda: len(self.heard) == len(machine.facts))
        machine.do(self.book.restore())
        self.book.synced = True

    def merged(self, user: str, name: str) -> Register | None:
        """What the marks that came make of one: the highest place."""
        mine = [one for one in self.marks if (one.user, one.name) == (user, name) and one.key is not None]
        return max(mine, key=lambda one: one.key or OrderKey(0, ""), default=None)

    def place(self, user: str) -> OrderKey | None:
        """Up to where a user has read."""
        found = self.merged(user, READ)
        return found.key if found else None

    def again(self, user: str) -> OrderKey | None:
        """From where on all is unread again."""
        found = self.merged(user, UNREAD)
        return place_of(found.value) if found else None

    def counted(self, user: str) -> list[tuple[Fact, bool]]:
        """What a user has not read of what was heard, one by one, and whether it mentions them (D25)."""
        found: list[tuple[Fact, bool]] = []
        read, again = self.place(user), self.again(user)
        for made in sorted(self.heard, key=lambda fact: fact.key):
            envelope = made.envelope
            if envelope.kind != "message.create" or made.user == user:
                continue
            changes = [one for one in self.heard if target_of(one.envelope, one.user) == made.ident]
            last = max((one for one in changes if one is not made), key=lambda one: one.key, default=None)
            open_ = read is None or made.key > read or (again is not None and made.key >= again)
            stands = envelope.thread is None or envelope.also
            if open_ and stands and (last is None or last.envelope.kind != "message.delete"):
                found.append((made, user in envelope.mentions or "*" in envelope.mentions))
        return found


class MarksMachine(Machine):
    """Three users, one of them on two devices; marks travel between them in any order, and again."""

    def __init__(self) -> None:
        super().__init__()
        self.hlc = HybridClock()
        """One for all: of one reading there is one value."""
        self.facts: list[Fact] = []
        self.sent: list[Register] = []
        self.devices = [Device(self, user) for user in (*USERS, "ada")]
        self.highest: dict[tuple[int, str, str], OrderKey] = {}

    def _device(self, pick: int) -> Device:
        return self.devices[pick % len(self.devices)]

    # -- messages

    @rule(
        user=users,
        pick=numbers,
        word=st.sampled_from(["create", "create", "create", "reply", "delete", "restore"]),
        also=st.booleans(),
        mentions=st.sampled_from([[], [], ["ada"], ["*"]]),
    )
    def write(self, user: str, pick: int, word: str, also: bool, mentions: list[str]) -> None:
        """Somebody writes, or takes back."""
        made = [fact for fact in self.facts if fact.envelope.kind == "message.create"]
        target = made[-1 - pick % len(made)] if made else None
        serial = len(self.facts) + 1
        if target is None or word == "create":
            self.facts.append(create(serial, user, mentions=mentions))
        elif word == "reply":
            thread = {"id": target.ident.id, "user": target.user}
            self.facts.append(create(serial, user, mentions=mentions, thread=thread, also=also))
        else:
            self.facts.append(change(serial, word, target))

    @rule(device=numbers, pick=st.none() | numbers)
    def hear(self, device: int, pick: int | None) -> None:
        """A device hears something, in any order, or catches up with all."""
        for fact in self.facts if pick is None else self.facts[-1 - pick % max(1, len(self.facts)) :][:1]:
            self._hear(self._device(device), fact)

    def _hear(self, device: Device, fact: Fact) -> None:
        if all(known is not fact for known in device.heard):
            device.heard.append(fact)
            device.room.apply(fact)
            device.book.changed()

    # -- marks

    @rule(device=numbers, pick=numbers)
    def read(self, device: int, pick: int) -> None:
        """A user reads up to a message, perhaps one that was read before."""
        one = self._device(device)
        window = list(one.room.window)
        if window:
            fold = window[-1 - pick % len(window)]
            self._keep(one, one.book.read(one.user, fold.key, fold.id))
            assert one.place(one.user) is not None
            again = one.again(one.user)
            assert again is None or again > fold.key

    @rule(device=numbers)
    def receive(self, device: int) -> None:
        """A device says that it has all there is."""
        one = self._device(device)
        found = one.book.received(one.user)
        if found is not None:
            assert found.key == max(fact.key for fact in one.heard if fact.envelope.kind == "message.create")
            self._keep(one, [found])

    @rule(device=numbers, pick=numbers)
    def mark_unread(self, device: int, pick: int) -> None:
        """A user marks all from a message on as unread: nobody else sees a mark go back (D25)."""
        one = self._device(device)
        window = list(one.room.window)
        if window:
            key = window[-1 - pick % len(window)].key
            self._keep(one, [one.book.unread_from(one.user, key)])
            assert one.book.marks.again(one.user) == key

    def _keep(self, device: Device, made: list[Register]) -> None:
        self.do(device.book.keep(made))
        device.marks += made
        self.sent += made

    @rule(device=numbers, picks=st.none() | st.lists(numbers, min_size=1, max_size=4))
    def marks_come(self, device: int, picks: list[int] | None) -> None:
        """Marks come to a device, late, early or again, or all that the log has; private ones to their user's."""
        sent = self.sent
        chosen = sent if picks is None or not sent else [sent[-1 - pick % len(sent)] for pick in picks]
        for register in chosen:
            self._take(self._device(device), register)

    def _take(self, device: Device, register: Register) -> None:
        if register.name == UNREAD and register.user != device.user:
            return
        before = device.merged(register.user, register.name)
        device.marks.append(register)
        changed = device.book.take(register, tell=True)
        assert changed == (
            before is None or (register.key or OrderKey(0, "")) > (before.key or OrderKey(0, ""))
        )
        told = [(event.user, event.kind, event.message_id) for event in device.told.taken()]
        kind = "read" if register.name == READ else "delivered"
        news = changed and register.name in PUBLIC
        assert told == ([(register.user, kind, register.value)] if news else [])

    # -- what is known of it

    @invariant()
    def public_marks_only_advance(self) -> None:
        """Each stands at the highest place that came, and never lower than before (I9)."""
        for number, device in enumerate(self.devices):
            for user in USERS:
                for name in PUBLIC:
                    place, right = device.book.marks.place(user, name), device.merged(user, name)
                    assert place == (right.key if right else None)
                    before = self.highest.get((number, user, name))
                    assert before is None or (place is not None and place >= before)
                    if place is not None:
                        self.highest[number, user, name] = place
                assert device.book.marks.again(user) == device.again(user)

    @invariant()
    def unread_is_what_a_list_says(self) -> None:
        """Exact where all is loaded and known, else at least so much, and never below nothing (I9, D25)."""
        for device in self.devices:
            counted = device.counted(device.user)
            found: Unread = device.book.unread(device.user)
            assert found == Unread(
                messages=len(counted),
                mentions=sum(calls for _, calls in counted),
                exact=len(device.heard) == len(self.facts),
                first=counted[0][0].ident.id if counted else None,
            )

    @invariant()
    def who_has_read_is_what_a_list_says(self) -> None:
        """`read_by` of a message: everyone whose mark stands at it or above."""
        for device in self.devices:
            for fold in list(device.room.window)[-2:]:
                expected = {user for user in USERS if (device.place(user) or OrderKey(0, "")) >= fold.key}
                assert device.book.marks.reached(fold.key, READ) == expected

    def teardown(self) -> None:
        """When all has come everywhere, all know the same (I5)."""
        try:
            self._converge()
        finally:
            super().teardown()

    def _converge(self) -> None:
        for device in self.devices:
            for register in reversed(self.sent):
                self._take(device, register)
        states = [
            [device.book.marks.get(user, name) for user in USERS for name in PUBLIC]
            for device in self.devices
        ]
        assert all(state == states[0] for state in states)
        first, *_, other = self.devices
        assert first.book.marks.get("ada", UNREAD) == other.book.marks.get("ada", UNREAD)


@examples(5, 80, 4_000)
def test_marks_advance_and_counts_are_right(examples: int) -> None:
    """Users read, receive and mark as unread on several devices; marks come in any order (I5, I9, D25)."""
    drive(MarksMachine, examples)
