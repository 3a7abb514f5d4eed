"""What two lives on one file, and what is left of them, must be like; each violation names its rule."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from filelock import FileLock

from chatkit.logs import open_log
from chatkit.model.cursor import decode_cursor
from chatkit.ports import Log
from chatkit.testing.clock import VirtualClock, run
from tests.crash.lives import CHANNELS, LOG

Trail = Sequence[dict[str, Any]]
OWN: Final = "ada"


class Created(NamedTuple):
    """A message in the log, as it was sent."""

    id: str
    user: str
    device: str
    text: str


@dataclass(frozen=True)
class Truth:
    """What the log holds."""

    created: dict[str, list[Created]]
    """Creates of each channel, in order."""
    folded: dict[str, list[dict[str, Any]]]
    """The messages of each channel as they are now."""
    read: dict[str, str]
    """How far each user has read in `support`."""


def truth(folder: Path) -> Truth:
    """Read the log, as any other client would."""
    return run(_truth(folder))


async def _truth(folder: Path) -> Truth:
    log = open_log(f"sqlite:///{folder}/{LOG}", clock=VirtualClock(), random=Random(1), inline=True)
    try:
        created = {name: await _created(log, name) for name in CHANNELS}
        folded = {name: await _folded(log, name) for name in CHANNELS}
        marks = await log.registers("support", ["read"])
        read = {mark.user: mark.key.serial for mark in marks if mark.key is not None}
        return Truth(created, folded, read)
    finally:
        await log.aclose()


async def _created(log: Log, channel: str) -> list[Created]:
    found = await log.entries(channel, after=None, limit=1_000)
    assert not found.more
    envelopes = [json.loads(entry.data) for entry in found.items]
    return [
        Created(
            one["id"], one["sender"]["user"], one["sender"]["device"], (one.get("body") or {}).get("text", "")
        )
        for one in envelopes
        if one["kind"] == "message.create"
    ]


async def _folded(log: Log, channel: str) -> list[dict[str, Any]]:
    found = await log.messages(channel, limit=1_000)
    return [
        {
            "id": one.ident.id,
            "serial": one.stamp.key.serial,
            "deleted": one.deleted,
            "reactions": {emoji: sorted(users) for emoji, users in one.reactions.items()},
        }
        for one in found.items
    ]


@dataclass(frozen=True)
class Case:
    """Two lives and what is around them."""

    folder: Path
    store: str
    point: str
    first: Trail
    second: Trail
    orphans: Sequence[Trail]
    """Lives that died before, in files of the same directory."""
    between: Truth
    """The log after the first life."""
    after: Truth
    """The log after the second one."""


def violations(case: Case) -> list[str]:
    """Everything that is not as it was promised; none, if all is well."""
    checks = (_promises, _order, _changes, _cursor, _handlers, _marks, _view, _files, _end)
    return [found for check in checks for found in check(case)]


def _said(trail: Trail, what: str) -> list[dict[str, Any]]:
    return [one for one in trail if one["what"] == what]


def _promises(case: Case) -> Iterable[str]:
    """I1 I2 I3: what was promised is there, once, under its id; what was not is there once or not at all."""
    log = {name: Counter(one.id for one in found) for name, found in case.after.created.items()}
    for trail in (case.first, case.second, *case.orphans):
        for one in _said(trail, "promised"):
            if log[one["channel"]][one["id"]] != 1:
                yield f"I3: {one['text']!r} was promised as {one['id']} and is there {log[one['channel']][one['id']]} times"
        for one in _said(trail, "wished"):
            times = sum(found.text == one["text"] for found in case.after.created[one["channel"]])
            if times > 1:
                yield f"I2: {one['text']!r} was wished once and is there {times} times"
    ids = {one["key"]: one["id"] for one in _said(case.first, "promised") if one["key"]}
    for one in _said(case.second, "promised"):
        if ids.get(one["key"], one["id"]) != one["id"]:
            yield f"D14: the key {one['key']} stood for {ids[one['key']]} and stands for {one['id']}"
    taken_back = case.point == "outbox.withdrawn" or _said(case.first, "withdrawn")
    if taken_back and any(one.text == "never mind" for one in case.after.created["random"]):
        yield "D14: what was taken back was sent"
    known = {one.id for found in case.after.created.values() for one in found}
    for one in _said(case.first, "sent"):
        if one["id"] not in known:
            yield f"I1: {one['id']} was called sent and is not there"


def _order(case: Case) -> Iterable[str]:
    """I4: one device's messages stand in the order in which they were sent."""
    for trail in (case.first, *case.orphans):
        for name, found in case.after.created.items():
            wished = [one["text"] for one in _said(trail, "wished") if one["channel"] == name]
            there = [one.text for one in found if one.user == OWN and one.text in wished]
            if there != [text for text in wished if text in there]:
                yield f"I4: {name} has {there}"
    devices = [
        {one.device for found in case.after.created.values() for one in found if one.id in ids}
        for trail in case.orphans
        if (ids := {one["id"] for one in _said(trail, "promised")})
    ]
    if any(len(found) != 1 for found in devices) or len(set().union(*devices)) != len(devices):
        yield f"D27: what dead processes left was sent as {devices}"


