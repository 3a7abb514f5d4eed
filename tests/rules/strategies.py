"""What rule machines draw: small values that mean much beside what a machine has so far."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

USERS = ("ada", "bob", "eve")
DEVICES = ("device1", "device2")
EMOJI = ("👍", "🎉")
WORDS = ("tea", "milk", "sugar")
"""Of texts: few, so that a search finds several."""

users = st.sampled_from(USERS)
numbers = st.integers(0, 999)
"""Picks one of what a machine has, whatever that is; the least picks the newest."""


class Intent(NamedTuple):
    """What somebody writes into a log, before it is known beside what it stands."""

    word: str
    user: str
    device: str
    pick: int
    text: tuple[str, ...]
    emoji: str
    number: str
    """Of the lane: the next, none, one that was used."""
    deadline: str
    mentions: tuple[str, ...]
    also: bool
    base: int | None


intents = st.builds(
    Intent,
    word=st.sampled_from(
        [
            *("create", "create", "reply", "update", "delete", "restore", "add", "remove"),
            *("again", "again", "conflict", "unknown"),
        ]
    ),
    user=users,
    device=st.sampled_from(DEVICES),
    pick=numbers,
    text=st.lists(st.sampled_from(WORDS), max_size=2).map(tuple),
    emoji=st.sampled_from(EMOJI),
    number=st.sampled_from([*["next"] * 5, "none", "used"]),
    deadline=st.sampled_from([*["none"] * 5, "future", "past"]),
    mentions=st.sampled_from([(), (), ("bob",), ("*",)]),
    also=st.booleans(),
    base=st.sampled_from([None, None, None, 1, 2]),
)
batches = st.lists(intents, min_size=1, max_size=6)

crowd = st.sampled_from([*USERS, "finn", "gil", "hal"])
