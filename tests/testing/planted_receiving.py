"""Bugs planted on the way in: D16 to D23."""

from __future__ import annotations

from typing import Any

from chatkit.core.continuity import Continuity
from chatkit.core.overlay import Overlay
from chatkit.core.release import Release
from chatkit.core.timeline_changes import Change
from chatkit.core.timeline_more import More
from chatkit.engine.attaching import Attacher
from chatkit.engine.catchup import CatchUp
from chatkit.engine.dispatcher import Dispatcher
from chatkit.engine.folding import Folder
from chatkit.engine.polling import Polling
from chatkit.engine.replay import Replay
from chatkit.handlers import HandlerRunner
from chatkit.model.events import Discontinuity
from chatkit.model.order import OrderKey
from tests.testing.planting import bug, wrap
from tests.testing.worlds import Patch, broken_lines, deaf, nervous


@bug("D16, D19", "I6", seed=10, steps=80, profile="broken-lines", world=broken_lines)
def discontinuity_swallowed(patch: Patch) -> None:
    """A loss that cannot be made good is not told."""

    def tell(real: Any, dispatcher: Any, event: Any, **named: Any) -> None:
        if not isinstance(event, Discontinuity):
            real(dispatcher, event, **named)

    wrap(patch, Dispatcher, "tell", tell)


@bug("D16", "I8", seed=0, steps=60, profile="deaf", world=deaf)
def heads_never_compared(patch: Patch) -> None:
    """Announcements are all there is: nobody asks the log whether there was more."""
    wrap(patch, Polling, "start", lambda _real, _polling: None)


@bug("D17, D19", "I8", seed=1, steps=20)
def catch_up_skipped_after_reconnect(patch: Patch) -> None:
    """After a reconnect live goes on, and what was missed is taken for read."""

    async def run(real: Any, catching: Any) -> bool:
        if not catching._opened:
            return bool(await real(catching))
        catching._receiver.reading()
        log = catching._context.need_log(catching._channel)
        heads = await catching._ask(lambda: log.heads([catching._channel]))
        state = heads[catching._channel]
        catching._progress.continuity.read(OrderKey(state.epoch, state.head or ""))
        return True

    wrap(patch, CatchUp, "run", run)


@bug("D17", "I8", seed=1, steps=20)
def mark_moves_over_a_hole(patch: Patch) -> None:
    """The catch-up mark follows every frame, whatever its predecessor."""

    def receive(real: Any, one: Any, key: Any, prev: Any, now: float) -> Any:
        if one.complete is not None and prev is not None:
            prev = one.complete.serial
        return real(one, key, prev, now)

    wrap(patch, Continuity, "receive", receive)


@bug("D17, D32", "I6", seed=15, steps=150, profile="ably")
def refused_resume_believed(patch: Patch) -> None:
    """Live goes on as if the provider had resumed where it said that it had not."""

    def attached(real: Any, attacher: Any, found: Any) -> None:
        real(attacher, found._replace(resumed=True))

    wrap(patch, Attacher, "attached", attached)


@bug("D17", "I6", seed=1, steps=20)
def replay_begins_below_since(patch: Patch) -> None:
    """A reader that asked for what follows a place is told what lies below it as well."""

    async def run(real: Any, replay: Any, after: Any, *, asked: bool) -> None:
        low = OrderKey(after.epoch, "") if isinstance(after, OrderKey) and asked else after
        await real(replay, low, asked=asked)

    wrap(patch, Replay, "run", run)


@bug("D18", "I6", seed=23, steps=200, profile="restored-log")
def restored_log_unnoticed(patch: Patch) -> None:
    """A log that was put back to an older state is taken for the one it was."""
    wrap(patch, CatchUp, "_judge", lambda _real, _catching, _state: "fits")


@bug("D20", "I2", seed=42, steps=20)
def known_ids_forgotten(patch: Patch) -> None:
    """What was told is not remembered above the mark: an echo and an acknowledgement are two events."""

    def remember(real: Any, folder: Any, ident: Any) -> bool:
        folder._known.clear()
        return bool(real(folder, ident))

    wrap(patch, Folder, "_remember", remember)


@bug("D21", "I6", seed=7, steps=100)
def latecomers_not_flagged(patch: Patch) -> None:
    """Handlers get what comes at once, and a latecomer does not say that it is one."""

    def due(real: Any, release: Any, _complete: Any, now: float) -> Any:
        return [found._replace(late=False) for found in real(release, None, now)]

    wrap(patch, Release, "due", due)


@bug("D21", "I13", seed=0, steps=60, profile="memory", world=nervous)
def handler_ends_its_reader(patch: Patch) -> None:
    """A handler that raises takes its reader along, and nobody is told."""

    async def handle(_real: Any, runner: Any, event: Any) -> None:
        try:
            await runner._handler(event)
        except Exception:  # noqa: BLE001  # that is the bug
            runner.stop()

    wrap(patch, HandlerRunner, "_handle", handle)


@bug("D22, D23", "I7", seed=4, steps=60)
def stale_edit_wins(patch: Patch) -> None:
    """Of two edits the older one stands."""
    wrap(patch, Change, "beats", lambda _real, one, other: one.key <= other.key)


@bug("D22", "I8", seed=14, steps=20)
def reactions_never_taken_back(patch: Patch) -> None:
    """A reaction that was taken back stays."""

    def reacted(real: Any, more: Any, register: Any) -> bool:
        won = more.changes.winner(register)
        return won is not None or bool(real(more, register))

    wrap(patch, More, "reacted", reacted)


@bug("D23", "I8", seed=3, steps=20)
def overlay_never_dropped(patch: Patch) -> None:
    """A wish that came true is shown as pending for ever."""
    wrap(patch, Overlay, "confirm", lambda _real, _overlay, _entry_id: None)
