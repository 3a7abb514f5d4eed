"""What one channel remembers of messages: the latest version of each at its place, and the versions before.

Source: RSL11, RSL14, RSL15, RTL32 of the features specification; ably/docs messages/updates-deletes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.settings import Settings
from chatkit.testing.emulators.ably.summaries import summarize
from chatkit.testing.emulators.ably.vetting import demand_small
from chatkit.testing.emulators.ably.wire import MessageAction, Wire, size_of

VERSIONS: Final = 1_000
"""Versions, and annotations, kept of one message: the oldest go first."""


@dataclass(slots=True)
class Stored:
    """One message.

    Attributes:
        versions: Oldest first; the last is what history shows.
        annotations: Creates and deletes, oldest first.
    """

    versions: list[Wire]
    annotations: list[Wire] = field(default_factory=list[Wire])

    @property
    def latest(self) -> Wire:
        """As history shows it, with what its annotations sum up to."""
        if not self.annotations:
            return self.versions[-1]
        return {**self.versions[-1], "annotations": {"summary": self.summary()}}

    def summary(self) -> Wire:
        """What its annotations sum up to."""
        return summarize(self.annotations)


class Store:
    """The messages of one channel by serial, in order.

    Args:
        most: Messages kept; the oldest go first.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: OrderedDict[str, Stored] = OrderedDict()

    def create(self, message: Wire) -> None:
        """Remember a new message."""
        self._messages[message["serial"]] = Stored([message])
        while len(self._messages) > self._most:
            self._messages.popitem(last=False)

    def find(self, serial: object) -> Stored:
        """The message of that serial.

        Raises:
            AblyError: 40400, there is none.
        """
        stored = self._messages.get(serial) if isinstance(serial, str) else None
        if stored is None:
            raise AblyError(40400, "no message with that serial")
        return stored

    def change(self, stored: Stored, change: Wire, version: Wire, limits: Settings) -> Wire:
        """Apply an update, delete or append.

        Args:
            stored: The message.
            change: What was sent: its action and the fields to be replaced.
            version: Serial, time and author of the new version.
            limits: How large the whole message may become.

        Returns:
            The whole message as it now is; its action is update or delete.

        Raises:
            AblyError: 40009, the message would become too large; 40013, text cannot be appended to what it
                holds. Nothing has changed.
        """
        before = stored.versions[-1]
        merged = {name: value for name, value in before.items() if name not in {"action", "version"}}
        action = MessageAction(change["action"])
        for name in ("name", "extras"):
            if name in change:
                merged[name] = change[name]
        if action is MessageAction.APPEND:
            merged.update(_appended(before, change))
        elif "data" in change:
            merged["data"] = change["data"]
            merged.pop("encoding", None)
            if "encoding" in change:
                merged["encoding"] = change["encoding"]
        merged["action"] = int(MessageAction.UPDATE if action is MessageAction.APPEND else action)
        merged["version"] = version
        demand_small(size_of(merged), limits)
        stored.versions.append(merged)
        del stored.versions[:-VERSIONS]
        return merged

    def annotate(self, stored: Stored, annotation: Wire) -> None:
        """Remember an annotation of a message."""
        stored.annotations.append(annotation)
        del stored.annotations[:-VERSIONS]

    def latest(self) -> list[Wire]:
        """All messages, oldest first."""
        return [stored.latest for stored in self._messages.values()]

    def forget(self, before: int) -> None:
        """Drop what was created before that time, in milliseconds since 1970."""
        while self._messages:
            stored = next(iter(self._messages.values()))
            if stored.versions[-1]["timestamp"] >= before:
                return
            self._messages.popitem(last=False)

    def __len__(self) -> int:
        return len(self._messages)


def _appended(before: Wire, change: Wire) -> Wire:
    more, data = change.get("data"), before.get("data")
    if more is None:
        return {}
    if data is None:
        return {name: change[name] for name in ("data", "encoding") if name in change}
    if type(more) is not type(data) or before.get("encoding") != change.get("encoding"):
        raise AblyError(40013, "an append has the type and encoding of what is there")
    return {"data": data + more}
