"""The embedded provider: `memory://NAME`, one hub in this process."""

from __future__ import annotations

from typing import Final

from chatkit.adapters.memory.adapter import MemoryAdapter, MemoryFactory
from chatkit.adapters.memory.config import Like, MemoryConfig
from chatkit.adapters.memory.faults import MILD, NONE, STORM, WILD, Faults
from chatkit.adapters.memory.hub import Hub
from chatkit.adapters.memory.hubs import forget_hub, new_hub, shared_hub
from chatkit.adapters.memory.network import Network
from chatkit.adapters.memory.session import MemorySession

factory: Final = MemoryFactory()

__all__ = [
    "MILD",
    "NONE",
    "STORM",
    "WILD",
    "Faults",
    "Hub",
    "Like",
    "MemoryAdapter",
    "MemoryConfig",
    "MemoryFactory",
    "MemorySession",
    "Network",
    "factory",
    "forget_hub",
    "new_hub",
    "shared_hub",
]
