"""Names of channels at Pusher: they fit, they lead back, and none means something by accident."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatkit.adapters.pusher import Kind, Name, channel_of, name_of
from chatkit.adapters.pusher.names import LONGEST
from chatkit.errors import InvalidMessage
from chatkit.model.names import channel_problem, direct, personal

TAKEN = re.compile(r"[A-Za-z0-9_\-=@,.;]+").fullmatch
KINDS = st.sampled_from(get_args(Kind))
CHANNELS = st.one_of(
    st.text(st.sampled_from("aZ9-._=@,; /#:é漢😀"), min_size=1, max_size=40).filter(
        lambda name: channel_problem(name) is None
    ),
    st.builds(direct, st.sampled_from(["ada", "Ü", "x" * 128]), st.sampled_from(["bob", "😀" * 32])),
    st.builds(personal, st.sampled_from(["ada", "a b", "ü" * 64])),
)


@settings(max_examples=40)
@given(CHANNELS, KINDS, st.booleans())
@example("cache-room", "private", False)
@example("encrypted-room", "private", True)
@example("encrypted-cache-room", "encrypted", True)
@example("dm.ada.bob", "presence", True)
def test_a_name_fits_and_leads_back(channel: str, kind: Kind, cache: bool) -> None:
    """164 characters that Pusher takes, and the same channel again (D31)."""
    name = name_of(channel, kind, cache=cache)

    assert TAKEN(name)
    assert len(name) <= LONGEST
    assert channel_of(name) == Name(kind, cache, channel)


@pytest.mark.parametrize(
    ("channel", "kind", "name"),
    [
        ("support", "presence", "presence-support"),
        ("support", "private", "private-support"),
        ("support", "encrypted", "private-encrypted-support"),
        ("shop/ünd more", "presence", "presence-shop_2f_c3_bcnd_20more"),
        ("a.b", "private", "private-a.b"),
        ("cache-room", "private", "private-cache=room"),
        ("encrypted-room", "private", "private-encrypted=room"),
        ("dm.ada.bob", "presence", "presence-dm.ada.bob"),
    ],
)
def test_names_are_as_published(channel: str, kind: Kind, name: str) -> None:
    """A name never makes another kind of a channel: `=` stands where a word would."""
    assert name_of(channel, kind) == name


@pytest.mark.parametrize(
    "name",
    [
        "support",
        "private-",
        "private-a b",
        "private-_zz",
        "private-_41",
        "presence-" + "x" * 160,
        "#server-to-user-ada",
        "private-dm.",
        "private-encrypted-=",
    ],
)
def test_other_names_are_nobodys(name: str) -> None:
    """What chatkit did not name leads to no channel."""
    assert channel_of(name) is None


def test_what_is_no_channel_has_no_name() -> None:
    """`InvalidMessage`, before anything is written."""
    with pytest.raises(InvalidMessage):
        name_of("x" * 65, "private")
