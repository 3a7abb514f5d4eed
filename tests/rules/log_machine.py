"""A log beside its model: whatever is written in whatever order, both answer the same (D1, D9, D18, D24, I14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from chatkit.model.names import EVERYONE
from chatkit.model.order import Ident, OrderKey, Place
from chatkit.model.registers import KIND, READ, ROLE, UNREAD, Register, place_text
from chatkit.ports.log import Log, LogState
from chatkit.ports.outgoing import Ack, Outgoing
from chatkit.testing.wishes import message_id, wish
from tests.rules.driving import Machine
from tests.rules.log_model import (
    ChannelModel,
    Row,
    Told,
    fields_of,
    is_after,
    key,
    slice_of,
    told,
)
from tests.rules.strategies import WORDS, Intent, batches, numbers, users

CHANNELS = ("support", "sales")
LATER = timedelta(days=1)
KINDS = {
    "update": "message.update",
    "delete": "message.delete",
    "restore": "message.restore",
    "add": "reaction.add",
    "remove": "reaction.remove",
}

channels = st.sampled_from(CHANNELS)
limits = st.sampled_from([1, 2, 3, 5, 50])


@dataclass
class Walk:
    """Somebody who reads page after page while others write (I14)."""

    channel: str
    forward: bool
    at: OrderKey | None
    read: list[Told] = field(default_factory=list[Told])
    done: bool = False


class LogMachine(Machine):
    """One log behind some doors; a subclass says which."""

    keep: ClassVar[int] = 100_000
    """Most entries of a channel."""
    own_clock: ClassVar[bool] = False
    """The log's time is not the machine's."""

    def __init__(self) -> None:
        super().__init__()
        self.models = {name: ChannelModel(name, self.keep) for name in CHANNELS}
        self.written: dict[str, list[Outgoing]] = {name: [] for name in CHANNELS}
        self.walks: list[Walk] = []
        self.count = 0
        self.doors: list[Log] = self.open_doors()
        self.log_id = self.do(self.doors[0].heads(["support"]))["support"].log_id

    def now(self) -> datetime:
        """The log's time, roughly where it is its own."""
        return datetime.now(UTC) if self.own_clock else self.clock.wall()

    def open_doors(self) -> list[Log]:
        """Return doors to one new log."""
        raise NotImplementedError

    def reopened(self, door: Log) -> Log:
        """Close a door and open another one in its place."""
        return door

    def teardown(self) -> None:
        """Close the doors."""
        for door in self.doors:
            self.do(door.aclose())
        super().teardown()

    # -- writing

    @rule(channel=channels, batch=batches, door=numbers)
    def append(self, channel: str, batch: list[Intent], door: int) -> None:
        """Append what is new, what was sent before in whatever batch, and what contradicts it (D1, D9)."""
        self._append(channel, [self._written(channel, one) for one in batch], door)

    @rule(channel=channels, start=numbers, length=st.integers(1, 9), door=numbers)
    def append_again(self, channel: str, start: int, length: int, door: int) -> None:
        """Append a stretch of what was sent before, grouped otherwise (D9)."""
        sent = self.written[channel]
        if sent:
            start %= len(sent)
            self._append(channel, sent[start : start + length], door)

    def _append(self, channel: str, outgoing: Sequence[Outgoing], door: int) -> None:
        model, before = self.models[channel], self.now()
        appended = self.do(self._door(door).append(channel, outgoing))
        assert [ack.ident for ack in appended.acks] == [out.ident for out in outgoing]
        for out, ack in zip(outgoing, appended.acks, strict=True):
            expected = model.answer(out, before)
            assert ack.outcome == expected.outcome, out
            assert expected.error is None or type(ack.error) is expected.error
            if ack.outcome == "new":
                last = model.rows[-1].at if model.rows else None
                assert ack.sent_at is not None
                assert last is None or ack.sent_at >= last
                assert self.own_clock or ack.sent_at == max(before, last or before)
                model.take(out, ack.sent_at)
            self._check_place(model, ack, expected.number)
        self._check_state(channel, appended.state)

    def _check_place(self, model: ChannelModel, ack: Ack, number: int | None) -> None:
        if number is None:
            assert (ack.key, ack.sent_at, ack.prev) == (None, None, None)
            return
        assert (ack.key, ack.sent_at) == (key(number), model.rows[number - 1].at)
        # Of one that was trimmed in the course of this very batch the answer may be older than that.
        if number > model.floor:
            assert ack.prev == _prev(number)

    @rule(
        channel=channels,
        user=users,
        name=st.sampled_from([READ, READ, UNREAD, ROLE, ROLE, KIND]),
        pick=numbers,
        placed=st.booleans(),
        door=numbers,
    )
    def put(self, channel: str, user: str, name: str, pick: int, placed: bool, door: int) -> None:
        """Put a register; marks may be older than what stands there (D25)."""
        place = key(pick % (len(self.models[channel].rows) + 2))
        clock = OrderKey(1, f"{pick % 7}") if placed else None
        if name == READ:
            made = Register(channel, user, READ, f"id-{place.serial}", "greatest", place)
        elif name == UNREAD:
            made = Register(channel, user, UNREAD, place_text(place) if pick % 3 else "", "newest", clock)
        elif name == ROLE:
            made = Register(
                channel, user, ROLE, ("", "moderator", "owner", "member")[pick % 4], "newest", clock
            )
        else:
            made = Register(channel, EVERYONE, KIND, "broadcast" if pick % 4 == 1 else "", "newest", clock)
        self.do(self._door(door).put([made]))
        self.models[channel].puts.append(made)

    @rule(channel=channels, pick=numbers, by_time=st.booleans(), door=numbers)
    def trim(self, channel: str, pick: int, by_time: bool, door: int) -> None:
        """Raise the floor (D26)."""
        place = self._place(channel, pick % 8, by_time=by_time)
        state = self.do(self._door(door).trim(channel, place))
        self.models[channel].trim(place)
        self._check_state(channel, state)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 3_600.0]), door=st.none() | numbers)
    def rest(self, seconds: float, door: int | None) -> None:
        """Let time pass; perhaps close a door and open another one (D18)."""
        self.clock.advance(seconds)
        if door is not None:
            at = door % len(self.doors)
            self.doors[at] = self.reopened(self.doors[at])

    # -- reading

    @rule(
        channel=channels,
        where=st.sampled_from(["newest", "before", "after", "around", "between"]),
        one=numbers,
        other=numbers,
        by_time=st.booleans(),
        limit=limits,
        in_thread=st.booleans(),
        door=numbers,
    )
    def read_page(
        self,
        channel: str,
        where: str,
        one: int,
        other: int,
        by_time: bool,
        limit: int,
        in_thread: bool,
        door: int,
    ) -> None:
        """Read a page of messages, by places or times, in the channel or in a thread (D24)."""
        model = self.models[channel]
        first, second = self._place(channel, one, by_time=by_time), self._place(channel, other, by_time=False)
        places: Mapping[str, Place] = {
            "newest": {},
            "before": {"before": first},
            "after": {"after": first},
            "around": {"around": first},
            "between": {"after": first, "before": second},
        }[where]
        root = self._pick(channel, one) if in_thread and model.rows else None
        shelf = model.messages() if root is None else model.replies(root)
        page = self.do(self._door(door).messages(channel, limit=limit, thread=root, **places))
        items = [told(item) for item in page.items]
        assert items == slice_of(shelf, limit=limit, **places)
        assert (page.as_of, page.provisional) == (
            key(len(model.rows)) if model.rows else OrderKey(1, ""),
            False,
        )
        self._check_state(channel, page.state)
        if items:
            older = [one for one in shelf if one.place < items[0].place]
            newer = [one for one in shelf if one.place > items[-1].place]
            assert older == ([] if page.before is None else [one for one in shelf if one.place < page.before])
            assert newer == ([] if page.after is None else [one for one in shelf if one.place > page.after])
            assert (page.before is None, page.after is None) == (not older, not newer)

    @rule(channel=channels, pick=numbers, by_time=st.booleans(), limit=limits, door=numbers)
    def read_entries(self, channel: str, pick: int, by_time: bool, limit: int, door: int) -> None:
        """Read raw entries, oldest first (D19)."""
        model = self.models[channel]
        after = self._place(channel, pick, by_time=by_time) if pick % 4 else None
        page = self.do(self._door(door).entries(channel, after=after, limit=limit))
        expected = [(row, said) for row, said in model.entries() if after is None or is_after(row, after)]
        assert len(page.items) == min(limit, len(expected))
        for (row, said), entry in zip(expected, page.items, strict=False):
            self._check_entry(row, said, entry)
        assert page.more == (len(expected) > limit)
        self._check_state(channel, page.state)

    @rule(channel=channels, forward=st.booleans(), pick=numbers, limit=limits, door=numbers)
    def walk(self, channel: str, forward: bool, pick: int, limit: int, door: int) -> None:
        """Begin to read a whole channel, or read the next page; others may have written meanwhile (I14)."""
        going = [walk for walk in self.walks if not walk.done]
        if pick % 4 == 0 or not going:
            going = [Walk(channel, forward, OrderKey(0, "") if forward else None)]
            self.walks += going
        walk = going[pick % len(going)]
        log, at = self._door(door), walk.at
        if walk.forward:
            page = self.do(log.messages(walk.channel, after=at, limit=limit))
            walk.read += [told(item) for item in page.items]
            walk.at, walk.done = page.after, page.after is None
        else:
            page = self.do(log.messages(walk.channel, before=at, limit=limit))
            walk.read[:0] = [told(item) for item in page.items]
            walk.at, walk.done = page.before, page.before is None
        self._check_walk(walk)

    def _check_walk(self, walk: Walk) -> None:
        """Both ways cover once all that is kept: nothing left out between the ends, and at the end all."""
        places = [one.place for one in walk.read]
        assert places == sorted(set(places))
        kept = [one.place for one in self.models[walk.channel].messages()]
        if places:
            assert [place for place in kept if places[0] <= place <= places[-1]] == [
                place for place in places if kept and place >= kept[0]
            ]
        if walk.done and walk.forward:
            assert set(kept) <= set(places)
        elif walk.done and places:
            assert all(place in places for place in kept if place <= places[-1])

    @rule(
        what=st.sampled_from(["find", "get", "get bare", "versions", "registers"]),
        channel=channels,
        picks=st.lists(numbers, min_size=1, max_size=4),
        names=st.sets(st.sampled_from([READ, UNREAD, ROLE, KIND]), min_size=1),
        door=numbers,
    )
    def ask(self, what: str, channel: str, picks: list[int], names: set[str], door: int) -> None:
        """Ask for what has a name."""
        match what:
            case "find":
                self._find(channel, picks, door)
            case "get" | "get bare":
                self._get(channel, picks, bare=what != "get", door=door)
            case "versions":
                self._versions(channel, picks[0], door)
            case _:
                self._registers(channel, names, door)

    def _find(self, channel: str, picks: list[int], door: int) -> None:
        """Ask for envelopes of any kind, and for some that were never there (D10)."""
        model = self.models[channel]
        idents = [
            self._pick(channel, pick) if pick % 3 else Ident("bob", message_id(9_000 + pick))
            for pick in picks
        ]
        found = self.do(self._door(door).find(channel, idents))
        numbers = {row.out.ident: key(row.number) for row in model.rows}
        assert dict(found.items) == {ident: numbers[ident] for ident in idents if ident in numbers}
        assert found.reaches is not None
        assert found.reaches <= self.now() - LATER
        self._check_state(channel, found.state)

    def _get(self, channel: str, picks: list[int], *, bare: bool, door: int) -> None:
        """Ask for messages by name; a bare id names those of several users (D1)."""
        idents = [self._pick(channel, pick) for pick in picks]
        page = self.do(self._door(door).get(channel, [ident.id for ident in idents] if bare else idents))
        named = {ident.id for ident in idents} if bare else set(idents)
        expected = [
            one for one in self.models[channel].messages() if (one.ident.id if bare else one.ident) in named
        ]
        assert [told(item) for item in page.items] == expected

    def _versions(self, channel: str, pick: int, door: int) -> None:
        """Ask what became of one message (D26)."""
        model, ident = self.models[channel], self._pick(channel, pick)
        page = self.do(self._door(door).versions(channel, ident))
        rows = {row.number: (row, said) for row, said in model.entries()}
        expected = [rows[number] for number in model.versions(ident)]
        assert len(page.items) == len(expected)
        for (row, said), entry in zip(expected, page.items, strict=True):
            self._check_entry(row, said, entry)

    @rule(user=users, door=numbers)
    def unread(self, user: str, door: int) -> None:
        """Count what a user has not read (D25, I9)."""
        found = self.do(self._door(door).unread(user, CHANNELS))
        assert dict(found) == {name: model.unread(user) for name, model in self.models.items()}

    @rule(
        text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2),
        only=st.none() | channels,
        sender=st.none() | users,
        limit=limits,
        door=numbers,
    )
    def search(self, text: list[str], only: str | None, sender: str | None, limit: int, door: int) -> None:
        """Search what shows, newest first, page by page to the end (D24)."""
        names = CHANNELS if only is None else (only,)
        expected = sorted(
            (
                ((one.at, name, one.place.serial), one)
                for name in names
                for one in self.models[name].messages()
                if sender in (None, one.ident.user) and set(text) <= _words(one)
            ),
            key=lambda hit: hit[0],
            reverse=True,
        )
        hits: list[Told] = []
        mark = None
        while True:
            page = self.do(
                self._door(door).search(
                    " ".join(text), channels=only and [only], sender=sender, before=mark, limit=limit
                )
            )
            assert len(page.items) <= limit
            assert page.next is None or len(page.items) == limit
            hits += [told(item) for item in page.items]
            mark = page.next
            if mark is None:
                break
        assert hits == [one for _, one in expected]

    def _registers(self, channel: str, names: set[str], door: int) -> None:
        """Read registers (D25)."""
        found = self.do(self._door(door).registers(channel, sorted(names)))
        model = self.models[channel]
        cells = sorted({(one.name, one.user) for one in model.puts if one.name in names})
        assert list(found) == [model.register(*cell) for cell in cells]

    @invariant()
    def heads_are_told(self) -> None:
        """Whatever was done, each door says where each channel stands (D16, D18)."""
        for door in self.doors:
            for channel, state in self.do(door.heads(CHANNELS)).items():
                self._check_state(channel, state)

    # -- inside

    def _door(self, pick: int) -> Log:
        return self.doors[pick % len(self.doors)]

    def _check_state(self, channel: str, state: LogState) -> None:
        model = self.models[channel]
        head, floor = len(model.rows), model.floor
        assert (state.log_id, state.epoch) == (self.log_id, 1)
        assert state.head == (f"{head:020d}" if head else None)
        assert state.floor == (f"{floor:020d}" if floor else None)

    def _check_entry(self, row: Row, said: dict[str, Any], entry: Any) -> None:
        stamp = entry.stamp
        assert (stamp.key, stamp.prev, stamp.user, stamp.at, stamp.log_id) == (
            *(key(row.number), _prev(row.number), row.user, row.at),
            self.log_id,
        )
        assert fields_of(entry.data) == said

    def _place(self, channel: str, pick: int, *, by_time: bool) -> Place:
        """A place in a channel, or beside it."""
        rows = self.models[channel].rows
        if not by_time:
            return key(pick % (len(rows) + 2))
        at: datetime = rows[pick % len(rows)].at if rows else self.clock.wall()
        return at + timedelta(seconds=(pick % 3) - 1)

    def _pick(self, channel: str, pick: int) -> Ident:
        """One of what was written, the newest with 0."""
        sent = self.written[channel]
        return sent[-1 - pick % len(sent)].ident if sent else Ident("ada", message_id(1))

    def _written(self, channel: str, intent: Intent) -> Outgoing:
        """Make an envelope of an intent, or find the one that it repeats."""
        sent = self.written[channel]
        if intent.word == "again" and sent:
            return sent[-1 - intent.pick % len(sent)]
        self.count += 1
        out = self._made(channel, intent)
        sent.append(out)
        return out

    def _made(self, channel: str, intent: Intent) -> Outgoing:
        sent, word = self.written[channel], intent.word
        kept = [row.out for row in self.models[channel].kept if row.kind == "message.create"]
        likely = kept if kept and intent.pick % 4 else sent  # else anything, there or not
        older = likely[-1 - intent.pick % len(likely)] if likely else None
        user, number = intent.user, self.count
        fields: dict[str, Any] = {"seq": self._seq(intent), "not_after": self._deadline(intent)}
        text = {"type": "text", "text": " ".join((*intent.text, f"n{self.count}"))}
        if word == "conflict" and older is not None:
            user, number = older.ident.user, int(older.ident.id[-12:], 16)
        if word in KINDS and older is not None:
            base = intent.base if word != "add" else None
            fields |= {"kind": KINDS[word], "target": older, "base": base}
            if word in {"update", "delete"}:
                user = user if intent.pick % 3 == 0 else older.ident.user
            if word in {"add", "remove"}:
                fields["body"] = {"type": "emoji", "emoji": intent.emoji}
        elif word == "unknown":
            fields["kind"] = "poll.vote"
        elif word == "reply":
            fields |= {"thread": older, "also": intent.also}
        if fields.get("kind") in (None, "message.update"):
            fields |= {"body": text, "mentions": list(intent.mentions)}
        return wish(number, user=user, device=intent.device, channel=channel, **fields)

    def _seq(self, intent: Intent) -> int | None:
        if intent.number == "none":
            return None
        return self.count if intent.number == "next" else max(1, self.count - 1 - intent.pick % 4)

    def _deadline(self, intent: Intent) -> datetime | None:
        if intent.deadline == "none":
            return None
        return self.now() + (LATER if intent.deadline == "future" else -LATER)


def _prev(number: int) -> str:
    return f"{number - 1:020d}" if number > 1 else ""


def _words(one: Told) -> set[str]:
    shown = {} if one.deleted else (one.edit or one.said or {})
    return set(str(shown.get("body", {}).get("text", "")).split())
