"""The planted bugs: the main rules of delivery, each broken at one place.

What the simulation does not find it does not guard. Each bug is replayed with a seed that finds it, in
`test_planted.py`; `python -m tests.testing.planting --search NAME` looks for another one.
"""

from __future__ import annotations

from tests.testing import planted_identity, planted_keeping, planted_receiving, planted_sending
from tests.testing.planting import BUGS

__all__ = ["BUGS", "planted_identity", "planted_keeping", "planted_receiving", "planted_sending"]
