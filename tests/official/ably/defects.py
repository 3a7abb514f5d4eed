"""Deliberate defects: each breaks the emulator in one way, and names the cases that must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from chatkit.testing.emulators.ably import attaching, channel, publishing, rest, session, vetting, wire
from chatkit.testing.emulators.ably.application import Application
from chatkit.testing.emulators.ably.auth import Access, Authority
from chatkit.testing.emulators.ably.connection import Connection
from chatkit.testing.emulators.ably.history import Page, Query
from chatkit.testing.emulators.ably.presence import PresenceSet
from chatkit.testing.emulators.ably.wire import Action, Format, Wire

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One way to be wrong.

    Attributes:
        breaks: Breaks it, until the test is over.
        javascript: Cases of ably-js that must fail.
        python: Cases of ably-python that must fail.
    """

    breaks: Break
    javascript: tuple[str, ...]
    python: tuple[str, ...] = ()


def _no_transcoding(patch: pytest.MonkeyPatch) -> None:
    def as_they_are(item: Wire, form: Format) -> Wire:
        data = item.get("data")
        return item if form is Format.MSGPACK or not isinstance(data, bytes) else {**item, "data": data.hex()}

    for module in (wire, channel, rest, attaching):
        patch.setattr(module, "render", as_they_are)


def _echo_to_all(patch: pytest.MonkeyPatch) -> None:
    wants = channel.Attachment.wants

    def all_of_it(self: channel.Attachment, entry: channel.Entry) -> bool:
        return entry.action is Action.MESSAGE or wants(self, entry)

    patch.setattr(channel.Attachment, "wants", all_of_it)


def _no_idempotency(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publishing, "idempotency_key", lambda _: None)


def _forgets_answers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Connection, "answered", lambda *_: None)


def _never_resumes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Connection, "fits", lambda *_: False)


def _hides_the_error(patch: pytest.MonkeyPatch) -> None:
    greet = session.Session._greet

    def silent(self: session.Session, error: Any = None, *, renewed: bool = True) -> None:
        greet(self, None, renewed=renewed)

    patch.setattr(session.Session, "_greet", silent)


def _claims_continuity(patch: pytest.MonkeyPatch) -> None:
    since = channel.Channel.since
    patch.setattr(channel.Channel, "since", lambda self, serial: since(self, serial) or [])


def _replays_nothing(patch: pytest.MonkeyPatch) -> None:
    since = channel.Channel.since

    def nothing(self: channel.Channel, serial: str) -> list[channel.Entry] | None:
        return None if since(self, serial) is None else []

    patch.setattr(channel.Channel, "since", nothing)


def _no_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PresenceSet, "pages", lambda *_: iter(()))


def _sync_loses_members(patch: pytest.MonkeyPatch) -> None:
    pages = PresenceSet.pages

    def first_alone(self: PresenceSet, sequence: str, size: int) -> Any:
        for _, members in pages(self, sequence, size):
            yield f"{sequence}:", members
            return

    patch.setattr(PresenceSet, "pages", first_alone)


def _members_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Application, "leave", lambda *_: None)


def _members_leave_at_once(patch: pytest.MonkeyPatch) -> None:
    drop = Application.drop

    def and_leave(self: Application, connection: Connection) -> None:
        drop(self, connection)
        self.leave_all(connection)

    patch.setattr(Application, "drop", and_leave)


def _no_next_page(patch: pytest.MonkeyPatch) -> None:
    paged = rest.Call.paged
    patch.setattr(rest.Call, "paged", lambda self, page: paged(self, Page(page.items, None)))


def _history_backwards_only(patch: pytest.MonkeyPatch) -> None:
    parse = Query.parse.__func__  # type: ignore[attr-defined]

    def always_backwards(cls: type[Query], /, params: Any, **_: Any) -> Any:
        return parse(cls, {**params, "direction": "backwards"})

    patch.setattr(Query, "parse", classmethod(always_backwards))


def _everything_allowed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Access, "demand", lambda *_: None)


def _tokens_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session.Session, "_follow_token", lambda *_: None)


def _any_secret(patch: pytest.MonkeyPatch) -> None:
    by_key = Authority.by_key

    def with_right_secret(self: Authority, text: str, client_id: str | None = None) -> Access:
        key = self.key(text.partition(":")[0])
        return by_key(self, f"{key.name}:{key.secret}", client_id)

    patch.setattr(Authority, "by_key", with_right_secret)


def _newest_first(patch: pytest.MonkeyPatch) -> None:
    add = channel.Channel.add
    held: list[Any] = []

    def two_by_two(self: channel.Channel, entry: channel.Entry) -> None:
        if entry.action is not Action.MESSAGE or len(entry.items) != 1:
            add(self, entry)
            return
        held.append((self, entry))
        if len(held) == 2:
            for owner, each in reversed(held):
                add(owner, each)
            held.clear()

    patch.setattr(channel.Channel, "add", two_by_two)


def _no_size_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(vetting, "size_of", lambda _: 0)


