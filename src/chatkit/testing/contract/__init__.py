"""Contracts for whoever writes an adapter, a store or a log: what chatkit's own pass. Needs pytest.

A test class inherits one, and describes what is put to the test in a fixture named `kit`:

    class TestMine(AdapterContract):
        @pytest.fixture
        def kit(self) -> AdapterKit:
            return MyKit()

A capability that is declared absent is asked for all the same, and must raise its declared error. See
docs/how-to-adapter.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from chatkit.testing.contract.adapter import AdapterContract, AdapterKit, Closing, Refusal
    from chatkit.testing.contract.log import LogContract, LogKit
    from chatkit.testing.contract.store import StoreContract, StoreKit

_WHERE: Final = {
    "AdapterContract": "adapter",
    "AdapterKit": "adapter",
    "Closing": "adapter",
    "LogContract": "log",
    "LogKit": "log",
    "Refusal": "adapter",
    "StoreContract": "store",
    "StoreKit": "store",
}

# Before they are imported: what a failing assertion compared is then shown outside of this repository too.
pytest.register_assert_rewrite(*(f"{__name__}.{suite}" for suite in sorted(set(_WHERE.values()))))


def __getattr__(name: str) -> Any:
    """Import a contract when it is first used: whoever tests a store reads nothing of adapters."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


__all__ = [
    "AdapterContract",
    "AdapterKit",
    "Closing",
    "LogContract",
    "LogKit",
    "Refusal",
    "StoreContract",
    "StoreKit",
]
