"""`python -m chatkit.testing.simulation`."""

from __future__ import annotations

import sys

from chatkit.testing.simulation.program import main

if __name__ == "__main__":
    sys.exit(main())
