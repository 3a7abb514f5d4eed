"""Blocks, mutes and slow mode: middleware that hides, silences and paces, given to `chat.use`."""

from __future__ import annotations

from chatkit.moderation.blocks import Blocks
from chatkit.moderation.mutes import Mutes
from chatkit.moderation.slow_mode import SlowMode

__all__ = ["Blocks", "Mutes", "SlowMode"]
