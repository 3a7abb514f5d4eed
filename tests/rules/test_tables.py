"""The decision tables in the hands of their drivers: every pair, with any fields, and long walks (I1, I11, I12)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from itertools import product
from random import Random
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import strategies as st

from chatkit.core import attachment, connection, delivery
from chatkit.core.connection import PROOF, SUSPEND_AFTER
from chatkit.core.table import Illegal
from chatkit.engine import attaching, entries, link
from chatkit.engine.attaching import Attacher
from chatkit.engine.entries import Entries
from chatkit.engine.entry import OutboxEntry
from chatkit.engine.link import Link
from chatkit.errors import AuthenticationError, ChatkitError, NotAllowed, ProviderError, RateLimited, Rejected
from chatkit.ports import SessionClosed
from chatkit.testing.clock import VirtualClock, VirtualLoop
from chatkit.testing.rows import row
from tests.core.tables import reachable
from tests.engine.sending_kit import CAPABLE, Client, FakeAdapter, for_ever
from tests.rules.driving import examples, vary

Pairs = set[tuple[Enum, Enum]]


@contextmanager
def recorded(module: Any) -> Iterator[Pairs]:
    """Collect each pair that a driver looks up in its table, while it does: no test says so in its place."""
    found: Pairs = set()
    real = module.step

    def step(table: Any, state: Enum, heard: Enum) -> Any:
        found.add((state, heard))
        return real(table, state, heard)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "step", step)
        yield found


def every(module: Any) -> Pairs:
    """All pairs there are, tabled or not."""
    return set(product(module.State, module.Input))


def the_clock() -> VirtualClock:
    """The clock of the running loop, which is another one for each example."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.clock


errors = st.sampled_from(
    [
        Rejected("no"),
        NotAllowed("no"),
        ProviderError("500"),
        AuthenticationError("old"),
        RateLimited("slow", retry_after=7.0),
        SessionClosed("gone", again="now"),
        SessionClosed("gone", again="later", after=40.0),
        SessionClosed("gone", again="reauthenticate"),
        SessionClosed("gone", again="never"),
    ]
)


# -- the delivery, driven by the outbox's entries


class Told(NamedTuple):
    """What the outbox told of a change."""

    status: str
    late: bool
    reason: str | None


class Outbox:
    """The entries of one client, one of which is looked at."""

    def __init__(self, *, kind: str, attempts: int, size: int, listed: bool) -> None:
        self.told: list[Told] = []
        self.settled: list[str] = []
        clock = the_clock()
        context: Any = SimpleNamespace(
            server_time=SimpleNamespace(now=clock.wall, now_ms=lambda: 0),
            random=Random(1),
            tasks=SimpleNamespace(spawn=self._spawn),
        )
        self.entries = Entries(
            context,
            on_change=lambda entry, late, reason: self.told.append(Told(entry.shown.status, late, reason)),
            on_sent=lambda entry, fact: None,
        )
        self.listed = listed
        made = row(1, kind=kind, attempts=attempts, data=b"x" * size)
        self.entry = OutboxEntry(made, delivery.State.QUEUED)

    def _spawn(self, work: Any, name: str) -> None:
        work.close()
        self.settled.append(name)

    def put_into(self, state: delivery.State) -> None:
        """Have the entry be in a state, as one that was loaded is."""
        self.entry.state = state
        self.entry.row = self.entry.row._replace(status=state.status)
        if self.listed:
            self.entries.register(self.entry)

    def give(self, heard: delivery.Input, error: ChatkitError | None) -> None:
        """Move the entry, and see that what follows is right: an end that is no `sent` is not told yet (I1)."""
        entry, entries, before = self.entry, self.entries, self.entry.state
        shown = entry.shown
        was, told, totals = self._all(), len(self.told), Counter(entries.totals)
        try:
            entries.move(entry, heard, error)
        except Illegal:
            assert (before, heard) not in delivery.TABLE
            assert self._all() == was
            raise
        after, effects = delivery.TABLE[before, heard]
        assert entry.state is after
        assert entry.row.status == after.status
        assert entry.row.certain == (delivery.Effect.UNCERTAIN not in effects)
        assert entry.row.reason == (f"{type(error).__name__}: {error}" if error and after.done else None)
        news = self.told[told:]
        seen = shown if after.done and after is not delivery.State.SENT else after
        assert entry.shown is seen
        assert [one.status for one in news] == ([seen.status] if seen.status != shown.status else [])
        assert all(one.late == (delivery.Effect.LATE in effects and shown.done) for one in news)
        assert bool(entry.ended_at) or not after.done or after is before
        invites = entry.row.kind == "direct"
        counted = seen.done and not shown.done and not invites
        assert entries.totals - totals == (Counter({seen.status: 1}) if counted else Counter())
        here = entries.get(entry.row.entry_id) is entry
        waits = here and not seen.done
        assert (entries.depth, entries.size) == (int(waits), len(entry.row.data) * waits)
        assert entries.failed == int(here and seen.status in {"failed", "expired"} and not invites)
        assert entries.invitations == int(waits and invites)
        assert not (here and after is delivery.State.SENT)

    def _all(self) -> tuple[Any, ...]:
        entry = self.entry
        return entry.state, entry.row, entry.error, entry.ended_at, len(self.told), self.entries.depth


