"""Stores beside their model: queued, attempted, settled, retried, pruned, crashed, reopened (I1, I3, D6, D14)."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from chatkit.errors import MessageNotFound, OutboxFull, StateError
from chatkit.model.options import OutboxLimits
from chatkit.model.order import Ident, OrderKey
from chatkit.ports.store import Row, Store
from chatkit.stores import open_store
from chatkit.testing.rows import NOON, batch_of, row
from tests.rules.driving import Machine
from tests.rules.store_model import UNFINISHED, FileModel, lane_of
from tests.rules.strategies import numbers, users

CHANNELS = ("support", "sales")
REALM = "memory:hub"
HLC = "0193581fa2c0-0001"
LIMITS = OutboxLimits(entries=9, size=160)

wishes = st.lists(
    st.tuples(
        st.sampled_from(CHANNELS), users, st.sampled_from([None, None, "k1", "k2"]), numbers, st.booleans()
    ),
    min_size=1,
    max_size=4,
)
endings = st.lists(
    st.sampled_from(["sent", "sent", "untold", "failed", "doubtful", "expired", "queued", "stays"]),
    min_size=4,
    max_size=4,
)


class StoreMachine(Machine):
    """One store; a subclass says where it lies."""

    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.random = Random(7)
        self.files: dict[int, FileModel] = {}
        """By number; memory and a single file are the first."""
        self.owned: list[int] = []
        self.store: Any = None
        self.open()

    # -- where it lies

    def make(self) -> Store:
        """Return a store that is not open yet."""
        return open_store(None, durability="process", limits=LIMITS, clock=self.clock, random=self.random)

    def open(self) -> None:
        """Open it, as the first who is there."""
        self.store = self.make()
        header = self.do(self.store.open("ada", REALM, rebind=False))
        self.owned = [self.took(header)]

    def took(self, header: Any) -> int:
        """Take note of who took the first file that nobody holds; returns its number."""
        number = next(number for number in range(1, 99) if number not in self.owned)
        file = self.files.get(number)
        if file is None:
            file = self.files[number] = FileModel(header.device, LIMITS.entries, LIMITS.size)
        file.epoch += 1
        assert (header.device, header.owner_epoch, header.clean) == (file.device, file.epoch, file.clean)
        file.clean = True
        return number

    def teardown(self) -> None:
        """Close it."""
        self.do(self.store.aclose())
        super().teardown()

    @property
    def own(self) -> FileModel:
        """Where new rows go."""
        return self.files[self.owned[0]]

    @property
    def rows(self) -> list[Row]:
        """All rows, file by file."""
        return [row for number in self.owned for row in self.files[number].rows]

    def file_of(self, row: Row) -> FileModel:
        """The file in which a row lies."""
        return next(self.files[n] for n in self.owned if row in self.files[n].rows)

    # -- sending

    @rule(wishes=wishes)
    def add(self, wishes: list[tuple[str, str, str | None, int, bool]]) -> None:
        """Queue wishes together: all, or none where there is no room; a known one gives what is kept (D14)."""
        given = [self._wish(*wish) for wish in wishes]
        expected, fresh = list[Row](), list[Row]()
        for wish in given:
            places = [self.files[number].rows for number in self.owned[1:]] + [self.own.rows + fresh]
            found = [FileModel("", 0, 0, rows).known(wish) for rows in places]
            known = next((row for row in found if row is not None), None)
            expected.append(known or wish)
            if known is None:
                fresh.append(wish)
        if self.own.fits(fresh):
            assert list(self.do(self.store.add(given))) == expected
            self.own.rows += fresh
        else:
            with pytest.raises(OutboxFull):
                self.do(self.store.add(given))

    @precondition(lambda self: any(row.status == "queued" for row in self.rows))
    @rule(pick=numbers, most=st.integers(1, 4), endings=st.none() | endings)
    def attempt(self, pick: int, most: int, endings: list[str] | None) -> None:
        """Record an attempt at the next batch of a lane, and perhaps what became of it (D6, D8)."""
        queued = [row for row in self.rows if row.status == "queued"]
        lane = lane_of(queued[pick % len(queued)])
        batch = [row for row in queued if lane_of(row) == lane][:most]
        self.count += 1
        file = self.file_of(batch[0])
        last = max([0, *file.taken.get(lane, [])])
        sending = [
            row._replace(
                status="sending",
                attempts=row.attempts + 1,
                first_attempt=row.first_attempt or NOON,
                seq=row.seq or last + place,
                batch_id=f"b{self.count}",
                data=b"frozen " + row.data[-4:],
            )
            for place, row in enumerate(batch, 1)
        ]
        self._attempt(file, f"b{self.count}", sending, sending)
        if endings:
            self._answer(f"b{self.count}", endings)

    @precondition(lambda self: any(file.batches() for file in map(self.files.get, self.owned)))
    @rule(pick=numbers)
    def attempt_again(self, pick: int) -> None:
        """Record another attempt at a batch in doubt: the identical one (D10)."""
        found = [
            (self.files[number], name, idents)
            for number in self.owned
            for name, idents in self.files[number].batches().items()
        ]
        file, name, idents = found[pick % len(found)]
        members = [
            row for ident in idents for row in file.rows if row.ident == ident and row.batch_id == name
        ]
        trying = [
            row._replace(status="sending", attempts=row.attempts + 1, first_attempt=row.first_attempt or NOON)
            for row in members
            if row.status in UNFINISHED
        ]
        if len(members) == len(idents):
            self._attempt(file, name, trying, members)

    def _attempt(self, file: FileModel, name: str, trying: list[Row], members: list[Row]) -> None:
        self.do(self.store.attempt(batch_of(name, *members), trying, hlc=HLC))
        file.attempt(name, tuple(row.ident for row in members), trying)

    @rule()
    def name_nobody(self) -> None:
        """What is not there, or not any more."""
        self._attempt_nobody()
        self._settle([row(0, status="sent"), row(1, status="failed", ident=Ident("ada", "nobody"))])
        with pytest.raises(MessageNotFound):
            self.do(self.store.rows(after="nobody"))

    def _attempt_nobody(self) -> None:
        """What is not in the store must not be written to the provider: nothing of the call is kept (D6)."""
        stranger = row(0, status="sending", attempts=1, seq=999, batch_id="none", device=self.own.device)
        known = [one for one in self.own.rows if one.status == "queued"][:1]
        trying = [one._replace(status="sending", seq=998, batch_id="none") for one in known]
        with pytest.raises(StateError):
            self.do(self.store.attempt(batch_of("none", *trying, stranger), [*trying, stranger], hlc=HLC))

    @precondition(lambda self: any(row.status == "sending" for row in self.rows))
    @rule(pick=numbers, endings=endings)
    def answer(self, pick: int, endings: list[str]) -> None:
        """Record what the members of a batch became: taken, refused, put back, or not known yet (D6, D9)."""
        sending = [row for row in self.rows if row.status == "sending"]
        self._answer(sending[pick % len(sending)].batch_id, endings)

    def _answer(self, name: str | None, endings: list[str]) -> None:
        members = [row for row in self.rows if row.status == "sending" and row.batch_id == name]
        became = [
            self._ended(row, how) for row, how in zip(members, endings * 3, strict=False) if how != "stays"
        ]
        self._settle(became)

    @precondition(lambda self: self.rows)
    @rule(
        picks=st.lists(numbers, min_size=1, max_size=3),
        how=st.sampled_from(["sent", "expired", "discarded", "announced"]),
    )
    def end(self, picks: list[int], how: str) -> None:
        """End rows in whatever state: seen in the channel, past their deadline, withdrawn, told of (D6, D7, D16)."""
        rows = self.rows
        chosen = list({rows[pick % len(rows)].entry_id: rows[pick % len(rows)] for pick in picks}.values())
        if how == "discarded":
            chosen = [row for row in chosen if row.status == "queued" and not row.attempts]
        elif how == "expired":
            chosen = [row for row in chosen if row.status in UNFINISHED]
        elif how == "announced":
            self._settle([row._replace(announced=True) for row in chosen if not row.announced])
            return
        self._settle([self._ended(row, how) for row in chosen])

    @precondition(lambda self: any(row.status in {"failed", "expired"} for row in self.rows))
    @rule(pick=numbers, bound=st.booleans())
    def retry(self, pick: int, bound: bool) -> None:
        """Queue a dead letter again: at the end (D7)."""
        dead = [row for row in self.rows if row.status in {"failed", "expired"}]
        one = dead[pick % len(dead)]
        thawed: dict[str, Any] = {} if bound else {"seq": None, "first_attempt": None, "batch_id": None}
        self._settle([one._replace(status="queued", certain=True, reason=None, **thawed)])

    def _settle(self, rows: list[Row]) -> None:
        self.do(self.store.settle(rows))
        for number in self.owned:
            self.files[number].settle(rows, self.clock.wall())

    @rule()
    def renew_device(self) -> None:
        """A copy of the store lives elsewhere (D27)."""
        self.count += 1
        old, new = self.own.device, f"renewed{self.count}"
        self.do(self.store.renew_device(old, new))
        self.own.renew_device(old, new)

    @rule(seconds=st.sampled_from([1.0, 60.0]), back=st.sampled_from([0.0, 30.0, 90.0]))
    def sweep(self, seconds: float, back: float) -> None:
        """Time passes; what ended before then is forgotten (D14)."""
        self.clock.advance(seconds)
        before = self.clock.wall() - timedelta(seconds=back)
        gone = sum(self.files[number].prune(before) for number in self.owned)
        assert self.do(self.store.prune(before)) == gone

    # -- reading

    @rule(
        status=st.sampled_from([None, "queued", "sending", "sent", "failed"]),
        channel=st.none() | st.sampled_from(CHANNELS),
        announced=st.sampled_from([None, None, True, False]),
        pick=st.none() | numbers,
        limit=st.integers(1, 6),
    )
    def read(
        self, status: Any, channel: str | None, announced: bool | None, pick: int | None, limit: int
    ) -> None:
        """Read the queue by filters, from an entry on."""
        rows = self.rows
        after = rows[pick % len(rows)].entry_id if rows and pick is not None else None
        start = [row.entry_id for row in rows].index(after) + 1 if after else 0
        expected = [
            row
            for row in rows[start:]
            if status in (None, row.status)
            and channel in (None, row.channel)
            and announced in (None, row.announced)
        ]
        found = self.do(
            self.store.rows(status=status, channel=channel, announced=announced, after=after, limit=limit)
        )
        assert list(found) == expected[:limit]

    @invariant()
    def it_holds_what_it_should(self) -> None:
        """Rows in queue order, each with what became of it; lanes; batches in doubt (I1, I3, D5, D10)."""
        assert list(self.do(self.store.rows(limit=1_000))) == self.rows
        files = [self.files[number] for number in self.owned]
        assert self.do(self.store.lanes()) == {
            lane: mark for file in files for lane, mark in file.lanes().items()
        }
        assert self.do(self.store.batches()) == {
            name: idents for file in files for name, idents in file.batches().items()
        }

    # -- inside

    def _wish(self, channel: str, user: str, key: str | None, pick: int, repeat: bool) -> Row:
        if repeat and self.rows:
            old = self.rows[pick % len(self.rows)]
            channel, ident = old.channel, old.ident
        else:
            self.count += 1
            ident = Ident(user, f"id-{self.count}")
        self.count += 1
        return row(
            self.count,
            ident=ident,
            channel=channel,
            key=key,
            device=self.own.device,
            data=b"x" * (pick % 23) + f"{self.count}".encode(),
        )

    def _ended(self, row: Row, how: str) -> Row:
        self.count += 1
        place = OrderKey(1, f"{self.count:020d}")
        match how:
            case "sent":
                return row._replace(status="sent", certain=True, stamp=place, announced=True)
            case "untold":
                return row._replace(status="sent", certain=True, stamp=place, announced=False)
            case "doubtful":
                return row._replace(status="failed", certain=False, reason="GaveUp")
            case "queued":
                return row._replace(status="queued", certain=True)
            case _:
                ended: Any = how
                return row._replace(status=ended, certain=row.status == "queued", reason="Rejected")


class FileMachine(StoreMachine):
    """A file, whose owner may die."""

    durable = True

    def __init__(self) -> None:
        self.folder = Path(mkdtemp())
        super().__init__()

    def make(self) -> Store:
        """Return a store of this file."""
        return self.store_at(str(self.folder / "ada.db"))

    def store_at(self, spec: str) -> Store:
        """Return a store that works in its caller."""
        return open_store(
            spec, durability="process", limits=LIMITS, clock=self.clock, random=self.random, inline=True
        )

    @rule(cleanly=st.booleans())
    def reopen(self, cleanly: bool) -> None:
        """The process ends, or dies; another one opens the file (I3, D6)."""
        if cleanly:
            self.do(self.store.aclose())
        else:
            self.store.abandon()
            for number in self.owned:
                self.files[number].die()
        self.owned = []
        self.open()

    def teardown(self) -> None:
        """Close and remove it."""
        super().teardown()
        rmtree(self.folder)


class DirectoryMachine(FileMachine):
    """A directory, in which other processes live and die."""

    def make(self) -> Store:
        """Return a store of the directory."""
        return self.store_at(f"{self.folder}/outbox/")

    @rule(wishes=wishes, tries=st.integers(0, 3), cleanly=st.booleans())
    def other_process(
        self, wishes: list[tuple[str, str, str | None, int, bool]], tries: int, cleanly: bool
    ) -> None:
        """Another process takes a file of its own, queues, attempts, and ends (D27)."""
        mine, self.owned = self.owned, list(self.owned)
        store: Any = self.make()
        number = self.took(self.do(store.open("ada", REALM, rebind=False)))
        file = self.files[number]
        other = OtherProcess(self, store, number)
        other.add(wishes)
        other.attempt(tries)
        if cleanly:
            self.do(store.aclose())
        else:
            store.abandon()
            file.die()
        self.owned = mine

    @rule()
    def adopt(self) -> None:
        """Take over what others left; a file in which nothing is left is removed (D27)."""
        found = [number for number in sorted(self.files) if number not in self.owned]
        for number in found:
            self.files[number].epoch += 1
            self.files[number].clean = True
        rows = self.do(self.store.adopt())
        self.owned += found
        assert list(rows) == [row for number in found for row in self.files[number].waiting]
        for number in self.owned[1:]:
            if not self.files[number].rows:
                self.owned.remove(number)
                del self.files[number]


class OtherProcess:
    """A process beside the machine's own, as far as it gets."""

    def __init__(self, machine: DirectoryMachine, store: Any, number: int) -> None:
        self.machine = machine
        self.store = store
        self.file = machine.files[number]

    def add(self, wishes: list[tuple[str, str, str | None, int, bool]]) -> None:
        """Queue one wish after the other, as long as there is room."""
        for channel, user, key, pick, _ in wishes:
            wish = self.machine._wish(channel, user, key, pick, False)._replace(device=self.file.device)
            known = self.file.known(wish)
            if known is None and not self.file.fits([wish]):
                continue
            assert list(self.machine.do(self.store.add([wish]))) == [known or wish]
            self.file.rows += [] if known else [wish]

    def attempt(self, most: int) -> None:
        """Attempt the first few of its queue, lane by lane."""
        queued = [one for one in self.file.rows if one.status == "queued" and not one.attempts][:most]
        for lane, group in groupby(queued, key=lane_of):
            last = max([0, *self.file.taken.get(lane, [])])
            self.machine.count += 1
            name = f"b{self.machine.count}"
            sending = [
                one._replace(
                    status="sending", attempts=1, first_attempt=NOON, seq=last + place, batch_id=name
                )
                for place, one in enumerate(group, 1)
            ]
            self.machine.do(self.store.attempt(batch_of(name, *sending), sending, hlc=HLC))
            self.file.attempt(name, tuple(one.ident for one in sending), sending)
