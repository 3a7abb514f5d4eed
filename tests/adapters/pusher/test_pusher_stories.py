"""The stories of bad networks, over the emulator."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from chatkit.testing.emulators.pusher import PusherEmulator
from tests.adapters.pusher.stories import Stories
from tests.official.serving import Serving


@pytest.mark.long
class TestStories(Stories):
    """On a loop and a thread of its own."""

    @pytest.fixture
    def server(self) -> Generator[tuple[str, int]]:
        with Serving(PusherEmulator) as found:
            yield found.host, found.port
