"""Who does the blocking work: one thread that takes everything waiting at once, or the caller itself."""

from __future__ import annotations

import asyncio
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeAlias

from chatkit.errors import StateError


class Outcome(NamedTuple):
    """How one piece of work ended: by a value or by an error."""

    value: Any = None
    error: BaseException | None = None

    def take(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


Runner: TypeAlias = Callable[[Sequence[Any]], Sequence[Outcome]]
"""Does several pieces of work at once and says how each ended."""


def run_calls(calls: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """Run plain calls one after the other: the `Runner` of what is no job of a file."""
    outcomes: list[Outcome] = []
    for call in calls:
        try:
            outcomes.append(Outcome(call()))
        except Exception as error:  # noqa: BLE001  # it is given to the caller
            outcomes.append(Outcome(error=error))
    return outcomes


class Worker(Protocol):
    """Does work in the order it was handed over."""

    def submit(self, runner: Runner, work: Any, /) -> Awaitable[Any]:
        """Hand over a piece of work; await what became of it.

        Cancelling the wait does not take the work back: it is done all the same, in its turn.
        """
        ...

    async def stop(self) -> None:
        """Finish what was handed over, and end; idempotent."""
        ...

    def retire(self, last: Callable[[], object], /, *, wait: bool) -> None:
        """Forget what was handed over and not begun, do one last thing, and end."""
        ...

    def retire_after(self, owner: object, last: Callable[[], object], /) -> None:
        """Retire when an owner is dropped that never ended this worker."""
        ...


class _Owned(ABC):
    """Looks after the end of an owner."""

    _finalizer: weakref.finalize[Any, Any] | None = None

    def retire_after(self, owner: object, last: Callable[[], object], /) -> None:
        """Retire when an owner is dropped that never ended this worker."""
        self._finalizer = weakref.finalize(owner, self.retire, last, wait=False)

    @abstractmethod
    def retire(self, last: Callable[[], object], /, *, wait: bool) -> None: ...

    def _disown(self) -> None:
        """Let go of what was to be done last: it may hold the owner, by what observes it."""
        if self._finalizer is not None:
            self._finalizer.detach()


class InlineWorker(_Owned):
    """Works in the caller, at once: for simulations, where a thread would be chance."""

    async def submit(self, runner: Runner, work: Any, /) -> Any:
        """Do it now."""
        [outcome] = runner([work])
        return outcome.take()

    async def stop(self) -> None:
        """Nothing waits and nothing runs."""
        self._disown()

    def retire(self, last: Callable[[], object], /, *, wait: bool) -> None:  # noqa: ARG002  # it is waited for anyway
        """Do the last thing now."""
        self._disown()
        last()


class _Task(NamedTuple):
    runner: Runner
    work: Any
    future: asyncio.Future[Any]


class _Stop(NamedTuple):
    """End when all before is done, and say so."""

    told: asyncio.Future[None]


class _Retire(NamedTuple):
    """End without doing what has not begun; do this instead."""

    last: Callable[[], object]


_Item: TypeAlias = list[_Task] | _Stop | _Retire


class ThreadWorker(_Owned):
    """One daemon thread, started when first needed, serving one event loop.

    What is handed over in one turn of the loop reaches the thread together, and the thread takes all that
    waits: so a thousand callers make one group, not a thousand. Being a daemon, and holding nothing of the
    store while idle, the thread never keeps the interpreter or a dropped store alive.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._turn: list[_Task] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    def submit(self, runner: Runner, work: Any, /) -> asyncio.Future[Any]:
        """Hand over a piece of work.

        Raises:
            StateError: The running loop is not the one of the first call.
        """
        loop = self._on_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._queue,), name=self._name, daemon=True)
            self._thread.start()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._turn:
            loop.call_soon(self._hand_over)
        self._turn.append(_Task(runner, work, future))
        return future

    def _on_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise StateError(
                "this file is used from the event loop that opened it", hint="Connect once a loop."
            )
        return loop

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        if turn:
            self._queue.put(turn)

    async def stop(self) -> None:
        """Finish what was handed over, and end; once it has returned the thread is gone."""
        loop = self._on_loop()
        self._disown()
        thread = self._thread
        if thread is None:
            return
        if self._ended is None:
            self._hand_over()
            self._ended = loop.create_future()
            self._queue.put(_Stop(self._ended))
        await asyncio.shield(self._ended)
        thread.join()  # it has said its last word
        if self._thread is thread:
            self._thread = self._ended = None

    def retire(self, last: Callable[[], object], /, *, wait: bool) -> None:
        """Forget what has not begun, do one last thing on the thread, and end it.

        Safe in a finalizer, on any thread: `SimpleQueue.put` may interrupt itself.

        Args:
            last: What to do last.
            wait: Return when it is done; it waits for one group at most.
        """
        self._disown()
        thread, self._thread = self._thread, None
        if thread is None:
            last()
            return
        self._hand_over()
        self._queue.put(_Retire(last))
        if wait:
            thread.join()


def _serve(queue: SimpleQueue[_Item]) -> None:
    while _serve_all_waiting(queue):
        pass


def _serve_all_waiting(queue: SimpleQueue[_Item]) -> bool:
    """Serve what waits, once something does; False at the end.

    A function of its own, so that nothing of it stays referenced while the thread is idle.
    """
    item = queue.get()
    tasks: list[_Task] = []
    with suppress(Empty):
        while isinstance(item, list):
            tasks += item
            item = queue.get_nowait()
    if isinstance(item, _Retire):
        _tell(tasks, [Outcome(error=StateError("the file was abandoned"))] * len(tasks))
        item.last()
        return False
    for runner, group in groupby(tasks, attrgetter("runner")):
        members = list(group)
        _tell(members, _run(runner, [task.work for task in members]))
    if isinstance(item, _Stop):
        _on_loop_of(item.told, _settle, item.told, Outcome())
        return False
    return True


def _run(runner: Runner, work: Sequence[Any]) -> Sequence[Outcome]:
    try:
        return runner(work)
    except BaseException as error:  # noqa: BLE001  # a simulated death reaches the callers, not a dead thread
        return [Outcome(error=error)] * len(work)


def _tell(tasks: Sequence[_Task], outcomes: Sequence[Outcome]) -> None:
    if tasks:
        _on_loop_of(tasks[0].future, _settle_all, tasks, outcomes)


def _on_loop_of(future: asyncio.Future[Any], call: Callable[..., None], *args: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        future.get_loop().call_soon_threadsafe(call, *args)


def _settle_all(tasks: Sequence[_Task], outcomes: Sequence[Outcome]) -> None:
    for (_, _, future), outcome in zip(tasks, outcomes, strict=True):
        _settle(future, outcome)


def _settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.done():  # the caller was cancelled; its work is done all the same
        return
    if outcome.error is not None:
        future.set_exception(outcome.error)
    else:
        future.set_result(outcome.value)
