"""Supabase: `supabase://KEY@REF`; needs the extra `supabase`."""

from __future__ import annotations

from typing import Final

from chatkit.adapters.supabase.config import SupabaseConfig
from chatkit.adapters.supabase.factory import SupabaseFactory
from chatkit.adapters.supabase.names import Kind, topic_of

factory: Final = SupabaseFactory()

__all__ = ["Kind", "SupabaseConfig", "SupabaseFactory", "factory", "topic_of"]
