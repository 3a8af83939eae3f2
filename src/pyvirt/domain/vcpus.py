# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.vcpus``: the number of virtual CPUs, and the host CPUs that they run on."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from pyvirt._core.cpumaps import cpu_map, cpu_numbers
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.enums.domain_device import DomainSetVcpuFlags, DomainVcpuFlags, VcpuHostCpuState, VcpuState
from pyvirt.models import GuestVcpus, VcpuInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

_CURRENT = DomainModificationImpact.CURRENT


def _text(numbers: Iterable[int]) -> bytes:
    """Return numbers as libvirt writes a set of them: ``0,2,3``."""
    return encode(",".join(map(str, sorted(map(index, numbers)))))


def _numbers(text: str) -> frozenset[int]:
    """Return the numbers in such a text, which may also have ranges: ``0,2-3``."""
    found: set[int] = set()
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


class Vcpus(Part):
    """The virtual CPUs of a domain.

    ``flags`` choose the configuration, as in ``dom.devices``.  CPUs of the host are numbers from 0.
    """

    __slots__ = ()

    # ---- number ----

    def count(self, *, flags: DomainVcpuFlags = DomainVcpuFlags.CURRENT) -> int:
        """Return the number of vCPUs.  (virDomainGetVcpusFlags)

        :param flags: with ``MAXIMUM`` the maximum number, with ``GUEST`` the number that the guest uses, from its agent
        :raises OperationInvalidError: the domain is not in the state that *flags* need
        """
        return self._call(lib.virDomainGetVcpusFlags, flags)

    def max(self) -> int:
        """Return the maximum number for the running domain.  (virDomainGetMaxVcpus)

        For an inactive domain some drivers return the maximum for any domain; others raise.
        """
        return self._call(lib.virDomainGetMaxVcpus)

    def set(self, count: int, *, flags: DomainVcpuFlags = DomainVcpuFlags.CURRENT) -> None:
        """Set the number of vCPUs.  (virDomainSetVcpusFlags)

        :param flags: with ``MAXIMUM`` the maximum number in the stored configuration; with ``GUEST`` the number that
            the guest uses, set by its agent; with ``HOTPLUGGABLE`` new ones can be unplugged again
        :raises InvalidArgumentError: the number is 0, or larger than the maximum
        """
        self._call(lib.virDomainSetVcpusFlags, count, flags)

    def set_live(self, count: int) -> None:
        """Set the number for a running domain, also in drivers that do not accept flags.  (virDomainSetVcpus)

        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainSetVcpus, count)

    def set_enabled(
        self, vcpus: Iterable[int], enabled: bool, *, flags: DomainSetVcpuFlags = DomainSetVcpuFlags.CURRENT
    ) -> None:
        """Plug or unplug individual vCPUs.  (virDomainSetVcpu)

        :param vcpus: their numbers; some drivers accept only one at a time
        :raises InvalidArgumentError: no such vCPU, or it cannot be unplugged
        """
        self._call(lib.virDomainSetVcpu, _text(vcpus), bool(enabled), flags)

    # ---- host CPUs ----

    def info(self) -> list[VcpuInfo]:
        """Return the state of each vCPU, and the host CPU that it runs on.  (virDomainGetVcpus)

        :raises OperationInvalidError: the domain is not running
        """
        room, size = self.max(), self._map_size()
        out = ffi.new("virVcpuInfo[]", room)
        maps = ffi.new("unsigned char[]", room * size)
        count = self._call(lib.virDomainGetVcpus, out, room, maps, size)
        return [
            VcpuInfo(
                vcpu.number,
                VcpuState(vcpu.state),
                vcpu.cpuTime,
                VcpuHostCpuState(vcpu.cpu) if vcpu.cpu < 0 else vcpu.cpu,
                cpu_numbers(maps + i * size, size),
            )
            for i, vcpu in enumerate(ffi.unpack(out, count))
        ]

    def pinning(self, *, flags: DomainModificationImpact = _CURRENT) -> list[frozenset[int]]:
        """Return the host CPUs that each vCPU may run on, up to the maximum number of vCPUs.

        (virDomainGetVcpuPinInfo)
        """
        room, size = self.count(flags=DomainVcpuFlags.MAXIMUM | DomainVcpuFlags(flags)), self._map_size()
        maps = ffi.new("unsigned char[]", room * size)
        count = self._call(lib.virDomainGetVcpuPinInfo, room, maps, size, flags)
        return [cpu_numbers(maps + i * size, size) for i in range(count)]

    def pin(self, vcpu: int, cpus: Iterable[int], *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Pin a vCPU to *cpus*, numbers of host CPUs.  (virDomainPinVcpuFlags)

        :raises InvalidArgumentError: no such vCPU, or none of *cpus* exists
        """
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinVcpuFlags, vcpu, bits, len(bits), flags)

    def pin_live(self, vcpu: int, cpus: Iterable[int]) -> None:
        """Pin a vCPU of a running domain, also in drivers that do not accept flags.  (virDomainPinVcpu)

        :raises OperationInvalidError: the domain is not running
        """
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinVcpu, vcpu, bits, len(bits))

    def emulator_pinning(self, *, flags: DomainModificationImpact = _CURRENT) -> frozenset[int] | None:
        """Return the host CPUs that the emulator's other threads may run on.  (virDomainGetEmulatorPinInfo)

        ``None`` if the driver reports that they are not pinned; most drivers return all CPUs in that case.
        """
        size = self._map_size()
        bits = ffi.new("unsigned char[]", size)
        pinned = self._call(lib.virDomainGetEmulatorPinInfo, bits, size, flags)
        return cpu_numbers(bits, size) if pinned else None

    def pin_emulator(self, cpus: Iterable[int], *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Pin the emulator's other threads to *cpus*.  (virDomainPinEmulator)"""
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinEmulator, bits, len(bits), flags)

    def _map_size(self) -> int:
        """Return the size in bytes of a bitmap of the host's CPUs."""
        return self._conn._call(lib.virNodeGetCPUMap, ffi.NULL, ffi.NULL, 0) + 7 >> 3

    # ---- in the guest, by its agent ----

    def guest(self) -> GuestVcpus:
        """Return which vCPUs the guest uses, as its agent reports.  (virDomainGetGuestVcpus)

        :raises AgentUnresponsiveError: there is no agent
        """
        found = self._call_params(lib.virDomainGetGuestVcpus, 0, count_type="unsigned int *")
        return GuestVcpus(*(_numbers(str(found.get(name, ""))) for name in GuestVcpus.__slots__))

    def set_guest_online(self, vcpus: Iterable[int], online: bool) -> None:
        """Set by the agent whether the guest uses certain vCPUs.  (virDomainSetGuestVcpus)

        :param vcpus: numbers as in :meth:`guest`
        :raises AgentUnresponsiveError: there is no agent
        """
        self._call(lib.virDomainSetGuestVcpus, _text(vcpus), bool(online), 0)
