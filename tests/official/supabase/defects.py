"""Deliberate defects: each breaks the emulator in one way, and names the cases that must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from chatkit.testing.emulators.supabase import channel, joining, session, wire
from chatkit.testing.emulators.supabase.authorization import Authorization, Policies, Who
from chatkit.testing.emulators.supabase.channel import Channel
from chatkit.testing.emulators.supabase.committed import Committed
from chatkit.testing.emulators.supabase.presence import PresenceSet
from chatkit.testing.emulators.supabase.project import Project
from chatkit.testing.emulators.supabase.session import Session
from chatkit.testing.emulators.supabase.tokens import Authority

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One way to be wrong.

    Attributes:
        breaks: Breaks it, until the test is over.
        javascript: Cases of realtime-js and supabase-js that must fail.
        python: Cases of the Python clients that must fail.
    """

    breaks: Break
    javascript: tuple[str, ...]
    python: tuple[str, ...]


def _everything_allowed(patch: pytest.MonkeyPatch) -> None:
    async def read(self: Authorization, policies: Policies, who: Who, *, presence: bool) -> None:
        policies.broadcast_read = policies.presence_read = True

    async def write(self: Authorization, policies: Policies, who: Who) -> None:
        policies.broadcast_write = policies.presence_write = True

    patch.setattr(Authorization, "read", read)
    patch.setattr(Authorization, "write", write)


def _one_namespace(patch: pytest.MonkeyPatch) -> None:
    publish, listen = Project.publish, Project.listen

    def anywhere(self: Project, place: Any, broadcast: Any, *, but: Any = None) -> None:
        publish(self, (False, place[1]), broadcast, but=but)

    def public(self: Project, each: Channel) -> None:
        each.place = (False, each.name)
        listen(self, each)

    patch.setattr(Project, "publish", anywhere)
    patch.setattr(Project, "listen", public)


def _echo_to_all(patch: pytest.MonkeyPatch) -> None:
    publish = Project.publish

    def to_all(self: Project, place: Any, broadcast: Any, *, but: Any = None) -> None:
        publish(self, place, broadcast)

    patch.setattr(Project, "publish", to_all)


def _no_acks(patch: pytest.MonkeyPatch) -> None:
    broadcast = Channel._broadcast

    async def silent(self: Channel, payload: Any) -> None:
        await broadcast(self, payload)

    patch.setattr(Channel, "_broadcast", silent)


def _no_expiry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Channel, "_follow_token", lambda _: None)


def _tokens_never_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Authority, "_judged", lambda _, claims: {**claims, "exp": 10**10})


def _no_renewal(patch: pytest.MonkeyPatch) -> None:
    async def ignored(self: Channel, token: Any) -> None:
        pass

    patch.setattr(Channel, "_renew", ignored)


def _newest_first(patch: pytest.MonkeyPatch) -> None:
    say = Committed._say

    async def backwards(self: Committed, ids: Iterable[Any]) -> None:
        await say(self, reversed(list(ids)))

    patch.setattr(Committed, "_say", backwards)


def _no_ids(patch: pytest.MonkeyPatch) -> None:
    commit = Project.commit

    def nameless(self: Project, place: Any, broadcast: wire.UserBroadcast) -> None:
        commit(self, place, wire.UserBroadcast(event=broadcast.event, payload=broadcast.payload))

    patch.setattr(Project, "commit", nameless)


def _never_ready(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Channel, "_await_replication", lambda *_: None)


def _replays_nothing(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> list[Any]:
        return []

    patch.setattr(joining, "replayed", nothing)


def _members_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PresenceSet, "untrack", lambda *_: None)


def _no_state(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PresenceSet, "state", lambda _: {})


def _presence_without_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Channel, "_may_call", lambda _: True)


def _leaves_in_silence(patch: pytest.MonkeyPatch) -> None:
    close = Channel.close

    def silent(self: Channel) -> None:
        if self._session.channels.get(self.topic) is self:
            self.end()
        else:
            close(self)

    patch.setattr(Channel, "close", silent)


def _any_number_of_channels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "_fits", lambda *_: None)


def _swallows_heartbeats(patch: pytest.MonkeyPatch) -> None:
    reply = Session._reply

    def but_heartbeats(self: Session, message: wire.Message, *args: Any, **more: Any) -> None:
        if message.event != "heartbeat":
            reply(self, message, *args, **more)

    patch.setattr(session.Session, "_reply", but_heartbeats)


def _shuffles(patch: pytest.MonkeyPatch) -> None:
    deliver = Channel.deliver
    held: dict[Channel, list[Any]] = {}

    def two_by_two(self: Channel, broadcast: Any) -> None:
        mine = held.setdefault(self, [])
        mine.append(broadcast)
        if len(mine) == 2:
            for each in reversed(mine):
                deliver(self, each)
            mine.clear()

    patch.setattr(channel.Channel, "deliver", two_by_two)


