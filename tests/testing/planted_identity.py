"""Bugs planted in who says what, and where it stands: D1 to D3."""

from __future__ import annotations

from typing import Any

from chatkit.core.timeline import Timeline
from chatkit.core.timeline_order import Ordered
from chatkit.core.timeline_window import Window
from chatkit.engine import receiver
from chatkit.logs.fence import Fence
from chatkit.model.order import Ident
from chatkit.ports import Ack
from tests.testing.planting import bug, wrap
from tests.testing.worlds import Patch, few_ids, liars


@bug("D1, D9", "I2", seed=1, steps=20)
def duplicate_check_skipped(patch: Patch) -> None:
    """The log does not look whether it has an envelope already."""

    def answer(real: Any, fence: Any, entry: Any, *rest: Any) -> Any:
        fence._known.pop(entry.ident, None)
        fence._lanes.pop((entry.ident.user, entry.device), None)
        return real(fence, entry, *rest)

    wrap(patch, Fence, "answer", answer)


@bug("D1", "I1", seed=2, steps=20, profile="memory", world=few_ids)
def id_of_another_user_swallowed(patch: Patch) -> None:
    """The log takes an id that another user has used for a duplicate, and acknowledges it."""

    def answer(real: Any, fence: Any, entry: Any, *rest: Any) -> Any:
        same = (known for ident, known in fence._known.items() if ident.id == entry.ident.id)
        found = next(same, None)
        if found is not None:
            return Ack(entry.ident, "duplicate", found.key, found.at, prev=found.prev)
        return real(fence, entry, *rest)

    wrap(patch, Fence, "answer", answer)


@bug("D1", "I8", seed=2, steps=20, profile="memory", world=few_ids)
def timeline_keyed_by_id_alone(patch: Patch) -> None:
    """A timeline takes a message for a copy of another user's that has the same id."""

    def find(_real: Any, window: Any, ident: Ident) -> Any:
        return next(iter(window.named(ident.id)), None)

    wrap(patch, Window, "find", find)


@bug("D2, D17", "I2", seed=0, steps=20, profile="forged")
def forged_stamp_believed(patch: Patch) -> None:
    """A place that a member wrote counts as the log's."""

    def believe(real: Any, context: Any, signal: Any) -> Any:
        return real(context, signal._replace(unforgeable=True))

    wrap(patch, receiver, "believe", believe)


@bug("D2", "I7", seed=2, steps=60, profile="liars", world=liars)
def edit_by_another_believed(patch: Patch) -> None:
    """Anybody may edit: the author is not compared."""

    def change(real: Any, timeline: Any, fact: Any) -> Any:
        timeline.rights = True
        return real(timeline, fact._replace(stamped=True))

    wrap(patch, Timeline, "_change", change)


@bug("D2, D3", "I7", seed=8, steps=20, profile="liars", world=liars)
def claimed_sender_believed(patch: Patch) -> None:
    """Who an envelope says that it is from is not held against whom the provider vouches for."""

    def believe(real: Any, context: Any, signal: Any) -> Any:
        return real(context, signal._replace(user=None))

    wrap(patch, receiver, "believe", believe)


@bug("D3", "I5", seed=4, steps=40, profile="pusher")
def shown_as_it_came(patch: Patch) -> None:
    """A timeline shows messages in the order in which they came to it."""

    def add(_real: Any, ordered: Any, fold: Any) -> None:
        ordered.size += 1
        if not ordered._chunks:
            ordered._chunks.append([])
        ordered._chunks[-1].append(fold)

    def remove(_real: Any, ordered: Any, fold: Any) -> None:
        for chunk in ordered._chunks:
            if fold in chunk:
                chunk.remove(fold)
                ordered.size -= 1
        ordered._chunks[:] = [chunk for chunk in ordered._chunks if chunk]

    wrap(patch, Ordered, "add", add)
    wrap(patch, Ordered, "remove", remove)
