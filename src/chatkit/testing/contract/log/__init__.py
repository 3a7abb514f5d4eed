"""The contract of logs: numbers, the fence, the fold, rights, registers, counts, pages, search, erasing."""

from __future__ import annotations

from chatkit.testing.contract.log.append import AppendContract
from chatkit.testing.contract.log.doors import CapabilitiesContract, DoorsContract
from chatkit.testing.contract.log.erase import EraseContract, TrimContract
from chatkit.testing.contract.log.hostile import HostileContract
from chatkit.testing.contract.log.kit import LogKit
from chatkit.testing.contract.log.pages import PagesContract
from chatkit.testing.contract.log.read import ReadContract
from chatkit.testing.contract.log.registers import RegistersContract, UnreadContract
from chatkit.testing.contract.log.rights import RightsContract
from chatkit.testing.contract.log.search import SearchContract


class LogContract(
    AppendContract,
    RightsContract,
    ReadContract,
    PagesContract,
    EraseContract,
    TrimContract,
    RegistersContract,
    UnreadContract,
    SearchContract,
    HostileContract,
    DoorsContract,
    CapabilitiesContract,
):
    """All that a log owes its readers and writers; what it says it lacks, it declines."""


__all__ = [
    "AppendContract",
    "CapabilitiesContract",
    "DoorsContract",
    "EraseContract",
    "HostileContract",
    "LogContract",
    "LogKit",
    "PagesContract",
    "ReadContract",
    "RegistersContract",
    "RightsContract",
    "SearchContract",
    "TrimContract",
    "UnreadContract",
]
