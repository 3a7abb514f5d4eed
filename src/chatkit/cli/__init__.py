"""The command `chatkit`: needs the extra `cli`, and says so where it is missing."""

from __future__ import annotations

import sys
from typing import Final

EXTRA: Final = frozenset({"click", "rich", "typer"})
"""What the extra brings."""


def main() -> None:
    """Run the command; the console script."""
    try:
        from chatkit.cli.app import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA:
            raise
        sys.stderr.write(f"chatkit: {error.name} is missing: pip install 'chatkit-realtime[cli]'\n")
        raise SystemExit(2) from None
    app()
