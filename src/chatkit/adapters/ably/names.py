"""How channels are called at Ably: the name of every wire, behind a namespace if there is one.

A wire name (`model.names.wire_name`) has `A-Z a-z 0-9 _ - .` alone, so it is never a qualifier and a colon
stands only behind the namespace.

Source: the Ably sheet, section 14.
"""

from __future__ import annotations

from chatkit.errors import InvalidMessage
from chatkit.model.names import channel_problem, wire_name


def name_of(channel: str, namespace: str = "") -> str:
    """Return what a channel is called at Ably.

    Raises:
        InvalidMessage: It is no name of a channel.
    """
    problem = channel_problem(channel)
    if problem is not None:
        raise InvalidMessage(f"channel: {problem}", channel=channel)
    return f"{namespace}:{wire_name(channel)}" if namespace else wire_name(channel)