kinds = st.sampled_from(["create", "update", "direct"])


ENTRY: Final = {
    "kind": kinds,
    "attempts": st.integers(0, 3),
    "size": st.integers(1, 9),
    "listed": st.booleans(),
    "error": st.none() | errors,
}


@examples(2, 20, 400)  # each goes through all pairs
def test_every_pair_of_the_delivery_moves_an_entry_rightly(examples: int) -> None:
    """Status, certainty, reason, counts and what is told; what is not tabled raises and changes nothing (D6)."""
    vary(all_of_an_entry, examples, **ENTRY)


async def all_of_an_entry(
    kind: str, attempts: int, size: int, listed: bool, error: ChatkitError | None
) -> None:
    with recorded(entries) as driven:
        for state, heard in every(delivery):
            outbox = Outbox(kind=kind, attempts=attempts, size=size, listed=listed)
            outbox.put_into(state)  # type: ignore[arg-type]  # of this table
            try:
                outbox.give(heard, error)  # type: ignore[arg-type]  # likewise
            except Illegal:
                assert (state, heard) not in delivery.TABLE
            else:
                assert (state, heard) in delivery.TABLE

    assert driven == every(delivery)


def choose(table: Any, state: Enum, choice: int) -> Any:
    """One of the inputs that a state has in a table."""
    given = [heard for at, heard in table if at is state]
    return given[choice % len(given)]


walks = st.lists(st.tuples(st.integers(0, 99), st.none() | errors), max_size=60)


@examples(10, 150, 5_000)
def test_whatever_an_entry_hears_sent_is_for_ever(examples: int) -> None:
    """Up to 60 inputs that the table has: a final status is left by proof or by a user alone (I1, D6)."""
    vary(entry_hears, examples, kind=kinds, walk=walks)


async def entry_hears(kind: str, walk: list[tuple[int, ChatkitError | None]]) -> None:
    outbox = Outbox(kind=kind, attempts=0, size=3, listed=True)
    outbox.put_into(delivery.State.QUEUED)
    by_user = {delivery.Input.RETRY, delivery.Input.RETRY_IN_DOUBT}
    for choice, error in walk:
        before = outbox.entry.state
        heard = choose(delivery.TABLE, before, choice)
        if heard in by_user and before.done and before is not delivery.State.SENT:
            outbox.entries.requeue(outbox.entry, heard)
        else:
            outbox.give(heard, error)
        after = outbox.entry.state
        if before.done and after is not before:
            assert after is delivery.State.SENT or heard in by_user
        if before is delivery.State.SENT:
            assert after is before
    finals = [one for one in outbox.told if one.late]
    assert all(one.status == "sent" for one in finals)


# -- the connection, driven by the link


class Opened(NamedTuple):
    """A link whose attempts never end by themselves."""

    link: Link
    client: Client
    changes: list[str]


def opened(*, resume_window: float = 0.0) -> Opened:
    """Return a link that a test feeds."""
    adapter = FakeAdapter(replace(CAPABLE, resume_window=resume_window))
    adapter.script = [for_ever] * 200  # none of them gives a session
    client = Client(the_clock(), adapter)
    return Opened(client.link, client, client.states)


def is_set(handle: asyncio.TimerHandle | None) -> bool:
    """Whether a timer will go off."""
    return handle is not None and not handle.cancelled()


