"""The third-party server soketi, as its lock file names it, on free ports of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.official.node import NODE, installed

HERE: Final = Path(__file__).parent
PATIENCE: Final = 20.0
"""Seconds in which it must serve."""


class Soketi:
    """A running soketi with one app, set up as close to the hosted service as it can be; a context manager.

    Args:
        folder: For its configuration and what it prints.
        app: Of its app's settings, those that differ.
        port: A free one if `None`; the same one again for a server that comes back.
    """

    def __init__(self, folder: Path, *, port: int | None = None, **app: Any) -> None:
        self.host = "127.0.0.1"
        self.app_id, self.key, self.secret = "1001", "app-key", "app-secret"
        self.port = port or free_port()
        self._folder = folder
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it serves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = self._folder / "soketi.json"
        settings.write_text(json.dumps(self._settings()), encoding="utf-8")
        program = installed(HERE) / "node_modules" / "@soketi" / "soketi" / "bin" / "server.js"
        with (self._folder / "soketi.txt").open("ab") as told:
            self._process = subprocess.Popen(
                [NODE, program, "start", f"--config={settings}"],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
            )
        until = time.monotonic() + PATIENCE
        while not self._serves():
            said = (self._folder / "soketi.txt").read_text(encoding="utf-8")
            assert self._process.poll() is None, f"soketi ended: {said}"
            assert time.monotonic() < until, f"soketi does not serve: {said}"
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether it runs still; some cases kill it."""
        return self._process is not None and self._process.poll() is None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGKILL gives it no time to say goodbye."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serves(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), 1):
                return True
        except OSError:
            return False

    def _settings(self) -> dict[str, Any]:
        app = {
            "id": self.app_id,
            "key": self.key,
            "secret": self.secret,
            "enableClientMessages": True,
            "enableUserAuthentication": True,
            "maxClientEventsPerSecond": 10,
        }
        return {  # with dots: an object in its place would replace what it does not name
            "host": self.host,
            "port": self.port,
            "metrics.enabled": True,  # without it soketi does not end
            "metrics.host": self.host,
            "metrics.port": free_port(),
            "appManager.array.apps": [app | self._app],
            "channelLimits.maxNameLength": 164,
            "channelLimits.cacheTtl": 1800,
            "eventLimits.maxPayloadInKb": 10,
            "presence.maxMemberSizeInKb": 1,
            "shutdownGracePeriod": 0,
            "userAuthenticationTimeout": 600_000,
        }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
