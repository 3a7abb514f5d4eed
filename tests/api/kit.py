"""A stage for stories: one hub, one virtual clock, clients that open on it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import chatkit
from chatkit.adapters.memory import new_hub
from chatkit.adapters.memory.config import MemoryConfig

if TYPE_CHECKING:
    from chatkit.adapters.memory.hub import Hub
    from chatkit.testing.clock import VirtualClock


@dataclass
class Stage:
    """Opens clients on a hub of its own."""

    clock: VirtualClock
    hub: Hub = field(init=False)
    _opened: int = 0

    def __post_init__(self) -> None:
        self.hub = new_hub("stage", clock=self.clock, random=random.Random(7))

    def chat(self, user: str, /, *, config: dict[str, Any] | None = None, **options: Any) -> chatkit.Chat:
        """Return a client that is not open yet."""
        self._opened += 1
        source = MemoryConfig(hub=self.hub, **(config or {}))
        return chatkit.connect(source, user=user, clock=self.clock, seed=self._opened, **options)

    def texts(self, channel: str) -> list[str]:
        """Return what the hub's log holds of a channel, in order."""
        page = self.hub.log.core.messages(channel, limit=1000)
        return [chatkit_text(folded.edit or folded.data) for folded in page.items if not folded.deleted]


def chatkit_text(data: bytes) -> str:
    """Return the text of an envelope."""
    from chatkit.model.envelope import Envelope

    return str((Envelope.parse(data).body or {}).get("text"))
