"""Installs what official clients and third-party servers are made of, before the tests that run them.

python -m tests.official.packages official|servers

The tests would install it too, but each within its own time, and the index's is not theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.official.ably import clients as ably
from tests.official.environments import interpreter
from tests.official.node import ROOT, installed
from tests.official.supabase import clients as supabase

TESTS: Final = ROOT / "tests"
OFFICIAL: Final = ("ably/javascript", "pusher", "supabase/javascript", "supabase/postgrest")
CLIENTS: Final = tuple(partial(installed, TESTS / "official" / name) for name in OFFICIAL)
PUSHER: Final = CLIENTS[1]
SOKETI: Final = partial(installed, TESTS / "servers" / "soketi")
PACKAGES: Final[dict[str, tuple[Callable[[], Path], ...]]] = {
    "official": (*CLIENTS, partial(interpreter, ably.PINS), partial(interpreter, supabase.PINS)),
    "servers": (PUSHER, SOKETI),
}


def main(session: str) -> None:
    """Install what a session needs, all at once."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(install) for install in PACKAGES[session]]:
            done.result()


if __name__ == "__main__":
    main(sys.argv[1])
