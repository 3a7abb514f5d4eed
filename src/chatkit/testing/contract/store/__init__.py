"""The contract of stores: what a device keeps of its outbox, its channels and its place in them."""

from __future__ import annotations

from chatkit.testing.contract.store.attempts import AttemptsContract
from chatkit.testing.contract.store.kit import StoreKit
from chatkit.testing.contract.store.life import DurableContract, LifeContract
from chatkit.testing.contract.store.outbox import OutboxContract
from chatkit.testing.contract.store.search import SearchContract
from chatkit.testing.contract.store.timeline import TimelineContract


class StoreContract(
    OutboxContract, AttemptsContract, TimelineContract, SearchContract, LifeContract, DurableContract
):
    """All that a store owes the engine."""


__all__ = ["StoreContract", "StoreKit"]
