"""An Ably on this machine: realtime and REST on one port, JSON and msgpack, with faults on demand.

It shares nothing with the adapter of chatkit; the published specification and official clients judge it.
"""

from chatkit.testing.emulators.ably.deeds import Aim
from chatkit.testing.emulators.ably.emulator import AblyEmulator
from chatkit.testing.emulators.ably.faults import ErrorInfo, Fault
from chatkit.testing.emulators.ably.settings import Settings

__all__ = ["AblyEmulator", "Aim", "ErrorInfo", "Fault", "Settings"]
