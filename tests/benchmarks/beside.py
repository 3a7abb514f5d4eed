"""What the benchmarks of providers tell: chatkit beside a bare loop and clients of others, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.measure import Figure, compared, interleave, middle, paired

Samples = Sequence[Mapping[str, float]]
Found = Mapping[str, Samples]
"""What each side gave, round by round."""


def measured(rounds: int, sides: Mapping[str, Callable[[], Mapping[str, float]]]) -> Found:
    """Let each side run once a round, in turn."""
    return dict(zip(sides, interleave(rounds, *sides.values()), strict=True))


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio is to be.

    Args:
        limit: At most; without one it is stated.
        held: Where that is not reached yet: what it is held to meanwhile.
    """

    limit: float | None = None
    held: float | None = None


def spent(
    name: str,
    unit: str,
    found: Found,
    bare: Target,
    *,
    rounds: int,
    other: str = "",
    below: Target | None = None,
    notes: Mapping[str, float] | None = None,
) -> list[Figure]:
    """Return processor time: `chat` beside `bare`, all others as notes, and `other` as a figure where it ran.

    Args:
        name: Of the first figure.
        unit: Of both.
        found: Of each side, in `µs`.
        bare: What is to be reached beside the bare loop.
        rounds: How many there were.
        other: A client of others with a target of its own.
        below: That target.
        notes: What is told besides.
    """
    chat = found["chat"]
    others = [side for side in found if side not in {"bare", "chat"}]
    told = dict(notes or {})
    told |= {f"{side}, µs": middle(found[side], "µs") for side in others}
    told |= {f"beside {side}": paired(chat, found[side], "µs") for side in others}
    figures = [compared(name, unit, chat, found["bare"], "µs", bare.limit, bare.held, rounds, told)]
    if other in found and below is not None:
        theirs = found[other]
        figures.append(
            compared(f"{name} beside {other}", unit, chat, theirs, "µs", below.limit, below.held, rounds)
        )
    return figures


def drains(
    name: str,
    batches: Samples,
    singly: Samples,
    least: float,
    *,
    rounds: int,
    notes: Mapping[str, float],
) -> Figure:
    """Return how fast a queue goes out in batches beside singly, in messages a second."""
    return Figure(
        name=f"{name}: draining in batches beside singly",
        unit="queued messages a second",
        chatkit=middle(batches, "/s"),
        bare=middle(singly, "/s"),
        ratio=paired(batches, singly, "/s"),
        limit=least,
        least=True,
        rounds=rounds,
        notes=notes,
    )


def came_back(name: str, found: Found, beside: str, *, rounds: int) -> Figure:
    """Return the seconds from a loss to the first message, `back` beside one side, the rest as notes."""
    ours = found["back"]
    notes = {
        "s until the attempt began": middle(ours, "waited"),
        "slowest, s": max(one["s"] for one in ours),
    }
    others = [side for side in found if side not in {"back", "bare"}]
    notes |= {f"{side}, s": middle(found[side], "s") for side in others}
    notes |= {f"{side}, slowest, s": max(one["s"] for one in found[side]) for side in others}
    return compared(name, "s", ours, found[beside], "s", None, None, rounds, notes)