def _sizes_in_characters(patch: pytest.MonkeyPatch) -> None:
    broadcast = wire.Version2.broadcast

    def lossy(self: wire.Version2, topic: str, each: Any, *, join_ref: Any = None) -> Any:
        frame = broadcast(self, topic, each, join_ref=join_ref)
        return bytes([frame[0], len(topic), *frame[2:]]) if isinstance(frame, bytes) else frame

    patch.setattr(wire.Version2, "broadcast", lossy)
    one = wire.Version1.broadcast

    def cut(self: wire.Version1, topic: str, each: Any, *, join_ref: Any = None) -> Any:
        return one(self, topic.encode("ascii", "replace").decode(), each, join_ref=join_ref)

    patch.setattr(wire.Version1, "broadcast", cut)


DENIED: Final = "a private channel that the policies deny is refused"
APART: Final = "a public and a private channel of one name never meet"
ITSELF: Final = "a broadcast comes back only if that was asked for"
ORDER: Final = "a thousand broadcasts arrive in order"
DEMOTED: Final = "a renewal with a token that may not read closes the channel"
EXPIRED: Final = "an expired token is refused by a join"
EXPIRES: Final = "a channel is closed when its token expires"
COMMITTED: Final = "what a transaction sends arrives in its order, with its id"
REPLAY: Final = "replay gives the latest, oldest first, and marks them"
COME_AND_GO: Final = "two clients see one another come, change and go"
SIXTH: Final = "the sixth presence call in half a minute closes the channel"
CLOSED: Final = "phx_close on a living connection leaves its channel closed"
CHANNELS: Final = "a join beyond the channels of a connection is refused"
NAMES: Final = "names beyond ASCII are topics like others"

CONTROL: Final = "errors of tables and functions have their codes"
"""What no defect touches: PostgREST is another program."""

DEFECTS: Final[dict[str, Defect]] = {
    "policies are not asked": Defect(
        breaks=_everything_allowed,
        javascript=(DENIED, "nobody signed in is refused on a private channel"),
        python=(DENIED, "nobody signed in is refused on a private channel"),
    ),
    "private and public topics are one": Defect(breaks=_one_namespace, javascript=(APART,), python=(APART,)),
    "a sender hears itself": Defect(breaks=_echo_to_all, javascript=(ITSELF,), python=(ITSELF,)),
    "broadcasts are not acknowledged": Defect(
        breaks=_no_acks,
        javascript=("a broadcast is acknowledged if that was asked for",),
        python=("a broadcast is acknowledged only if that was asked for",),
    ),
    "a channel's token never ends": Defect(breaks=_no_expiry, javascript=(EXPIRES,), python=(EXPIRES,)),
    "an expired token is taken": Defect(breaks=_tokens_never_end, javascript=(EXPIRED,), python=(EXPIRED,)),
    "a renewed token changes nothing": Defect(breaks=_no_renewal, javascript=(DEMOTED,), python=(DEMOTED,)),
    "committed broadcasts come backwards": Defect(
        breaks=_newest_first, javascript=(COMMITTED,), python=(COMMITTED,)
    ),
    "committed broadcasts have no ids": Defect(breaks=_no_ids, javascript=(COMMITTED,), python=(COMMITTED,)),
    "nobody is told that replication is there": Defect(
        breaks=_never_ready, javascript=(COMMITTED,), python=(COMMITTED,)
    ),
    "nothing is replayed": Defect(breaks=_replays_nothing, javascript=(REPLAY,), python=(REPLAY,)),
    "members stay": Defect(breaks=_members_stay, javascript=(COME_AND_GO,), python=(COME_AND_GO,)),
    "who comes later is not told": Defect(breaks=_no_state, javascript=(COME_AND_GO,), python=(COME_AND_GO,)),
    "presence has no limit": Defect(breaks=_presence_without_limit, javascript=(SIXTH,), python=(SIXTH,)),
    "phx_close is not said": Defect(breaks=_leaves_in_silence, javascript=(CLOSED,), python=(CLOSED,)),
    "any number of channels": Defect(
        breaks=_any_number_of_channels, javascript=(CHANNELS,), python=(CHANNELS,)
    ),
    "heartbeats are not answered": Defect(
        breaks=_swallows_heartbeats,
        javascript=("heartbeats are answered, and their silence ends the connection",),
        python=("heartbeats are answered",),
    ),
    "broadcasts change places": Defect(breaks=_shuffles, javascript=(ORDER,), python=(ORDER,)),
    "topics are counted in characters": Defect(
        breaks=_sizes_in_characters, javascript=(NAMES,), python=(NAMES,)
    ),
}
