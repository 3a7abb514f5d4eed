# What type checkers see; `__init__.py` loads the same names when they are first used.

from chatkit.adapters.memory.config import MemoryConfig as MemoryConfig
from chatkit.adapters.pusher.config import PusherConfig as PusherConfig
from chatkit.changes import Change as Change
from chatkit.channel import Channel as Channel
from chatkit.client import Chat as Chat
from chatkit.connecting import connect as connect
from chatkit.connection import Connection as Connection
from chatkit.conversation import Conversation as Conversation
from chatkit.delivery import Delivery as Delivery
from chatkit.errors import AuthenticationError as AuthenticationError
from chatkit.errors import CapabilityError as CapabilityError
from chatkit.errors import ChatkitError as ChatkitError
from chatkit.errors import ConfigError as ConfigError
from chatkit.errors import CursorInvalid as CursorInvalid
from chatkit.errors import DeliveryFailed as DeliveryFailed
from chatkit.errors import DependencyFailed as DependencyFailed
from chatkit.errors import EventOverflow as EventOverflow
from chatkit.errors import GaveUp as GaveUp
from chatkit.errors import InvalidMessage as InvalidMessage
from chatkit.errors import MessageNotFound as MessageNotFound
from chatkit.errors import MessageTooLarge as MessageTooLarge
from chatkit.errors import NotAllowed as NotAllowed
from chatkit.errors import OutboxFull as OutboxFull
from chatkit.errors import ProviderError as ProviderError
from chatkit.errors import RateLimited as RateLimited
from chatkit.errors import Rejected as Rejected
from chatkit.errors import StateError as StateError
from chatkit.errors import StoreError as StoreError
from chatkit.errors import StoreLocked as StoreLocked
from chatkit.errors import TransportError as TransportError
from chatkit.errors import VersionConflict as VersionConflict
from chatkit.errors import WaitTimeout as WaitTimeout
from chatkit.model.bodies import Audio as Audio
from chatkit.model.bodies import Card as Card
from chatkit.model.bodies import Content as Content
from chatkit.model.bodies import Embed as Embed
from chatkit.model.bodies import File as File
from chatkit.model.bodies import Image as Image
from chatkit.model.bodies import Media as Media
from chatkit.model.bodies import Text as Text
from chatkit.model.bodies import UnavailableBody as UnavailableBody
from chatkit.model.bodies import UnknownBody as UnknownBody
from chatkit.model.bodies import Video as Video
from chatkit.model.bodies import message_type as message_type
from chatkit.model.capabilities import Capabilities as Capabilities
from chatkit.model.capabilities import Feature as Feature
from chatkit.model.config import Config as Config
from chatkit.model.cursor import START as START
from chatkit.model.cursor import Cursor as Cursor
from chatkit.model.events import ChannelChanged as ChannelChanged
from chatkit.model.events import ConnectionChanged as ConnectionChanged
from chatkit.model.events import CustomEvent as CustomEvent
from chatkit.model.events import DeliveryChanged as DeliveryChanged
from chatkit.model.events import DirectOpened as DirectOpened
from chatkit.model.events import Discontinuity as Discontinuity
from chatkit.model.events import Event as Event
from chatkit.model.events import ForeignFrame as ForeignFrame
from chatkit.model.events import HandlerError as HandlerError
from chatkit.model.events import MessageCreated as MessageCreated
from chatkit.model.events import MessageDeleted as MessageDeleted
from chatkit.model.events import MessageEvent as MessageEvent
from chatkit.model.events import MessageUpdated as MessageUpdated
from chatkit.model.events import PinChanged as PinChanged
from chatkit.model.events import PresenceChanged as PresenceChanged
from chatkit.model.events import ReactionChanged as ReactionChanged
from chatkit.model.events import ReceiptAdvanced as ReceiptAdvanced
from chatkit.model.events import RoleChanged as RoleChanged
from chatkit.model.events import TypingChanged as TypingChanged
from chatkit.model.message import Message as Message
from chatkit.model.message import Sender as Sender
from chatkit.model.message import Status as Status
from chatkit.model.message import User as User
from chatkit.model.options import AuthRequest as AuthRequest
from chatkit.model.options import Draft as Draft
from chatkit.model.options import OutboxLimits as OutboxLimits
from chatkit.model.options import Token as Token
from chatkit.model.registers import Role as Role
from chatkit.model.values import Value as Value
from chatkit.model.views import CloseReport as CloseReport
from chatkit.model.views import ConnectionView as ConnectionView
from chatkit.model.views import FlushReport as FlushReport
from chatkit.model.views import Health as Health
from chatkit.model.views import Member as Member
from chatkit.model.views import OutboxView as OutboxView
from chatkit.model.views import Page as Page
from chatkit.model.views import Pin as Pin
from chatkit.model.views import PresenceView as PresenceView
from chatkit.model.views import ThreadInfo as ThreadInfo
from chatkit.model.views import TimelineChange as TimelineChange
from chatkit.model.views import TimelineView as TimelineView
from chatkit.model.views import Unread as Unread
from chatkit.outbox import Outbox as Outbox
from chatkit.ports import Adapter as Adapter
from chatkit.ports import Log as Log
from chatkit.ports import Middleware as Middleware
from chatkit.ports import Store as Store
from chatkit.presence import Presence as Presence
from chatkit.receipts import Receipts as Receipts
from chatkit.refs import MessageRef as MessageRef
from chatkit.refs import Position as Position
from chatkit.source import Source as Source
from chatkit.stream import Stream as Stream
from chatkit.thread import Thread as Thread
from chatkit.timeline import Timeline as Timeline
from chatkit.topic import Topic as Topic
from chatkit.typists import Typing as Typing

