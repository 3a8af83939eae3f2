# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt's structs become.

Frozen dataclasses with slots; but what a monitoring loop asks of every domain is a named tuple, as making a frozen
dataclass costs half as much again as the call itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyvirt.enums.domain import DomainState
from pyvirt.enums.domain_state import (
    DomainBlockedReason,
    DomainControlErrorReason,
    DomainControlState,
    DomainCrashedReason,
    DomainNostateReason,
    DomainPausedReason,
    DomainPMSuspendedReason,
    DomainRunningReason,
    DomainShutdownReason,
    DomainShutoffReason,
)

StateReason = (
    DomainNostateReason
    | DomainRunningReason
    | DomainBlockedReason
    | DomainPausedReason
    | DomainShutdownReason
    | DomainShutoffReason
    | DomainCrashedReason
    | DomainPMSuspendedReason
    | int
)

_REASONS = {
    DomainState.NOSTATE: DomainNostateReason,
    DomainState.RUNNING: DomainRunningReason,
    DomainState.BLOCKED: DomainBlockedReason,
    DomainState.PAUSED: DomainPausedReason,
    DomainState.SHUTDOWN: DomainShutdownReason,
    DomainState.SHUTOFF: DomainShutoffReason,
    DomainState.CRASHED: DomainCrashedReason,
    DomainState.PMSUSPENDED: DomainPMSuspendedReason,
}


class DomainStateReason(NamedTuple):
    """What a domain does, and how it came to that."""

    state: DomainState
    reason: StateReason

    @classmethod
    def decode(cls, state: int, reason: int) -> DomainStateReason:
        """Make one from libvirt's numbers; those newer than pyvirt stay numbers."""
        known = DomainState(state)
        kind = _REASONS.get(known)
        return cls(known, kind(reason) if kind is not None else reason)


class DomainInfo(NamedTuple):
    """The figures of virDomainGetInfo."""

    state: DomainState
    #: bytes the domain may have at most
    max_memory: int
    #: bytes it uses
    memory: int
    vcpus: int
    #: nanoseconds
    cpu_time: int


@dataclass(frozen=True, slots=True)
class DomainControlInfo:
    """Whether the hypervisor can be asked about a domain at all."""

    state: DomainControlState
    #: why, when the state is ERROR
    details: DomainControlErrorReason
    #: milliseconds since the state was entered, 0 when OK
    state_time: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The figures of virNodeGetInfo.

    They assume that all sockets are alike; ``conn.host.capabilities().host.cells`` is exact.
    """

    #: the architecture, ``"x86_64"``
    model: str
    #: bytes
    memory: int
    #: how many CPUs are online
    cpus: int
    #: the first CPU's frequency at this moment, 0 if unknown
    mhz: int
    #: how many NUMA nodes there are
    nodes: int
    #: in each node
    sockets: int
    #: in each socket
    cores: int
    #: in each core
    threads: int


@dataclass(frozen=True, slots=True)
class NodeCPUMap:
    """Which CPUs a host has."""

    #: how many there are, online or not
    present: int
    #: the numbers of those that are online
    online: frozenset[int]


@dataclass(frozen=True, slots=True)
class SecurityModel:
    """What keeps the guests of a host apart."""

    #: ``"selinux"``, ``"apparmor"``, ``"none"``; empty where the driver has none
    model: str
    #: the domain of interpretation of its labels
    doi: str
