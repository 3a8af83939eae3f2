# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sub-objects of a domain: ``domain.disks``, ``domain.vcpus``, …  Each is imported and made when it is used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyvirt.domain.agent import Agent
    from pyvirt.domain.backup import Backup
    from pyvirt.domain.blkio import Blkio
    from pyvirt.domain.checkpoints import Checkpoints
    from pyvirt.domain.cpu import DomainCPU
    from pyvirt.domain.devices import Devices
    from pyvirt.domain.dirty_rate import DirtyRate
    from pyvirt.domain.disks import Disks
    from pyvirt.domain.domain import Domain
    from pyvirt.domain.interfaces import DomainInterfaces
    from pyvirt.domain.iothreads import IOThreads
    from pyvirt.domain.job import Job
    from pyvirt.domain.launch_security import LaunchSecurity
    from pyvirt.domain.memory import Memory
    from pyvirt.domain.metadata import Metadata
    from pyvirt.domain.migration import Migration
    from pyvirt.domain.numa import Numa
    from pyvirt.domain.perf import Perf
    from pyvirt.domain.scheduler import Scheduler
    from pyvirt.domain.snapshots import Snapshots
    from pyvirt.domain.throttle import ThrottleGroups
    from pyvirt.domain.vcpus import Vcpus
    from pyvirt.lxc import LxcDomain
    from pyvirt.qemu import QemuDomain


class PartProperties:
    """A base of :class:`~pyvirt.Domain`: one property for each part."""

    __slots__ = ()

    @property
    def _itself(self) -> Domain:
        return self  # type: ignore[return-value]  # Domain is the only class with this base

    @property
    def devices(self) -> Devices:
        """Its devices: attach, detach, update."""
        from pyvirt.domain.devices import Devices

        return Devices(self._itself)

    @property
    def disks(self) -> Disks:
        """Its disks by target or path, and their block jobs."""
        from pyvirt.domain.disks import Disks

        return Disks(self._itself)

    @property
    def interfaces(self) -> DomainInterfaces:
        """Its network interfaces by name, and their addresses."""
        from pyvirt.domain.interfaces import DomainInterfaces

        return DomainInterfaces(self._itself)

    @property
    def vcpus(self) -> Vcpus:
        """Its virtual CPUs: their number, and the host CPUs that they run on."""
        from pyvirt.domain.vcpus import Vcpus

        return Vcpus(self._itself)

    @property
    def memory(self) -> Memory:
        """Its memory: sizes, statistics, limits, content."""
        from pyvirt.domain.memory import Memory

        return Memory(self._itself)

    @property
    def iothreads(self) -> IOThreads:
        """Its I/O threads."""
        from pyvirt.domain.iothreads import IOThreads

        return IOThreads(self._itself)

    @property
    def numa(self) -> Numa:
        """The NUMA nodes of the host that its memory comes from."""
        from pyvirt.domain.numa import Numa

        return Numa(self._itself)

    @property
    def scheduler(self) -> Scheduler:
        """Its share of the host's CPUs."""
        from pyvirt.domain.scheduler import Scheduler

        return Scheduler(self._itself)

    @property
    def blkio(self) -> Blkio:
        """Weights and limits of its block I/O."""
        from pyvirt.domain.blkio import Blkio

        return Blkio(self._itself)

    @property
    def perf(self) -> Perf:
        """The performance events that are counted for it."""
        from pyvirt.domain.perf import Perf

        return Perf(self._itself)

    @property
    def cpu(self) -> DomainCPU:
        """The time that it has used of the host's CPUs."""
        from pyvirt.domain.cpu import DomainCPU

        return DomainCPU(self._itself)

    @property
    def throttle_groups(self) -> ThrottleGroups:
        """Groups of disks with a common limit."""
        from pyvirt.domain.throttle import ThrottleGroups

        return ThrottleGroups(self._itself)

    @property
    def metadata(self) -> Metadata:
        """Its title, its description, and XML elements that programs store with it."""
        from pyvirt.domain.metadata import Metadata

        return Metadata(self._itself)

    @property
    def qemu(self) -> QemuDomain:
        """QEMU's own interfaces: the monitor, the agent."""
        from pyvirt.qemu import QemuDomain

        return QemuDomain(self._itself)

    @property
    def lxc(self) -> LxcDomain:
        """A container's own interfaces: namespaces, control groups."""
        from pyvirt.lxc import LxcDomain

        return LxcDomain(self._itself)

    @property
    def snapshots(self) -> Snapshots:
        """Its snapshots, a tree."""
        from pyvirt.domain.snapshots import Snapshots

        return Snapshots(self._itself)

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints: points in time that incremental backups start from."""
        from pyvirt.domain.checkpoints import Checkpoints

        return Checkpoints(self._itself)

    @property
    def job(self) -> Job:
        """The job that runs on it: its progress, and how to abort it."""
        from pyvirt.domain.job import Job

        return Job(self._itself)

    @property
    def migration(self) -> Migration:
        """Its migration to another host."""
        from pyvirt.domain.migration import Migration

        return Migration(self._itself)

    @property
    def backup(self) -> Backup:
        """Backups of its disks while it runs."""
        from pyvirt.domain.backup import Backup

        return Backup(self._itself)

    @property
    def dirty_rate(self) -> DirtyRate:
        """A measurement of how fast the guest writes to its memory."""
        from pyvirt.domain.dirty_rate import DirtyRate

        return DirtyRate(self._itself)

    @property
    def agent(self) -> Agent:
        """The guest agent."""
        from pyvirt.domain.agent import Agent

        return Agent(self._itself)

    @property
    def launch_security(self) -> LaunchSecurity:
        """The protection of its memory from the host."""
        from pyvirt.domain.launch_security import LaunchSecurity

        return LaunchSecurity(self._itself)
