"""`PresenceSet`: who is there, as far as is known, and what readers are told of it (D32)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from chatkit.core.roster import Change, Roster
from chatkit.core.said import Said, read_said
from chatkit.core.timeline_bytes import reparse, written_at
from chatkit.model.events import PresenceChanged
from chatkit.model.ids import new_message_id
from chatkit.model.views import Member

if TYPE_CHECKING:
    from datetime import datetime

    from chatkit.core.fold import MessageFold
    from chatkit.engine.parts import ChannelParts
    from chatkit.engine.receipts import ReceiptBook
    from chatkit.ports import Moved, Present

SIGNS: Final = 1_000
"""Newest messages, and read marks, that are looked through for when users were seen last."""


class PresenceSet:
    """The members of one channel.

    Args:
        parts: Of the channel.
        book: Its receipts: a mark is a sign of its user.
        changed: Called when who is there may be different.
    """

    def __init__(self, parts: ChannelParts, book: ReceiptBook, *, changed: Callable[[], None]) -> None:
        self._context = parts.context
        self._channel = parts.name
        self._dispatcher = parts.dispatcher
        self._screen = parts.presenter.screen
        self._timeline = parts.timeline
        self._book = book
        self._changed = changed
        self._roster = Roster()
        self._known = False
        """The whole set was in once: what differs from it is news."""
        self.synced = False
        """The provider's whole set is in, and the channel is received."""

    @property
    def present(self) -> int:
        """How many users the provider has in the set."""
        return self._roster.present

    @property
    def members(self) -> dict[str, Member]:
        """Everybody known, by user: who is there, who was, and of whom there is another sign.

        But for those who are hidden.
        """
        found = self._roster.members
        for user, seen in self._signs().items():
            known = found.get(user)
            if known is None:
                found[user] = Member(user=user, status="offline", last_seen=seen)
            elif seen is not None and (known.last_seen is None or seen > known.last_seen):
                found[user] = replace(known, last_seen=seen)
        for user in self._screen.hidden(frozenset(found)):
            del found[user]
        return found

    def replace(self, members: Collection[Present], own: Said | None) -> None:
        """Take the provider's whole set; what differs from the former one is news.

        Args:
            members: All of them, the newest last.
            own: This device's word, where the set carries none.
        """
        said = [(one.user, one.client, self._read(one.data)) for one in members]
        users = {*self._roster.users, *(user for user, _, _ in said)}
        now, quiet = self._now(), not self._known

        def act() -> None:
            self._roster.replace(said, now)
            if own is not None:
                self._roster.hear(self._context.user, "", own, now)

        self._apply(users, act, quiet=quiet)
        self._known = self.synced = True
        self._changed()

    def move(self, moved: Moved) -> None:
        """Take one change of it."""
        (user, client, data), now = moved.member, self._now()
        if moved.change == "leave":
            self._apply({user}, lambda: self._roster.drop(user, client, now))
        else:
            said = self._read(data)
            self._apply({user}, lambda: self._roster.put(user, client, said, now))

    def hear(self, user: str, device: str, fields: Mapping[str, Any]) -> None:
        """Take what a device says of itself beside the set."""
        said, now = self._read(fields), self._now()
        self._apply({user}, lambda: self._roster.hear(user, device, said, now))

    def say(self, own: Said) -> None:
        """Show this device's own word, which does not come back."""
        user, now = self._context.user, self._now()
        self._apply({user}, lambda: self._roster.hear(user, "", own, now))

    def marked(self, user: str) -> None:
        """A user's mark came by: they were there a moment ago."""
        if self._shows_marks:
            self._roster.note(user, self._now())

    def pause(self) -> None:
        """The channel is not received for a while: what is known grows old."""
        self.synced = False
        self._roster.pause(self._now())
        self._changed()

    def clear(self) -> None:
        """The channel is not received any more: nothing is known."""
        self.synced = self._known = False
        self._roster.clear()
        self._changed()

    # -- inside -----------------------------------------------------------------------------------------

    def _read(self, fields: Mapping[str, Any]) -> Said:
        said, whole = read_said(fields)
        if not whole:
            self._context.counters["unreadable_presence"] += 1
        return said

    def _apply(self, users: Collection[str], act: Callable[[], object], *, quiet: bool = False) -> None:
        """Change what is known of some users, and tell what became of it."""
        left_out = self._roster.left_out
        before = {user: self._roster.member(user) for user in users}
        act()
        self._context.counters["presence_left_out"] += self._roster.left_out - left_out
        for user, old in before.items():
            new = self._roster.member(user)
            if new is None and old is not None:  # of very many who went at once some are forgotten at once
                new = Member(user=user, status="offline", last_seen=old.last_seen)
            change = _change(old, new)
            if new is not None and change is not None and not quiet:
                self._tell(new, change)
                self._changed()

    def _tell(self, member: Member, change: Change) -> None:
        context = self._context
        if not self._dispatcher.hears(self._channel, PresenceChanged):
            return  # in a crowd that comes at once each event costs more than the change
        self._dispatcher.tell(
            PresenceChanged(
                event_id=new_message_id(context.server_time.now_ms(), context.random),
                channel=self._channel,
                at=context.server_time.now(),
                own=member.user == context.user,
                member=member,
                change=change,
            )
        )

    @property
    def _shows_marks(self) -> bool:
        """Whether others' marks are shown to the client's user."""
        return self._book.modes.get(self._context.user) != "off"

    def _signs(self) -> dict[str, datetime | None]:
        """Return when users were seen otherwise: in a message that somebody vouches for, or by their mark.

        Who marks a message read was there when it was sent, or later; `None`: it is not loaded.
        """
        now, window = self._now(), self._timeline.window
        found: dict[str, datetime | None] = {}
        for fold in islice(reversed(window), SIGNS):
            if fold.user not in found and fold.voucher.attested != "none":
                found[fold.user] = min(now, _time_of(fold))
        for mark in islice(self._book.marks.read(), SIGNS) if self._shows_marks else ():
            times = [min(now, _time_of(fold)) for fold in window.named(mark.value) if fold.key == mark.key]
            known = found.get(mark.user)
            found[mark.user] = max(times if known is None else [known, *times], default=None)
        return found

    def _now(self) -> datetime:
        return self._context.server_time.now()


def _change(old: Member | None, new: Member | None) -> Change | None:
    """Return what became of a member, or `None`: nothing that shows."""
    was = None if old is None or old.status == "offline" else (old.status, old.data, old.devices)
    is_ = None if new is None or new.status == "offline" else (new.status, new.data, new.devices)
    if was == is_:
        return None
    return "enter" if was is None else "leave" if is_ is None else "update"


def _time_of(fold: MessageFold) -> datetime:
    """Return when a message was sent."""
    return fold.sent_at or written_at(reparse(fold.data))
