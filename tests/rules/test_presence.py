"""Who is there is what the provider and the devices said, and each change of it is told (D32, I10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from chatkit.core import roster
from chatkit.core.hlc import HybridClock
from chatkit.core.said import Said
from chatkit.engine.presence_set import PresenceSet
from chatkit.model.views import Member
from chatkit.ports import Moved, Present
from tests.rules.driving import Machine, drive, examples
from tests.rules.strategies import crowd, numbers
from tests.rules.stubs import Hider, Told, parts

ME = "ada"
MOST, CLIENTS, DEVICES, GONE = 7, 3, 2, 2
"""Small, so that all are reached."""

clients = st.sampled_from(["1", "2", "3", "4"])
words = st.builds(
    Said,
    status=st.sampled_from(["online", "online", "away", "offline"]),
    data=st.sampled_from([{}, {}, {"at": "home"}, {"at": "work", "mood": "fine"}]),
)
NOBODY = "x" * 200
"""No name of a user."""


class Row(NamedTuple):
    """One client, or one device's word."""

    user: str
    of: str
    said: Said


@dataclass
class Model:
    """Everything that was said and still holds, as lists."""

    clients: list[Row] = field(default_factory=list[Row])
    words: list[Row] = field(default_factory=list[Row])
    seen: list[tuple[str, datetime]] = field(default_factory=list[tuple[str, datetime]])
    """Who was seen last stands last."""
    entered: list[str] = field(default_factory=list[str])
    """Who is there, as they came."""
    left_out: int = 0

    def put(self, user: str, client: str, said: Said, now: datetime) -> None:
        """A client is there."""
        mine = [row for row in self.clients if row.user == user]
        known = [row for row in mine if row.of == client]
        if not known and (len(self.clients) >= MOST or len(mine) >= CLIENTS or user == NOBODY):
            self.left_out += 1
            return
        self.clients = [row for row in self.clients if row not in known]
        self.clients.append(Row(user, client, said))
        if user not in self.entered:
            self.entered.append(user)
        self.note(user, now)

    def drop(self, user: str, client: str, now: datetime) -> None:
        """A client is not there any more."""
        gone = [row for row in self.clients if (row.user, row.of) == (user, client)]
        if gone:
            self.clients.remove(gone[0])
            self.note(user, now)
            self._tidy()

    def replace(self, members: list[Row], now: datetime) -> None:
        """The whole set is another."""
        self.clients, self.entered = [], []
        for user, client, said in members:
            self.put(user, client, said, now)
        self._tidy()

    def hear(self, user: str, device: str, said: Said, now: datetime) -> None:
        """A device says something of itself."""
        if user not in self.entered:
            return
        self.words = [row for row in self.words if (row.user, row.of) != (user, device)]
        self.words.append(Row(user, device, said))
        mine = [row for row in self.words if row.user == user]
        if len(mine) > DEVICES:
            self.words.remove(mine[0])
        self.note(user, now)

    def note(self, user: str, now: datetime) -> None:
        """A user was seen."""
        self.seen = [one for one in self.seen if one[0] != user] + [(user, now)]

    def forget(self) -> None:
        """Of those who are not there only a few are remembered."""
        gone = [one for one in self.seen if one[0] not in self.entered]
        for one in gone[: max(0, len(gone) - GONE)]:
            self.seen.remove(one)

    def _tidy(self) -> None:
        there = {row.user for row in self.clients}
        self.entered = [user for user in self.entered if user in there]
        self.words = [row for row in self.words if row.user in there]

    def members(self) -> dict[str, Member]:
        """Everybody known, as one member each."""
        return {user: self._member(user, at) for user, at in self.seen}

    def _member(self, user: str, at: datetime) -> Member:
        said = [row.said for row in self.words if row.user == user] or [
            row.said for row in self.clients if row.user == user
        ]
        there = [one for one in said if one.status != "offline"] if user in self.entered else []
        if not there:
            return Member(user=user, status="offline", last_seen=at)
        data: dict[str, Any] = {}
        for one in there:
            data |= one.data
        online = any(one.status == "online" for one in there)
        return Member(
            user=user, status="online" if online else "away", data=data, last_seen=at, devices=len(there)
        )


