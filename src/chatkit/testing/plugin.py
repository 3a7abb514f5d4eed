"""A pytest plugin: the fixture `chat_world`, for tests that are coroutines and need no other plugin for it.

pytest loads it by itself (entry point group `pytest11`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chatkit.testing.world import World

FIXTURE = "chat_world"


@pytest.fixture
def chat_world(request: pytest.FixtureRequest) -> World:
    """A `chatkit.testing.World`, closed after the test; its seed comes from the test's name."""
    from zlib import crc32

    from chatkit.testing.world import World

    return World(seed=crc32(request.node.nodeid.encode()))


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Function] | None:
    """Take up coroutine tests that ask for a world, before a plugin for other event loops does."""
    if not collector.funcnamefilter(name) or not inspect.iscoroutinefunction(obj):
        return None
    if FIXTURE not in inspect.signature(obj).parameters:
        return None
    whole: Any = collector
    items: list[pytest.Function] = list(whole._genfunctions(name, obj))  # noqa: SLF001  # as pytest makes plain ones
    for item in items:
        item.obj = _on_world_time(item.obj)
    return items


def _on_world_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Return a plain test that runs a coroutine test on its world's time."""

    @functools.wraps(test)
    def on_world_time(**fixtures: Any) -> None:
        world: World = fixtures[FIXTURE]
        world.run(test(**fixtures))

    return on_world_time
