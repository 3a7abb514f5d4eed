"""What holds up an entry of the outbox, a channel or the connection: for whoever waits for it in vain."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from chatkit.core.delivery import State
from chatkit.engine.link import reason_of

if TYPE_CHECKING:
    from chatkit.engine.entry import OutboxEntry
    from chatkit.engine.link import Link
    from chatkit.engine.outbox import Outbox
    from chatkit.errors import ChatkitError


class Hold(NamedTuple):
    """Why something is not so yet; `cause` says what to do."""

    why: str
    cause: ChatkitError | None = None


def held_by(outbox: Outbox, link: Link, entry: OutboxEntry) -> Hold:
    """Return what holds an unfinished entry up.

    Args:
        outbox: Where it lies.
        link: That publishing goes over.
        entry: Which one.
    """
    subject, root = "it", entry
    while (target := outbox.blocker(root)) is not None:
        subject, root = f"message {target.row.ident.id}, which it depends on,", target
    if root.held is not None:
        return Hold(f"{subject} ended, which the store could not record yet", outbox.unrecorded)
    if root.row.due_at is not None and outbox.scheduled(root):
        return Hold(f"{subject} is due at {root.row.due_at.isoformat(timespec='seconds')}")
    paused = outbox.publishing.paused
    if paused is not None:
        return Hold(f"sending is paused: {_words(paused)}", paused)
    if not outbox.publishing.open:
        return as_it_is(link)
    first = _first(outbox, root)
    if first is not root:
        subject = f"message {first.row.ident.id}, which goes first,"
    match first.state:
        case State.IN_DOUBT:
            times = f"{first.row.attempts} attempt{'s' * (first.row.attempts > 1)}"
            return Hold(f"{subject} is in doubt after {times}{because(first.error)}", first.error)
        case State.SENDING:
            return Hold(f"{subject} was written and has no answer yet")
        case _ if first.error is not None:
            return Hold(f"{subject} was not taken{because(first.error)}", first.error)
        case _:
            return Hold(f"{subject} waits for its turn")


def unanswered(link: Link, error: ChatkitError | None, whom: str = "the provider") -> Hold:
    """Return why something that is asked for again and again is not so yet.

    Args:
        link: That it is asked over.
        error: What the last attempt met.
        whom: Who is asked.
    """
    if link.live is None:
        return as_it_is(link)
    if error is not None:
        return Hold(f"the last attempt met {_words(error)}", error)
    return Hold(f"{whom} has not answered yet")


def as_it_is(link: Link, subject: str = "the connection") -> Hold:
    """Return a link's state and the reason for it."""
    reason = reason_of(link)
    return Hold(f"{subject} is {link.state.public}{because(reason)}", reason)


def _first(outbox: Outbox, entry: OutboxEntry) -> OutboxEntry:
    """Return the entry of its lane that has to be answered before it goes out; itself if there is none."""
    if not outbox.in_order or entry.state is not State.QUEUED:
        return entry
    lane = outbox.lanes.lane_of(entry)
    before = takewhile(lambda other: other is not entry, outbox.unfinished)
    in_lanes = (
        other
        for other in before
        if other.unfinished and not (outbox.blocker(other) or outbox.scheduled(other))
    )
    return next((other for other in in_lanes if outbox.lanes.lane_of(other) == lane), entry)


def because(error: ChatkitError | None) -> str:
    """Return an error in words to put behind what came of it; nothing where there is none."""
    return "" if error is None else f": {_words(error)}"


def _words(error: ChatkitError) -> str:
    """Return an error in words, without the channel and the message that it may name."""
    return f"{type(error).__name__}: {error.args[0]}"
