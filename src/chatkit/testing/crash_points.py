"""Where a process may die: every labelled point on the way of a message, and what must hold afterwards.

An `Observer` is told each of them, so a test dies wherever it likes: kill the process there, or raise a
`BaseException`, as at a power cut. Points that are not in the way of anything that could be lost stand in
`ELSEWHERE`, with the reason.

    class Killer:
        def point(self, name: str, /, **fields: object) -> None:
            if name == "outbox.attempted":
                os.kill(os.getpid(), signal.SIGKILL)

    chat = chatkit.connect(url, user="ada", store="ada.db", observer=Killer())
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

Part: TypeAlias = Literal["send", "attempt", "ack", "receive", "backfill", "marks", "adoption", "close"]
"""The part of the way that a point lies on."""


class CrashPoint(NamedTuple):
    """One labelled point at which a process may die."""

    name: str
    """As the `Observer` is told it."""
    part: Part
    when: str
    """What has just happened, or is about to."""
    holds: str
    """What the next life on the same file must find, or do."""
    rules: str
    """The invariants and delivery rules that say so."""


# fmt: off
CRASH_POINTS: Final[tuple[CrashPoint, ...]] = (
    # -- send: from the call to its return
    CrashPoint("outbox.adding", "send", "a wish goes to the store", "it was not promised: there once, or not at all", "I3"),
    CrashPoint("store.committing", "send", "a transaction is written, not committed", "nothing of it is there, all before it is", "I3 D14"),
    CrashPoint("store.committed", "send", "a transaction is committed, its callers do not know", "all of it is there; what nobody was promised is sent once", "I3 D14"),
    CrashPoint("outbox.added", "send", "a wish is on disk, `send()` has not returned", "it is sent once, under its id", "I1 I3"),
    CrashPoint("outbox.taken", "send", "it is in its lane, `send()` is about to return", "it is sent once, under its id", "I1 I3"),
    CrashPoint("outbox.withdrawn", "send", "a cancelled `send()` was taken back", "it is never sent", "D14"),
    # -- attempt: from the lane to the provider or log
    CrashPoint("outbox.formed", "attempt", "a batch has its numbers, nothing is recorded", "no bytes have left: it is attempted as if for the first time", "D6 D7"),
    CrashPoint("outbox.attempted", "attempt", "the attempt is recorded, no bytes have left", "the same batch goes out, with the same bytes", "I3 D6 D7"),
    CrashPoint("log.committing", "attempt", "the log has written an append, not committed", "the log has nothing of it, and takes it once", "I1 D9"),
    CrashPoint("log.committed", "attempt", "the log has the entries, nobody was told", "the repeat is a duplicate, not a second copy", "I2 D9"),
    CrashPoint("outbox.in_doubt", "attempt", "an attempt had no answer", "the same batch goes out again; one copy", "I2 D6 D10"),
    CrashPoint("outbox.repeating", "attempt", "what is in doubt is taken up again", "one copy, in the place of its first attempt", "I2 I4 D10"),
    # -- ack: from the answer to the last word in the store
    CrashPoint("outbox.answered", "ack", "the answer is here, nothing is noted", "asked again, the log answers the same", "I2 D9"),
    CrashPoint("outbox.settling", "ack", "the user has been told, the store has not", "what was told stays true", "I1 D11"),
    CrashPoint("outbox.settled", "ack", "the end is in the store", "it is not sent again", "I2"),
    CrashPoint("outbox.announcing", "ack", "the log has it, receivers are about to be told", "it is announced by the next life", "D16"),
    CrashPoint("outbox.announced", "ack", "receivers were told, the store does not know", "told twice it is a duplicate to them", "I2 D16"),
    CrashPoint("outbox.not_announced", "ack", "telling receivers failed", "it is announced by the next life", "D16"),
    CrashPoint("outbox.renewed", "ack", "a copy of this store used our numbers: another device is on disk", "what waits goes out once, as the new device", "I2 D9 D27"),
    # -- receive: from the frame to the app and the store
    CrashPoint("channel.restored", "receive", "what the store holds of a channel is shown", "shown again", "I8"),
    CrashPoint("channel.attached", "receive", "the provider lets a channel be heard", "what was missed is read before what follows", "I6 D17"),
    CrashPoint("channel.received", "receive", "frames are folded, readers are not told", "readers are told from their cursor on", "I6 D17"),
    CrashPoint("channel.told", "receive", "frames are in the readers' queues", "what no cursor covers is told again", "I6 D17"),
    CrashPoint("channel.flushing", "receive", "mark and messages go to the store", "the mark is never ahead of the messages", "D17"),
    CrashPoint("channel.flushed", "receive", "mark and messages are in the store", "nothing below the mark is told as new", "D17 D20"),
    # -- backfill: from the mark to the head of the log
    CrashPoint("channel.reading", "backfill", "the log is about to be read", "it is read from the same mark", "I6 D17"),
    CrashPoint("channel.read", "backfill", "one page was folded, the mark moved in memory", "what the store does not have is read again", "I6 D17"),
    CrashPoint("channel.read_failed", "backfill", "the log gave no answer", "nothing beyond the mark is taken for known", "I6 D17"),
    CrashPoint("channel.skipped", "backfill", "more was missed than is read: a hole is recorded", "the hole stays a hole until it is filled", "I6 D19"),
    CrashPoint("channel.reread", "backfill", "the log was restored: all was read anew", "the timeline is what the log says", "I8 D18"),
    CrashPoint("channel.caught_up", "backfill", "nothing is missing", "the timeline is what the log says", "I8"),
    CrashPoint("channel.loaded", "backfill", "an older page came in", "it is loaded again when it is asked for", "I8 D19"),
    CrashPoint("replay.read", "backfill", "a reader was given a page from its cursor on", "it is told from its last saved cursor on", "I6 D17"),
    CrashPoint("replay.joined", "backfill", "live facts take over from the log", "no hole and no double at the seam", "I6 D15"),
    # -- marks: what was read, who is what, what is pinned
    CrashPoint("receipts.keeping", "marks", "a mark goes to the store", "it is there or not; none goes back", "I9 D25"),
    CrashPoint("receipts.kept", "marks", "a mark is in the store", "it reaches the log", "I9 D25"),
    CrashPoint("receipts.put", "marks", "the log has a mark, the others do not", "they learn it from the log", "I9 D25"),
    CrashPoint("receipts.said", "marks", "a mark was announced", "none goes back", "I9 D25"),
    CrashPoint("receipts.saved", "marks", "marks of others are in the store", "none goes back", "I9 D25"),
    CrashPoint("registers.wished", "marks", "a pin or role is wished, on disk", "it reaches the log", "D25"),
    CrashPoint("registers.put", "marks", "the log has a pin or role, the store has the wish still", "wished again it changes nothing", "D25"),
    CrashPoint("registers.saved", "marks", "the wish is gone from the store", "it is not wished again", "D25"),
    # -- adoption: from the lock to the first attempt of what others left
    CrashPoint("store.locked", "adoption", "the file is locked, nothing is read", "the lock goes with the process", "I17 D27"),
    CrashPoint("store.upgraded", "adoption", "the schema is there, the file has no owner yet", "the file can be taken", "D27"),
    CrashPoint("store.owned", "adoption", "the file is ours, its entries are not read", "it counts as an unclean end", "D6 D27"),
    CrashPoint("outbox.loaded", "adoption", "what an earlier life left is taken up", "it is taken up again", "I1 D6"),
    CrashPoint("store.adopted", "adoption", "a dead process's file is ours, its entries are not read", "the next process adopts it", "I1 D27"),
    CrashPoint("outbox.adopted", "adoption", "its entries are in their lanes", "they are sent once, as their own device", "I2 I4 D27"),
    CrashPoint("store.removing", "adoption", "an empty file is about to be deleted", "nothing of it is missing", "D27"),
    CrashPoint("store.removed", "adoption", "an empty file was deleted, its lock is held", "nothing of it is missing, its number is free", "D27"),
    CrashPoint("client.opened", "adoption", "the client begins to connect", "as above", "I1"),
    # -- close: from the wish to end to the end
    CrashPoint("client.draining", "close", "closing waits for the outbox", "what is left is sent by the next life", "I1 I12"),
    CrashPoint("client.closing", "close", "the wait is over, everything is ended", "likewise", "I1 I12"),
    CrashPoint("client.stopped", "close", "all tasks have ended, nothing is flushed", "likewise", "I1 I12"),
    CrashPoint("client.ended", "close", "one part was ended: channels, outbox, session, adapter, store or log", "likewise", "I1 I12"),
    CrashPoint("store.checkpointed", "close", "the write-ahead log was copied into the file", "all commits are there", "I3 D27"),
    CrashPoint("store.leaving", "close", "a clean end is written, not committed", "the end counts as unclean", "D6"),
    CrashPoint("store.left", "close", "a clean end is committed, the lock is held", "the lock goes with the process", "I17 D27"),
    CrashPoint("client.closed", "close", "everything has ended", "nothing is left", "I12"),
)
# fmt: on
"""In the order of the way, from `send()` to the end."""

ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ably.dropped": "what passes by is kept nowhere",
        "ably.emit_refused": "what passes by is kept nowhere",
        "ably.history_shorter_than_said": "what a life believes of history is in memory alone",
        "ably.no_annotations": "what is known of reactions is in memory alone",
        "ably.no_roster": "who is there is in memory alone",
        "ably.no_serial": "an acknowledgement like any other, which has a point of its own",
        "ably.no_upgrade": "by what a connection is carried is in memory alone",
        "ably.not_renewed": "credentials are in memory alone",
        "ably.reactions_unread": "what is known of reactions is in memory alone",
        "ably.stream_lost": "a connection is lost like any other, which has a point of its own",
        "ably.version_unknown": "a version of another client's is shown with the next page of history",
        "channel.detach_failed": "what is not wanted any more is kept nowhere",
        "channel.fetch_failed": "a reader hears of it as a gap, from the log",
        "client.end_failed": "named in the report; the parts that end have points of their own",
        "connection.closed": "a link keeps nothing",
        "connection.closing": "a link keeps nothing",
        "connection.connected": "a link keeps nothing; attempts and attaches that follow have points of their own",
        "connection.connecting": "a link keeps nothing",
        "connection.disconnected": "a link keeps nothing; what is in doubt has a point of its own",
        "connection.failed": "a link keeps nothing",
        "connection.no_server_time": "deadlines wait for another contact (D13)",
        "connection.suspended": "a link keeps nothing",
        "connection.woke": "what follows, a read of the log, has points of its own",
        "credential.not_refreshed": "credentials are in memory alone",
        "log.heads_failed": "nothing was learnt",
        "log.not_heard": "nothing was learnt",
        "outbox.not_looked_up": "what was in doubt is in doubt, and `outbox.repeating` was before it",
        "presence.not_said": "presence is never queued (D25)",
        "publishing.paused": "a pause is in memory alone",
        "pusher.client_event_refused": "what was refused without saying which is in doubt, as the next answer finds it",
        "pusher.dropped": "what passes by is kept nowhere",
        "receipts.failed": "a mark stays in the store, as after `receipts.kept`",
        "receipts.not_said": "a mark stays in the store, as after `receipts.kept`",
        "registers.failed": "a wish stays in the store, as after `registers.wished`",
        "registers.not_said": "others learn it from the log",
        "roles.failed": "roles are asked for again",
        "search.offline": "a read of what is stored",
        "session.end_failed": "a session keeps nothing",
        "supabase.dropped": "what passes by is kept nowhere",
        "supabase.live_lost": "who is there, and what passes by, is in memory alone",
        "supabase.not_ready": "the log is looked at once more, as after any attach",
        "supabase.not_renewed": "credentials are in memory alone",
        "store.failed": "a call of the store failed: nothing changed on disk",
    }
)
"""All other labels, and why no crash is tried there."""


def table() -> str:
    """Return the points as tables in Markdown, one for each part of the way."""
    lines: list[str] = []
    for part in dict.fromkeys(point.part for point in CRASH_POINTS):
        lines += [f"### {part.capitalize()}", ""]
        lines += ["| point | the process dies when | and then | rules |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{point.name}` | {point.when} | {point.holds} | {point.rules} |"
            for point in CRASH_POINTS
            if point.part == part
        ]
        lines.append("")
    return "\n".join(lines)
