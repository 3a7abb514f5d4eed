"""The engine's outbox over a real store and a log that loses, delays and refuses (I1 to I4, D6 to D10, D14)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from chatkit.core.delivery import State
from chatkit.engine.outbox import OutboxEntry
from chatkit.errors import (
    AuthenticationError,
    OutboxFull,
    ProviderError,
    RateLimited,
    Rejected,
    TransportError,
)
from chatkit.logs.memory import MemoryLog
from chatkit.model.message import Status
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident
from chatkit.ports import Ack, Row
from chatkit.ports.log import Appended
from chatkit.ports.outgoing import Outgoing
from chatkit.testing.wishes import wish as foreign_wish
from tests.engine.sending_kit import CAPABLE, Client, FakeAdapter, keep_file
from tests.rules.driving import Machine
from tests.rules.strategies import numbers

ROOMS = ("room", "hall")
USERS = ("ada", "bot")
LIMITS = OutboxLimits(entries=12, size=64_000, age=3_600.0)
FINAL: tuple[Status, ...] = ("sent", "failed", "expired", "discarded")

ANSWERS = ("ok", "lost", "unanswered", "late", "refused", "not now", "slow", "quota", "stale", "unsent")
"""What becomes of a publish: taken; never arrived; taken without an answer; taken later, without an answer; one
is refused for good, or for now; the lane is; the connection is; the credential is; nothing was written."""


@dataclass
class Wish:
    """One accepted send."""

    room: str
    user: str
    ident: Ident
    in_order: bool = True
    """It was neither put off nor sent again by hand."""


@dataclass
class Provider:
    """A log that does what it is told; what is published without one goes into a list."""

    machine: OutboxMachine
    log: MemoryLog
    plan: deque[str] = field(default_factory=deque[str])
    late: list[tuple[str, tuple[Outgoing, ...]]] = field(
        default_factory=list[tuple[str, tuple[Outgoing, ...]]]
    )
    wrong: list[str] = field(default_factory=list[str])
    """What must not have happened. Whatever is raised here is for the lane the network's doing."""
    busy: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    bytes: dict[tuple[Ident, str, int | None], bytes] = field(default_factory=dict)
    doubtful: dict[Ident, tuple[Ident, ...]] = field(default_factory=dict[Ident, tuple[Ident, ...]])
    """Of what was never answered, the batch in which it was."""

    def __getattr__(self, name: str) -> Any:
        """All else is the log's."""
        return getattr(self.log, name)

    void: set[Ident] = field(default_factory=set[Ident])
    """What was refused for good: a copy that is under way still is refused as well."""

    async def append(self, channel: str, entries: Sequence[Outgoing], /) -> Appended:
        """Make one attempt."""
        lane = (channel, entries[0].ident.user, entries[0].device)
        await self._look(lane, entries)
        self.busy.add(lane)
        try:
            return await self._append(channel, entries)
        finally:
            self.busy.discard(lane)

    async def _append(self, channel: str, entries: Sequence[Outgoing]) -> Appended:
        answer = self.plan.popleft() if self.plan else "ok"
        await asyncio.sleep(0.02)
        if answer in {"lost", "late"}:
            self._doubt(entries)
            if answer == "late":
                self.late.append((channel, tuple(entries)))
            raise TransportError("no answer")
        refusals = {
            out.ident: ack for out, ack in zip(entries, _refusals(answer, entries), strict=True) if ack
        }
        if answer == "refused":  # a log looks ids up first, and remembers what it refused (D9)
            there = self.log.core.find(channel, [out.ident for out in entries]).items
            refusals = {ident: ack for ident, ack in refusals.items() if ident not in there}
            self.void |= refusals.keys()
        self._doubt(entries)  # until the answer is there, and for ever if it never comes
        appended = await self.log.append(channel, [out for out in entries if out.ident not in refusals])
        await asyncio.sleep(0.02)
        if answer == "unanswered":
            raise TransportError("no answer")
        for out in entries:
            del self.doubtful[out.ident]
        acks = iter(appended.acks)
        return appended._replace(acks=tuple(refusals.get(out.ident) or next(acks) for out in entries))

    def _doubt(self, entries: Sequence[Outgoing]) -> None:
        self.doubtful |= dict.fromkeys([out.ident for out in entries], tuple(out.ident for out in entries))

    async def _look(self, lane: tuple[str, str, str], entries: Sequence[Outgoing]) -> None:
        """See what a lane owes before it writes (D6, D7, D8, D10)."""
        if lane in self.busy:
            self.wrong.append(f"two publishes in flight in {lane}")
        idents = tuple(out.ident for out in entries)
        for out in entries:
            rows = await self.machine.client.store.rows(ident=out.ident, channel=lane[0])
            row = rows[0] if rows else None
            if row is not None and row.status == "queued":
                self.wrong.append(f"written before it was recorded: {out.ident}")
            if row is not None and row.status == "sending" and (row.data, row.seq) != (out.data, out.seq):
                self.wrong.append(f"recorded otherwise than written: {out.ident}")
            name = (out.ident, out.device, out.seq)
            if self.bytes.setdefault(name, out.data) != out.data:
                self.wrong.append(f"written again with other bytes: {out.ident}")
            before = self.doubtful.get(out.ident)
            if before is not None and before != idents and self.bytes.get(name) == out.data:
                self.wrong.append(f"in doubt, and sent in another batch: {before} then {idents}")

    async def arrive(self) -> None:
        """What was under way arrives after all; nobody waits for the answer any more (D9)."""
        late, self.late = self.late, []
        for channel, entries in late:
            await self.log.append(channel, [out for out in entries if out.ident not in self.void])


