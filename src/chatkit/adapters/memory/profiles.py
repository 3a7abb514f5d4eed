"""Profiles: what the hub behaves like, one for each provider.

A profile is its capabilities and a few manners that they do not tell. Everything the hub does differently
follows from these, so that a test switches one capability off and meets the provider that lacks it. Declared
only, without behaviour of their own: `ack`, `erase`, `liveness`.

Source: the wire facts of each provider; the table of design.md section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from math import inf
from typing import Any, Final, NamedTuple

from chatkit.adapters.memory.serials import Style, ably_stamp
from chatkit.errors import ConfigError
from chatkit.model.capabilities import Capabilities, Feature, Support
from chatkit.model.entry import Stamp
from chatkit.model.message import Attested

OVERHEAD: Final = 300
"""Bytes kept free in each frame for the stamp."""


class Profile(NamedTuple):
    """What one client meets."""

    capabilities: Capabilities
    over_http: bool = False
    """Publishing is a request of its own with the app's secret (D29), else it goes over the session."""
    hints: Attested = "provider"
    """Who vouches for the sender of what is emitted (D2)."""
    sheds: bool = False
    """It says so when it drops frames; otherwise nobody says anything."""
    style: Style = "digits"
    presence_calls: int | None = None
    """Presence calls of a session for a channel in 30 seconds."""
    lingers: float = 0.0
    """Seconds that members of a connection that broke are still shown."""
    roster: Support = "native"
    """Presence: members enter, with data; or (`emulated`) whoever hears is in, without."""

    def measure(self, data: bytes) -> int:
        """Return the size of an envelope in a frame."""
        return len(data) + OVERHEAD

    def shown(self, stamp: Stamp) -> Stamp:
        """Return a stamp as this provider shows it in a frame."""
        if self.style == "ably":
            return ably_stamp(stamp)
        return stamp if self.capabilities.contiguous else stamp._replace(prev=None)


_MEMORY = Profile(
    Capabilities(
        ack="stored",
        announce="stream",
        order="log",
        erase="erased",
        resume_window=0.0,
        history=None,
        frame_bytes=1_000_000,
        batch=100,
        duplicate_window=inf,
        contiguous=True,
    )
)
_SUPABASE = Profile(
    Capabilities(
        ack="stored",
        announce="transactional",
        order="log",
        erase="erased",
        resume_window=0.0,
        history=None,
        frame_bytes=200_000,  # above this the trigger would announce the id alone (D28)
        batch=100,
        channels_per_connection=49,  # of a hundred topics, two each
        duplicate_window=inf,
        contiguous=True,
    ),
    hints="none",  # a broadcast names nobody
    presence_calls=5,
)
_ABLY = Profile(
    Capabilities(
        ack="stored",
        announce="stream",
        order="provider",
        erase="tombstone",  # its history cannot be erased (D26)
        resume_window=120.0,
        history=120.0,
        frame_bytes=65_536,
        batch=100,
        publish_rate=50.0,
        channels_per_connection=200,
        presence_members=200,
        duplicate_window=120.0,
    ),
    sheds=True,  # 80020
    style="ably",
    lingers=15.0,  # remainPresentFor
)
_PUSHER = Profile(
    Capabilities(
        ack="accepted",
        announce="stream",
        order="clock",
        erase="none",
        resume_window=0.0,
        history=0.0,
        frame_bytes=10_240,
        batch=10,
        presence_members=100,
        attested="backend",
    ),
    over_http=True,
    lingers=75.0,  # at most
    roster="emulated",
)

PROFILES: Final[Mapping[str, Profile]] = {
    "memory": _MEMORY,
    "supabase": _SUPABASE,
    "ably": _ABLY,
    "pusher": _PUSHER,
}
_KNOWN: Final = frozenset(f.name for f in fields(Capabilities))


def tailor(like: str, overrides: Mapping[str, Any], *, trusted: bool, log: bool) -> Profile:
    """Return a profile with some capabilities changed.

    Args:
        like: Its name.
        overrides: Capabilities by name; `features` are merged.
        trusted: The credential may speak for other users.
        log: The app brought a log of its own: it numbers, the hub announces.

    Raises:
        ConfigError: Unknown names, or capabilities that contradict one another.
    """
    unknown = sorted(set(overrides) - _KNOWN)
    if unknown:
        raise ConfigError(
            f"memory: there is no capability {unknown[0]!r}", hint=f"There are: {', '.join(sorted(_KNOWN))}."
        )
    profile = PROFILES[like]
    if profile.over_http and not trusted:
        raise ConfigError("memory: like=pusher publishes with the app's secret, so it is always trusted")
    found = profile.capabilities
    if log:
        found = replace(
            found,
            ack="stored",
            announce="after",
            order="log",
            erase="erased",
            history=None,
            resume_window=0.0,
            duplicate_window=inf,
            contiguous=True,
        )
    given = {name: item for name, item in overrides.items() if name != "features"}
    found = replace(found, **given)
    features = {**_features(found, profile.roster, trusted=trusted, log=log), **overrides.get("features", {})}
    found = replace(found, features=features)
    _check(found, log=log)
    return profile._replace(capabilities=found)


def _features(found: Capabilities, roster: Support, *, trusted: bool, log: bool) -> dict[Feature, Support]:
    own: Support = "emulated" if log else "native"  # what a log of the app supplies is not the provider's
    fenced = found.order == "log"
    return {
        "durable": "none",
        "history": "none" if found.history == 0 else own,
        "order": "emulated" if found.order == "clock" else own,
        "resume": "native" if found.resume_window else "none" if found.history == 0 else "emulated",
        "presence": roster,
        "edit": own if fenced else "emulated",
        "react": own if fenced else "emulated",
        "receipts": own if fenced else "emulated",
        "search": own if fenced else "none",
        "direct": "emulated",  # names and invitations are chatkit's own, whatever the provider
        "roles": own if fenced else "none",
        "pins": own if fenced else "none",
        "as_user": "native" if trusted else "none",
    }


def _check(found: Capabilities, *, log: bool) -> None:
    """Refuse capabilities that no provider could have together."""
    numbered = found.order != "clock"
    rules = (
        (numbered or found.history == 0, "order='clock' has no history: set history to 0"),
        (numbered or found.resume_window == 0, "order='clock' cannot resume: set resume_window to 0"),
        (
            not log or (found.announce == "after" and found.order == "log" and found.resume_window == 0),
            "with a log of the app the hub only announces: it cannot append, number or resume",
        ),
        (found.order == "log" or not found.contiguous, "only order='log' is contiguous"),
        (
            found.announce != "transactional" or (found.order == "log" and found.history is None),
            "announce='transactional' needs order='log' and history=None",
        ),
        (log or found.announce != "after", "announce='after' needs a log of the app's own"),
        (
            found.batch >= 1 and found.frame_bytes > OVERHEAD,
            "batch and frame_bytes leave room for one envelope",
        ),
        (found.publish_rate is None or found.publish_rate > 0, "publish_rate is above 0"),
        (found.resume_window >= 0 and found.duplicate_window >= 0, "windows are at least 0 seconds"),
        (found.history is None or found.history >= 0, "history is at least 0 seconds"),
    )
    for sound, problem in rules:
        if not sound:
            raise ConfigError(f"memory: {problem}", hint="Change the capability that the message names.")
