"""chatkit: write a chat feature or a bot once, run it on any provider by changing a URL.

    async with chatkit.connect("memory://", user="ada", store="ada.db") as chat:
        delivery = await chat.channel("support").send("Hello")

Names load when they are first used, so importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatkit.adapters.memory.config import MemoryConfig
    from chatkit.channel import Channel
    from chatkit.client import Chat
    from chatkit.connecting import connect
    from chatkit.connection import Connection
    from chatkit.conversation import Conversation
    from chatkit.delivery import Delivery
    from chatkit.errors import (
        AuthenticationError,
        CapabilityError,
        ChatkitError,
        ConfigError,
        CursorInvalid,
        DeliveryFailed,
        DependencyFailed,
        EventOverflow,
        GaveUp,
        InvalidMessage,
        MessageNotFound,
        MessageTooLarge,
        NotAllowed,
        OutboxFull,
        ProviderError,
        RateLimited,
        Rejected,
        StateError,
        StoreError,
        StoreLocked,
        TransportError,
        VersionConflict,
        WaitTimeout,
    )
    from chatkit.model.bodies import (
        Audio,
        Card,
        Content,
        Embed,
        File,
        Image,
        Media,
        Text,
        UnknownBody,
        Video,
        message_type,
    )
    from chatkit.model.capabilities import Capabilities, Feature
    from chatkit.model.config import Config
    from chatkit.model.cursor import START, Cursor
    from chatkit.model.events import (
        ChannelChanged,
        ConnectionChanged,
        CustomEvent,
        DeliveryChanged,
        Discontinuity,
        Event,
        ForeignFrame,
        HandlerError,
        MessageCreated,
        MessageDeleted,
        MessageEvent,
        MessageUpdated,
        ReactionChanged,
    )
    from chatkit.model.message import Message, Sender, Status, User
    from chatkit.model.options import AuthRequest, Draft, OutboxLimits, Token
    from chatkit.model.values import Value
    from chatkit.model.views import (
        CloseReport,
        ConnectionView,
        FlushReport,
        Health,
        OutboxView,
        Page,
        TimelineChange,
        TimelineView,
    )
    from chatkit.outbox import Outbox
    from chatkit.ports import Adapter, Log, Middleware, Store
    from chatkit.refs import MessageRef, Position
    from chatkit.source import Source
    from chatkit.stream import Stream
    from chatkit.timeline import Timeline

_HOMES = {
    "adapters.memory.config": ("MemoryConfig",),
    "channel": ("Channel",),
    "client": ("Chat",),
    "connecting": ("connect",),
    "connection": ("Connection",),
    "conversation": ("Conversation",),
    "delivery": ("Delivery",),
    "errors": (
        "AuthenticationError",
        "CapabilityError",
        "ChatkitError",
        "ConfigError",
        "CursorInvalid",
        "DeliveryFailed",
        "DependencyFailed",
        "EventOverflow",
        "GaveUp",
        "InvalidMessage",
        "MessageNotFound",
        "MessageTooLarge",
        "NotAllowed",
        "OutboxFull",
        "ProviderError",
        "RateLimited",
        "Rejected",
        "StateError",
        "StoreError",
        "StoreLocked",
        "TransportError",
        "VersionConflict",
        "WaitTimeout",
    ),
    "model.bodies": (
        "Audio",
        "Card",
        "Content",
        "Embed",
        "File",
        "Image",
        "Media",
        "Text",
        "UnknownBody",
        "Video",
        "message_type",
    ),
    "model.capabilities": ("Capabilities", "Feature"),
    "model.config": ("Config",),
    "model.cursor": ("START", "Cursor"),
    "model.events": (
        "ChannelChanged",
        "ConnectionChanged",
        "CustomEvent",
        "DeliveryChanged",
        "Discontinuity",
        "Event",
        "ForeignFrame",
        "HandlerError",
        "MessageCreated",
        "MessageDeleted",
        "MessageEvent",
        "MessageUpdated",
        "ReactionChanged",
    ),
    "model.message": ("Message", "Sender", "Status", "User"),
    "model.options": ("AuthRequest", "Draft", "OutboxLimits", "Token"),
    "model.values": ("Value",),
    "model.views": (
        "CloseReport",
        "ConnectionView",
        "FlushReport",
        "Health",
        "OutboxView",
        "Page",
        "TimelineChange",
        "TimelineView",
    ),
    "outbox": ("Outbox",),
    "ports": ("Adapter", "Log", "Middleware", "Store"),
    "refs": ("MessageRef", "Position"),
    "source": ("Source",),
    "stream": ("Stream",),
    "timeline": ("Timeline",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # checked against the imports above by a test


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'chatkit' has no attribute {name!r}")
    found = getattr(import_module(f"chatkit.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