def _changes(case: Case) -> Iterable[str]:
    """I7: the last promised change stands."""
    shown = {
        one["id"]: one
        for found in _said(case.second, "shown")
        if found["channel"] == "support"
        for one in found["messages"]
    }
    edits = _said(case.first, "edited")
    absent = [one["id"] for what in ("edited", "deleted", "reacted") for one in _said(case.first, what)]
    if absent := [id for id in absent if id not in shown]:
        yield f"I7: {absent} were changed and are not shown"
        return
    if edits and shown[edits[-1]["id"]]["text"] not in (edits[-1]["text"], "edited 1"):
        yield f"I7: {edits[-1]['text']!r} was promised, {shown[edits[-1]['id']]['text']!r} is shown"
    for one in _said(case.first, "deleted"):
        if not shown[one["id"]]["deleted"]:
            yield f"I7: {one['id']} was deleted and is shown"
    for one in _said(case.first, "reacted"):
        if shown[one["id"]]["reactions"].get("👍") != [OWN]:
            yield f"I7: the reaction to {one['id']} is missing"


def _cursor(case: Case) -> Iterable[str]:
    """I6 D17: from its cursor on an app is told all, once; what it had in hand when it died comes again."""
    done, in_hand = told_and_in_hand(case.first)
    if len(in_hand) > 1:
        yield f"D17: {len(in_hand)} events had no cursor to save"
    again = _said(case.second, "effect")
    told = [one["id"] for one in (*done, *again)]
    if any(
        one["reason"] == "log_reset" for trail in (case.first, case.second) for one in _said(trail, "gap")
    ):
        return  # the app was told that places mean something else now (D18)
    doubled = [id for id, times in Counter(told).items() if times > 1]
    if doubled:
        yield f"D17: {doubled} were told again although the cursor was behind them"
    places = {one.id: place for place, one in enumerate(case.after.created["support"])}
    missing = [id for id in places if id not in told]
    if missing:
        yield f"I6: {missing} were never told"
    for life in (done, again):
        order = [places[one["id"]] for one in life if one["id"] in places and not one["late"]]
        if order != sorted(order):
            yield f"D21: events came in the order {order}"


