"""Hostile bytes for everything that reads what a stranger wrote: `python -m chatkit.testing.fuzz`.

What may come of an input: it is read, or an error of chatkit says why not, without showing a secret, in time
and memory in proportion to its size. A client that lives among such inputs goes on, and the next good message
arrives.

For an adapter of one's own:

    from chatkit.testing.fuzz import Target, fuzz

    tally = fuzz(Target("frames", recorded_frames, protocol.read), seed=1, count=10_000)
    assert not tally.breaches
"""

from chatkit.testing.fuzz.mutate import Input, inputs, of_number
from chatkit.testing.fuzz.run import Tally, besiege, fuzz
from chatkit.testing.fuzz.samples import ENVELOPES, SECRET
from chatkit.testing.fuzz.targets import Target

__all__ = ["ENVELOPES", "SECRET", "Input", "Tally", "Target", "besiege", "fuzz", "inputs", "of_number"]
