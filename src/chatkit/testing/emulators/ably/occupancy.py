"""Who is on a channel, told to those who asked for it by the parameter `occupancy`."""

from __future__ import annotations

import json

from chatkit.testing.emulators.ably.channel import Attachment, Channel, Entry
from chatkit.testing.emulators.ably.wire import Action, Wire
from chatkit.testing.emulators.clock import EmulatorClock

NAME = "[meta]occupancy"


class Occupancy:
    """Tells changes, those of one turn of the loop together.

    Args:
        clock: Its time.
    """

    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._changed: set[str] = set()

    def changed(self, channel: Channel) -> None:
        """Somebody attached, detached, entered or left."""
        if channel.name in self._changed or not any(map(_watches, channel.attachments.values())):
            return
        self._changed.add(channel.name)
        self._clock.call_later(0, lambda: self._tell(channel))

    def _tell(self, channel: Channel) -> None:
        self._changed.discard(channel.name)
        metrics = channel.metrics()
        for attachment in list(channel.attachments.values()):
            if _watches(attachment):
                attachment.give(_event(metrics, attachment.params["occupancy"], self._clock.unix()))


def _watches(attachment: Attachment) -> bool:
    return attachment.params.get("occupancy", "").startswith("metrics")


def _event(metrics: dict[str, int], wanted: str, unix: float) -> Entry:
    _, _, only = wanted.partition(".")
    shown = {only: metrics[only]} if only in metrics else metrics
    now = int(unix * 1000)
    item: Wire = {
        "id": f"occupancy-{now}:0",
        "name": NAME,
        "data": json.dumps({"metrics": shown}, separators=(",", ":")),
        "encoding": "json",
        "timestamp": now,
    }
    return Entry(serial="", at=now, action=Action.MESSAGE, items=[item], ephemeral=True)
