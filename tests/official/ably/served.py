"""The emulator that Ably's own clients are let loose on."""

from __future__ import annotations

from typing import Final

from chatkit.testing.emulators.ably import AblyEmulator, Settings
from tests.official.serving import Serving

# The keys of Ably's own test application: all rights, rights by channel, subscribe alone.
RESTRICTED: Final = (
    '{"channel0":["publish"],"channel1":["publish"],"channel2":["publish","subscribe"],'
    '"channel3":["subscribe"],"channel4":["presence","publish","subscribe"],"channel5":["presence"],'
    '"channel6":["*"]}'
)
KEYS: Final = (
    "app.key:secret",
    f"app.restricted:secret:{RESTRICTED}",
    'app.listener:secret:{"*":["subscribe"]}',
)


def served() -> Serving[AblyEmulator]:
    """One with these keys and no rates."""
    return Serving(lambda: AblyEmulator(Settings(keys=KEYS, connection_rate=0, channel_rate=0)))
