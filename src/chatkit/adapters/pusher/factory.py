"""What `connect` finds for `pusher://`; the adapter and what it needs load when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chatkit.adapters.pusher.config import PusherConfig, complete
from chatkit.errors import ConfigError
from chatkit.model.config import Config

if TYPE_CHECKING:
    from chatkit.adapters.pusher.adapter import PusherAdapter
    from chatkit.ports.adapter import Parts


class PusherFactory:
    """See `chatkit.ports.AdapterFactory`."""

    networked: ClassVar[bool] = True

    def configure(self, config: Config, /) -> PusherConfig:
        """Return the configuration checked and completed. `ConfigError`."""
        return complete(config)

    def build(self, config: Config, parts: Parts, /) -> PusherAdapter:
        """Return the adapter; no I/O. `ConfigError`."""
        try:
            from chatkit.adapters.pusher.adapter import PusherAdapter
        except ImportError as error:
            raise ConfigError(
                f"pusher:// needs {(error.name or 'a package').partition('.')[0]}, which is not installed",
                hint="Install the extra that brings it: `pip install 'chatkit-realtime[pusher]'`.",
            ) from error
        return PusherAdapter(complete(config), parts)
