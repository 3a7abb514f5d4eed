"""The contract of adapters: what an adapter and its sessions owe the engine."""

from __future__ import annotations

from chatkit.testing.contract.adapter.attaching import AttachingContract
from chatkit.testing.contract.adapter.connection import ConnectionContract
from chatkit.testing.contract.adapter.declared import DeclaredContract
from chatkit.testing.contract.adapter.emitting import EmittingContract
from chatkit.testing.contract.adapter.faults import FaultsContract
from chatkit.testing.contract.adapter.kit import AdapterKit, Closing, Refusal
from chatkit.testing.contract.adapter.presence import PresenceContract
from chatkit.testing.contract.adapter.publishing import PublishingContract
from chatkit.testing.contract.adapter.resuming import ResumingContract
from chatkit.testing.contract.adapter.senders import SendersContract


class AdapterContract(
    DeclaredContract,
    ConnectionContract,
    AttachingContract,
    PublishingContract,
    SendersContract,
    EmittingContract,
    PresenceContract,
    ResumingContract,
    FaultsContract,
):
    """All that an adapter owes the engine."""


__all__ = ["AdapterContract", "AdapterKit", "Closing", "Refusal"]
