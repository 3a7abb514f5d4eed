"""An emulator of Pusher Channels: protocol 7, its HTTP API, the limits of the hosted service, faults."""

from chatkit.testing.emulators.pusher.emulator import PusherEmulator
from chatkit.testing.emulators.pusher.settings import PusherSettings

__all__ = ["PusherEmulator", "PusherSettings"]
