# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.vcpus``: how many virtual CPUs there are, and which CPUs of the host they run on."""

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
    """Return what such a text says, which may also have ranges: ``0,2-3``."""
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

    # ---- how many ----

    def count(self, *, flags: DomainVcpuFlags = DomainVcpuFlags.CURRENT) -> int:
        """Return how many there are.  (virDomainGetVcpusFlags)

        :param flags: with ``MAXIMUM`` how many there can be, with ``GUEST`` how many the guest uses, as its agent says
        :raises OperationInvalidError: the domain is not in the state that *flags* need
        """
        return self._call(lib.virDomainGetVcpusFlags, flags)

    def max(self) -> int:
        """Return how many the running domain can have.  (virDomainGetMaxVcpus)

        Of one that does not run some drivers return how many any domain can have; others raise.
        """
        return self._call(lib.virDomainGetMaxVcpus)

    def set(self, count: int, *, flags: DomainVcpuFlags = DomainVcpuFlags.CURRENT) -> None:
        """Say how many there shall be.  (virDomainSetVcpusFlags)

        :param flags: with ``MAXIMUM`` how many there can be, in the stored configuration; with ``GUEST`` how many the
            guest shall use, by its agent; with ``HOTPLUGGABLE`` new ones can be unplugged again
        :raises InvalidArgumentError: more than there can be, or none at all
        """
        self._call(lib.virDomainSetVcpusFlags, count, flags)

    def set_live(self, count: int) -> None:
        """Say how many the running domain shall have, also in drivers that know no flags.  (virDomainSetVcpus)

        :raises OperationInvalidError: it does not run
        """
        self._call(lib.virDomainSetVcpus, count)

    def set_enabled(
        self, vcpus: Iterable[int], enabled: bool, *, flags: DomainSetVcpuFlags = DomainSetVcpuFlags.CURRENT
    ) -> None:
        """Plug certain ones in, or out.  (virDomainSetVcpu)

        :param vcpus: their numbers; drivers may take one at a time
        :raises InvalidArgumentError: no such vCPU, or one that cannot be spared
        """
        self._call(lib.virDomainSetVcpu, _text(vcpus), bool(enabled), flags)

    # ---- where ----

    def info(self) -> list[VcpuInfo]:
        """Return what each does and where.  (virDomainGetVcpus)

        :raises OperationInvalidError: the domain does not run
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
        """Return for each vCPU, there or not, the CPUs of the host that it may run on.  (virDomainGetVcpuPinInfo)"""
        room, size = self.count(flags=DomainVcpuFlags.MAXIMUM | DomainVcpuFlags(flags)), self._map_size()
        maps = ffi.new("unsigned char[]", room * size)
        count = self._call(lib.virDomainGetVcpuPinInfo, room, maps, size, flags)
        return [cpu_numbers(maps + i * size, size) for i in range(count)]

    def pin(self, vcpu: int, cpus: Iterable[int], *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Have a vCPU run on no other than *cpus*, numbers of the host's.  (virDomainPinVcpuFlags)

        :raises InvalidArgumentError: no such vCPU, or none of *cpus* is there
        """
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinVcpuFlags, vcpu, bits, len(bits), flags)

    def pin_live(self, vcpu: int, cpus: Iterable[int]) -> None:
        """Have a vCPU of the running domain run on no other, also in drivers that know no flags.  (virDomainPinVcpu)

        :raises OperationInvalidError: it does not run
        """
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinVcpu, vcpu, bits, len(bits))

    def emulator_pinning(self, *, flags: DomainModificationImpact = _CURRENT) -> frozenset[int] | None:
        """Return the CPUs of the host that the emulator's other threads may run on.  (virDomainGetEmulatorPinInfo)

        ``None`` where they are not pinned and the driver says so; most drivers return all CPUs then.
        """
        size = self._map_size()
        bits = ffi.new("unsigned char[]", size)
        pinned = self._call(lib.virDomainGetEmulatorPinInfo, bits, size, flags)
        return cpu_numbers(bits, size) if pinned else None

    def pin_emulator(self, cpus: Iterable[int], *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Have the emulator's other threads run on no other than *cpus*.  (virDomainPinEmulator)"""
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinEmulator, bits, len(bits), flags)

    def _map_size(self) -> int:
        """Return how many bytes a bitmap of the host's CPUs has."""
        return self._conn._call(lib.virNodeGetCPUMap, ffi.NULL, ffi.NULL, 0) + 7 >> 3

    # ---- as the guest sees them ----

    def guest(self) -> GuestVcpus:
        """Return which ones the guest uses, as its agent says.  (virDomainGetGuestVcpus)

        :raises AgentUnresponsiveError: there is no agent
        """
        found = self._call_params(lib.virDomainGetGuestVcpus, 0, count_type="unsigned int *")
        return GuestVcpus(*(_numbers(str(found.get(name, ""))) for name in GuestVcpus.__slots__))

    def set_guest_online(self, vcpus: Iterable[int], online: bool) -> None:
        """Have the guest use certain ones, or not, by its agent.  (virDomainSetGuestVcpus)

        :param vcpus: numbers as in :meth:`guest`
        :raises AgentUnresponsiveError: there is no agent
        """
        self._call(lib.virDomainSetGuestVcpus, _text(vcpus), bool(online), 0)
