"""Facts to fold, short to write, and Hypothesis strategies for whole channels of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from chatkit.core.fact import Fact
from chatkit.core.overlay import Overlay
from chatkit.core.timeline import Timeline
from chatkit.core.timeline_changes import target_of
from chatkit.model.entry import Folded
from chatkit.model.envelope import Envelope
from chatkit.model.message import Attested, Message
from chatkit.model.order import Ident, OrderKey

CHANNEL = "support"
LOG = "log-1"
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
CHANGES = ("message.update", "message.delete", "message.restore", "reaction.add", "reaction.remove")


def uuid(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012x}"


def key(serial: int) -> OrderKey:
    return OrderKey(1, f"{serial:020d}")


def moment(serial: int) -> datetime:
    return START + timedelta(seconds=serial)


def envelope(kind: str, id: str, user: str, **fields: Any) -> Envelope:
    given = {
        "v": 1,
        "id": id,
        "kind": kind,
        "channel": CHANNEL,
        "sender": {"user": user, "device": "k3v9x2"},
        "at": "2026-11-23T10:00:00.000Z",
        **fields,
    }
    return parsed(json.dumps(given))


@lru_cache(maxsize=20_000)
def parsed(text: str) -> Envelope:
    """An envelope is frozen, so examples may share it."""
    return Envelope.parse(text.encode())


def fact(
    serial: int,
    made: Envelope,
    *,
    stamped: bool = True,
    attested: Attested = "provider",
    suspect: bool = False,
) -> Fact:
    sent_at = moment(serial) if stamped else None
    return Fact(
        made,
        made.encode(),
        Ident(made.sender.user, made.id),
        key(serial),
        stamped,
        sent_at,
        attested,
        LOG,
        None,
        suspect,
    )


def create(
    serial: int, user: str = "ada", text: str | None = None, number: int | None = None, **given: Any
) -> Fact:
    """A message; its id is that of `number`, else of its serial. The rest goes to fact or envelope."""
    about = {name: given.pop(name) for name in ("stamped", "attested", "suspect") if name in given}
    body = {"type": "text", "text": f"text {serial}" if text is None else text}
    made = envelope("message.create", uuid(number or serial), user, **{"body": body, **given})
    return fact(serial, made, **about)


def change(serial: int, word: str, of: Fact | Ident, user: str | None = None, **given: Any) -> Fact:
    """A change of a message by its author or another: update, delete, restore, add or remove."""
    about = {name: given.pop(name) for name in ("stamped", "attested", "suspect") if name in given}
    target = of.ident if isinstance(of, Fact) else of
    family = "reaction" if word in {"add", "remove"} else "message"
    if word == "update":
        given.setdefault("body", {"type": "text", "text": f"edit {serial}"})
    if family == "reaction":
        given = {"body": {"type": "emoji", "emoji": given.pop("emoji", "👍")}, **given}
    ref = {"id": target.id, "user": target.user}
    made = envelope(f"{family}.{word}", uuid(10_000 + serial), user or target.user, ref=ref, **given)
    return fact(serial, made, **about)


def wish(overlay: Overlay, entry_id: str, fact: Fact, **given: Any) -> None:
    """Show a fact as a wish that is still to come true."""
    overlay.add(entry_id, fact.ident, target_of(fact.envelope, fact.user), fact.data, **given)


def timeline(
    *facts: Fact, viewer: str = "me", rights: bool = True, keep: int = 1_000, most: int = 10_000
) -> Timeline:
    made = Timeline(CHANNEL, viewer, origin=LOG, rights=rights, keep=keep, most=most)
    for one in facts:
        made.apply(one)
    return made


class State(NamedTuple):
    """All that a timeline says."""

    messages: tuple[Message, ...]
    folded: tuple[Folded | None, ...]


def state(of: Timeline) -> State:
    messages = tuple(of)
    return State(messages, tuple(of.folded(message.ident) for message in messages))


def page(facts: Sequence[Fact], as_of: int, only: Sequence[Ident] | None = None) -> list[Folded]:
    """What a log would tell of messages as of a serial."""
    log = timeline(*sorted((one for one in facts if one.key <= key(as_of)), key=lambda one: one.key))
    idents = [message.ident for message in log] if only is None else only
    return [found for ident in idents if (found := log.folded(ident)) is not None]


def told(of: Fact, **fields: Any) -> Folded:
    """One message as a log tells it that knows only its creation, but for the fields given."""
    found = timeline(of).folded(of.ident)
    assert found is not None
    return found._replace(**fields)


# -- whole channels

USERS = ("ada", "bob", "eve")
EMOJI = ("👍", "🎉")


@st.composite
def channels(
    draw: st.DrawFn,
    *,
    attested: Sequence[Attested] = ("provider",),
    copies: bool = False,
    causal: bool = False,
) -> list[Fact]:
    """Facts with distinct places: messages, replies, changes of them.

    Args:
        draw: Hypothesis' own.
        attested: Who may vouch for a sender.
        copies: Creations may come again at other places or with another body.
        causal: Changes and replies stand after what they are for, as in a log; otherwise anywhere.
    """
    steps = draw(st.integers(1, 18))
    places = list(range(1, steps + 1))
    if not causal:
        draw(st.randoms(use_true_random=False)).shuffle(places)
    made = [
        create(places[0], draw(st.sampled_from(USERS)), number=1, attested=draw(st.sampled_from(attested)))
    ]
    creations = list(made)
    for place in places[1:]:
        target = draw(st.sampled_from(creations))
        fields: dict[str, Any] = {"attested": draw(st.sampled_from(attested))}
        word = draw(
            st.sampled_from(["create", "reply", "copy", "update", "delete", "restore", "add", "remove"])
        )
        if word == "copy" and copies:
            text = draw(st.sampled_from([f"text {target.key.serial}", "another"]))
            made.append(create(place, target.user, text, int(target.ident.id[-12:], 16), **fields))
        elif word in {"create", "reply", "copy"}:
            if word == "reply":
                fields["thread"] = {"id": target.ident.id, "user": target.user}
            made.append(create(place, draw(st.sampled_from(USERS)), number=len(creations) + 1, **fields))
            creations.append(made[-1])
        else:
            if word in {"add", "remove"}:
                fields |= {"user": draw(st.sampled_from(USERS)), "emoji": draw(st.sampled_from(EMOJI))}
            made.append(change(place, word, target, **fields))
    return made


@st.composite
def arrivals(draw: st.DrawFn, facts: Sequence[Fact]) -> list[Fact]:
    """The facts as they may come: in any order, some of them again."""
    random = draw(st.randoms(use_true_random=False))
    arrived = [*facts, *(one for one in facts if random.random() < 0.2)]
    random.shuffle(arrived)
    return arrived
