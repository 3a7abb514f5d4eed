"""Each check of the checker: the smallest history that breaks its invariant, and the nearest innocent one.

Every case is a pair: a story that must be reported, and one that differs from it in the one thing that matters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from chatkit.model.order import Ident, OrderKey
from chatkit.testing.checker import Breach, Terms, check
from chatkit.testing.checker.case import Case
from chatkit.testing.checker.truth import read, unread
from chatkit.testing.history import (
    Accepted,
    Advanced,
    Counted,
    Ended,
    Forgotten,
    Gap,
    Heard,
    Line,
    Listening,
    Opened,
    Paged,
    Promised,
    Raised,
    Reported,
    Retried,
    Settled,
    Shown,
    Silent,
    Stood,
)

if TYPE_CHECKING:
    from chatkit.testing.history import Record

ADA, BOB = 1, 2
"""Lives: one client of each."""
FINAL = Terms(final=True)
RAW = Terms(log=False, ordered=False, fenced=False, final=True)
"""Without a log."""
OPEN: tuple[Record, ...] = (Opened(0.0, ADA, "ada", "disk"), Opened(0.0, BOB, "bob", ""))


def name(number: int, user: str = "ada") -> Ident:
    return Ident(user, f"id-{number}")


def key(number: int) -> OrderKey:
    return OrderKey(1, f"{number:04d}")


def accepted(
    number: int,
    *,
    user: str = "ada",
    at: int | None = None,
    kind: str = "message.create",
    ref: Ident | None = None,
    seq: int | None = None,
    id: int | None = None,
    **said: Any,
) -> Accepted:
    """The provider took an envelope, number by number at its place and time."""
    ident = name(number if id is None else id, user)
    fields = {
        "kind": kind,
        "sender": {"user": user, "device": "phone"},
        "seq": seq,
        "ref": None if ref is None else {"user": ref.user, "id": ref.id},
        "body": {"type": "text", "text": f"text {ident.id}"},
    }
    place = number if at is None else at
    return Accepted(float(number), "red", ident, key(place), json.dumps(fields | said).encode())


def promised(number: int, life: int = ADA, **fields: Any) -> Promised:
    user = "ada" if life == ADA else "bob"
    given: dict[str, Any] = {
        "kind": "create",
        "device": "phone",
        "made": True,
        "due": False,
        "depends": False,
    } | fields
    return Promised(float(number), life, f"e{number}", "red", name(number, user), **given)


def settled(number: int, status: str, *, life: int = ADA, certain: bool = True, **fields: Any) -> Settled:
    user = "ada" if life == ADA else "bob"
    given = {"at": 50.0, "late": False, "reason": None, "ident": name(number, user)} | fields
    return Settled(life=life, entry=f"e{number}", channel="red", status=status, certain=certain, **given)


def line(
    number: int, *, user: str = "ada", at: int | None = None, text: str | None = None, **fields: Any
) -> Line:
    given: dict[str, Any] = {
        "status": "sent",
        "version": 1,
        "deleted": False,
        "edited": False,
        "reactions": (),
        "provisional": False,
        "orphaned": False,
        "key": key(number if at is None else at),
    }
    return Line(
        ident=name(number, user), text=f"text id-{number}" if text is None else text, **(given | fields)
    )


def shown(*lines: Line, life: int = BOB, gaps: int = 0, newest: bool = True, state: str = "live") -> Shown:
    return Shown(90.0, life, "red", state, lines, gaps, newest)


def heard(
    number: int,
    *,
    user: str = "ada",
    what: Literal["created", "updated", "deleted"] = "created",
    **fields: Any,
) -> Heard:
    given: dict[str, Any] = {"key": key(number), "late": False, "version": 1, "deleted": False} | fields
    return Heard(60.0, BOB, 7, "red", what, name(number, user), **given)


def gap(reason: str = "reconnected", after: int | None = None, until: int | None = None) -> Gap:
    low, high = (None if place is None else key(place) for place in (after, until))
    return Gap(60.0, BOB, 7, "red", reason, low, high, certain=True)


def stood(life: int = BOB, **fields: Any) -> Stood:
    given: dict[str, Any] = {
        "connection": "connected",
        "health": "ok",
        "depth": 0,
        "most": 10,
        "unfinished": (),
        "tasks": 20,
        "counters": (),
        "unreachable": 0.0,
    }
    return Stood(90.0, life, **(given | fields))


def listening(since: int | None = None) -> Listening:
    return Listening(5.0, BOB, 7, "red", None if since is None else key(since), None)


def paged(*numbers: int, direction: Literal["forward", "backward"] = "forward", **fields: Any) -> Paged:
    idents = tuple(map(name, numbers))
    given = {"began": 50.0, "provisional": False} | fields
    return Paged(60.0, BOB, "red", direction, idents, **given)


def breaches(
    *records: Record, terms: Terms = FINAL, unread: dict[tuple[str, str], int] | None = None
) -> tuple[Breach, ...]:
    return check((*OPEN, *records), terms, unread=unread)


A1, A2, A3 = accepted(1), accepted(2), accepted(3)
P1, P2 = promised(1), promised(2)
SENT1 = settled(1, "sent")
EDIT = accepted(4, kind="message.update", ref=name(1), body={"text": "new"})
DELETE = accepted(5, kind="message.delete", ref=name(1), body=None)
THEIRS = accepted(1, user="bob")
LIKED = accepted(2, at=4, seq=3, kind="reaction.add", ref=name(1, "bob"), body={"emoji": "+"})
REACT = accepted(6, user="bob", kind="reaction.add", ref=name(1), body={"emoji": "+"})
COPIED = FINAL._replace(copied=True)
UNDER_WAY = Terms()
KILLED = Ended(40.0, ADA, "killed")
DEATHS: tuple[Record, ...] = (KILLED, Opened(41.0, 3, "ada", "disk"), stood(3))

CASES: dict[str, tuple[str, Terms, tuple[Record, ...], tuple[Record, ...]]] = {
    # name: the invariant, what may be expected, a story that breaks it, the innocent one beside it
    "sent and absent": ("I1", FINAL, (P1, SENT1), (P1, A1, SENT1)),
    "certainly failed and there": (
        "I1",
        FINAL,
        (P1, A1, settled(1, "failed")),
        (P1, A1, settled(1, "failed", certain=False)),
    ),
    "two final statuses": (
        "I1",
        FINAL,
        (P1, settled(1, "failed"), settled(1, "discarded")),
        (P1, settled(1, "failed"), Retried(55.0, ADA, "e1"), settled(1, "discarded")),
    ),
    "certainly failed, then sent": (
        "I1",
        FINAL,
        (P1, settled(1, "failed", at=0.5), A1, settled(1, "sent", late=True)),
        (P1, settled(1, "failed", at=0.5, certain=False), A1, settled(1, "sent", late=True)),
    ),
    "told again by the store": (
        "I1",
        FINAL,
        (P1, settled(1, "failed"), settled(1, "failed")),
        (P1, settled(1, "failed"), settled(1, "failed", reason="kept")),
    ),
    "never ended": ("I1", FINAL, (P1, stood(ADA, unfinished=("e1",))), (P1, A1, SENT1, stood(ADA))),
    "gone without a death": ("I1", FINAL, (P1, stood(ADA)), (P1, stood(ADA), A1)),
    "gone from memory": (
        "I1",
        FINAL,
        (promised(1, BOB), stood()),
        (promised(1, BOB), stood(), Ended(95.0, BOB, "killed")),
    ),
    "gone with a death": ("I3", FINAL, (P1, *DEATHS), (P1, *DEATHS, A1)),
    "gone, and nobody has the store": ("I3", FINAL, (P1, *DEATHS), (P1, KILLED)),
    "gone, or due later": ("I3", FINAL, (P1, *DEATHS), (promised(1, due=True), *DEATHS)),
    "another id": ("I2", FINAL, (P1, A1, settled(1, "sent", ident=name(9))), (P1, A1, SENT1)),
    "taken twice": ("I2", FINAL, (A1, accepted(2, id=1)), (A1, A2)),
    "tried again with other bytes": (
        "I5",
        RAW,
        (accepted(1, seq=1), accepted(2, id=1, seq=1, hlc="later")),
        (accepted(1, seq=1), accepted(2, id=1, seq=1)),
    ),
    "behind its successor": (
        "I4",
        FINAL,
        (accepted(1, seq=2), accepted(2, seq=1)),
        (accepted(1, seq=1), accepted(2, seq=2)),
    ),
    "wished before what it follows": (
        "I4",
        FINAL,
        (P1, P2, accepted(2, at=1, seq=1), accepted(1, at=2, seq=2), SENT1, settled(2, "sent")),
        (P1, P2, accepted(1, seq=1), accepted(2, seq=2), SENT1, settled(2, "sent")),
    ),
    "a change wished before what it follows": (
        "I4",
        UNDER_WAY,
        (P2, promised(3), THEIRS, accepted(3, seq=2), LIKED),
        (P2, promised(3), THEIRS, accepted(3, at=5, seq=4), LIKED),
    ),
    "a change before its target": (
        "I4",
        UNDER_WAY,
        (P2, promised(3), accepted(3, at=0, seq=2), THEIRS, LIKED),
        (P2, promised(3), THEIRS, accepted(3, at=5, seq=4), LIKED),
    ),
    "retried, and moved to the end": (
        "I4",
        UNDER_WAY,
        (P1, P2, accepted(2, at=1, seq=1), accepted(1, at=2, seq=2)),
        (P1, P2, Retried(55.0, ADA, "e1"), accepted(2, at=1, seq=1), accepted(1, at=2, seq=2)),
    ),
    "told twice": ("I2", FINAL, (A1, listening(), heard(1), heard(1)), (A1, listening(), heard(1))),
    "told, and nobody sent it": ("I2", FINAL, (listening(), heard(1)), (A1, listening(), heard(1))),
    "late, and silent about it": (
        "I6",
        FINAL,
        (A1, A2, listening(), heard(2), heard(1)),
        (A1, A2, listening(), heard(2), heard(1, late=True)),
    ),
    "below since": ("I6", FINAL, (A1, A2, listening(2), heard(1)), (A1, A2, listening(1), heard(2))),
    "another log": (
        "I6",
        FINAL,
        (A1, A2, listening(), heard(2), gap(), heard(1)),
        (A1, A2, listening(), heard(2), gap("log_reset"), heard(1)),
    ),
    "version goes back, the log with it": (
        "I7",
        FINAL,
        (A1, listening(), heard(1, what="updated", version=3), gap(), heard(1, what="updated", version=2)),
        (
            A1,
            listening(),
            heard(1, what="updated", version=3),
            gap("log_reset"),
            heard(1, what="updated", version=2),
        ),
    ),
    "version goes back": (
        "I7",
        FINAL,
        (A1, listening(), heard(1, what="updated", version=3), heard(1, what="updated", version=2)),
        (A1, listening(), heard(1, what="updated", version=2), heard(1, what="updated", version=3)),
    ),
    "never told": (
        "I6",
        FINAL,
        (A1, A2, A3, listening(1), heard(3), stood()),
        (A1, A2, A3, listening(1), heard(2), heard(3), stood()),
    ),
    "never told, or announced": (
        "I6",
        FINAL,
        (A1, A2, A3, listening(1), gap("backfill", 3, 4), heard(3), stood()),
        (A1, A2, A3, listening(1), gap("backfill", 1, 3), heard(3), stood()),
    ),
    "never told from the first on": (
        "I6",
        FINAL,
        (A1, A2, A3, listening(), heard(1), heard(3), stood()),
        (A1, A2, A3, listening(), heard(2), heard(3), stood()),
    ),
    "never told, or closed": (
        "I6",
        FINAL,
        (A1, A2, listening(1), stood()),
        (A1, A2, listening(1), stood(), Silent(95.0, BOB, 7, "closed")),
    ),
    "lost without a log": (
        "I6",
        RAW,
        (A1, A2, A3, listening(), heard(1), heard(3), stood()),
        (A1, A2, A3, listening(), heard(1), gap(), heard(3), stood()),
    ),
    "raised and not reported": (
        "I13",
        FINAL,
        (Raised(60.0, BOB, "nervous"),),
        (Raised(60.0, BOB, "nervous"), Reported(60.0, BOB, "nervous", "PlannedError")),
    ),
    "shown twice": ("I2", FINAL, (A1, shown(line(1), line(1))), (A1, shown(line(1)))),
    "shown, and nobody sent it": ("I2", FINAL, (shown(line(1)), stood()), (A1, shown(line(1)), stood())),
    "view goes back": (
        "I7",
        FINAL,
        (A1, shown(line(1, version=2)), shown(line(1))),
        (A1, shown(line(1, version=2)), shown(line(1, provisional=True))),
    ),
    "still pending": (
        "I8",
        FINAL,
        (A1, shown(line(1, status="sending")), stood()),
        (A1, shown(line(1, status="failed")), stood()),
    ),
    "pending, or due later": (
        "I8",
        FINAL,
        (A1, shown(line(1, user="bob", status="queued", key=None)), stood()),
        (promised(1, BOB, due=True), shown(line(1, user="bob", status="queued", key=None)), stood()),
    ),
    "another order than the log's": (
        "I5",
        FINAL,
        (A1, A2, shown(line(2), line(1)), stood()),
        (A1, A2, shown(line(1), line(2)), stood()),
    ),
    "two clients, two orders": (
        "I5",
        RAW,
        (A1, A2, shown(line(2), line(1)), shown(line(1), line(2), life=ADA), stood(), stood(ADA)),
        (A1, A2, shown(line(1), line(2)), shown(line(1), line(2), life=ADA), stood(), stood(ADA)),
    ),
    "missing in the range": (
        "I8",
        FINAL,
        (A1, A2, A3, shown(line(1), line(3)), stood()),
        (A1, A2, A3, shown(line(1), line(3), gaps=1), stood()),
    ),
    "missing at the end": (
        "I8",
        FINAL,
        (A1, A2, shown(line(1)), stood()),
        (A1, A2, shown(line(1), newest=False), stood()),
    ),
    "deleted, and shown": (
        "I7",
        FINAL,
        (A1, DELETE, shown(line(1)), stood()),
        (A1, DELETE, shown(line(1, deleted=True)), stood()),
    ),
    "shown as deleted": (
        "I7",
        FINAL,
        (A1, shown(line(1, deleted=True)), stood()),
        (A1, shown(line(1)), stood()),
    ),
    "an older text": (
        "I7",
        FINAL,
        (A1, EDIT, shown(line(1)), stood()),
        (A1, EDIT, shown(line(1, text="new")), stood()),
    ),
    "a text of somebody else": (
        "I7",
        RAW,
        (
            A1,
            accepted(4, user="bob", kind="message.update", ref=name(1), body={"text": "x"}),
            shown(line(1, text="x")),
            stood(),
        ),
        (A1, EDIT, shown(line(1)), stood()),
    ),
    "other reactions": (
        "I8",
        FINAL,
        (A1, REACT, shown(line(1)), stood()),
        (A1, REACT, shown(line(1, reactions=(("+", ("bob",)),))), stood()),
    ),
    "a reaction taken back": (
        "I8",
        FINAL,
        (
            A1,
            REACT,
            accepted(7, user="bob", kind="reaction.remove", ref=name(1), body={"emoji": "+"}),
            shown(line(1, reactions=(("+", ("bob",)),))),
            stood(),
        ),
        (
            A1,
            REACT,
            accepted(7, user="bob", kind="reaction.remove", ref=name(1), body={"emoji": "+"}),
            shown(line(1)),
            stood(),
        ),
    ),
    "mark goes back": (
        "I9",
        FINAL,
        (
            A1,
            A2,
            Advanced(60.0, BOB, "red", "ada", "read", "id-2"),
            Advanced(61.0, BOB, "red", "ada", "read", "id-1"),
        ),
        (
            A1,
            A2,
            Advanced(60.0, BOB, "red", "ada", "read", "id-1"),
            Advanced(61.0, BOB, "red", "ada", "read", "id-2"),
        ),
    ),
    "mark on what is unknown": (
        "I9",
        FINAL,
        (
            A1,
            A2,
            Advanced(60.0, BOB, "red", "ada", "read", "id-2"),
            Advanced(61.0, BOB, "red", "ada", "read", "id-1"),
        ),
        (
            A1,
            A2,
            Advanced(60.0, BOB, "red", "ada", "read", "id-2"),
            Advanced(61.0, BOB, "red", "ada", "read", "id-9"),
        ),
    ),
    "fewer than none": (
        "I9",
        FINAL,
        (Counted(60.0, BOB, "red", "bob", -1, exact=False),),
        (Counted(60.0, BOB, "red", "bob", 0, exact=False),),
    ),
    "page with a double": ("I14", FINAL, (A1, paged(1, 1)), (A1, paged(1))),
    "page out of order": ("I14", FINAL, (A1, A2, paged(2, 1)), (A1, A2, paged(2, 1, direction="backward"))),
    "page with a hole": ("I14", FINAL, (A1, A2, paged(1)), (A1, A2, paged(1, began=1.5))),
    "page that may have holes": ("I14", FINAL, (A1, A2, paged(1)), (A1, A2, paged(1, provisional=True))),
    "too much queued": ("I10", FINAL, (stood(depth=11),), (stood(depth=10),)),
    "a task for each message": ("I10", FINAL, (stood(tasks=201),), (stood(tasks=200),)),
    "ok in silence": (
        "I11",
        FINAL,
        (stood(unreachable=61.0),),
        (stood(unreachable=61.0, health="degraded"),),
    ),
    "not connected": (
        "I11",
        FINAL,
        (stood(connection="failed"),),
        (stood(connection="failed"), Ended(95.0, BOB, "closed")),
    ),
    "closing takes long": (
        "I12",
        FINAL,
        (Ended(95.0, BOB, "closed", 11.0, 10.0),),
        (Ended(95.0, BOB, "closed", 10.0, 10.0),),
    ),
    "closing leaves a task": (
        "I12",
        FINAL,
        (Ended(95.0, BOB, "closed", 1.0, 10.0, ("chatkit:read",)),),
        (Ended(95.0, BOB, "closed", 1.0, 10.0),),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_story_that_breaks_an_invariant_is_reported_by_its_name(case: str) -> None:
    """The smallest story that breaks an invariant is reported under its name, and under no other."""
    invariant, terms, guilty, _ = CASES[case]
    found = breaches(*guilty, terms=terms)
    assert {breach.invariant for breach in found} == {invariant}, found


@pytest.mark.parametrize("case", CASES)
def test_the_nearest_innocent_story_is_not_reported(case: str) -> None:
    """What differs from a breach in the one thing that matters is none."""
    _, terms, _, innocent = CASES[case]
    assert breaches(*innocent, terms=terms) == ()


@pytest.mark.parametrize(
    ("count", "exact", "broken"), [(2, True, False), (1, True, True), (1, False, False), (3, False, True)]
)
def test_an_exact_count_is_exact_and_another_a_lower_bound(count: int, *, exact: bool, broken: bool) -> None:
    """Of two unread messages an exact count says two, another one at most two (I9)."""
    told = (stood(), Counted(60.0, BOB, "red", "bob", count, exact=exact))
    found = breaches(*told, unread={("red", "bob"): 2})
    assert [breach.invariant for breach in found] == ["I9"] * broken
    assert breaches(*told, unread={("blue", "bob"): 2}) == ()


def test_unread_is_what_others_wrote_above_the_mark() -> None:
    """Own and deleted messages never count; from a place that was marked unread all do again (D25)."""
    story = (
        accepted(1),
        accepted(2),
        accepted(3, user="bob"),
        accepted(4),
        accepted(6, kind="message.delete", ref=name(4)),
    )
    messages = list(Case(story, FINAL).truth["red"].values())
    assert unread(messages, "bob", None, None) == 2
    assert unread(messages, "bob", key(1), None) == 1
    assert unread(messages, "bob", key(4), None) == 0
    assert unread(messages, "bob", key(4), key(2)) == 1
    assert unread(messages, "ada", None, None) == 1


def test_what_a_restored_log_forgot_is_neither_missing_nor_unsent() -> None:
    """What was accepted and lost with the log is no lie of whoever was told so (D18)."""
    terms = FINAL._replace(replaced=True)
    story = (
        A1,
        A2,
        promised(2),
        settled(2, "sent"),
        Forgotten(55.0, (("red", 1),)),
        listening(),
        heard(1),
        heard(2),
    )
    assert breaches(*story, shown(line(1), line(2, orphaned=True)), stood(), stood(ADA), terms=terms) == ()
    assert {breach.invariant for breach in breaches(*story[:-3], terms=terms)} == set()


def test_copies_of_a_store_carry_out_the_same_wish() -> None:
    """Each copy of a store ends what was wished before it was copied; none of them lies (D27)."""
    twice = (P1, accepted(1, seq=1), SENT1, settled(1, "failed", life=BOB, ident=name(1)))
    assert breaches(*twice, terms=COPIED) == ()
    assert breaches(*twice, terms=FINAL) != ()


def test_pages_are_held_against_the_log_that_they_were_read_from() -> None:
    """What a log that was put in its place was sent anew stands elsewhere there (I14, D18)."""
    anew = (Forgotten(65.0, (("red", 1),)), accepted(66, id=3, at=2), accepted(67, id=2, at=3))
    back = (A1, A2, A3, Forgotten(55.0, (("red", 1),)), accepted(56, id=3, at=2), accepted(57, id=2, at=3))
    assert breaches(A1, A2, A3, *anew, paged(1, 2, 3)) == ()
    assert [breach.invariant for breach in breaches(A1, A2, A3, *anew, paged(1, 3, 2))] == ["I14"]
    assert [breach.invariant for breach in breaches(*back, paged(1, 2, 3, began=55.5))] == ["I14"]
    assert breaches(*back, paged(1, 3, 2, began=55.5)) == ()
    assert breaches(*back, paged(1, 2, 3)) == breaches(*back, paged(1, 3, 2)) == ()
    assert [breach.invariant for breach in breaches(*back, paged(2, 1, 3))] == ["I14"]


def test_threads_bytes_and_strangers_are_no_messages_of_the_channel() -> None:
    """Replies of a thread, bytes that are no envelope and changes without a target change nothing."""
    odd = Accepted(2.0, "red", name(2), key(2), b"\xff")
    assert read(1, odd) is None
    reply = accepted(3, thread={"user": "ada", "id": "id-1"})
    lost = accepted(4, kind="message.update", ref=name(9))
    wordless = accepted(7, body={"type": "poll"})
    unknown = accepted(8, kind="message.pin", ref=name(1))
    view = shown(line(1), line(7, text=""))
    assert breaches(A1, odd, reply, lost, wordless, unknown, view, stood()) == ()


def test_a_breach_names_invariant_channel_client_and_message() -> None:
    """What a breach says is enough to look for it."""
    [breach] = breaches(P1, SENT1)
    assert str(breach) == "I1 red ada (client 1): create id-1 is sent, and the provider never had it"
    [breach] = breaches(
        Settled(1.0, ADA, "none", "red", name(1), "sent", True, False, None), stood(9, tasks=999)
    )
    assert str(breach) == "I10 - ? (client 9): 999 tasks"