__all__ = [
    "START",
    "Adapter",
    "Audio",
    "AuthRequest",
    "AuthenticationError",
    "Capabilities",
    "CapabilityError",
    "Card",
    "Change",
    "Channel",
    "ChannelChanged",
    "Chat",
    "ChatkitError",
    "CloseReport",
    "Config",
    "ConfigError",
    "Connection",
    "ConnectionChanged",
    "ConnectionView",
    "Content",
    "Conversation",
    "Cursor",
    "CursorInvalid",
    "CustomEvent",
    "Delivery",
    "DeliveryChanged",
    "DeliveryFailed",
    "DependencyFailed",
    "DirectOpened",
    "Discontinuity",
    "Draft",
    "Embed",
    "Event",
    "EventOverflow",
    "Feature",
    "File",
    "FlushReport",
    "ForeignFrame",
    "GaveUp",
    "HandlerError",
    "Health",
    "Image",
    "InvalidMessage",
    "Log",
    "Media",
    "Member",
    "MemoryConfig",
    "Message",
    "MessageCreated",
    "MessageDeleted",
    "MessageEvent",
    "MessageNotFound",
    "MessageRef",
    "MessageTooLarge",
    "MessageUpdated",
    "Middleware",
    "NotAllowed",
    "Outbox",
    "OutboxFull",
    "OutboxLimits",
    "OutboxView",
    "Page",
    "Pin",
    "PinChanged",
    "Position",
    "Presence",
    "PresenceChanged",
    "PresenceView",
    "ProviderError",
    "PusherConfig",
    "RateLimited",
    "ReactionChanged",
    "ReceiptAdvanced",
    "Receipts",
    "Rejected",
    "Role",
    "RoleChanged",
    "Sender",
    "Source",
    "StateError",
    "Status",
    "Store",
    "StoreError",
    "StoreLocked",
    "Stream",
    "Text",
    "Thread",
    "ThreadInfo",
    "Timeline",
    "TimelineChange",
    "TimelineView",
    "Token",
    "Topic",
    "TransportError",
    "Typing",
    "TypingChanged",
    "UnavailableBody",
    "UnknownBody",
    "Unread",
    "User",
    "Value",
    "VersionConflict",
    "Video",
    "WaitTimeout",
    "connect",
    "message_type",
]
