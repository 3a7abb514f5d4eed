"""A Supabase on this machine: Realtime on real PostgreSQL, with faults on demand.

It shares nothing with the adapter of chatkit; the service's source and official clients judge it.
"""

from chatkit.testing.emulators.supabase.deeds import Aim
from chatkit.testing.emulators.supabase.emulator import SupabaseEmulator
from chatkit.testing.emulators.supabase.faults import Fault
from chatkit.testing.emulators.supabase.settings import SupabaseSettings

__all__ = ["Aim", "Fault", "SupabaseEmulator", "SupabaseSettings"]
