"""Events: one value for each thing that can happen; capabilities and what a handler raised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatkit.model.capabilities import Capabilities
from chatkit.model.events import (
    Event,
    HandlerError,
    MessageCreated,
    MessageDeleted,
    MessageEvent,
    MessageUpdated,
    ReactionChanged,
)

AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize("kind", [MessageCreated, MessageUpdated, MessageDeleted])
def test_what_happens_to_messages_can_be_asked_for_at_once(kind: type[Event]) -> None:
    """`events(MessageEvent)` gives all three, and no reaction."""
    assert issubclass(kind, MessageEvent)
    assert not issubclass(ReactionChanged, MessageEvent)


def test_equal_facts_are_equal_events() -> None:
    """The same fact has the same id on every client and in every life."""
    assert Event(event_id="e1", at=AT) == Event(event_id="e1", at=AT)
    assert Event(event_id="e1", at=AT) != Event(event_id="e2", at=AT)


def test_a_handler_error_tells_the_type_of_what_was_raised() -> None:
    """The error itself is there for a program that wants it; its text may quote a message (I16)."""
    raised = ValueError("cannot answer: hunter2")
    error = HandlerError(event=Event(event_id="e1", at=AT), handler="bot.greet", error=raised)

    assert error.error is raised
    assert error.to_dict() == {
        "event": {
            "event_id": "e1",
            "channel": None,
            "at": "2026-11-23T00:00:00.000Z",
            "own": False,
            "cursor": None,
        },
        "handler": "bot.greet",
        "raised": "ValueError",
    }
    assert "ValueError" in repr(error)
    assert "hunter2" not in repr(error)
    assert replace(error, error=KeyError()).raised == "KeyError"


def test_a_feature_that_is_not_named_is_not_to_be_had() -> None:
    """Never a quiet maybe."""
    capabilities = Capabilities(
        ack="accepted",
        announce="stream",
        order="clock",
        erase="none",
        resume_window=0.0,
        history=0.0,
        frame_bytes=10_000,
        batch=1,
        features={"presence": "emulated"},
    )

    assert capabilities.support("presence") == "emulated"
    assert capabilities.support("search") == "none"
