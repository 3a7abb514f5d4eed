"""The adapter put to the contract where it has no socket: by event streams, or by polling."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Literal
from unittest.mock import patch

from chatkit.testing.contract import Closing, Refusal
from chatkit.testing.emulators.ably import Aim, ErrorInfo
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.faults import CallFault
from chatkit.transport import polling
from tests.adapters.ably.kit import REFUSALS, AblyKit
from tests.adapters.ably.tokens import KEY, SECRET

CLOSINGS: Final = {
    Closing("no such app", "never"): 40101,
    Closing("token ended", "reauthenticate"): 40142,
    Closing("too many connections", "later", 1.0): 40111,
    Closing("nothing passes", "now"): None,
}


class CallsKit(AblyKit):
    """As `AblyKit`.

    Args:
        transport: What is used.
    """

    def __init__(self, transport: Literal["sse", "poll"], **options: Any) -> None:
        super().__init__(transport=transport, poll=0.05, **options)
        self.transport = transport
        self.patience = 3.0 if transport == "sse" else 6.0  # a round of many looks takes its time
        self.quiet = 0.15
        self.hears_passing = transport == "sse"

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        with patch.object(polling, "RATE", 60.0):  # else hundreds of channels wait for their turns
            super().run(main)

    def lose_ack(self, user: str) -> None:
        self._fault(user, does="reset", moment="after", method="POST")

    def forbid(self, user: str) -> None:
        self._refuse(user, 40160, **self._hearing, times=1_000)

    def revoke(self, user: str, channel: str) -> None:
        if self.transport == "sse":
            aim = Aim(client=user, channel=self.name(channel), error=ErrorInfo(code=40160))
            assert self.emulator.deeds.end_streams(aim) > 0
        else:
            self._refuse(user, 40160, **self._hearing)

    def closings(self) -> Sequence[Closing]:
        return tuple(CLOSINGS)

    def close(self, user: str, closing: Closing) -> None:
        code = CLOSINGS[closing]
        if code is None:
            self._fault(user, does="fail", **self._hearing, status=503, times=3)
        elif self.transport == "poll":
            self._refuse(user, code, **self._hearing)
        if self.transport == "sse":
            error = None if code is None else ErrorInfo(code=code)
            assert self.emulator.deeds.end_streams(Aim(client=user, error=error)) > 0

    def refuse(self, user: str, refusal: Refusal | None) -> None:
        self.emulator.faults.clear()
        if refusal is not None:
            self._refuse(user, REFUSALS[refusal], method="POST", times=1_000)

    # -- inside

    @property
    def _hearing(self) -> dict[str, Any]:
        """The calls by which a channel is heard."""
        path = "/sse" if self.transport == "sse" else "/messages"
        return {"method": "GET", "path": path}

    def _refuse(self, user: str, code: int, **call: Any) -> None:
        error = AblyError(code)
        body = json.dumps({"error": error.wire()})
        self._fault(user, does="fail", status=error.status, body=body, **call)

    def _fault(self, user: str, **fault: Any) -> None:
        """Let something go wrong with the calls of one user."""
        if self._trusted:
            credential = f"{KEY}:{SECRET}"
        else:
            token = self.tokens[user]._token
            assert token is not None
            credential = token.value
        self.emulator.faults.add(CallFault(authorization=b64encode(credential.encode()).decode(), **fault))
