"""Worlds in which a planted bug shows: what is different there, with the bug and without."""

from __future__ import annotations

import uuid
from typing import Any, TypeAlias

import pytest

import chatkit.wishes
from chatkit.adapters.memory.hub import Hub
from chatkit.model.options import OutboxLimits
from chatkit.testing.simulation import stage
from chatkit.testing.simulation.player import VERBS
from chatkit.testing.simulation.profiles import PROFILES, USUAL, Profile
from tests.testing.planting import wrap

Patch: TypeAlias = pytest.MonkeyPatch
"""What takes back at the end what was planted."""


def few_ids(patch: Patch) -> None:
    """Keys of all users give the same few ids, as if members repeated those of others."""

    def keyed(_secret: bytes, _user: str, channel: str, key: str) -> str:
        return str(uuid.UUID(int=uuid.uuid5(uuid.NAMESPACE_URL, f"{channel}/{len(key)}").int, version=4))

    patch.setattr(chatkit.wishes, "keyed_message_id", keyed)


def small_outboxes(patch: Patch) -> None:
    """Outboxes take three entries."""
    patch.setattr(stage, "LIMITS", OutboxLimits(entries=3))


def _kind(patch: Patch, name: str, profile: Profile) -> None:
    patch.setitem(PROFILES, name, profile)


def broken_lines(patch: Patch) -> None:
    """A provider without a log, lines that break and heal, and programs that listen all the time."""
    patch.setitem(VERBS, "listen", 12)
    patch.setitem(VERBS, "stop_listening", 0)
    _kind(patch, "broken-lines", Profile("pusher", quiet_loss=False, dangers={"cut": 1, "heal": 2}))


def nervous(patch: Patch) -> None:
    """Handlers raise often."""
    patch.setitem(USUAL, "handler_raises", 20)


def silent(patch: Patch) -> None:
    """Connections fall silent, and for long."""
    _kind(patch, "silent", Profile("memory", dangers={"half_open": 4, "heal": 1, "jump": 2}))


def deaf(patch: Patch) -> None:
    """A log whose announcements are lost, on connections that live."""
    dangers = {"hold_lossy": 6, "release": 1, "jump": 1}
    _kind(patch, "deaf", Profile("supabase", dangers=dangers))


def liars(patch: Patch) -> None:
    """A provider without a log, over which members say what they like."""
    dangers = {**USUAL, "forge": 10}
    _kind(patch, "liars", Profile("pusher", quiet_loss=False, dangers=dangers))

    def inject(real: Any, hub: Any, channel: str, frame: Any, **named: Any) -> None:
        if (
            b"mallory" not in frame.data or b"message.create" not in frame.data
        ):  # that would be a message of its own
            real(hub, channel, frame, **named)

    wrap(patch, Hub, "inject", inject)


def hasty(patch: Patch) -> None:
    """Users want much to be sent soon or not at all."""
    patch.setitem(VERBS, "send_expiring", 25)