def _any_channel_name(patch: pytest.MonkeyPatch) -> None:
    from chatkit.testing.emulators.ably.names import Name

    patch.setattr(attaching, "parse_name", lambda text: Name(str(text)))


def _update_is_create(patch: pytest.MonkeyPatch) -> None:
    from chatkit.testing.emulators.ably.store import Store

    change = Store.change

    def as_created(self: Store, *args: Any) -> Wire:
        changed = change(self, *args)
        changed["action"] = 0
        return changed

    patch.setattr(Store, "change", as_created)


def _no_summary(patch: pytest.MonkeyPatch) -> None:
    from chatkit.testing.emulators.ably import store

    patch.setattr(store, "summarize", lambda _: {})


CROSS: Final = "data of every kind crosses from JSON to msgpack and back"
SAME_ID: Final = "the same id twice is one message"
RESUMED: Final = "a cut transport is resumed with the same connection id"
REFUSED: Final = "a refused resume gives a new connection with its error"
LOST: Final = "lost continuity is told, not hidden"
MISSED: Final = "messages sent while the transport was gone are not lost"
PAGES: Final = "many members come in several pages of a sync"
CLOSED: Final = "a closed connection leaves at once"
SHORT: Final = "a short drop is not seen by others"
BACKWARDS: Final = "history pages backwards cover everything once"
ORDER: Final = "a thousand messages arrive in order"
LATER: Final = "several clients are members of their own, and one who comes later is told"

CONTROL: Final = {"javascript": "a ping is answered", "python": "a ping is answered"}
"""What no defect touches."""

DEFECTS: Final[dict[str, Defect]] = {
    "bytes are not transcoded": Defect(breaks=_no_transcoding, javascript=(CROSS,), python=(CROSS,)),
    "own messages are echoed to all": Defect(
        breaks=_echo_to_all,
        javascript=("echo off keeps own messages away, and others\u2019 not",),
        python=("echo off keeps own messages away",),
    ),
    "ids are not remembered": Defect(
        breaks=_no_idempotency,
        javascript=(SAME_ID, "a REST publish with an id is idempotent"),
        python=(SAME_ID, "a REST publish with an id is idempotent"),
    ),
    "a frame sent again is a second message": Defect(
        breaks=_forgets_answers,
        javascript=("an unacknowledged publish is sent again after a resume and is there once",),
        python=("an unacknowledged publish is sent again after a resume and is there once",),
    ),
    "no connection is resumed": Defect(breaks=_never_resumes, javascript=(RESUMED,), python=(RESUMED,)),
    "CONNECTED hides its error": Defect(breaks=_hides_the_error, javascript=(REFUSED,), python=(REFUSED,)),
    "continuity is claimed": Defect(breaks=_claims_continuity, javascript=(LOST,), python=(LOST,)),
    "nothing is replayed": Defect(breaks=_replays_nothing, javascript=(MISSED,), python=(MISSED,)),
    "a sync never comes": Defect(
        breaks=_no_sync,
        javascript=("one who comes later is told who is present",),
        python=(LATER,),
    ),
    "a sync ends at its first page": Defect(breaks=_sync_loses_members, javascript=(PAGES,), python=(PAGES,)),
    "members stay when their connection goes": Defect(
        breaks=_members_stay, javascript=(CLOSED,), python=(CLOSED,)
    ),
    "members leave at the first drop": Defect(
        breaks=_members_leave_at_once, javascript=(SHORT,), python=(SHORT,)
    ),
    "pages have no next": Defect(breaks=_no_next_page, javascript=(BACKWARDS,), python=(BACKWARDS,)),
    "history goes backwards only": Defect(
        breaks=_history_backwards_only,
        javascript=("history forwards is oldest first",),
        python=("history pages forwards cover everything once",),
    ),
    "capabilities are ignored": Defect(
        breaks=_everything_allowed,
        javascript=("a restricted token publishes where it may and nowhere else",),
        python=("a restricted token publishes where it may and nowhere else",),
    ),
    "tokens never end": Defect(
        breaks=_tokens_never_end,
        javascript=("a token that ends is renewed and the connection resumed",),
        python=("a token that ends is renewed and the connection resumed",),
    ),
    "any secret will do": Defect(
        breaks=_any_secret,
        javascript=("a wrong secret fails the connection",),
        python=("a wrong secret fails the connection",),
    ),
    "two messages change places": Defect(breaks=_newest_first, javascript=(ORDER,), python=(ORDER,)),
    "no message is too large": Defect(
        breaks=_no_size_limit,
        javascript=("too large a message is refused here and by the server",),
        python=("too large a message is refused",),
    ),
    "any channel name will do": Defect(
        breaks=_any_channel_name,
        javascript=("bad channel names fail the channel",),
        python=("bad channel names fail the channel",),
    ),
    "an update looks like a new message": Defect(
        breaks=_update_is_create,
        javascript=("an update is observed",),
        python=("an update and a delete are observed",),
    ),
    "annotations sum up to nothing": Defect(
        breaks=_no_summary,
        javascript=("annotations are published, summed up and deleted",),
        python=("annotations are published and summed up",),
    ),
}
