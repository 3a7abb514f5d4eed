"""What goes wrong, in Ably's own numbers."""

from __future__ import annotations

from typing import Any, Final

MEANING: Final = {
    40000: "bad request",
    40001: "invalid request body",
    40003: "invalid parameter value",
    40005: "invalid credentials",
    40009: "maximum message length exceeded",
    40010: "invalid channel name",
    40006: "malformed message: invalid connection key",
    40011: "stale ring state, the cursor has lapsed: start again",
    40012: "invalid client id",
    40013: "invalid message data or encoding",
    40016: "invalid message name",
    40017: "unsupported protocol version",
    40024: "cannot give history up to this attach point here",
    40030: "invalid publish request",
    40031: "invalid message id: those of one publish are BASE:INDEX, counted from 0",
    40032: "invalid extras",
    40034: "too many messages in one publish",
    40099: "publish refused for test",
    40101: "invalid credentials",
    40102: "incompatible credentials",
    40104: "timestamp not current",
    40105: "nonce value replayed",
    40111: "too many connections of one account",
    40114: "too many channels of one account",
    40133: "tokens are revoked by the key that issued them",
    40140: "token error",
    40141: "token revoked",
    40142: "token expired",
    40143: "token unrecognized",
    40144: "error in JWT format",
    40160: "operation not permitted with the given capability",
    40161: "operation not permitted: it needs an identified client",
    40162: "operation not permitted with a token: use the key",
    40163: "operation not permitted: the key does not issue revocable tokens",
    40165: "the channel was attached without the mode that this needs",
    40166: "only an identified client may change its own messages",
    40300: "forbidden",
    40400: "not found",
    40500: "method not allowed",
    42910: "rate limit exceeded",
    42911: "per-connection publish rate exceeded",
    42912: "too many requests of this kind at once",
    42913: "per-channel publish rate exceeded",
    42914: "too many channels are made at once",
    50000: "internal error",
    50001: "internal channel error",
    50002: "internal connection error",
    50003: "timed out",
    80000: "connection failed",
    80003: "disconnected",
    80008: "cannot recover the connection",
    80016: "the connection was replaced by a newer one",
    80018: "invalid connection key: the connection was not resumed",
    80020: "cannot continue: messages were dropped",
    80022: "unable to find the connection",
    80023: "the connection state is gone",
    90000: "channel operation failed",
    90001: "channel operation failed: invalid channel state",
    90002: "channel history cannot be retrieved",
    90003: "cannot restore continuity: the last message seen is no longer retained",
    90008: "history up to this attach point is no longer available",
    90010: "too many channels on one connection",
    90021: "channels are made too fast",
    91000: "cannot enter presence without a client id",
    91001: "cannot enter presence: the channel is not attached",
    91003: "too many presence members",
    91005: "presence is out of step",
    91100: "left: the connection closed",
    92000: "invalid object message",
    93001: "annotations need the mode that the channel was attached without",
    93002: "annotations, updates and deletes need the rule mutableMessages on the namespace",
}
"""What codes mean that this emulator says, by itself or as a fault: after `ably/ably-common` errors."""

STATUS: Final = {
    40009: 413,
    40111: 403,
    40114: 403,
    50003: 503,
    80016: 410,
    80022: 410,
    90001: 404,
    90003: 404,
    90021: 429,
}
"""Published statuses that do not follow from the digits of their codes."""


class AblyError(Exception):
    """A refusal as it goes onto the wire; it never leaves the emulator as an exception.

    Args:
        code: Ably's code.
        detail: What happened here, instead of the code's own meaning.
        status: The HTTP status; as the code says when left out.
    """

    def __init__(self, code: int, detail: str | None = None, *, status: int | None = None) -> None:
        self.code = code
        self.status = status_of(code) if status is None else status
        self.message = detail or MEANING.get(code, "error")
        super().__init__(f"{self.code}: {self.message}")

    def wire(self) -> dict[str, Any]:
        """Ably's `ErrorInfo`."""
        return {
            "code": self.code,
            "statusCode": self.status,
            "message": self.message,
            "href": f"https://help.ably.io/error/{self.code}",
        }


def status_of(code: int) -> int:
    """The HTTP status of a code: as published, else its first three digits where those are one, else 400."""
    status = code // 100
    return STATUS.get(code, status if 400 <= status < 600 else 400)