def told_and_in_hand(trail: Trail) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was told up to the place of the last cursor that was saved, and what was told after it was saved.

    A cursor stands before the first hole (D17): what was told from behind one comes again in the next life.
    """
    steps = [one for one in trail if one["what"] in ("effect", "saved")]
    saved = max((place for place, one in enumerate(steps) if one["what"] == "saved"), default=-1)
    effects = [(place, one) for place, one in enumerate(steps) if one["what"] == "effect"]
    behind = decode_cursor(steps[saved]["cursor"]).key.serial if saved >= 0 else ""
    done = [one for place, one in effects if place < saved and (one["serial"] or "") <= behind]
    return done, [one for place, one in effects if place > saved]


def _handlers(case: Case) -> Iterable[str]:
    """I2 D21: within one life a handler is told each message once, in order."""
    handled = _said(case.first, "handled")
    ids = [one["id"] for one in handled]
    serials = [one["serial"] for one in handled if not one["late"] and one["serial"]]
    if len(ids) != len(set(ids)):
        yield f"I2: a handler was told {ids}"
    if serials != sorted(serials):
        yield f"D21: a handler was told {serials}"


def _marks(case: Case) -> Iterable[str]:
    """I9: marks only advance, and what was promised reaches the log."""
    promised = [one["serial"] for one in _said(case.first, "marked") if one["channel"] == "support"]
    for user, serial in case.between.read.items():
        if case.after.read.get(user, "") < serial:
            yield f"I9: the mark of {user} went back from {serial} to {case.after.read.get(user)}"
    if promised and case.after.read.get(OWN, "") < max(promised):
        yield f"I9: {max(promised)} was marked as read, the log has {case.after.read.get(OWN)}"
    [pins] = _said(case.second, "pins") or [{"ids": []}]
    for one in _said(case.first, "pinned"):
        if one["id"] not in pins["ids"]:
            yield f"D25: {one['id']} was pinned, and is not"


def _view(case: Case) -> Iterable[str]:
    """I2 I5 I8: the timeline of the next life is what the log says, each message once."""
    for found in _said(case.second, "shown"):
        messages = [one for one in found["messages"] if not one["orphaned"]]  # the log was restored (D18)
        shown = [{key: one[key] for key in ("id", "serial", "deleted", "reactions")} for one in messages]
        if shown != case.after.folded[found["channel"]]:
            yield f"I8: {found['channel']} shows {shown}, the log has {case.after.folded[found['channel']]}"
        unsure = [one["id"] for one in messages if one["status"] != "sent"]
        if unsure:
            yield f"I8: {unsure} of {found['channel']} are shown as not sent"


def _files(case: Case) -> Iterable[str]:
    """D16 D27 I17: no file is orphaned, none locked or damaged, and nothing in it waits."""
    store = case.folder / case.store
    files = sorted(store.glob("*.db")) if store.is_dir() else [store]
    if len(files) != 1:
        yield f"D27: {[path.name for path in files]} are left"
    locks = sorted(store.glob("*.lock")) if store.is_dir() else [Path(f"{store}.lock")]
    for path in locks:
        lock = FileLock(path)
        lock.acquire(blocking=False)  # raises where it is held
        lock.release()
    for path in (*files, case.folder / LOG):
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                yield f"I3: {path.name} is damaged"
    for path in files:
        with closing(sqlite3.connect(path)) as connection:
            waiting = connection.execute(
                "SELECT status, announced FROM outbox WHERE status IN ('queued', 'sending') OR NOT announced"
            ).fetchall()
            clean = connection.execute("SELECT clean FROM header").fetchone()
        if waiting:
            yield f"I1 D16: {path.name} holds {waiting}"
        if clean != (1,):
            yield f"I12: {path.name} was not left cleanly"


def _end(case: Case) -> Iterable[str]:
    """I1 I12: the second life ends cleanly, with nothing left."""
    ends = _said(case.second, "end")
    if not ends:
        yield "I12: the second life did not come to its end"
        return
    [end] = ends
    if end["queued"] or set(end["left"]) - {"discarded"}:
        yield f"I1: {end['queued']} are queued, {end['left']} are left"
    if not end["clean"] or end["stayed"]:
        yield f"I12: {end['stayed']} stayed"
