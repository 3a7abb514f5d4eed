"""How the emulated project is set up, and the limits of the plan that it stands for."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators.faults import CHECKED
from chatkit.testing.emulators.serving import Settings


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class SupabaseSettings(Settings):
    """A project. Seconds are those of the emulator's clock; limits are the server's own defaults.

    Attributes:
        jwt_secret: Signs its tokens, HS256; at least 32 characters, as PostgREST asks.
        publishable_key: Stands for the anon key where it is given as `apikey`.
        secret_key: Likewise for the service key.
        session_seconds: For which the token of who signs in is good.
        largest_frame: Bytes of one frame from a client; more closes its connection with 1009.
        private_only: Whether joins of public channels are refused.
        connect_error_delay: Seconds until a refused handshake is answered.
        join_error_delay: Seconds until a refused join is answered; its socket does nothing else meanwhile.
        idle: Seconds without anything from a client after which its connection is closed with 1000.
        no_channels: Seconds between two looks for connections without a channel, which are cut.
        token_check: Seconds between two looks at a channel's token, at most; it is looked at when it expires.
        connections: Connections with a channel at a time; one more is refused.
        channels: Of one connection; one more join is refused.
        joins_per_second: Of the project, as a mean.
        events_per_second: Of the project, as a mean; each send and each delivery is one.
        presence_events_per_second: Likewise of presence.
        presence_calls: Of one channel join in `presence_window`; one more closes the channel.
        presence_window: Seconds.
        payload_kb: Thousands of bytes of a payload in Erlang's external format; 500 bytes more are allowed.
        replication_start: Seconds that the connection for database broadcasts takes.
        replication_poll: Seconds between two looks whether it is there, for who asked to be told.
        replication_patience: Seconds after which their channels are closed if it is not.
        replication_linger: Seconds without a connected client after which it ends.
    """

    jwt_secret: str = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105  # of a server for tests
    publishable_key: str = "sb_publishable_of-the-chatkit-emulator"
    secret_key: str = "sb_secret_of-the-chatkit-emulator"  # noqa: S105  # likewise
    session_seconds: int = 3_600
    largest_frame: int = 5_000_000
    private_only: bool = False
    connect_error_delay: float = 2.0
    join_error_delay: float = 5.0
    idle: float = 60.0
    no_channels: float = 600.0
    token_check: float = 300.0
    connections: int = 200
    channels: int = 100
    joins_per_second: int = 100
    events_per_second: int = 100
    presence_events_per_second: int = 1_000
    presence_calls: int = 5
    presence_window: float = 30.0
    payload_kb: int = 3_000
    replication_start: float = 0.5
    replication_poll: float = 0.5
    replication_patience: float = 60.0
    replication_linger: float = 660.0

    def __post_init__(self) -> None:
        if len(self.jwt_secret) < 32:
            raise ValueError("jwt_secret has at least 32 characters")
