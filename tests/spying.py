"""`Spy`: hears all that a program lets out beside its data, and looks for canaries in it (I16)."""

from __future__ import annotations

import gc
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from chatkit.engine.system import LogObserver


class Canaries:
    """Names for what must not be shown; each text is its own."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def __getattr__(self, name: str) -> str:
        return self.planted.setdefault(name, f"kanari-{name}-7f3a91c4")


class Spy(logging.Handler):
    """Collects log lines at DEBUG of whatever logger, warnings, labelled points, errors, texts.

    Args:
        canaries: What must not be in any of it.
    """

    def __init__(self, canaries: Canaries) -> None:
        super().__init__(logging.DEBUG)
        self.canaries = canaries
        self.heard: list[tuple[str, str]] = []
        """Where it was, and all of it."""
        self._log = LogObserver()

    def hear(self, where: str, text: object) -> None:
        """Take note of something that is shown."""
        self.heard.append((where, str(text)))

    @property
    def found(self) -> list[str]:
        """Name each canary that was heard, and where."""
        return sorted(
            {
                f"{name} in {where}: {text[max(0, text.find(canary) - 120) :][:300]}"
                for where, text in self.heard
                for name, canary in self.canaries.planted.items()
                if canary in text
            }
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to the root logger and to warnings."""
        root = logging.getLogger()
        before = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                yield
                gc.collect()  # what is dropped unawaited speaks now
            for one in warned:
                self.hear("warning", one.message)
        finally:
            root.removeHandler(self)
            root.setLevel(before)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a log line: as it is written, and what it was made of."""
        text = logging.Formatter().format(record)
        self.hear(f"log {record.name} {record.levelname}", f"{text}\n{record.msg!r} {record.args!r}")

    # -- as the observer of a client

    def point(self, name: str, /, **fields: str | float | None) -> None:
        """Take note of a labelled point, and log it as a client without an observer does."""
        self.hear(f"point {name}", fields)
        self._log.point(name, **fields)

    # -- what a test hands over

    def error(self, error: BaseException) -> None:
        """Take note of all that can be shown of an error, and of those behind it."""
        self.hear(f"traceback of {type(error).__name__}", "".join(traceback.format_exception(error)))
        seen: set[int] = set()
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            shown = (str(one), repr(one), one.args, getattr(one, "__notes__", ()), getattr(one, "hint", ""))
            for what in shown:
                self.hear(f"{type(one).__name__} behind {type(error).__name__}", what)
            waiting += [one.__cause__, one.__context__]

    async def failing(self, act: Callable[[], Any]) -> BaseException:
        """Do something that fails, and take note of the error."""
        try:
            await act()
        except Exception as error:  # noqa: BLE001  # whatever comes is looked at
            self.error(error)
            return error
        raise AssertionError("it did not fail")

    def reprs(self, *shown: object) -> None:
        """Take note of what objects show of themselves."""
        for one in shown:
            self.hear(f"repr of {type(one).__name__}", repr(one))
            self.hear(f"str of {type(one).__name__}", str(one) if not isinstance(one, str) else "")