def due_in(handle: asyncio.TimerHandle | None) -> float:
    """In how many seconds it will."""
    assert handle is not None
    return handle.when() - asyncio.get_running_loop().time()


C, CI, CE = connection.State, connection.Input, connection.Effect


def feed(of: Opened, heard: connection.Input, error: ChatkitError | None) -> None:
    """Give a link an input as its own parts do, with the fields that come with it; see what it does."""
    one, before, told = of.link, of.link.state, len(of.changes)
    tasks = len(of.client.context.tasks._running)
    one._after = 0.0
    if heard in connection.LOST.values() and isinstance(error, SessionClosed):
        one._after = error.after or 0.0
    if heard is CI.TIMER:
        one._timer, one._retry_at = None, None
    one._feed(heard)
    after, effects = connection.TABLE[before, heard]
    assert one.state is after
    assert of.changes[told:] == ([after.public] if after.public != before.public else [])
    assert one.view.state == after.public
    assert len(of.client.context.tasks._running) - tasks == effects.count(CE.OPEN)
    if CE.WAIT in effects or CE.WAIT_BRIEFLY in effects:
        assert is_set(one._timer)
        assert due_in(one._timer) >= one._after
        assert one.view.retry_in == pytest.approx(due_in(one._timer))
    if CE.STOP_WAITING in effects or CE.CLOSE in effects:
        assert not is_set(one._timer)
        assert one.view.retry_in is None
    if CE.WATCH_ABSENCE in effects:
        window = of.client.context.adapter.capabilities.resume_window
        assert due_in(one._absence) == pytest.approx(max(SUSPEND_AFTER, window))
    if CE.PROVE in effects:
        assert due_in(one._proof) == pytest.approx(PROOF)
        assert not is_set(one._absence)
    if CE.RESET in effects:
        assert one.view.attempt == 0
    if CE.CLOSE in effects:
        assert not any(map(is_set, (one._absence, one._proof)))


async def ended(of: Opened) -> None:
    """End what a link began."""
    for handle in (of.link._timer, of.link._absence, of.link._proof):
        if handle is not None:
            handle.cancel()
    await of.client.context.tasks.aclose(1.0)


LINK: Final = {
    "error": st.none() | errors,
    "window": st.sampled_from([0.0, 600.0]),
    "failures": st.integers(0, 30),
}


@examples(2, 12, 200)  # likewise
def test_every_pair_of_the_connection_moves_a_link_rightly(examples: int) -> None:
    """Attempts, timers, what users see; what is not tabled raises and changes nothing (I11, I12)."""
    vary(all_of_a_link, examples, **LINK)


async def all_of_a_link(error: ChatkitError | None, window: float, failures: int) -> None:
    with recorded(link) as driven:
        for state, heard in sorted(every(connection), key=str):
            of = opened(resume_window=window)
            of.link.state, of.link._failures = state, failures  # type: ignore[assignment]  # of this table
            if (state, heard) in connection.TABLE:
                feed(of, heard, error)  # type: ignore[arg-type]  # likewise
            else:
                with pytest.raises(Illegal):
                    of.link._feed(heard)  # type: ignore[arg-type]  # likewise
                assert (of.link.state, of.changes, of.link._timer) == (state, [], None)
            await ended(of)

    assert driven == every(connection)


@examples(10, 100, 5_000)
def test_whatever_a_link_hears_it_waits_where_it_waits(examples: int) -> None:
    """Up to 60 inputs that the table has: timers are set where a state waits, and nothing stays after the end."""
    vary(link_hears, examples, walk=walks)


async def link_hears(walk: list[tuple[int, ChatkitError | None]]) -> None:
    of = opened()
    for choice, error in walk:
        heard = choose(connection.TABLE, of.link.state, choice)
        if heard is CI.START and of.changes:
            continue  # given once
        feed(of, heard, error)
        if of.link.state in {C.CLOSING, C.CLOSED}:
            assert not any(map(is_set, (of.link._timer, of.link._absence, of.link._proof)))
        if of.link.state is C.CONNECTED:
            assert not is_set(of.link._absence)
        if heard is CI.TIMER and of.link.state in {C.DISCONNECTED, C.SUSPENDED}:
            raise AssertionError("a wait was over and nothing is tried")
    await ended(of)


# -- the attachment, driven by its attacher


