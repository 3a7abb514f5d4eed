"""From bytes to what is believed: every way a frame can lie (D2, D3, D4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatkit.adapters.memory import Like
from chatkit.core.fact import Fact
from chatkit.engine import reading
from chatkit.engine.reading import Passing, Refused, believe, from_log
from chatkit.model.entry import Entry
from chatkit.model.order import OrderKey, clock_key
from chatkit.ports import Ack, Outgoing
from tests.engine.kit import C, Stage, frame

if TYPE_CHECKING:
    from chatkit.engine.context import Context
    from chatkit.testing.clock import VirtualClock


def context(clock: VirtualClock, like: Like) -> tuple[Stage, Context]:
    stage = Stage(clock, like=like)
    return stage, stage.chat("ada")._setup.context


def refused(found: object) -> str:
    assert isinstance(found, Refused), found
    return found.reason


def test_a_stamp_counts_where_members_cannot_write(clock: VirtualClock) -> None:
    """Its place, its time and who sent it are believed from an unforgeable path (D2)."""
    stage, ctx = context(clock, "memory")
    found = believe(ctx, frame(stage.peer("cleo").envelope(text="x"), serial=7, prev=6, unforgeable=True))

    assert isinstance(found, Fact)
    assert (found.key, found.prev, found.user, found.stamped) == (
        OrderKey(1, f"{7:020d}"),
        f"{6:020d}",
        "cleo",
        True,
    )
    assert (found.origin, found.attested, found.sent_at is not None) == ("memory://stage", "provider", True)


@pytest.mark.parametrize("like", ["memory", "supabase", "ably"])
def test_a_stamp_on_any_other_path_counts_for_nothing(clock: VirtualClock, like: Like) -> None:
    """Where a sequencer numbers, a frame without a stamp that counts has no place (D17)."""
    stage, ctx = context(clock, like)
    assert (
        refused(believe(ctx, frame(stage.peer("cleo").envelope(text="x"), serial=7, prev=6))) == "unstamped"
    )
    assert refused(believe(ctx, frame(stage.peer("cleo").envelope(text="x")))) == "unstamped"


def test_without_a_sequencer_the_clock_is_the_place(clock: VirtualClock) -> None:
    """(`hlc`, user, device, id), whatever stamp somebody added (D3)."""
    stage, ctx = context(clock, "pusher")
    envelope = stage.peer("cleo").envelope(text="x")
    found = believe(ctx, frame(envelope, serial=10**19))

    assert isinstance(found, Fact)
    assert envelope.hlc is not None
    assert found.key == clock_key(envelope.hlc, "cleo", "elsewhere", envelope.id)
    assert (found.stamped, found.sent_at, found.attested) == (False, None, "none")
    assert refused(believe(ctx, frame(stage.peer("cleo").envelope(text="x", hlc=None)))) == "unordered"


def test_what_does_not_fit_together_is_refused(clock: VirtualClock) -> None:
    """Bytes, channel, attested and claimed sender, before anything else is looked at (D2)."""
    stage, ctx = context(clock, "memory")
    cleo = stage.peer("cleo")
    fine: Any = {"serial": 1, "prev": 0, "unforgeable": True}
    assert refused(believe(ctx, frame(cleo.envelope(), data=b"\xff", **fine))) == "unreadable"
    elsewhere = cleo.envelope(text="x", channel="elsewhere")
    assert refused(believe(ctx, frame(elsewhere, **fine))) == "other_channel"
    assert refused(believe(ctx, frame(cleo.envelope(text="x"), user="eve", **fine))) == "forged_sender"
    assert refused(believe(ctx, frame(cleo.envelope(text="x"), stamped_for="eve", **fine))) == "forged_sender"
    passing = believe(ctx, frame(cleo.envelope("x.wave"), user="eve"))
    assert refused(passing) == "forged_sender"


def test_what_is_not_kept_passes_by(clock: VirtualClock) -> None:
    """Ephemeral kinds and registers need no stamp (D25)."""
    stage, ctx = context(clock, "memory")
    for kind in ("x.wave", "typing", "presence.update", "state.read"):
        found = believe(ctx, frame(stage.peer("cleo").envelope(kind), user="cleo"))
        assert isinstance(found, Passing)
        assert (found.user, found.envelope.kind) == ("cleo", kind)


def test_a_clock_far_ahead_is_flagged_and_not_followed(clock: VirtualClock) -> None:
    """A reading within a minute moves ours, one beyond it does not (D4)."""
    stage, ctx = context(clock, "pusher")
    ahead = int((clock.wall().timestamp() + 50) * 1000)
    near = believe(ctx, frame(stage.peer("cleo").envelope(text="x", hlc=f"{ahead:012x}-0000")))
    assert isinstance(near, Fact)
    assert not near.suspect
    ours = ctx.hlc.last
    far = believe(ctx, frame(stage.peer("cleo").envelope(text="x", hlc="ffffffffffff-0000")))

    assert isinstance(far, Fact)
    assert far.suspect
    assert ctx.hlc.last == ours is not None


def test_an_entry_of_a_log_is_asked_no_less(clock: VirtualClock) -> None:
    """Raw history holds what members wrote: what is refused live is refused there (D2, I5)."""
    stage, ctx = context(clock, "ably")
    cleo = stage.peer("cleo")
    stamp = frame(cleo.envelope(text="x"), serial=3, prev=2, unforgeable=True).stamp
    assert stamp is not None
    found = from_log(ctx, C, Entry(cleo.envelope(text="x").encode(), stamp))
    assert isinstance(found, Fact)
    assert (found.key, found.user, found.attested) == (stamp.key, "cleo", "provider")
    for data, stamped, reason in (
        (b"{", stamp, "unreadable"),
        (cleo.envelope(text="x", channel="elsewhere").encode(), stamp, "other_channel"),
        (cleo.envelope(text="x").encode(), stamp._replace(user="eve"), "forged_sender"),
        (cleo.envelope("typing").encode(), stamp, "no_entry"),
    ):
        assert refused(from_log(ctx, C, Entry(data, stamped))) == reason


def test_an_acknowledgement_proves_our_own_envelope(clock: VirtualClock) -> None:
    """At the place that it names, else at its clock reading (D11)."""
    stage, _ = context(clock, "pusher")
    envelope = stage.peer("ada").envelope(text="x")
    from chatkit.model.order import Ident

    out = Outgoing(Ident("ada", envelope.id), "elsewhere", envelope.seq, envelope.encode(), None)
    key = OrderKey(1, "7")
    placed = reading.own(out, Ack(out.ident, "new", key, clock.wall()), "provider", "log")
    assert (placed.key, placed.stamped, placed.attested, placed.origin) == (key, True, "provider", "log")
    assert placed.sent_at == clock.wall()
    unplaced = reading.own(out, Ack(out.ident, "new"), "backend", "realm")
    assert envelope.hlc is not None
    assert unplaced.key == clock_key(envelope.hlc, "ada", "elsewhere", envelope.id)
    assert not unplaced.stamped
