"""What tests of chat features, bots and adapters are made of: `World`, virtual time, simulation, contracts.

Names load when they are first used: pytest imports this package for its plugin before a test is measured.
"""

# pyright: reportUnsupportedDunderAll=false
# `__getattr__` below brings the names of `__all__`.
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chatkit.testing.clock import VirtualClock, run, settle
    from chatkit.testing.world import World

_HOMES: Final = {"VirtualClock": "clock", "World": "world", "run": "clock", "settle": "clock"}

__all__ = ["VirtualClock", "World", "run", "settle"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
