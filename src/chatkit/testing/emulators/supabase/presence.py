"""Who is present on a topic: members under their keys, one for each channel that tracks."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Final

from chatkit.testing.emulators.supabase.plain import Object

_REFS: Final = itertools.count(1)


class PresenceSet:
    """The members of one topic.

    A change is told as a diff: `joins` and `leaves`, each `{KEY: {"metas": [META]}}`.
    """

    def __init__(self) -> None:
        self._members: dict[Hashable, tuple[str, Object, Object]] = {}
        """By channel: its key, what it tracks, and how others see that."""

    def __bool__(self) -> bool:
        return bool(self._members)

    def state(self) -> Object:
        """All members."""
        found: dict[str, list[Object]] = {}
        for key, _, meta in self._members.values():
            found.setdefault(key, []).append(meta)
        return {key: {"metas": metas} for key, metas in found.items()}

    def tracked(self, channel: Hashable) -> Object | None:
        """What a channel tracks."""
        return self._members[channel][1] if channel in self._members else None

    def track(self, channel: Hashable, key: str, payload: Object) -> Object:
        """Let a channel track, or track something else; the diff."""
        meta = {**payload, "phx_ref": f"F{next(_REFS):015x}"}
        leaves: Object = {}
        if channel in self._members:
            old = self._members[channel][2]
            meta["phx_ref_prev"] = old["phx_ref"]
            leaves = {key: {"metas": [old]}}
        self._members[channel] = (key, payload, meta)
        return {"joins": {key: {"metas": [meta]}}, "leaves": leaves}

    def untrack(self, channel: Hashable) -> Object | None:
        """Let a channel track nothing; the diff, if it did."""
        if channel not in self._members:
            return None
        key, _, meta = self._members.pop(channel)
        return {"joins": {}, "leaves": {key: {"metas": [meta]}}}
