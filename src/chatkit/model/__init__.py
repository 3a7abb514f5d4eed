"""Frozen values: what chatkit speaks about. No I/O, no clock, no randomness."""
