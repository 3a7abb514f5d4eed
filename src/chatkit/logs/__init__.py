"""Shared logs: the memory of channels (D24)."""
