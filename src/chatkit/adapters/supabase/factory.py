"""What `connect` finds for `supabase://`; the adapter and what it needs load when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chatkit.adapters.supabase.config import SupabaseConfig, complete
from chatkit.errors import ConfigError
from chatkit.model.config import Config

if TYPE_CHECKING:
    from chatkit.adapters.supabase.adapter import SupabaseAdapter
    from chatkit.ports.adapter import Parts


class SupabaseFactory:
    """See `chatkit.ports.AdapterFactory`."""

    networked: ClassVar[bool] = True

    def configure(self, config: Config, /) -> SupabaseConfig:
        """Return the configuration checked and completed. `ConfigError`."""
        return complete(config)

    def build(self, config: Config, parts: Parts, /) -> SupabaseAdapter:
        """Return the adapter; no I/O. `ConfigError`."""
        try:
            from chatkit.adapters.supabase.adapter import SupabaseAdapter
        except ImportError as error:
            raise ConfigError(
                f"supabase:// needs {(error.name or 'a package').partition('.')[0]}, which is not installed",
                hint="Install the extra that brings it: `pip install 'chatkit-realtime[supabase]'`.",
            ) from error
        return SupabaseAdapter(complete(config), parts)
