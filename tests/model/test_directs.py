"""Who may write and hear what, as the names of direct and personal channels tell (D31)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidMessage
from chatkit.model import names
from chatkit.model.directs import has_part, may_hear

users = st.text(min_size=1, max_size=40).filter(lambda text: names.user_problem(text) is None)


@given(users, users, users)
def test_a_name_tells_its_two_users(a: str, b: str, other: str) -> None:
    """Both, and nobody else; unless it is a hash, which tells nothing."""
    name = names.direct(a, b)

    told = [has_part(name, user) for user in (a, b, other)]

    hashed = len(name) == len("dm.") + 64 and "." not in name[3:]
    assert told == ([None] * 3 if hashed else [True, True, other in {a, b}])


def test_who_may_hear() -> None:
    """What is nobody's own is everybody's."""
    assert [may_hear(name, "ada") for name in ("support", "u.ada", "dm.ada.bob")] == [True] * 3
    assert [may_hear(name, "ada") for name in ("u.bob", "dm.bob.eve")] == [False] * 2
    assert may_hear(names.direct("ada", "é" * 60), "ada") is None
    with pytest.raises(InvalidMessage):
        may_hear("u.ada", "")
