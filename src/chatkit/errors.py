"""Every error chatkit raises, as one tree.

    ChatkitError
    ├── ConfigError, StateError, CapabilityError     misuse: change the program
    ├── InvalidMessage ── MessageTooLarge            refused before anything is queued
    ├── MessageNotFound, CursorInvalid               what was asked for is not there
    ├── OutboxFull, StoreError ── StoreLocked        this device could not keep it
    ├── WaitTimeout                                  nothing is undone
    ├── DeliveryFailed, DependencyFailed, GaveUp     the fate of one accepted wish
    ├── EventOverflow                                a reader fell behind
    ├── TransportError                               no answer: safe to repeat
    └── ProviderError                                the provider or the log said no
        └── RateLimited, AuthenticationError, NotAllowed, Rejected, VersionConflict

Whether repeating can help is a property of the class (`retryable`). A message names the channel and the
message id where there are any, never a body, a token or a secret; `hint` says what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from chatkit.delivery import Delivery


class ChatkitError(Exception):
    """Base of all errors raised on purpose by chatkit.

    Args:
        message: What went wrong, in one sentence.
        hint: What to do next.
        channel: The channel concerned.
        message_id: The message concerned.
    """

    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    hint: str
    channel: str | None
    message_id: str | None

    def __init__(
        self,
        message: str = "",
        *,
        hint: str | None = None,
        channel: str | None = None,
        message_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = self.default_hint if hint is None else hint
        if self.hint:
            self.add_note(self.hint)  # a traceback shows it: most people meet an error there first
        self.channel = channel
        self.message_id = message_id

    def __str__(self) -> str:
        where = [
            f"{label} {value}"
            for label, value in (("channel", self.channel), ("message", self.message_id))
            if value is not None
        ]
        text = super().__str__()
        return f"{text} ({', '.join(where)})" if where else text


class ConfigError(ChatkitError, ValueError):
    """The set-up cannot work as given; secrets in it are masked."""

    default_hint = "Correct the URL, keyword or environment variable that the message names."


class StateError(ChatkitError, RuntimeError):
    """Misuse: not started, closed, wrong thread, two readers, other options."""


class CapabilityError(ChatkitError):
    """The provider cannot do this and chatkit cannot supply it."""

    default_hint = "Ask `chat.capabilities.support(...)` first, or use a provider or log that has it."


class InvalidMessage(ChatkitError, ValueError):
    """The message has a shape that cannot be sent; nothing was queued."""

    default_hint = "Change the field that the message names and send again; nothing was queued."


class MessageTooLarge(InvalidMessage):
    """It is larger than what the provider, or the log beside it, carries; nothing was queued."""

    default_hint = "Send less text, or put the content elsewhere and send its address; nothing was queued."


class MessageNotFound(ChatkitError, LookupError):
    """No such message here."""

    default_hint = "Check the message id and the channel; it may also lie below what the log keeps."


class CursorInvalid(ChatkitError, ValueError):
    """The cursor belongs to another provider, channel or epoch, or its place was trimmed."""

    default_hint = "Start again from chatkit.START, or from a cursor of this channel and provider."


class OutboxFull(ChatkitError):
    """The outbox holds as much as its limits allow; nothing was queued."""

    default_hint = "Wait for `chat.outbox.flush()`, or raise `limits=OutboxLimits(...)`; nothing was queued."


class StoreError(ChatkitError):
    """The local store could not keep or read something; nothing of the call was kept."""

    default_hint = "Check the disk and the file that the message names, then call again."


class StoreLocked(StoreError):
    """Another process, or another client of this one, owns the store file."""

    default_hint = (
        "Close the other owner, or give `store=` a directory ending in '/' so each process has a file."
    )


class WaitTimeout(ChatkitError, TimeoutError):
    """The wait ended; nothing is undone and what was waited for goes on."""

    default_hint = "Nothing is undone: wait again, or look at `chat.health()`."


class DeliveryFailed(ChatkitError):
    """A delivery ended failed, expired or discarded; `__cause__` is why."""

    default_hint = "Look at `error.__cause__`; `await delivery.retry()` sends the same message again."
    delivery: Delivery

    def __init__(self, message: str, *, delivery: Delivery, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, channel=delivery.channel, message_id=delivery.message_id)
        self.delivery = delivery


class DependencyFailed(ChatkitError):
    """What the message refers to (its target, thread or quote) failed before it."""

    default_hint = "Retry the message it refers to first, then this one."


class GaveUp(ChatkitError):
    """The provider answered with errors of its own for this entry alone, too often or for too long.

    Source: delivery.md D12.
    """

    default_hint = "The provider keeps failing on this message; `await delivery.retry()` tries again."


class EventOverflow(ChatkitError):
    """The reader of a stream fell behind its buffer; the stream has ended."""

    default_hint = "Open the stream again with `since=` the last cursor, or ask for a larger `buffer=`."


class TransportError(ChatkitError):
    """No answer: the network failed and the outcome is unknown; safe to repeat."""

    retryable = True
    default_hint = "Nothing to do for queued messages: they are sent when the network is back."


class ProviderError(ChatkitError):
    """The provider or the log answered with an error.

    Args:
        code: The provider's own code, as text.
    """

    code: str | None

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        hint: str | None = None,
        channel: str | None = None,
        message_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, channel=channel, message_id=message_id)
        self.code = code


class RateLimited(ProviderError):
    """Too many requests; `retry_after` is the pause asked for, in seconds."""

    retryable = True
    retry_after: float | None

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        code: str | None = None,
        hint: str | None = None,
        channel: str | None = None,
        message_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, channel=channel, message_id=message_id)
        self.retry_after = retry_after


class AuthenticationError(ProviderError):
    """The credential is wrong, expired or revoked."""

    default_hint = "Check the key, secret or token provider; what is queued waits for a good one."


class NotAllowed(ProviderError):
    """The credential is good but has no right to this."""

    default_hint = "Ask an owner of the channel for the right, or send as another user."


class Rejected(ProviderError):
    """The provider refused this one message for good."""

    default_hint = "Read the provider's code, change the message and send it as a new one."


class VersionConflict(ProviderError):
    """The message was changed since the version given as `expected_version`."""

    default_hint = "Read the message again, apply the change to it and edit with its version."
