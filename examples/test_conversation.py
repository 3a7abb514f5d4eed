"""A test as an app has them: `pytest examples/test_conversation.py`, wherever CHATKIT_URL says."""

import asyncio
from pathlib import Path

import conversation


def test_both_see_the_same(tmp_path: Path) -> None:
    """An edit, a reaction and a deletion show on either side, in one order."""
    seen = asyncio.run(conversation.talk(tmp_path))

    assert seen == {"ada": conversation.LAST, "bob": conversation.LAST}
