"""How channels are called at Supabase: topics, one for what a log announces and one for all else (D28).

Both go on with the name that every wire has: escaped, with `.` kept, at most 140 bytes (D31).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from chatkit.errors import InvalidMessage
from chatkit.model.names import channel_problem, wire_name

Kind: TypeAlias = Literal["log", "live"]
"""`log`: only what keeps the log may write there. `live`: members may, too."""
PREFIX: Final = "realtime:"
"""Stands before each topic on the socket, and nowhere else."""
_BEGINNING: Final[dict[Kind, str]] = {"log": "chatkit:", "live": "chatkit-live:"}


def topic_of(channel: str, kind: Kind) -> str:
    """Return the topic of a channel, without the prefix.

    Raises:
        InvalidMessage: It is no name of a channel.
    """
    problem = channel_problem(channel)
    if problem is not None:
        raise InvalidMessage(f"channel: {problem}", channel=channel)
    return _BEGINNING[kind] + wire_name(channel)
