"""The catch-up mark passes nothing that was not received or read, and does not lag for ever (D17)."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.core.continuity import AHEAD, MARGIN, Continuity, Verdict
from chatkit.model.order import OrderKey

KNOWN, NEXT, ABOVE = Verdict.KNOWN, Verdict.NEXT, Verdict.AHEAD


def key(number: int, epoch: int = 1) -> OrderKey:
    return OrderKey(epoch, f"{number:03d}")


def hear(mark: Continuity, number: int, prev: int | None = None, now: float = 0.0) -> Verdict:
    return mark.receive(key(number), f"{number - 1 if prev is None else prev:03d}", now)


# -- frames that name their predecessor


def test_a_frame_that_follows_moves_the_mark() -> None:
    """Its predecessor is at or below the mark; a number that was never given is not waited for (D17)."""
    mark = Continuity(key(4), contiguous=True)

    assert hear(mark, 5) is NEXT
    assert hear(mark, 9, prev=5) is NEXT
    assert mark.complete == key(9)
    assert not mark.open


def test_a_frame_at_or_below_the_mark_is_known() -> None:
    """At no cost in memory (D20)."""
    mark = Continuity(key(4), contiguous=True)

    assert hear(mark, 4) is KNOWN
    assert hear(mark, 1) is KNOWN
    assert mark.complete == key(4)


def test_the_first_entry_of_a_log_follows_an_empty_one() -> None:
    """Its predecessor is the empty serial, and so is the head of a log that holds nothing."""
    mark = Continuity(contiguous=True)
    mark.read(OrderKey(1, ""))

    assert mark.receive(key(1), "", 0.0) is NEXT


def test_a_frame_above_a_hole_opens_a_range() -> None:
    """The mark stays until what lies between came, and then takes both (D17)."""
    mark = Continuity(key(4), contiguous=True)

    assert [hear(mark, 7), hear(mark, 6)] == [ABOVE, ABOVE]
    assert mark.complete == key(4)
    assert mark.open

    assert hear(mark, 5) is NEXT
    assert mark.complete == key(7)
    assert not mark.open


def test_a_read_closes_the_range_even_if_it_was_empty() -> None:
    """Numbers are looked up, never waited for (D17)."""
    mark = Continuity(key(4), contiguous=True)
    hear(mark, 7)

    mark.read(key(7))

    assert mark.complete == key(7)
    assert not mark.open


def test_a_read_joins_on_to_what_came_meanwhile() -> None:
    """The frame that follows the head that was read counts with it."""
    mark = Continuity(key(4), contiguous=True)
    hear(mark, 7)

    mark.read(key(6))

    assert mark.complete == key(7)
    assert not mark.open


def test_a_read_that_ends_below_leaves_the_range_open() -> None:
    """What lies between its head and the frame may still be missing."""
    mark = Continuity(key(4), contiguous=True)
    hear(mark, 7)

    mark.read(key(5))

    assert mark.complete == key(5)
    assert mark.open


def test_a_read_may_end_between_a_frame_and_its_predecessor() -> None:
    """A head that this client cannot see closes the range as well."""
    mark = Continuity(key(2), contiguous=True)
    hear(mark, 9, prev=4)

    mark.read(key(6))

    assert mark.complete == key(9)
    assert not mark.open


def test_a_frame_may_follow_from_below_the_mark() -> None:
    """Its predecessor at or below the mark is enough: nothing lies between the two (D17)."""
    mark = Continuity(key(6), contiguous=True)

    assert hear(mark, 9, prev=4) is NEXT
    assert mark.complete == key(9)


def test_a_read_from_a_replica_that_lags_does_not_move_the_mark_back() -> None:
    """It never goes back (I9, D18)."""
    mark = Continuity(key(4), contiguous=True)

    mark.read(key(2))

    assert mark.complete == key(4)


def test_a_frame_before_the_first_read_opens_a_range() -> None:
    """Nobody knows what lies below it; a read that ends below it leaves that open (D17)."""
    mark = Continuity(contiguous=True)

    assert hear(mark, 7) is ABOVE
    assert mark.open
    mark.read(key(5))
    assert mark.open
    mark.read(key(6))
    assert mark.complete == key(7)
    assert not mark.open


def test_a_frame_that_names_no_predecessor_opens_a_range() -> None:
    """On a path that should say; a read at or above it closes the range (D17)."""
    mark = Continuity(key(4), contiguous=True)

    assert mark.receive(key(6), None, 0.0) is ABOVE
    assert mark.receive(key(5), None, 0.0) is ABOVE
    mark.read(key(5))
    assert mark.open
    mark.read(key(6))
    assert not mark.open


def test_epochs_are_not_mixed() -> None:
    """A serial of another sequencer is another place, however alike (D3)."""
    mark = Continuity(key(4), contiguous=True)
    assert mark.receive(key(6, epoch=2), "005", 0.0) is ABOVE

    hear(mark, 5)

    assert mark.complete == key(5)
    mark.read(key(5, epoch=2))
    assert mark.complete == key(6, epoch=2)


def test_frames_above_the_mark_are_bounded() -> None:
    """Of those beyond, the highest keeps the range open (I10)."""
    mark = Continuity(OrderKey(1, ""), contiguous=True)
    beyond = [OrderKey(1, f"{number:05d}") for number in range(2, AHEAD + 5)]
    for place in beyond:
        assert mark.receive(place, f"{int(place.serial) - 1:05d}", 0.0) is ABOVE

    mark.read(OrderKey(1, "00001"))

    assert mark.complete == beyond[AHEAD - 1]
    assert mark.open
    mark.read(beyond[-1])
    assert not mark.open


def test_a_repeat_above_the_mark_takes_no_place() -> None:
    """A thousand copies of one frame leave room for another (D20)."""
    mark = Continuity(key(1), contiguous=True)
    for _ in range(AHEAD + 1):
        hear(mark, 3)
    hear(mark, 5)

    mark.read(key(2))
    hear(mark, 4)

    assert mark.complete == key(5)


def test_a_broken_connection_forgets_no_open_range() -> None:
    """If the session resumes, the hole is still there."""
    mark = Continuity(key(4), contiguous=True)
    hear(mark, 7)

    mark.broken()
    mark.resumed()

    assert mark.open


@pytest.mark.parametrize("contiguous", [True, False])
def test_another_log_begins_anew(contiguous: bool) -> None:
    """Nothing of the old one counts (D18)."""
    mark = Continuity(key(4), contiguous=contiguous)
    for number in (7, 9):
        hear(mark, number)
    mark.receive(key(8), None, 0.0)
    mark.follow(MARGIN + 1)

    mark.reset()
    mark.follow(3 * MARGIN)

    assert mark.complete is None
    assert not mark.open
    assert hear(mark, 2) is not KNOWN
    mark.read(key(1))
    assert mark.complete == (key(2) if contiguous else key(1))


class Log(NamedTuple):
    """Serials of a channel, ascending, and how many of them exist at each step."""

    serials: list[int]
    steps: list[tuple[str, int]]


@st.composite
def logs(draw: st.DrawFn) -> Log:
    serials = sorted(draw(st.sets(st.integers(1, 99), min_size=1, max_size=15)))
    index = st.integers(0, len(serials) - 1)
    frame = st.tuples(st.just("frame"), index)
    other = st.tuples(st.sampled_from(["read", "stale read", "loose frame", "broken", "resumed"]), index)
    return Log(serials, draw(st.lists(st.one_of(frame, frame, frame, other), max_size=60)))


@given(logs(), st.booleans())
def test_the_mark_passes_nothing_unseen(log: Log, begun: bool) -> None:
    """Over losses, repeats, any order, any reads: only forward, and to the head after a read (D17)."""
    mark = Continuity(OrderKey(1, "") if begun else None, contiguous=True)
    seen = set[int]()
    written = 0
    for what, index in log.steps:
        before = mark.complete
        written = max(written, index + 1)
        number = log.serials[index]
        prev = "" if index == 0 else f"{log.serials[index - 1]:03d}"
        match what:
            case "frame" | "loose frame":
                verdict = mark.receive(key(number), prev if what == "frame" else None, 0.0)
                assert (verdict is KNOWN) <= (number in seen)
                seen.add(number)
            case "read":
                seen.update(log.serials[:written])
                mark.read(key(log.serials[written - 1]))
                assert mark.complete is not None
                assert mark.complete >= key(log.serials[written - 1])
                assert not mark.open
            case "stale read":
                seen.update(log.serials[: index + 1])
                mark.read(key(number))
            case "broken":
                mark.broken()
            case _:
                mark.resumed()

        assert mark.complete is not None or before is None
        assert mark.complete is None or before is None or mark.complete >= before
        unseen = [one for one in log.serials[:written] if one not in seen]
        assert mark.complete is None or all(key(one) > mark.complete for one in unseen)
        if begun and what == "frame" and not mark.open:
            assert mark.complete == key(max(seen))


@given(st.sets(st.integers(1, 99), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_all_frames_in_any_order_need_no_read(numbers: set[int], random: Random) -> None:
    """When the last hole has closed itself the mark stands at the newest (D17)."""
    serials = sorted(numbers)
    frames = [(number, prev) for prev, number in zip([0, *serials], serials, strict=False)]
    mark = Continuity(key(0), contiguous=True)

    for number, prev in random.sample(frames * 2, k=2 * len(frames)):
        hear(mark, number, prev)

    assert mark.complete == key(serials[-1])
    assert not mark.open


# -- frames that name none


def test_without_predecessors_the_mark_follows_behind() -> None:
    """A lower serial may come after a higher one: a tighter mark would drop it as a duplicate (D17)."""
    mark = Continuity(key(1), contiguous=False)
    assert mark.receive(key(9), None, 100.5) is NEXT

    mark.follow(130.4)
    assert mark.complete == key(1)
    assert mark.receive(key(5), None, 130.4) is NEXT

    mark.follow(131.0)
    assert mark.complete == key(9)
    assert [mark.receive(key(number), None, 131.0) for number in (5, 9, 10)] == [KNOWN, KNOWN, NEXT]
    assert not mark.open


def test_a_lower_serial_does_not_pull_the_mark_back() -> None:
    """In the same second or after it (D17)."""
    mark = Continuity(key(1), contiguous=False)
    for number, now in ((9, 0.5), (7, 0.6), (5, 10.0)):
        mark.receive(key(number), None, now)

    mark.follow(10.0 + MARGIN)

    assert mark.complete == key(9)
    assert mark.receive(key(9), None, 10.0 + MARGIN) is KNOWN


def test_a_read_moves_the_mark_at_once() -> None:
    """To the head that was returned; yet a lower serial within the margin is no duplicate (D17)."""
    mark = Continuity(contiguous=False)

    mark.read(key(9))

    assert mark.complete == key(9)
    assert mark.receive(key(8), None, 50.0) is NEXT
    assert mark.receive(key(8), None, 50.0 + MARGIN) is KNOWN
    assert mark.complete == key(9)


def test_a_stored_mark_settles_by_frames_and_reads() -> None:
    """Right after a restart a serial below it may still be on its way (D30)."""
    mark = Continuity(key(9), contiguous=False)

    assert mark.receive(key(8), None, 0.0) is NEXT
    assert mark.complete == key(9)


def test_after_a_loss_the_mark_waits_for_a_read() -> None:
    """Live frames do not pull it over what was missed (D17)."""
    mark = Continuity(key(1), contiguous=False)
    mark.receive(key(3), None, 0.0)

    mark.broken()
    mark.receive(key(7), None, 10.0)
    mark.follow(10.0 + 2 * MARGIN)
    assert mark.complete == key(1)

    mark.read(key(8))
    mark.receive(key(9), None, 100.0)
    mark.follow(100.0 + MARGIN)
    assert mark.complete == key(9)


def test_a_page_with_more_behind_it_is_not_the_head() -> None:
    """The mark moves to its end, and live frames do not pull it over the rest (D17)."""
    mark = Continuity(key(1), contiguous=False)
    mark.broken()

    mark.read(key(4), more=True)
    mark.receive(key(9), None, 0.0)
    mark.follow(2 * MARGIN)

    assert mark.complete == key(4)


def test_a_session_that_resumed_is_followed_again() -> None:
    """The provider vouches that nothing was missed, and replays what was (D17)."""
    mark = Continuity(key(1), contiguous=False)
    mark.receive(key(3), None, 0.0)
    mark.broken()
    mark.follow(2 * MARGIN)

    mark.resumed()

    assert mark.receive(key(2), None, 2 * MARGIN) is NEXT
    mark.receive(key(4), None, 2 * MARGIN)
    mark.follow(3 * MARGIN)
    assert mark.complete == key(4)


def test_a_read_settles_nothing_over_a_loss() -> None:
    """A session that resumes may still bring what the log did not have yet when it was read (D17, D30)."""
    mark = Continuity(key(1), contiguous=False)
    mark.read(key(9))
    mark.broken()
    mark.follow(0.0)
    mark.follow(2 * MARGIN)

    mark.resumed()

    assert mark.receive(key(8), None, 2 * MARGIN) is NEXT


def test_without_a_mark_nothing_is_followed() -> None:
    """Before the first attach or read nobody vouches for what lies below (D17)."""
    mark = Continuity(contiguous=False)
    mark.receive(key(3), None, 0.0)

    mark.follow(2 * MARGIN)

    assert mark.complete is None


def test_what_is_followed_is_bounded() -> None:
    """A few places for each margin, however many frames come (I10)."""
    mark = Continuity(key(0), contiguous=False)
    for number in range(20_000):
        mark.receive(OrderKey(1, f"{number:06d}"), None, number / 200)
        assert len(mark._recent) <= MARGIN + 2


class Provider:
    """Brings serials out of order, up to a margin; a cut loses them, unless a session resumes."""

    def __init__(self) -> None:
        self.mark = Continuity(OrderKey(1, ""), contiguous=False)
        self.now = 0.0
        self.linked = True
        self.written = 0
        self.on_the_way: dict[int, float] = {}
        self.missed = set[int]()
        self.seen = set[int]()
        self.passed = set[int]()
        """Read over, because the log itself did not have them yet: the next read begins below (D30)."""

    @property
    def unseen(self) -> set[int]:
        return set(range(1, self.written + 1)) - self.seen

    def send(self, delay: float) -> None:
        self.now += 0.1
        self.written += 1
        self.on_the_way[self.written] = self.now + delay

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def cut(self) -> None:
        self.linked = False
        self.mark.broken()

    def resume(self) -> None:
        self.linked = True
        self.mark.resumed()
        self.on_the_way |= dict.fromkeys(self.missed, self.now)
        self.missed.clear()

    def read(self, part: float) -> None:
        """Read what has arrived at the log, up to some part of it or, with 1.0, all."""
        there = sorted((self.seen | self.missed) & set(range(1, self.written + 1)))
        page = there[: round(len(there) * part)]
        if page:
            self.linked = True
            self.seen.update(page)
            self.passed |= {number for number in self.unseen if number < page[-1]}
            self.missed -= self.seen
            self.mark.read(key(page[-1]), more=bool(self.missed))

    def deliver(self) -> None:
        for number in sorted(self.on_the_way, key=self.on_the_way.__getitem__):
            if self.on_the_way[number] > self.now:
                break
            at = self.on_the_way.pop(number)
            if not self.linked:
                self.missed.add(number)
                continue
            verdict = self.mark.receive(key(number), None, max(at, self.now - 1.0))
            assert verdict is NEXT or number in self.seen, number
            self.seen.add(number)
        self.mark.follow(self.now)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.floats(0.0, MARGIN - 2.0)),
            st.tuples(st.just("send"), st.floats(0.0, 5.0)),
            st.tuples(st.just("wait"), st.floats(0.0, 20.0)),
            st.tuples(st.sampled_from(["cut", "resume", "read", "page"]), st.floats(0.1, 1.0)),
        ),
        max_size=60,
    )
)
def test_what_was_neither_received_nor_read_is_no_duplicate(script: list[tuple[str, float]]) -> None:
    """Nor does the mark pass it, but where the log itself had it later than a higher one (D17, D30)."""
    provider = Provider()
    mark = provider.mark
    for what, amount in script:
        before = mark.complete
        match what:
            case "send":
                provider.send(amount)
            case "wait":
                for _ in range(20):
                    provider.wait(amount / 20)
                    provider.deliver()
            case "cut":
                provider.cut()
            case "resume":
                provider.resume()
            case "read":
                provider.read(1.0)
            case _:
                provider.read(amount)
        provider.deliver()

        assert mark.complete is not None
        assert before is None or mark.complete >= before
        assert all(key(number) > mark.complete for number in provider.unseen - provider.passed)
