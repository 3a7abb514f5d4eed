"""What `connect` finds for `ably://`; the adapter and what it needs load when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chatkit.adapters.ably.config import AblyConfig, complete
from chatkit.errors import ConfigError
from chatkit.model.config import Config

if TYPE_CHECKING:
    from chatkit.adapters.ably.adapter import AblyAdapter
    from chatkit.ports.adapter import Parts


class AblyFactory:
    """See `chatkit.ports.AdapterFactory`."""

    networked: ClassVar[bool] = True

    def configure(self, config: Config, /) -> AblyConfig:
        """Return the configuration checked and completed. `ConfigError`."""
        return complete(config)

    def build(self, config: Config, parts: Parts, /) -> AblyAdapter:
        """Return the adapter; no I/O. `ConfigError`."""
        try:
            from chatkit.adapters.ably.adapter import AblyAdapter
        except ImportError as error:
            raise ConfigError(
                f"ably:// needs {(error.name or 'a package').partition('.')[0]}, which is not installed",
                hint="Install the extra that brings it: `pip install 'chatkit-realtime[ably]'`.",
            ) from error
        return AblyAdapter(complete(config), parts)
