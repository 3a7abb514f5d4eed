"""What the engine, adapters, logs and stores owe one another.

Engine: lanes, batches, retries, backoff, pacing, deadlines, duplicates, order, attaching again, backfill, all
timers, as many sessions as `channels_per_connection` asks for. Adapter: translate, sign, name, measure,
classify; one attempt, never a retry. Log: number, fence, check rights, fold. Store: one transaction a call.
`chatkit.connect` alone puts them together.

Sending by `capabilities.announce`: stream = `publish()`; transactional = `log.append()`; after =
`log.append()`, then `publish()` with stamps.
"""

from __future__ import annotations

from chatkit.model.entry import Entry, Folded, Stamp
from chatkit.model.registers import Register
from chatkit.model.search import SearchMark, SearchPage
from chatkit.ports.adapter import (
    Adapter,
    AdapterFactory,
    Alive,
    Attachment,
    Carried,
    Credentials,
    Foreign,
    Lost,
    Moved,
    Parts,
    Present,
    Publisher,
    Received,
    Roster,
    Session,
    SessionClosed,
    Shed,
    Signal,
)
from chatkit.ports.context import Clock, Middleware, Moderator, Observer, Pacer, RandomSource
from chatkit.ports.log import (
    Appended,
    Entries,
    Found,
    Log,
    LogFeature,
    LogState,
    Messages,
)
from chatkit.ports.outgoing import Ack, Again, Batch, Outcome, Outgoing, Scope
from chatkit.ports.store import LaneKey, LaneMark, Mark, Row, Store, StoreHeader

__all__ = [
    "Ack",
    "Adapter",
    "AdapterFactory",
    "Again",
    "Alive",
    "Appended",
    "Attachment",
    "Batch",
    "Carried",
    "Clock",
    "Credentials",
    "Entries",
    "Entry",
    "Folded",
    "Foreign",
    "Found",
    "LaneKey",
    "LaneMark",
    "Log",
    "LogFeature",
    "LogState",
    "Lost",
    "Mark",
    "Messages",
    "Middleware",
    "Moderator",
    "Moved",
    "Observer",
    "Outcome",
    "Outgoing",
    "Pacer",
    "Parts",
    "Present",
    "Publisher",
    "RandomSource",
    "Received",
    "Register",
    "Roster",
    "Row",
    "Scope",
    "SearchMark",
    "SearchPage",
    "Session",
    "SessionClosed",
    "Shed",
    "Signal",
    "Stamp",
    "Store",
    "StoreHeader",
]
