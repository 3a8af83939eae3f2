# SPDX-License-Identifier: LGPL-2.1-or-later
"""What libvirt's structs become.

Frozen dataclasses with slots; but for what a monitoring loop asks of every domain, as making a frozen dataclass costs
half as much again as the call itself.  States are named tuples, made once each; :class:`DomainInfo` is not frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pyvirt.enums.domain import DomainState
from pyvirt.enums.domain_device import VcpuHostCpuState, VcpuState
from pyvirt.enums.domain_job import DomainBlockJobType, DomainJobType
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
from pyvirt.enums.network import IPAddrType
from pyvirt.enums.storage import StoragePoolState, StorageVolType

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


@dataclass(init=False, slots=True)
class DomainInfo:
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


@dataclass(frozen=True, slots=True)
class StoragePoolInfo:
    """The figures of virStoragePoolGetInfo."""

    state: StoragePoolState
    #: bytes, all three
    capacity: int
    allocation: int
    available: int


@dataclass(frozen=True, slots=True)
class StorageVolumeInfo:
    """The figures of virStorageVolGetInfo."""

    type: StorageVolType
    #: bytes that a guest sees
    capacity: int
    #: bytes that it takes up on the host
    allocation: int


@dataclass(frozen=True, slots=True)
class NetworkDHCPLease:
    """An address that a network's DHCP server has given out."""

    #: the host's bridge
    iface: str
    #: seconds since 1970 when it ends, 0 for never
    expiry_time: int
    type: IPAddrType
    #: the client's hardware address
    mac: str | None
    #: which of the client's interfaces, where it said so: IPv6 only
    iaid: str | None
    ipaddr: str
    #: bits of the address that stand for the network
    prefix: int
    #: what the client calls itself
    hostname: str | None
    #: what the client identifies itself by
    client_id: str | None


@dataclass(frozen=True, slots=True)
class BlockStats:
    """The figures of virDomainBlockStats; ``None`` for what the driver cannot tell."""

    #: requests
    rd_req: int | None
    #: bytes
    rd_bytes: int | None
    wr_req: int | None
    wr_bytes: int | None
    #: of QEMU always ``None``
    errs: int | None


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """The figures of virDomainGetBlockInfo, in bytes."""

    #: the size of the disk that the guest sees
    capacity: int
    #: how much of the image is in use
    allocation: int
    #: the size of the image: of a file as far as it was written, of a block device all of it
    physical: int


@dataclass(frozen=True, slots=True)
class BlockJobInfo:
    """The figures of virDomainGetBlockJobInfo."""

    type: DomainBlockJobType
    #: the limit in bytes per second, 0 for none
    bandwidth: int
    #: how much is done, in a unit of the hypervisor's choice
    cur: int
    #: how much there is, which may grow
    end: int

    @property
    def ready(self) -> bool:
        """Whether both sides are the same, and kept so.  libvirt may need another moment until it allows a pivot."""
        kept = self.type in (DomainBlockJobType.COPY, DomainBlockJobType.ACTIVE_COMMIT)
        return kept and self.cur == self.end > 0


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """The figures of virDomainInterfaceStats; ``None`` for what the driver cannot tell."""

    rx_bytes: int | None
    rx_packets: int | None
    rx_errs: int | None
    rx_drop: int | None
    tx_bytes: int | None
    tx_packets: int | None
    tx_errs: int | None
    tx_drop: int | None


@dataclass(frozen=True, slots=True)
class IPAddress:
    """An address of a guest."""

    type: IPAddrType
    address: str
    #: how many bits of it stand for the network
    prefix: int


@dataclass(frozen=True, slots=True)
class InterfaceAddresses:
    """The addresses of one network interface of a guest."""

    #: as the source calls it: the agent says ``"eth0"``, libvirt ``"vnet0"``
    name: str
    #: its MAC address, where it has one
    hwaddr: str | None
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class VcpuInfo:
    """What a virtual CPU does at this moment."""

    number: int
    state: VcpuState
    #: nanoseconds
    cpu_time: int
    #: the host's CPU that it runs on, or ran on last
    cpu: int | VcpuHostCpuState
    #: the host's CPUs that it may run on
    affinity: frozenset[int]


@dataclass(frozen=True, slots=True)
class GuestVcpus:
    """The virtual CPUs as the guest's operating system numbers them."""

    vcpus: frozenset[int]
    #: those that it uses
    online: frozenset[int]
    #: those that it can do without
    offlinable: frozenset[int]


@dataclass(frozen=True, slots=True)
class IOThreadInfo:
    """A thread that does a guest's input and output."""

    id: int
    #: the host's CPUs that it may run on
    affinity: frozenset[int]


@dataclass(frozen=True, slots=True)
class DomainJobInfo:
    """The figures of virDomainGetJobInfo: how far a job is, 0 for what does not apply or is not known."""

    type: DomainJobType
    #: milliseconds since it began
    time_elapsed: int
    #: milliseconds, an estimate of a BOUNDED job
    time_remaining: int
    #: bytes of memory and files together; the total may grow while the guest writes
    data_total: int
    data_processed: int
    data_remaining: int
    #: bytes of memory
    mem_total: int
    mem_processed: int
    mem_remaining: int
    #: bytes of files, disk images for instance
    file_total: int
    file_processed: int
    file_remaining: int


@dataclass(frozen=True, slots=True)
class FilesystemInfo:
    """A file system that a guest has mounted."""

    mountpoint: str
    #: what the guest calls its device, ``"sda1"``
    name: str
    #: ``"ext4"``
    fstype: str
    #: the disks that it is on, as the domain's configuration calls them: ``"vda"``
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecurityLabel:
    """What keeps a running guest apart from others."""

    #: empty where nothing does
    label: str
    enforcing: bool


@dataclass(frozen=True, slots=True)
class Screenshot:
    """What a display shows."""

    #: ``"image/png"``, ``"image/x-portable-pixmap"``
    mime_type: str
    data: bytes = field(repr=False)
