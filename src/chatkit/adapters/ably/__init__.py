"""Ably pub/sub: `ably://APP.KEY@`; needs the extra `ably`."""

from __future__ import annotations

from typing import Final

from chatkit.adapters.ably.config import AblyConfig
from chatkit.adapters.ably.factory import AblyFactory
from chatkit.adapters.ably.names import name_of

factory: Final = AblyFactory()

__all__ = ["AblyConfig", "AblyFactory", "factory", "name_of"]