def _refusals(answer: str, entries: Sequence[Outgoing]) -> list[Ack | None]:
    ident = entries[0].ident
    one: list[Ack | None] = [None] * (len(entries) - 1)
    match answer:
        case "refused":
            return [Ack(ident, "refused", error=Rejected("no")), *one]
        case "not now":
            return [Ack(ident, "refused", error=ProviderError("500"), again="later"), *one]
        case "slow":
            made = {"error": RateLimited("slow"), "scope": "lane", "again": "later", "after": 2.0}
        case "quota":
            made = {"error": RateLimited("quota"), "scope": "connection", "again": "later", "after": 4.0}
        case "stale":
            made = {"error": AuthenticationError("old"), "scope": "connection", "again": "reauthenticate"}
        case "unsent":
            return [Ack(out.ident, "unsent") for out in entries]
        case _:
            return [None] * len(entries)
    return [Ack(out.ident, "refused", **made) for out in entries]  # type: ignore[arg-type]  # as named


class OutboxMachine(Machine):
    """One user's client, one life after the other, on one store."""

    spec: ClassVar[str] = "ada.db"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.provider = Provider(self, MemoryLog(self.clock, Random(1)))
        self.wishes: dict[str, Wish] = {}
        """What was accepted, by entry id."""
        self.keys: dict[tuple[str, str], str] = {}
        self.count = 0
        self.lives = 0
        self.client = self.start()

    def start(self) -> Client:
        """Begin a life."""
        self.lives += 1
        adapter: Any = FakeAdapter(
            replace(CAPABLE, announce="transactional", ack="stored", order="log", batch=3),
            log=self.provider,
        )
        store = keep_file(f"{self.folder}/{self.spec}", self.clock, seed=self.lives, limits=LIMITS)
        client = Client(self.clock, adapter, store=store, limits=LIMITS, seed=self.lives, offline=True)
        client.context.server_time.confirm(None)
        self.client = client
        self.do(client.open())
        return client

    def entry(self, pick: int) -> OutboxEntry | None:
        """One of what this life has, the newest with 0."""
        listed = list(self.client.outbox._entries.values())
        return listed[-1 - pick % len(listed)] if listed else None

    # -- wishes

    @rule(
        room=st.sampled_from(ROOMS),
        user=st.sampled_from(USERS),
        key=st.sampled_from([None, None, None, "k1", "k2"]),
        expires=st.sampled_from([None, None, None, 5.0]),
        put_off=st.sampled_from([None, None, None, 2.0]),
        of=st.none() | numbers,
    )
    def send(
        self,
        room: str,
        user: str,
        key: str | None,
        expires: float | None,
        put_off: float | None,
        of: int | None,
    ) -> None:
        """Send: it is accepted, is the one of an equal key, or there is no room (D14, I10)."""
        self.count += 1
        target = None if of is None else self.entry(of)
        if target is not None and target.row.channel != room:
            target = None
        client, outbox = self.client, self.client.outbox
        row = client.row(
            f"{self.count}", room, user=user, key=key, expires_in=expires, send_in=put_off, of=target
        )
        full = outbox.depth >= LIMITS.entries
        try:
            entry = self.do(outbox.acceptor.add(row))
        except OutboxFull:
            assert full
            return
        known = self.keys.get((user, f"{room} {key}")) if key else None
        assert (entry.row.entry_id == row.entry_id) == (known is None)
        if known is not None:
            assert entry.row.entry_id == known
            return
        if key:
            self.keys[user, f"{room} {key}"] = row.entry_id
        self.wishes[row.entry_id] = Wish(room, user, row.ident, put_off is None and target is None)

    @rule(pick=numbers)
    def discard(self, pick: int) -> None:
        """Withdraw: only what was never attempted (D7)."""
        entry = self.entry(pick)
        if entry is not None:
            untried = entry.state is State.QUEUED and not entry.row.attempts
            assert self.do(self.client.outbox.discard(entry)) == untried
            assert not untried or entry.state is State.DISCARDED

    @rule(pick=numbers)
    def retry(self, pick: int) -> None:
        """Send a dead letter again by hand; what refers to one that ended unsent ends at once again (D7)."""
        dead = [
            entry
            for entry in self.client.outbox._entries.values()
            if entry.state in {State.FAILED, State.EXPIRED}
        ]
        if dead:
            entry = dead[pick % len(dead)]
            self.wishes[entry.row.entry_id].in_order = False
            self.do(self.client.outbox.retry(entry))
            target = self.client.outbox.get(entry.row.depends_on or "")
            if target is None or not target.state.done:
                assert not entry.state.done
            else:
                assert entry.state is State.FAILED

    # -- the world

    @rule(answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4))
    def plan(self, answers: list[str]) -> None:
        """The next publishes meet this."""
        self.provider.plan.extend(answers)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.03, 1.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass: what is under way gets somewhat further."""
        self.do(asyncio.sleep(seconds))

    @rule()
    def arrive_late(self) -> None:
        """What a time-out gave up is carried out after all (D9)."""
        self.do(self.provider.arrive())

    @rule(pick=numbers)
    def echo(self, pick: int) -> None:
        """An envelope of ours comes back (D6)."""
        room = ROOMS[pick % 2]
        items = self.provider.log.core.record(room).items
        if items:
            item = items[-1 - pick % len(items)]

            async def come() -> None:
                self.client.outbox.seen(room, item.ident, item.stamp.key)

            self.do(come())

    @rule(room=st.sampled_from(ROOMS), ahead=st.integers(1, 4))
    def copy_writes(self, room: str, ahead: int) -> None:
        """A copy of this store uses our numbers: what comes behind goes out as another device (D9, D27)."""
        self.count += 1
        device = self.client.outbox.device
        lanes = self.provider.log.core._seen(room).fence._lanes
        seq = lanes.get(("ada", device), 0) + ahead
        out = foreign_wish(900_000 + self.count, user="ada", device=device, channel=room, seq=seq)
        self.do(self.provider.log.append(room, [out]))

    @rule()
    def crash(self) -> None:
        """The process dies, wherever it is; another one takes the store up (I3, D6)."""
        self.client.store.abandon()  # type: ignore[attr-defined]  # ours have it
        self._end()
        self.provider.busy.clear()
        self.start()

    @rule()
    def restart(self) -> None:
        """The process ends cleanly; another one takes the store up."""
        assert self.do(self.client.aclose()) == ()
        self._sound()
        self.provider.busy.clear()
        self.start()

    def _end(self) -> None:
        self.do(self.client.context.tasks.aclose(3.0))
        self._sound()

    def _sound(self) -> None:
        assert self.client.context.defects == {}

    # -- what holds

    @invariant()
    def lanes_keep_their_word(self) -> None:
        """Recorded before written, one publish in flight, the same bytes, the same batch (D6, D7, D8, D10)."""
        assert self.provider.wrong == []

    @invariant()
    def counts_are_right(self) -> None:
        """Depth, size and dead letters are those of the entries there are (I10)."""
        outbox = self.client.outbox
        entries = list(outbox._entries.values())
        unfinished = [entry for entry in entries if not entry.shown.done]
        assert outbox.depth == len(unfinished) <= LIMITS.entries
        assert outbox.size == sum(len(entry.row.data) for entry in unfinished)
        assert outbox.failed == sum(entry.shown in {State.FAILED, State.EXPIRED} for entry in entries)
        for entry in entries:
            assert entry.row.status == entry.state.status
            assert entry.shown is entry.state or (entry.state.done and not entry.shown.done)

    def teardown(self) -> None:
        """In the end every wish has its fate, and the channel is what they say (I1, I2, I4)."""
        try:
            self._finish()
        finally:
            self.do(self.client.aclose())
            super().teardown()
            rmtree(self.folder)

    def _finish(self) -> None:
        self.provider.plan.clear()
        self.do(self.client.drained(within=20_000.0))
        self.do(self.provider.arrive())
        self.do(self.client.outbox.settle())
        self.lanes_keep_their_word()
        self.counts_are_right()
        self._sound()
        rows: Sequence[Row] = self.do(self.client.store.rows(limit=1_000))
        kept = {row.entry_id: row for row in rows}
        there = {room: [item.ident for item in self.provider.log.core.record(room).items] for room in ROOMS}
        for entry_id, wish in self.wishes.items():
            row = kept.get(entry_id)
            copies = there[wish.room].count(wish.ident)
            status, certain = ("sent", True) if row is None else (row.status, row.certain)
            assert status in FINAL
            assert copies <= 1
            assert copies == 1 or status != "sent"
            assert copies == 0 or status == "sent" or not certain, (wish, row)
        for room in ROOMS:
            for user in USERS:
                mine = [wish.ident for wish in self.wishes.values() if (wish.room, wish.user) == (room, user)]
                ordered = [
                    wish.ident
                    for wish in self.wishes.values()
                    if wish.in_order and wish.ident in there[room] and wish.user == user and wish.room == room
                ]
                assert [ident for ident in there[room] if ident in ordered] == ordered
                ours = [ident for ident in there[room] if ident.user == user]
                strangers = [ident for ident in ours if ident not in mine]
                assert all(int(ident.id[-8:], 16) > 900_000 for ident in strangers)


class DirectoryOutbox(OutboxMachine):
    """The same on a directory, of which each life has its own file or the one that it finds."""

    spec = "outbox/"
