# SPDX-License-Identifier: LGPL-2.1-or-later
"""The results of calls that return a struct in C.

They are frozen dataclasses with slots, except those that monitoring reads for every domain: making a frozen dataclass
takes half as long as the call itself.  States are named tuples, made once each; :class:`DomainInfo` is not frozen.
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
    """The state of a domain, and the reason for it."""

    state: DomainState
    reason: StateReason

    @classmethod
    def decode(cls, state: int, reason: int) -> DomainStateReason:
        """Make one from libvirt's numbers; a number that pyvirt does not know stays a number."""
        known = DomainState(state)
        kind = _REASONS.get(known)
        return cls(known, kind(reason) if kind is not None else reason)


@dataclass(init=False, slots=True)
class DomainInfo:
    """The result of virDomainGetInfo."""

    state: DomainState
    #: the maximum memory in bytes
    max_memory: int
    #: the current memory in bytes
    memory: int
    vcpus: int
    #: nanoseconds
    cpu_time: int


@dataclass(frozen=True, slots=True)
class DomainControlInfo:
    """The state of a hypervisor's control interface for a domain."""

    state: DomainControlState
    #: the reason, if the state is ERROR
    details: DomainControlErrorReason
    #: milliseconds since the state was entered; 0 for OK
    state_time: int


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """The result of virNodeGetInfo.

    It assumes that all sockets are equal; ``conn.host.capabilities().host.cells`` is exact.
    """

    #: the architecture, ``"x86_64"``
    model: str
    #: bytes
    memory: int
    #: the number of online CPUs
    cpus: int
    #: the current frequency of the first CPU in MHz, 0 if unknown
    mhz: int
    #: the number of NUMA nodes
    nodes: int
    #: the number of sockets in each node
    sockets: int
    #: the number of cores in each socket
    cores: int
    #: the number of threads in each core
    threads: int


@dataclass(frozen=True, slots=True)
class NodeCPUMap:
    """The CPUs of a host."""

    #: their number, online or not
    present: int
    #: the numbers of the online ones
    online: frozenset[int]


@dataclass(frozen=True, slots=True)
class SecurityModel:
    """The security model that isolates the guests of a host."""

    #: ``"selinux"``, ``"apparmor"``, ``"none"``; empty if the driver has none
    model: str
    #: the domain of interpretation of its labels
    doi: str


@dataclass(frozen=True, slots=True)
class StoragePoolInfo:
    """The result of virStoragePoolGetInfo."""

    state: StoragePoolState
    #: bytes, like the next two
    capacity: int
    allocation: int
    available: int


@dataclass(frozen=True, slots=True)
class StorageVolumeInfo:
    """The result of virStorageVolGetInfo."""

    type: StorageVolType
    #: the size that a guest sees, in bytes
    capacity: int
    #: the size on the host, in bytes
    allocation: int


@dataclass(frozen=True, slots=True)
class NetworkDHCPLease:
    """An address that a network's DHCP server has leased."""

    #: the host's bridge
    iface: str
    #: the time when it expires, in seconds since 1970; 0 for never
    expiry_time: int
    type: IPAddrType
    #: the client's hardware address
    mac: str | None
    #: the id of the client's interface, if the client sent it; IPv6 only
    iaid: str | None
    ipaddr: str
    #: the number of bits of the network part
    prefix: int
    #: the host name that the client sent
    hostname: str | None
    #: the client id that the client sent
    client_id: str | None


@dataclass(frozen=True, slots=True)
class BlockStats:
    """The result of virDomainBlockStats; ``None`` for values that the driver does not know."""

    #: requests
    rd_req: int | None
    #: bytes
    rd_bytes: int | None
    wr_req: int | None
    wr_bytes: int | None
    #: always ``None`` for QEMU
    errs: int | None


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """The result of virDomainGetBlockInfo, in bytes."""

    #: the size of the disk that the guest sees
    capacity: int
    #: the used part of the image
    allocation: int
    #: the size of the image: of a file the written part, of a block device the whole device
    physical: int


@dataclass(frozen=True, slots=True)
class BlockJobInfo:
    """The result of virDomainGetBlockJobInfo."""

    type: DomainBlockJobType
    #: the limit of the speed in bytes per second; 0 for none
    bandwidth: int
    #: the amount done, in a unit that the hypervisor chooses
    cur: int
    #: the total, which may grow
    end: int

    @property
    def ready(self) -> bool:
        """Whether both images are equal and stay so.  libvirt may allow a pivot only a moment later."""
        kept = self.type in (DomainBlockJobType.COPY, DomainBlockJobType.ACTIVE_COMMIT)
        return kept and self.cur == self.end > 0


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """The result of virDomainInterfaceStats; ``None`` for values that the driver does not know."""

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
    #: the number of bits of the network part
    prefix: int


@dataclass(frozen=True, slots=True)
class InterfaceAddresses:
    """The addresses of one network interface of a guest."""

    #: its name in the source: for the agent ``"eth0"``, for libvirt ``"vnet0"``
    name: str
    #: its MAC address, if it has one
    hwaddr: str | None
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class VcpuInfo:
    """The current state of a virtual CPU."""

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
    """The virtual CPUs, numbered by the guest's operating system."""

    vcpus: frozenset[int]
    #: those that are online in the guest
    online: frozenset[int]
    #: those that can be taken offline
    offlinable: frozenset[int]


@dataclass(frozen=True, slots=True)
class IOThreadInfo:
    """A thread that performs a guest's input and output."""

    id: int
    #: the host's CPUs that it may run on
    affinity: frozenset[int]


@dataclass(frozen=True, slots=True)
class DomainJobInfo:
    """The result of virDomainGetJobInfo, the progress of a job; 0 for values that do not apply or are unknown."""

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
    #: bytes of files, for example disk images
    file_total: int
    file_processed: int
    file_remaining: int


@dataclass(frozen=True, slots=True)
class FilesystemInfo:
    """A mounted file system of a guest."""

    mountpoint: str
    #: the name of its device in the guest, ``"sda1"``
    name: str
    #: ``"ext4"``
    fstype: str
    #: its disks, by their targets in the domain's configuration: ``"vda"``
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecurityLabel:
    """The security label that isolates a running guest."""

    #: empty if no security driver isolates it
    label: str
    enforcing: bool


@dataclass(frozen=True, slots=True)
class Screenshot:
    """The content of a display."""

    #: ``"image/png"``, ``"image/x-portable-pixmap"``
    mime_type: str
    data: bytes = field(repr=False)
