"""How the emulated app is set up, and the limits of the cluster it stands for."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.faults import CHECKED
from chatkit.testing.emulators.serving import Settings


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class PusherSettings(Settings):
    """An app and its cluster. Seconds are those of the emulator's clock, sizes bytes of UTF-8.

    Attributes:
        app_id: Digits; official servers' packages take nothing else.
        key: Public; names the app in a client's address.
        secret: Signs.
        enabled: `False`: connections are closed with 4003, calls answered with 403.
        tls_only: Connections, which are all without TLS here, are closed with 4000.
        connections: Quota: one more is closed with 4004.
        over_capacity: Connections are closed with 4100.
        over_quota: Calls are answered with 403.
        any_protocol: Connections need not say a protocol, and may say any; all are spoken to in version 7.
        legacy_error_frame: A `pusher:error` frame goes before the close of a refused connection, as before
            protocol 6.
        activity_timeout: Told to clients: seconds of silence after which they ask for a sign of life.
        ping_after: Seconds of silence after which the emulator asks.
        pong_within: Seconds in which an answer must come, or the connection is closed with 4201.
        authorized_connections: Who neither signs in nor joins a private or presence channel is closed with
            4009.
        authorize_within: After so many seconds.
        client_events: Whether they are switched on. On the hosted service they are off until somebody does.
        client_event_rate: A second and connection; what is beyond is refused with 4301. 0 is no limit.
        subscription_counts: Whether clients and calls are told how many connections a channel has.
        count_interval: Seconds between two such counts in a channel of more than 100 connections.
        watchlists: Whether signed-in users are told who of their watchlist is online.
        watched: Ids in a watchlist; more are cut off with 4302.
        members: Users in a presence channel.
        user_id_length: Characters.
        user_bytes: Of `user_info`.
        event_bytes: Of the data of an event.
        event_name_length: Characters.
        channel_name_length: Characters, prefix included.
        channels_per_event: In one call.
        batch_events: In one call.
        cache_ttl: Seconds for which a cache channel keeps its last event.
        clock_window: Seconds by which `auth_timestamp` may be off.
        webhook_url: The app's server is told there of what happens; `None`: it is not.
        webhook_delay: Seconds by which it learns late that somebody left, and not at all if they came back.
    """

    app_id: str = "1001"
    key: str = "app-key"
    secret: str = "app-secret"  # noqa: S105  # of a server for tests
    enabled: bool = True
    tls_only: bool = False
    connections: int = 1_000
    over_capacity: bool = False
    over_quota: bool = False
    any_protocol: bool = False
    legacy_error_frame: bool = False
    activity_timeout: int = 120
    ping_after: float = 120.0
    pong_within: float = 30.0
    authorized_connections: bool = False
    authorize_within: float = 30.0
    client_events: bool = True
    client_event_rate: int = 10
    subscription_counts: bool = False
    count_interval: float = 5.0
    watchlists: bool = False
    watched: int = 100
    members: int = 100
    user_id_length: int = 128
    user_bytes: int = 1024
    event_bytes: int = 10_240
    event_name_length: int = 200
    channel_name_length: int = 164
    channels_per_event: int = 100
    batch_events: int = 10
    cache_ttl: float = 1_800.0
    clock_window: float = 600.0
    webhook_url: str | None = None
    webhook_delay: float = 3.0
