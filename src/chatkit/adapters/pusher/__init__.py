"""Pusher Channels: `pusher://KEY@CLUSTER/APP_ID`; needs the extra `pusher`."""

from __future__ import annotations

from typing import Final

from chatkit.adapters.pusher.config import PusherConfig
from chatkit.adapters.pusher.factory import PusherFactory
from chatkit.adapters.pusher.names import Kind, Name, channel_of, name_of

factory: Final = PusherFactory()

__all__ = ["Kind", "Name", "PusherConfig", "PusherFactory", "channel_of", "factory", "name_of"]