class Asked:
    """A session, or none, and an attacher that a test feeds."""

    def __init__(self, *, linked: bool) -> None:
        self.client = Client(the_clock(), FakeAdapter())
        self.detached = 0
        self.verdicts = 0
        self.changes: list[attachment.State] = []
        self.wakes = 0
        session = SimpleNamespace(detach=self._detach)
        presence: Any = SimpleNamespace(asks=False, attaching=lambda: None)
        self.session: Any = session if linked else None
        self.attacher = Attacher(
            self.client.context,
            "room",
            session=lambda: self.session,
            gate=asyncio.Semaphore(1),
            after=lambda: None,
            on_attached=self._attached,
            on_change=self.changes.append,
            wake=self._wake,
            presence=presence,
        )

    async def _detach(self, _name: str) -> None:
        self.detached += 1

    def _attached(self, _found: Any) -> None:
        self.verdicts += 1

    def _wake(self) -> None:
        self.wakes += 1

    async def feed(self, heard: attachment.Input) -> None:
        """Give an input, and see what is done for it."""
        one, effects = self.attacher, attachment.Effect
        before, detached, told = one.state, self.detached, len(self.changes)
        one._asks, one._retry_at = False, None
        one._feed(heard)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        after, does = attachment.TABLE[before, heard]
        assert one.state is after
        assert self.changes[told:] == ([before] if after is not before else [])
        assert one._asks == (effects.ATTACH in does)
        assert (one._retry_at is not None) == (effects.WAIT in does)
        wants_detach = effects.DETACH in does and self.session is not None
        assert self.detached - detached == int(wants_detach)
        assert (one.wait(the_clock().monotonic()) is not None) == (effects.WAIT in does)
        if after is attachment.State.ATTACHED:
            assert one.error is None


CHANNEL: Final = {
    "linked": st.booleans(),
    "again": st.sampled_from(["now", "later", "reauthenticate"]),
    "least": st.floats(0.0, 90.0),
}


@examples(2, 12, 200)  # likewise
def test_every_pair_of_the_attachment_moves_a_channel_rightly(examples: int) -> None:
    """Asked for, waited for, given up, told: every state hears every input (D17)."""
    vary(all_of_a_channel, examples, **CHANNEL)


async def all_of_a_channel(linked: bool, again: Any, least: float) -> None:
    with recorded(attaching) as driven:
        for state, heard in sorted(every(attachment), key=str):
            asked = Asked(linked=linked)
            asked.attacher.state, asked.attacher._again = state, again  # type: ignore[assignment]  # of this table
            asked.attacher._least, asked.attacher.error = least, Rejected("no")
            await asked.feed(heard)  # type: ignore[arg-type]  # likewise
            if asked.attacher._retry_at is not None:
                assert asked.attacher._retry_at - the_clock().monotonic() >= least
            await asked.client.context.tasks.aclose(1.0)

    assert driven == every(attachment) == set(attachment.TABLE)


@examples(10, 100, 5_000)
def test_whatever_a_channel_hears_it_is_as_it_is_wanted(examples: int) -> None:
    """Up to 60 inputs: detached only if nobody wants it, failed only if refused since it was wanted (I11)."""
    walk = st.lists(st.sampled_from(attachment.Input), max_size=60)
    vary(channel_hears, examples, linked=st.booleans(), walk=walk)


async def channel_hears(linked: bool, walk: list[attachment.Input]) -> None:
    asked, wanted, refused = Asked(linked=linked), False, False
    for heard in walk:
        before = asked.attacher.state
        await asked.feed(heard)
        tried = before not in {attachment.State.DETACHED, attachment.State.FAILED}
        if heard is attachment.Input.WANT:
            wanted, refused = True, refused and tried
        elif heard is attachment.Input.UNWANT:
            wanted = refused = False
        elif heard is attachment.Input.REFUSED and tried:
            refused = True
        assert (asked.attacher.state is attachment.State.DETACHED) == (not wanted)
        assert (asked.attacher.state is attachment.State.FAILED) == refused
    await asked.client.context.tasks.aclose(1.0)


# -- what the tables lead to


@pytest.mark.parametrize("module", [connection, attachment, delivery], ids=lambda module: module.__name__)
def test_every_state_is_led_to(module: Any) -> None:
    """From where a driver begins."""
    assert reachable(module.TABLE, next(iter(module.State))) == set(module.State)
