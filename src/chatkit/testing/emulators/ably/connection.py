"""What outlives a transport: a connection's identity, what it was answered, when its members leave.

Source: RTN15, RTN16, RTN19 of the features specification.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from chatkit.testing.emulators.ably.auth import Access
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.clock import Timer
from chatkit.testing.emulators.pace import Bucket

if TYPE_CHECKING:
    from chatkit.testing.emulators.ably.session import Session

ANSWERS: Final = 10_000
"""Answers kept of one connection, for what is sent again after a resume."""
KEYS: Final = 8
"""Connection keys that still resume: an answer with the newest may have been lost."""

Answer = list[str] | AblyError
"""What became of one frame: the serials of its messages, or the refusal."""


class Connection:
    """One connection of a client, over one transport or several in turn.

    Args:
        access: With what it was opened.
        client_id: Whom it speaks for.
        bucket: Its publish rate.
    """

    def __init__(self, access: Access, client_id: str | None, bucket: Bucket) -> None:
        self.id = secrets.token_urlsafe(8)
        self.access = access
        self.client_id = client_id
        self.bucket = bucket
        self.session: Session | None = None
        self.present_seconds = 0.0
        self.present_on: set[str] = set()
        self.timers: list[Timer] = []
        self._keys: deque[str] = deque(maxlen=KEYS)
        self._answers: OrderedDict[int, Answer] = OrderedDict()

    def renew_key(self) -> str:
        """The secret by which it is resumed from now on."""
        self._keys.append(f"{self.id}!{secrets.token_urlsafe(12)}")
        return self._keys[-1]

    def fits(self, key: str) -> bool:
        """Whether that key is one of its own."""
        return any(secrets.compare_digest(key.encode(), known.encode()) for known in self._keys)

    @property
    def key(self) -> str:
        """The newest key."""
        return self._keys[-1]

    def answered(self, serial: int) -> Answer | None:
        """What a frame with that msgSerial was answered, if it came before."""
        return self._answers.get(serial)

    def remember(self, serial: int, answer: Answer) -> None:
        """Keep the answer to a frame."""
        self._answers[serial] = answer
        if len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)

    def cancel_timers(self) -> None:
        """It is back: neither its state nor its members go."""
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
