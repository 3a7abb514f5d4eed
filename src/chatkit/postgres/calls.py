"""`Functions`: a way to the log's functions, as `FunctionLog` uses it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol


class Json(NamedTuple):
    """An argument that its function takes as JSON."""

    value: Any

    @property
    def text(self) -> str:
        """As it is written."""
        return as_json(self.value)


class Functions(Protocol):
    """A way to the functions of a log."""

    async def call(self, name: str, /, **values: Any) -> Any:
        """Call a function once, in a transaction of its own, and return what it returns; JSON is read.

        Args:
            name: Of the function, as it is called in the schema `chatkit`.
            **values: Its arguments: numbers, text, lists of text, `Json`, or `None`.

        Raises:
            TransportError: No answer; safe to repeat.
            ConfigError: There is no such function, or nobody may use it: the set-up is wrong.
            ProviderError: The database says no.
        """
        ...


def as_json(value: object) -> str:
    """Return a value as the functions take it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
