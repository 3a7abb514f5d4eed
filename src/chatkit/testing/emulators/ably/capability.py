"""What a key or token may do, on which channels.

A capability maps resources to operations. A resource is `*` (any channel), `ns:*` (whatever begins with
`ns:`), a name whose inner segments may be `*` (exactly one segment), or a plain name; a leading `[*]` or
`[meta]` speaks of channels with that qualifier.

Source: ably/docs auth/capabilities.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.ably.plain import is_list, is_object, plain

OPERATIONS: Final = frozenset({
    "subscribe", "publish", "presence", "presence-subscribe", "history", "stats", "channel-metadata",
    "push-subscribe", "push-admin", "privileged-headers", "object-subscribe", "object-publish",
    "annotation-publish", "annotation-subscribe", "message-update-own", "message-update-any",
    "message-delete-own", "message-delete-any", "*",
})  # fmt: skip


class Capability:
    """An immutable set of rights.

    Args:
        rights: Operations by resource.
    """

    def __init__(self, rights: Mapping[str, frozenset[str]]) -> None:
        self.rights = dict(rights)

    @classmethod
    def parse(cls, text: Any) -> Capability:
        """Read the JSON form, or the object itself.

        Raises:
            AblyError: 40000, it is no capability.
        """
        value: Any = text
        try:
            value = plain(json.loads(text), frozenset()) if isinstance(text, str) else text
        except (ValueError, RecursionError) as error:
            raise AblyError(40000, "the capability is not JSON") from error
        if not is_object(value) or not value:
            raise AblyError(40000, "the capability is no object")
        rights: dict[str, frozenset[str]] = {}
        for resource, operations in value.items():
            listed = [operations] if isinstance(operations, str) else operations
            if not is_list(listed) or not listed or not OPERATIONS.issuperset(map(str, listed)):
                raise AblyError(40000, f"the capability of {resource!r} names unknown operations")
            rights[resource] = frozenset(map(str, listed))
        return cls(rights)

    def allows(self, operation: str, channel: str) -> bool:
        """Whether the operation is allowed on the channel."""
        return any(
            (operation in operations or "*" in operations) and _matches(resource, channel)
            for resource, operations in self.rights.items()
        )

    def anywhere(self, operation: str) -> bool:
        """Whether the operation is allowed on any channel at all."""
        return any(operation in operations or "*" in operations for operations in self.rights.values())

    def intersect(self, other: Capability) -> Capability:
        """What both allow: the resources of either, narrowed to what the other one says of them.

        Raises:
            AblyError: 40160, nothing is left.
        """
        rights: dict[str, frozenset[str]] = {}
        for mine, theirs in ((self, other), (other, self)):
            for resource, operations in mine.rights.items():
                granted = theirs._over(resource)  # noqa: SLF001  # one of its own kind
                common = (
                    granted if "*" in operations else operations if "*" in granted else operations & granted
                )
                if common:
                    rights[resource] = rights.get(resource, frozenset()) | common
        if not rights:
            raise AblyError(40160, "the capability asked for has nothing in common with the key's")
        return Capability(rights)

    def _over(self, resource: str) -> frozenset[str]:
        """The operations that hold for every channel of the resource."""
        return frozenset[str]().union(
            *(
                operations
                for pattern, operations in self.rights.items()
                if pattern == resource or _matches(pattern, resource)
            )
        )

    def __str__(self) -> str:
        """The canonical JSON form: resources and operations in order, no white space."""
        return json.dumps(
            {resource: sorted(self.rights[resource]) for resource in sorted(self.rights)},
            ensure_ascii=False,
            separators=(",", ":"),
        )


EVERYTHING: Final = Capability({"*": frozenset({"*"}), "[*]*": frozenset({"*"})})
"""What a key may do where nothing else is said."""


def _matches(resource: str, channel: str) -> bool:
    if resource.startswith("[*]"):
        resource = resource[3:]
        channel = channel.partition("]")[2] if channel.startswith("[") else channel
    elif channel.startswith("["):
        qualifier, _, channel = channel.partition("]")
        if resource.startswith("["):
            wanted, _, resource = resource.partition("]")
            if wanted != qualifier:
                return False
        elif resource != "*":
            return False
    if resource == "*":
        return True
    wanted_segments, segments = resource.split(":"), channel.split(":")
    if wanted_segments[-1] == "*" and len(wanted_segments) > 1:
        wanted_segments.pop()
        if len(segments) <= len(wanted_segments):
            return False
        segments = segments[: len(wanted_segments)]
    return len(wanted_segments) == len(segments) and all(
        wanted in ("*", segment) for wanted, segment in zip(wanted_segments, segments, strict=True)
    )
