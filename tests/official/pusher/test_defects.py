"""The cases can fail: with a defect in the emulator the right ones do, and others do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from chatkit.testing.emulators import serving
from chatkit.testing.emulators.pusher import channels, connection, emulator, frames, names, signing
from chatkit.testing.emulators.pusher.settings import PusherSettings
from chatkit.testing.emulators.sockets import Socket
from tests.official.pusher import kit as kits
from tests.official.pusher import (
    test_calls,
    test_channels,
    test_client_events,
    test_connecting,
    test_faults,
    test_presence,
    test_users,
)

if TYPE_CHECKING:
    from tests.official.pusher.clients import Clients

pytestmark = pytest.mark.official

Case = Callable[[kits.Kit], None]
Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Defect:
    """What is wrong, and which cases notice it."""

    patch: Patch
    noticed: tuple[Case, ...]
    spared: Case = test_connecting.test_a_ping_of_the_client_is_answered


def echoing(patch: pytest.MonkeyPatch) -> None:
    def send(self: channels.Channel, frame: str, *, but: str | None = None) -> None:
        for subscriber in list(self.subscribers):
            subscriber.send(frame)

    patch.setattr(channels.Channel, "send", send)


def anonymous(patch: pytest.MonkeyPatch) -> None:
    event = frames.event

    def without_user(*args: Any, user_id: str | None = None, **more: Any) -> str:
        return event(*args, **more)

    patch.setattr(frames, "event", without_user)


def shuffling(patch: pytest.MonkeyPatch) -> None:
    put = Socket._put

    def out_of_order(self: Socket, *args: Any) -> None:
        put(self, *args)
        if len(self._waiting) > 1 and "pusher" not in str(self._waiting):
            self._waiting.rotate(1)

    patch.setattr(Socket, "_put", out_of_order)


def losing(patch: pytest.MonkeyPatch) -> None:
    send = connection.Connection.send
    patch.setattr(
        connection.Connection,
        "send",
        lambda self, frame: None if ": 777}" in frame else send(self, frame),
    )


def counting_connections(patch: pytest.MonkeyPatch) -> None:
    leave = channels.Channels.leave

    def leave_and_tell(self: channels.Channels, name: str, subscriber: Any) -> None:
        member = self.get(name).subscribers.get(subscriber)
        leave(self, name, subscriber)
        if member is not None and member.user_id in self.get(name).users():
            gone = {"user_id": member.user_id}
            self.get(name).send(frames.system("pusher_internal:member_removed", gone, channel=name))

    patch.setattr(channels.Channels, "leave", leave_and_tell)


def without(part: str) -> Patch:
    """The settings that a server without this part would have."""
    parts: dict[str, dict[str, Any]] = {
        "size": {"event_bytes": 10**9},
        "time": {"clock_window": 10.0**9},
        "rate": {"client_event_rate": 10**6},
        "expiry": {"cache_ttl": 10.0**9},
        "silence": {"pong_within": 10.0**9},
        "timeout": {"activity_timeout": 0},
        "name": {"channel_name_length": 10**6},
        "batch": {"batch_events": 10**6},
    }
    return lambda patch: patch.setattr(kits, "PusherSettings", partial(PusherSettings, **parts[part]))


def stubborn(patch: pytest.MonkeyPatch) -> None:
    """Settings that a test changes are ignored, as by a server that has no such limit."""
    patch.setattr(emulator.PusherEmulator, "change", lambda self, **_: None)


def wrong_code(patch: pytest.MonkeyPatch) -> None:
    close = Socket.close
    patch.setattr(Socket, "close", lambda self, code, reason="": close(self, 4200, reason))


def no_rosters(patch: pytest.MonkeyPatch) -> None:
    users = channels.Channel.users
    patch.setattr(channels.Channel, "users", lambda self: dict.fromkeys(users(self)))


def hasty(patch: pytest.MonkeyPatch) -> None:
    instead = serving.Emulator._instead

    async def before(self: Any, fault: Any, request: Any) -> Any:
        return None if fault.moment == "after" else await instead(self, fault, request)

    patch.setattr(serving.Emulator, "_instead", before)


def encoding_once(patch: pytest.MonkeyPatch) -> None:
    event = frames.event

    def once(name: str, data: Any = None, **more: Any) -> str:
        inner = frames.parse(data) if isinstance(data, str) else None
        return event(name, data if inner is None else {"wrapped": inner}, **more)

    patch.setattr(frames, "event", once)


def quiet_pongs(patch: pytest.MonkeyPatch) -> None:
    system = frames.system
    patch.setattr(
        frames, "system", lambda name, *rest, **more: system(name.replace("pong", "none"), *rest, **more)
    )


def open_to_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(names, "user_of", lambda name: None)
    patch.setattr(names, "is_channel", lambda name, longest: True)


EVENT = partial(test_channels.test_an_event_arrives_as_it_was_published, data={"n": 1})
UNSIGNED = partial(test_channels.test_a_wrong_signature_subscribes_nothing, mode="forge", prefix="private-")
LATE = partial(test_calls.test_a_call_that_is_not_signed_well_is_refused, change=test_calls.skew(-610))

DEFECTS: dict[str, Defect] = {
    "senders hear themselves": Defect(
        echoing,
        (
            test_channels.test_the_named_socket_is_left_out,
            partial(test_client_events.test_a_client_event_reaches_the_others, prefix="private-", data="x"),
        ),
    ),
    "any signature will do": Defect(
        lambda patch: patch.setattr(signing, "same", lambda given, wanted: True),
        (
            UNSIGNED,
            test_channels.test_a_forged_signature_is_told_in_the_services_words,
            test_channels.test_a_signature_for_another_socket_is_refused,
            test_calls.test_the_official_package_knows_the_refusal,
            test_users.test_a_forged_sign_in_is_refused,
        ),
    ),
    "nobody says who sent it": Defect(
        anonymous, (test_client_events.test_a_presence_channel_says_who_sent_it,), EVENT
    ),
    "frames overtake one another": Defect(shuffling, (test_channels.test_1000_events_keep_their_order,)),
    "a frame is lost": Defect(losing, (test_channels.test_1000_events_keep_their_order,)),
    "each connection is a member": Defect(
        counting_connections, (test_presence.test_connections_of_one_user_are_one_member,)
    ),
    "rosters tell nothing": Defect(no_rosters, (test_presence.test_a_member_sees_all_including_itself,)),
    "there is no limit of size": Defect(
        without("size"),
        (
            partial(test_calls.test_the_data_of_an_event_has_10240_bytes_at_most, size=10_241, status=413),
            test_client_events.test_a_client_event_over_10_kb_is_refused,
        ),
    ),
    "there is no limit of names": Defect(
        without("name"), (partial(test_channels.test_other_names_are_refused, tail="x" * 164),)
    ),
    "there is no limit of a batch": Defect(
        without("batch"), (test_calls.test_a_batch_has_ten_events_at_most,)
    ),
    "there is no limit of rate": Defect(
        without("rate"), (test_client_events.test_ten_client_events_a_second_are_the_limit,)
    ),
    "any time stamp will do": Defect(without("time"), (LATE, test_faults.test_a_wrong_clock_refuses_calls)),
    "caches never empty": Defect(without("expiry"), (test_faults.test_a_cached_event_expires,)),
    "silence is never noticed": Defect(
        without("silence"), (test_faults.test_a_half_open_link_is_noticed_by_the_server,)
    ),
    "the greeting lacks a time-out": Defect(
        without("timeout"),
        (test_connecting.test_a_client_connects,),
        test_connecting.test_an_unknown_key_is_refused_for_good,
    ),
    "settings change nothing": Defect(
        stubborn,
        (
            test_faults.test_client_events_can_be_off,
            test_faults.test_who_is_not_authorized_is_sent_away,
            test_faults.test_a_full_channel_has_room_for_those_who_are_there,
            test_faults.test_connections_are_counted_where_it_is_on,
            test_faults.test_the_online_users_of_a_watchlist_are_told,
        ),
    ),
    "every close says come back": Defect(
        wrong_code,
        (
            test_connecting.test_an_unknown_key_is_refused_for_good,
            partial(test_faults.test_a_client_stays_away_when_told_to, code=4001),
            test_users.test_terminating_a_user_closes_its_connections,
        ),
    ),
    "faults after the effect do nothing": Defect(hasty, (test_faults.test_a_call_may_be_cut_off,)),
    "system events are encoded once": Defect(
        encoding_once,
        (EVENT, test_presence.test_a_member_sees_all_including_itself),
        test_connecting.test_an_unknown_key_is_refused_for_good,
    ),
    "pings are not answered": Defect(
        quiet_pongs,
        (
            test_connecting.test_a_ping_of_the_client_is_answered,
            test_connecting.test_a_silent_link_is_probed_by_the_client,
        ),
        EVENT,
    ),
    "the channel of a user is open": Defect(
        open_to_all,
        (test_users.test_the_channel_of_a_user_is_for_that_user,),
    ),
    "unsubscribing does nothing": Defect(
        lambda patch: patch.setattr(connection.Connection, "_unsubscribe", lambda self, name: None),
        (test_channels.test_who_unsubscribed_gets_no_more,),
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_noticed(name: str, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each case that is about it, and by no other."""
    defect = DEFECTS[name]
    defect.patch(monkeypatch)

    for case in defect.noticed:
        with (
            kits.emulator() as server,
            kits.Kit(server, clients, patience=0.4) as kit,
            pytest.raises((AssertionError, pytest.fail.Exception)),
        ):
            case(kit)
    with kits.emulator() as server, kits.Kit(server, clients) as kit:
        defect.spared(kit)
