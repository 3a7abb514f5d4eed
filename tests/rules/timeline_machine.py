"""A timeline beside one that is folded from nothing (I2, I5, I7, I8, D22, D23)."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from chatkit.core.fact import Fact
from chatkit.core.held import Held
from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_changes import target_of
from chatkit.core.timeline_view import Reader, ViewFeed
from chatkit.model.message import Message
from chatkit.model.order import Ident, OrderKey
from tests.core.folding import change, create, key, timeline, wish
from tests.core.test_timeline_view import replay
from tests.rules.driving import Machine
from tests.rules.strategies import EMOJI, numbers, users
from tests.rules.timeline_model import ChannelLog, TimelineModel, WishModel, look

ME = "ada"
KEEP, MOST = 5, 8
STATUSES = st.sampled_from(["sending", "queued", "failed", "expired", "discarded"])


class TimelineMachine(Machine):
    """One channel: its log, one client's timeline with its overlay, and two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ChannelLog()
        self.model = TimelineModel(KEEP, MOST)
        self.timeline: Timeline = timeline(viewer=ME, keep=KEEP, most=MOST)
        self.timeline._held = Held(targets=3)  # so that some must go
        self.overlay = Overlay(ME)
        self.view = ViewFeed(self.timeline, self.overlay)
        self.heard: set[OrderKey] = set()
        self.told: dict[Ident, OrderKey] = {}
        """As of which place the log told a message last."""
        self.screens: list[tuple[Reader, list[Message]]] = [(Reader(), []), (Reader(), [])]

    # -- what is written

    @rule(
        words=st.lists(
            st.sampled_from(
                [*["create"] * 3, "reply", "update", "update", "delete", "restore", "add", "remove"]
            ),
            min_size=1,
            max_size=3,
        ),
        user=users,
        pick=numbers,
        emoji=st.sampled_from(EMOJI),
        also=st.booleans(),
        heard=st.sampled_from(["later", "in order", "reversed"]),
    )
    def write(self, words: list[str], user: str, pick: int, emoji: str, also: bool, heard: str) -> None:
        """Somebody writes into the log; it is heard at once, in this order or the other, or is on its way."""
        made = [self._written(word, user, pick, emoji, also=also) for word in words]
        if heard != "later":
            for fact in made if heard == "in order" else reversed(made):
                self._hear(fact)

    def _written(self, word: str, user: str, pick: int, emoji: str, *, also: bool) -> Fact:
        creations, serial = self.log.creations, len(self.log.facts) + 1
        target = creations[-1 - pick % min(len(creations), 3)] if creations else None
        if target is None or word == "create":
            made = create(serial, user)
        elif word == "reply":
            made = create(serial, user, thread={"id": target.ident.id, "user": target.user}, also=also)
        elif word in {"add", "remove"}:
            made = change(serial, word, target, user, emoji=emoji)
        else:
            made = change(serial, word, target, user if pick % 2 else None)
        self.log.facts.append(made)
        return made

    # -- what arrives

    @precondition(lambda self: self.log.facts)
    @rule(pick=numbers)
    def hear(self, pick: int) -> None:
        """A fact arrives: in any order, and again, unless it lies outside and is known (I5, D20)."""
        self._hear(self.log.facts[-1 - pick % len(self.log.facts)])

    def _hear(self, fact: Fact) -> None:
        target = target_of(fact.envelope, fact.user)
        outside = self.timeline.get(target) is None
        if outside and (fact.key in self.heard or fact.key <= self.told.get(target, key(0))):
            return  # the receiver knows it by its id, or it lies below what was read (D20)
        self.heard.add(fact.key)
        before = self.timeline.get(target)
        applied = self.timeline.apply(fact)
        self.model.hear(fact)
        pending = next((one for one in self.model.wishes if one.fact == fact), None)
        self.overlay.confirm(fact.envelope.id)
        if pending is not None:
            self._confirmed(pending)
        for one in applied:
            if one.outcome in {"duplicate", "stale", "held"} and one.fact == fact and before is not None:
                assert self._same(before, self.timeline.get(target))

    def _same(self, before: Message, after: Message | None) -> bool:
        """Whether a message shows what it showed: a repeat or a stale change makes no difference (I2, I7)."""
        return after is not None and look(before)._replace(version=0) == look(after)._replace(version=0)

    @rule(
        where=st.sampled_from(["newest", "older", "newer", "some"]),
        pick=numbers,
        limit=st.integers(1, 4),
        lag=st.sampled_from([0, 0, 0, 1, 2, 5]),
    )
    def load(self, where: str, pick: int, limit: int, lag: int) -> None:
        """A page comes, of a log that may lag behind what was heard (D19, D24)."""
        as_of = key(max(0, len(self.log.facts) - lag))
        there = [made for made in self.log.creations if made.key <= as_of]
        window = self.model.window
        older = newer = None
        if where == "older":
            page = [made for made in there if window and made.key < window[0].key][-limit:]
            older = bool(page) and page[0] is not there[0]
        elif where == "newer":
            page = [made for made in there if window and made.key > window[-1].key][:limit]
            newer = bool(page) and page[-1] is not there[-1]
        elif where == "newest":
            page = there[-limit:]
        else:
            page = [made for place, made in enumerate(there) if (place + pick) % 3 == 0 and made in window]
        self._load(page, as_of, has_older=older, has_newer=newer, extend=where == "older")

    @rule(pick=numbers, limit=st.integers(1, 4), lag=st.sampled_from([0, 0, 1, 3]))
    def jump(self, pick: int, limit: int, lag: int) -> None:
        """Another stretch is shown in place of what is loaded."""
        as_of = key(max(0, len(self.log.facts) - lag))
        there = [made for made in self.log.creations if made.key <= as_of]
        start = pick % (len(there) + 1)
        page = there[start : start + limit]
        self.timeline.unload()
        self.model.unload()
        self._load(
            page,
            as_of,
            has_older=bool(page) and page[0] is not there[0],
            has_newer=bool(page) and page[-1] is not there[-1],
            extend=False,
        )

    def _load(self, page: list[Fact], as_of: OrderKey, **given: Any) -> None:
        folded = [self.log.told(made.ident, as_of) for made in page]
        self.timeline.load(folded, as_of=as_of, **given)
        self.model.load(self.log, page, as_of, **given)
        self.told |= {made.ident: max(as_of, self.told.get(made.ident, as_of)) for made in page}
        if as_of == key(len(self.log.facts)):
            for made in page:
                message = self.timeline.get(made.ident)
                assert message is None or "provisional" not in message.flags

    # -- what I wish

    @precondition(lambda self: self._unheard())
    @rule(pick=numbers)
    def wish(self, pick: int) -> None:
        """I wish what has not come yet (D23)."""
        unheard = self._unheard()
        made = unheard[pick % len(unheard)]
        wish(self.overlay, made.envelope.id, made)
        self.model.wishes.append(WishModel(made))

    def _unheard(self) -> list[Fact]:
        wished = [one.fact for one in self.model.wishes]
        return [
            fact
            for fact in self.log.facts
            if fact.user == ME and fact.key not in self.heard and fact not in wished
        ]

    @precondition(lambda self: self.model.wishes)
    @rule(pick=numbers, status=STATUSES)
    def become(self, pick: int, status: Any) -> None:
        """Something becomes of a wish; one that failed and is queued again goes to the end (D7)."""
        wishes = self.model.wishes
        one = wishes[pick % len(wishes)]
        self.overlay.status(one.fact.envelope.id, status)
        if status == "discarded":
            wishes.remove(one)
        elif one.status in {"failed", "expired"} and status not in {"failed", "expired"}:
            wishes.remove(one)
            wishes.append(WishModel(one.fact, status))
        else:
            one.status = status

    def _confirmed(self, pending: WishModel) -> None:
        at = self.model.wishes.index(pending)
        for older in self.model.wishes[:at]:
            if older.target == pending.target and older.status in {"failed", "expired"}:
                older.settled = True
        self.model.wishes.remove(pending)

    # -- what is shown

    @rule(which=st.integers(0, 1))
    def read(self, which: int) -> None:
        """A reader draws what changed since it last looked."""
        reader, drawn = self.screens[which]
        shown = self.view.read(reader)
        if shown.changes is None:
            drawn[:] = shown.messages
        else:
            replay(drawn, shown.changes)
        assert tuple(drawn) == shown.messages
        sure = {one.ident for one in shown.messages if "provisional" not in one.flags}
        expected = self.model.view()
        assert [one.ident for one in shown.messages] == [one.ident for one in expected]
        for message, right in zip(shown.messages, expected, strict=True):
            assert message.ident not in sure or look(message) == right

    @invariant()
    def the_window_shows_what_is_known(self) -> None:
        """One copy of each message, in its place, as its facts make it; or it says that it may not be (I2, I5)."""
        shown, expected = list(self.timeline), self.model.looks()
        assert [message.ident for message in shown] == [right.ident for right in expected]
        for message, right in zip(shown, expected, strict=True):
            if "provisional" in message.flags:
                assert self.model.dropped or self.timeline.counts["evicted"]
            else:
                assert look(message) == right
        window = self.timeline.window
        assert (window.has_older, window.has_newer) == (self.model.has_older, self.model.has_newer)
        assert len(window) <= max(KEEP, MOST)
