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
