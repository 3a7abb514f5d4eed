"""What an emulated application is: its keys, the rules of its namespaces, its limits and time-outs."""

from __future__ import annotations

from dataclasses import dataclass as plain
from dataclasses import field

from pydantic.dataclasses import dataclass

from chatkit.testing.emulators import serving
from chatkit.testing.emulators.ably.capability import EVERYTHING, Capability
from chatkit.testing.emulators.ably.errors import AblyError
from chatkit.testing.emulators.faults import CHECKED

RULES = frozenset({"persisted", "mutableMessages"})


@plain(frozen=True, slots=True, kw_only=True)
class Key:
    """One API key.

    Attributes:
        name: `APP.KEY`, the public half.
        secret: The other half.
        capability: What it and its tokens may do at most.
    """

    name: str
    secret: str = field(repr=False)
    capability: Capability = EVERYTHING

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read `APP.KEY:SECRET`, or `APP.KEY:SECRET:CAPABILITY` with the capability as JSON.

        Raises:
            ValueError: It is neither.
        """
        name, _, rest = text.partition(":")
        secret, _, capability = rest.partition(":")
        if "." not in name.strip(".") or not secret:
            raise ValueError("a key is APP.KEY:SECRET, or APP.KEY:SECRET:CAPABILITY")
        try:
            rights = Capability.parse(capability) if capability else EVERYTHING
        except AblyError as error:
            raise ValueError(error.message) from None
        return cls(name=name, secret=secret, capability=rights)

    @property
    def app(self) -> str:
        """The application's id."""
        return self.name.partition(".")[0]


@plain(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is switched on for the channels of a namespace (`ns` itself and `ns:...`).

    Attributes:
        persisted: Messages are remembered for `persisted_seconds` instead of two minutes.
        mutable: Updates, deletes, appends and annotations; persists as well.
    """

    persisted: bool = False
    mutable: bool = False


@dataclass(frozen=True, kw_only=True, config=CHECKED)
class Settings(serving.Settings):
    """How the emulated application behaves. Durations are seconds of the emulator's clock.

    Attributes:
        websockets: Whether there is a way through for them; else what answers in the emulator's place is a
            proxy, with 403.
        keys: Each as `Key.parse` reads it; at least one, all of one application.
        rules: By namespace, `persisted` and `mutableMessages`; as in Ably's own test application.
        revocable: Whether the keys' tokens can be revoked.
        message_bytes: Of all messages, members or annotations of one frame or call, as TM6 counts them, and
            of a message that is appended to; else 40009.
        publish_messages: Messages of one publish; else 40034.
        connection_rate: Messages a second that one connection publishes; else 42911. 0 is no limit.
        channel_rate: Messages a second published on one channel; else 42913. 0 is no limit.
        connection_channels: Attached on one connection; else 90010.
        channels: In the application at a time; else 40114.
        members: Present on one channel; else 91003.
        connections: At a time, resumable ones and event streams included; else 40111.
        stored: Messages, and frames to resume from, kept of one channel; the oldest go first.
        state_seconds: How long the state of a dropped connection is kept to be resumed.
        window_seconds: How far back a channel can be resumed, and unpersisted history reaches.
        persisted_seconds: How far persisted history reaches.
        idle_seconds: `maxIdleInterval`: at most this long nothing is sent.
        present_seconds: After a drop, until its members leave; a client may ask for another time.
        idempotent_seconds: How long a message id is known.
        ack_seconds: For how long ACKs are gathered into one; 0 sends them on the loop's next turn.
        sync_page: Members in one SYNC.
        prompt_seconds: Before a token ends, when its renewal is asked for.
    """

    largest_body: int = 524_288
    largest_frame: int = 524_288
    websockets: bool = True
    keys: tuple[str, ...] = field(default=("app.key:secret",), repr=False)
    rules: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"persisted": ("persisted",), "mutable": ("mutableMessages",)}
    )
    revocable: bool = True
    message_bytes: int = 65_536
    publish_messages: int = 1_000
    connection_rate: int = 50
    channel_rate: int = 50
    connection_channels: int = 200
    channels: int = 10_000
    members: int = 200
    connections: int = 10_000
    stored: int = 100_000
    state_seconds: float = 120.0
    window_seconds: float = 120.0
    persisted_seconds: float = 72 * 3600.0
    idle_seconds: float = 15.0
    present_seconds: float = 15.0
    idempotent_seconds: float = 120.0
    ack_seconds: float = 0.0
    sync_page: int = 100
    prompt_seconds: float = 30.0

    def __post_init__(self) -> None:
        if len({key.app for key in self.parsed_keys()}) != 1:
            raise ValueError("an emulator needs keys, all of one application")
        for namespace, switches in self.rules.items():
            if not RULES.issuperset(switches):
                raise ValueError(f"the rules of {namespace!r} are among {', '.join(sorted(RULES))}")

    def parsed_keys(self) -> list[Key]:
        """The keys."""
        return [Key.parse(text) for text in self.keys]

    def rule(self, channel: str) -> Rule:
        """The rule that holds for a channel."""
        switches = self.rules.get(channel.partition(":")[0], ())
        mutable = "mutableMessages" in switches
        return Rule(persisted=mutable or "persisted" in switches, mutable=mutable)
