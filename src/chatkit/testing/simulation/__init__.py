"""The simulation: many clients, one virtual clock, one seeded network, everything that goes wrong.

    python -m chatkit.testing.simulation --seeds 100

After each run the checker (`chatkit.testing.checker`) holds the recorded history against the promise. Any
seed replays exactly.
"""

from __future__ import annotations

from chatkit.testing.simulation.profiles import PROFILES, Profile
from chatkit.testing.simulation.run import STEPS, Outcome, simulate

__all__ = ["PROFILES", "STEPS", "Outcome", "Profile", "simulate"]