class PresenceMachine(Machine):
    """One channel, as one client sees who is there."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in (("MOST", MOST), ("CLIENTS", CLIENTS), ("DEVICES", DEVICES), ("GONE", GONE)):
            self.patch.setattr(roster, name, value)
        self.told, self.hider, self.model = Told(), Hider(), Model()
        made = parts(ME, self.clock, self.told, self.hider, hlc=HybridClock())
        book: Any = SimpleNamespace(modes={}, marks=SimpleNamespace(read=lambda: iter(())))
        self.set = PresenceSet(made, book, changed=lambda: None)
        self.counters = made.context.counters
        self.quiet = True
        """The whole set was not in yet: what it brings is no news."""

    def teardown(self) -> None:
        """Give the bounds back."""
        self.patch.undo()
        super().teardown()

    def _is_told(self, known: dict[str, Member]) -> None:
        """Each change of who is there is one event, which says what became of whom; nothing else is."""
        events = self.told.taken()
        before, after = _there(known), _there(self.model.members())
        changed = {user for user in {*before, *after} if before.get(user) != after.get(user)}
        expected = {
            user: "enter" if user not in before else "leave" if user not in after else "update"
            for user in changed
        }
        assert sorted((event.member.user, event.change) for event in events) == sorted(expected.items())
        for event in events:
            user = event.member.user
            forgotten = (
                Member(user=user, status="offline", last_seen=known[user].last_seen)
                if user in known
                else None
            )
            assert event.member == self.model.members().get(user, forgotten)
            assert event.own == (user == ME)

    @rule(user=crowd | st.just(NOBODY), client=clients, said=words, again=st.booleans())
    def comes(self, user: str, client: str, said: Said, again: bool) -> None:
        """A client enters, or says something else."""
        before = self.model.members()
        self.set.move(Moved("room", "update" if again else "enter", Present(user, client, said.fields())))
        self.model.put(user, client, said, self.clock.wall())
        self.model.forget()
        self._is_told(before)

    @rule(user=crowd, client=clients, pick=st.none() | numbers)
    def goes(self, user: str, client: str, pick: int | None) -> None:
        """A client leaves, known or not."""
        before, there = self.model.members(), self.model.clients
        if pick is not None and there:
            user, client, _ = there[-1 - pick % len(there)]
        self.set.move(Moved("room", "leave", Present(user, client, {})))
        self.model.drop(user, client, self.clock.wall())
        if user not in self.model.entered:
            self.model.forget()
        self._is_told(before)

    @rule(members=st.lists(st.tuples(crowd, clients, words), max_size=9), own=st.none() | words)
    def sync(self, members: list[tuple[str, str, Said]], own: Said | None) -> None:
        """The provider gives the whole set (SYNC, presence_state, subscription_succeeded)."""
        before = self.model.members()
        self.set.replace([Present(user, client, said.fields()) for user, client, said in members], own)
        now = self.clock.wall()
        self.model.replace([Row(*one) for one in members], now)
        self.model.forget()
        if own is not None:
            self.model.hear(ME, "", own, now)
        if self.quiet:
            assert self.told.taken() == []
        else:
            self._is_told(before)
        self.quiet = False
        assert self.set.synced

    @rule(user=crowd, device=st.sampled_from(["phone", "laptop", "desk"]), said=words, mine=st.booleans())
    def says(self, user: str, device: str, said: Said, mine: bool) -> None:
        """A device says something beside the set; this one's own word does not come back."""
        before = self.model.members()
        if mine:
            self.set.say(said)
            self.model.hear(ME, "", said, self.clock.wall())
        else:
            self.set.hear(user, device, said.fields())
            self.model.hear(user, device, said, self.clock.wall())
        self._is_told(before)

    @rule(user=crowd)
    def marks(self, user: str) -> None:
        """A mark of a user passes by: they are somewhere."""
        before = self.model.members()
        self.set.marked(user)
        self.model.note(user, self.clock.wall())
        self.model.forget()
        self._is_told(before)

    @rule(detached=st.booleans(), seconds=st.sampled_from([0.0, 1.0, 60.0]))
    def is_cut(self, detached: bool, seconds: float) -> None:
        """Nothing more is heard: who was there stays shown, and grows old; or the channel is given up."""
        self.clock.advance(seconds)
        if detached:
            self.set.clear()
            self.model, self.quiet = Model(left_out=self.model.left_out), True
        else:
            self.set.pause()
            for user in self.model.entered:
                self.model.note(user, self.clock.wall())
        assert not self.set.synced
        assert self.told.taken() == []

    @rule(user=crowd)
    def is_hidden(self, user: str) -> None:
        """A user is hidden, or is no longer."""
        self.hider.users ^= {user}

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @invariant()
    def members_are_who_is_there(self) -> None:
        """Everybody known, devices merged, but for those who are hidden; within the bounds (D32, I10)."""
        hidden = self.hider.users - {ME}
        expected = {user: one for user, one in self.model.members().items() if user not in hidden}
        assert self.set.members == expected
        assert self.set.present == len(self.model.entered)
        assert self.counters["presence_left_out"] == self.model.left_out
        assert len(self.model.seen) <= len(self.model.entered) + GONE + 1
        assert len(self.model.clients) <= MOST


def _there(members: dict[str, Member]) -> dict[str, Any]:
    """Who is there, as events tell of it."""
    return {
        user: (member.status, dict(member.data), member.devices)
        for user, member in members.items()
        if member.status != "offline"
    }


@examples(6, 90, 6_000)
def test_who_is_there_is_what_was_said(examples: int) -> None:
    """Clients come, change and go, whole sets replace, devices speak beside them, links break (D32)."""
    drive(PresenceMachine, examples)
