"""`Capabilities`: what a provider can do, configured and never probed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from chatkit.model.message import Attested
from chatkit.model.values import EMPTY, Value, value

Feature: TypeAlias = Literal[
    "durable",
    "history",
    "order",
    "resume",
    "presence",
    "edit",
    "react",
    "receipts",
    "search",
    "direct",
    "roles",
    "pins",
    "as_user",
]
Support: TypeAlias = Literal["native", "emulated", "none"]


@value
class Capabilities(Value):
    """What a set-up can do and within which limits. Times in seconds, sizes in bytes, rates per second."""

    ack: Literal["stored", "accepted", "barrier"]
    """What `sent` proves (D11)."""
    announce: Literal["stream", "transactional", "after"]
    """What a live frame is: the message itself, or a hint that the log has one (D16)."""
    order: Literal["log", "provider", "clock"]
    """Who numbers the messages of a channel (D3)."""
    erase: Literal["erased", "tombstone", "none"]
    """What a delete leaves behind (D26)."""
    resume_window: float
    """How long after a loss a session may resume with nothing missed; 0 where it never can."""
    history: float | None
    """How far back the log reaches; `None`: for ever, 0: there is none."""
    frame_bytes: int
    """Largest encoded envelope that one frame carries."""
    batch: int
    """Most entries in one publish."""
    publish_rate: float | None = None
    """Publishes a second and connection; `None`: no limit known."""
    channels_per_connection: int | None = None
    presence_members: int | None = None
    duplicate_window: float = 0.0
    """How long the provider itself drops a second copy of an id; `inf`: a log knows them for good (D10)."""
    contiguous: bool = False
    """Stamped frames name their predecessor, so a hole shows at once (D17)."""
    liveness: float = 25.0
    """A dead stream is noticed within this time even if the socket looks open (I11)."""
    attested: Attested = "provider"
    """Who vouches to others for the sender of what this client publishes, where no log does (D2)."""
    features: Mapping[Feature, Support] = field(default_factory=lambda: EMPTY)

    def support(self, feature: Feature) -> Support:
        """Say whether a feature is the provider's own, supplied by chatkit, or not to be had."""
        return self.features.get(feature, "none")
