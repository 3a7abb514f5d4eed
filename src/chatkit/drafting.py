"""Drafts on their way through the app's middleware, before anything is queued."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from chatkit.errors import StateError
from chatkit.model.options import Draft
from chatkit.ports import Pacer

if TYPE_CHECKING:
    from chatkit.ports import Middleware


@asynccontextmanager
async def drafted(middleware: Sequence[Middleware], draft: Draft) -> AsyncGenerator[Draft]:
    """Run middleware over a draft, for the length of queueing it.

    Middleware that counts what it lets out is told if the draft is refused after it, or cannot be queued. Not
    so where the caller is cancelled, for then the message may go out all the same (D14).

    Args:
        middleware: In order of registration.
        draft: What is to be sent.

    Raises:
        StateError: A middleware gave no draft back.
        ChatkitError: A middleware refused it.
    """
    passed: list[tuple[Pacer, Draft]] = []
    try:
        for one in middleware:
            made = cast("object", await one.outgoing(draft))  # the app's code may return anything
            if not isinstance(made, Draft):
                raise StateError(
                    f"middleware {type(one).__name__} gave no draft back; nothing was queued",
                    hint="Return the draft, or raise NotAllowed to refuse it.",
                    channel=draft.channel,
                )
            if isinstance(one, Pacer):
                passed.append((one, draft))
            draft = replace(draft, content=made.content, meta=made.meta)
        yield draft
    except Exception:
        for pacer, let_out in reversed(passed):
            pacer.withdrawn(let_out)
        raise
