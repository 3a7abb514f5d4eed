"""What waits for the task of one channel: frames and acknowledgements, as they came (D19)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from chatkit.core.fact import Fact
from chatkit.ports import Foreign, Received, Shed

if TYPE_CHECKING:
    from chatkit.engine.context import Context

INBOX: Final = 1_000
"""Most frames waiting; beyond it they are dropped and the log is read instead (D19)."""


class Proven(NamedTuple):
    """Our own envelope, as its acknowledgement proves it."""

    fact: Fact
    entry_id: str


class Dropped(NamedTuple):
    """Frames were dropped here, since the inbox was full."""


class Left(NamedTuple):
    """The channel ceased to be received here."""


Item: TypeAlias = Received | Foreign | Shed | Proven | Dropped | Left


class Inbox:
    """Keeps a bounded number of frames, and every acknowledgement.

    Args:
        context: The client's parts.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._items: deque[Item] = deque()

    def __bool__(self) -> bool:
        return bool(self._items)

    # -- filled

    def push(self, item: Item) -> None:
        """Take a frame, or an acknowledgement of ours."""
        if len(self._items) < INBOX or isinstance(item, Proven):
            self._items.append(item)
            return
        self._context.counters["inbox_overflow"] += 1
        if self._context.log is not None:
            self.drop()
        if not isinstance(self._items[-1] if self._items else None, Dropped):
            self._items.append(Dropped())

    def drop(self) -> None:
        """Throw away the frames: the log is to be read, which has them all."""
        self._items = deque(item for item in self._items if isinstance(item, Proven | Left))

    def leave(self) -> None:
        """Take note that nothing is received from now on."""
        self._items.append(Left())

    def back(self) -> None:
        """Forget where nothing was received."""
        self._items = deque(item for item in self._items if not isinstance(item, Left))

    # -- emptied

    @property
    def head(self) -> Item:
        """What comes first; there is something."""
        return self._items[0]

    def take(self) -> None:
        """Take away what comes first."""
        self._items.popleft()

    def take_run(self, most: int) -> list[Received]:
        """Take the frames at the head, up to so many."""
        run: list[Received] = []
        while self._items and len(run) < most and isinstance(item := self._items[0], Received):
            run.append(item)
            self._items.popleft()
        return run

    def put_back(self, items: Sequence[Received]) -> None:
        """Put frames that were taken to the head again."""
        self._items.extendleft(reversed(items))

    def take_proven(self) -> list[Proven]:
        """Take all acknowledgements, from between the frames."""
        proven = [item for item in self._items if isinstance(item, Proven)]
        if proven:
            self._items = deque(item for item in self._items if not isinstance(item, Proven))
        return proven
