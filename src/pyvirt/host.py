# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.host``: the machine that a hypervisor runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pyvirt._core.cpumaps import cpu_numbers
from pyvirt._core.document import encode_xml, xml_text
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import UINT, Params
from pyvirt._core.text import decode, encode, encode_or_null, string_array, take_strings
from pyvirt.capabilities import Capabilities, DomainCapabilities
from pyvirt.enums import params
from pyvirt.enums.host import (
    ConnectBaselineCPUFlags,
    ConnectCompareCPUFlags,
    ConnectGetDomainCapabilitiesFlags,
    CPUCompareResult,
    NodeAllocPagesFlags,
    NodeSuspendTarget,
)
from pyvirt.errors import InvalidArgumentError
from pyvirt.models import NodeCPUMap, NodeInfo, SecurityModel

if TYPE_CHECKING:
    from pyvirt._core.params import TypedValue
    from pyvirt.connection import Connection
    from pyvirt.xmldesc import XML

_ALL = -1  # of virNodeGetCPUStats, virNodeGetMemoryStats, virNodeGetFreePages, virNodeAllocPages
_MOST_CELLS = 1024  # REMOTE_NODE_MAX_CELLS: the daemon rejects a request for more

# The others are read-only.
_MEMORY_PARAMETERS = {
    params.NODE_MEMORY_SHARED_PAGES_TO_SCAN: UINT,
    params.NODE_MEMORY_SHARED_SLEEP_MILLISECS: UINT,
    params.NODE_MEMORY_SHARED_MERGE_ACROSS_NODES: UINT,
}


def _named_values(conn: Connection, ctype: str, function: Callable[..., int], number: int) -> dict[str, int]:
    """Return the values that *function* writes; called with NULL it writes how many there are."""
    count = ffi.new("int *")
    conn._call(function, number, ffi.NULL, count, 0)
    room = count[0]
    if not room:
        return {}
    values = ffi.new(f"{ctype}[]", room)
    conn._call(function, number, values, count, 0)
    return {decode(values[i].field): values[i].value for i in range(min(count[0], room))}


def _kib(sizes: Iterable[int]) -> list[int]:
    """Return page sizes as libvirt takes them, in KiB."""
    sizes = list(sizes)
    for size in sizes:
        if size % 1024 or not 0 < size >> 10 < 1 << 32:
            raise InvalidArgumentError(f"invalid page size: {size} bytes")
    return [size >> 10 for size in sizes]


class Host:
    """The machine that a hypervisor runs on.

    Calls that the driver lacks raise :class:`~pyvirt.errors.OperationUnsupportedError`.
    """

    __slots__ = ("_conn",)

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def __repr__(self) -> str:
        return f"<pyvirt.Host of {self._conn!r}>"

    # ---- what it is ----

    def hostname(self) -> str:
        """Return its name, fully qualified if it has a DNS domain.  (virConnectGetHostname)"""
        return self._conn._call_string(lib.virConnectGetHostname)

    def info(self) -> NodeInfo:
        """Return a summary of its memory and CPUs.  (virNodeGetInfo)"""
        out = ffi.new("virNodeInfo *")
        self._conn._call(lib.virNodeGetInfo, out)
        return NodeInfo(
            model=decode(out.model),
            memory=out.memory << 10,
            cpus=out.cpus,
            mhz=out.mhz,
            nodes=out.nodes,
            sockets=out.sockets,
            cores=out.cores,
            threads=out.threads,
        )

    def capabilities(self) -> Capabilities:
        """Return its hardware in detail, and the kinds of guests that it runs; ``.xml`` is the text.

        (virConnectGetCapabilities)
        """
        return Capabilities.parse(self._conn._call_string(lib.virConnectGetCapabilities))

    def sysinfo(self) -> str:
        """Return its firmware's description of the machine, a ``<sysinfo>`` document.  (virConnectGetSysinfo)

        :raises NotSupportedError: the daemon cannot read it, or there is none
        """
        return self._conn._call_string(lib.virConnectGetSysinfo, 0)

    def security_model(self) -> SecurityModel:
        """Return the security model that isolates its guests, the first one of several.  (virNodeGetSecurityModel)"""
        out = ffi.new("virSecurityModel *")
        self._conn._call(lib.virNodeGetSecurityModel, out)
        return SecurityModel(decode(out.model), decode(out.doi))

    def sev_info(self) -> dict[str, TypedValue]:
        """Return the parameters for guests with AMD's encrypted memory (SEV).  (virNodeGetSEVInfo)

        :raises OperationUnsupportedError: its CPU or its QEMU does not support SEV
        """
        return self._conn._call_params(lib.virNodeGetSEVInfo, 0)

    # ---- CPUs ----

    def cpu_map(self) -> NodeCPUMap:
        """Return the number of CPUs, and which of them are online.  (virNodeGetCPUMap)"""
        bitmap = ffi.new("unsigned char **")
        online = ffi.new("unsigned int *")
        try:
            present = self._conn._call(lib.virNodeGetCPUMap, bitmap, online, 0)
            # A driver in this process makes the bitmap only as long as its last set bit requires.
            return NodeCPUMap(present, cpu_numbers(bitmap[0], (present + 7) // 8, online[0]))
        finally:
            lib.free(bitmap[0])

    def cpu_stats(self, cpu: int | None = None) -> dict[str, int]:
        """Return the time that CPUs have spent since boot, by activity.  (virNodeGetCPUStats)

        Nanoseconds for ``"user"``, ``"kernel"``, ``"idle"``, ``"iowait"``, ``"intr"``; some drivers return
        only ``"utilization"``, in percent.

        :param cpu: the number of one CPU; ``None`` for the sum of all
        :raises InvalidArgumentError: no such CPU
        """
        number = _ALL if cpu is None else cpu
        return _named_values(self._conn, "virNodeCPUStats", lib.virNodeGetCPUStats, number)

    def cpu_models(self, arch: str) -> list[str]:
        """Return the CPU models that libvirt knows; an empty list means that it accepts any.

        (virConnectGetCPUModelNames)

        :param arch: ``"x86_64"``
        :raises InvalidArgumentError: no such architecture
        """
        out = ffi.new("char ***")
        count = self._conn._call(lib.virConnectGetCPUModelNames, encode(arch), out, 0)
        return take_strings(out[0], count)

    def compare_cpu(self, xml: XML, *, flags: ConnectCompareCPUFlags = ConnectCompareCPUFlags(0)) -> CPUCompareResult:
        """Return whether this host's CPU has all features of another.  (virConnectCompareCPU)

        :param xml: a ``<cpu>``, as in the capabilities of a host or in a domain
        :raises Error: with ``FAIL_INCOMPATIBLE`` in flags, instead of ``INCOMPATIBLE``; the message has the reason
        """
        return CPUCompareResult(self._conn._call(lib.virConnectCompareCPU, encode_xml(xml), flags))

    def compare_hypervisor_cpu(
        self,
        xml: XML,
        *,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectCompareCPUFlags = ConnectCompareCPUFlags(0),
    ) -> CPUCompareResult:
        """Return whether the CPU that a hypervisor provides on this host has all features of another.

        (virConnectCompareHypervisorCPU)  Parameters as in :meth:`compare_cpu` and :meth:`domain_capabilities`.
        """
        result = self._conn._call(
            lib.virConnectCompareHypervisorCPU,
            encode_or_null(emulator),
            encode_or_null(arch),
            encode_or_null(machine),
            encode_or_null(virttype),
            encode_xml(xml),
            flags,
        )
        return CPUCompareResult(result)

    def baseline_cpu(self, xmls: Iterable[XML], *, flags: ConnectBaselineCPUFlags = ConnectBaselineCPUFlags(0)) -> str:
        """Return the ``<cpu>`` with all features that several hosts share.  (virConnectBaselineCPU)

        :param xmls: a ``<cpu>`` for each host
        """
        array, kept = string_array([*map(xml_text, xmls)])
        return self._conn._call_string(lib.virConnectBaselineCPU, array, len(kept), flags)

    def baseline_hypervisor_cpu(
        self,
        xmls: Iterable[XML],
        *,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectBaselineCPUFlags = ConnectBaselineCPUFlags(0),
    ) -> str:
        """Return the ``<cpu>`` with all features that a hypervisor can provide on several hosts.

        (virConnectBaselineHypervisorCPU)

        :param xmls: a ``<cpu>`` for each host, preferably the ``host-model`` of its domain capabilities
        """
        array, kept = string_array([*map(xml_text, xmls)])
        return self._conn._call_string(
            lib.virConnectBaselineHypervisorCPU,
            encode_or_null(emulator),
            encode_or_null(arch),
            encode_or_null(machine),
            encode_or_null(virttype),
            array,
            len(kept),
            flags,
        )

    # ---- memory ----

    def free_memory(self) -> int:
        """Return the free memory in bytes.  (virNodeGetFreeMemory)"""
        free: int = self._conn._call_nonzero(lib.virNodeGetFreeMemory)
        return free

    def cells_free_memory(self, start_cell: int = 0, max_cells: int = _MOST_CELLS) -> dict[int, int]:
        """Return the free bytes of each NUMA cell, by its number.  (virNodeGetCellsFreeMemory)

        :param max_cells: the number of cells; a daemon accepts at most 1024
        """
        out = ffi.new("unsigned long long[]", max(max_cells, 0))
        count = self._conn._call(lib.virNodeGetCellsFreeMemory, out, start_cell, max_cells)
        return {start_cell + i: out[i] for i in range(count)}

    def memory_stats(self, cell: int | None = None) -> dict[str, int]:
        """Return how memory is used: ``"total"``, ``"free"``, ``"buffers"``, ``"cached"``, in bytes.

        (virNodeGetMemoryStats)

        :param cell: the number of one NUMA cell; ``None`` for the whole host.  ``"free"`` of the whole host may
            include buffers and caches, and a cell may lack these two
        :raises InvalidArgumentError: no such cell
        """
        number = _ALL if cell is None else cell
        stats = _named_values(self._conn, "virNodeMemoryStats", lib.virNodeGetMemoryStats, number)
        return {name: kib << 10 for name, kib in stats.items()}

    def memory_parameters(self) -> dict[str, TypedValue]:
        """Return the settings and counters of KSM, which merges equal pages.  (virNodeGetMemoryParameters)

        Names are :mod:`pyvirt.enums.params`' ``NODE_MEMORY_SHARED_…``; counts are pages, ``shm_sleep_millisecs`` is
        milliseconds.
        """
        return self._conn._fill_params(lib.virNodeGetMemoryParameters, 0)

    def set_memory_parameters(self, values: Mapping[str, TypedValue] | None = None, /, **more: TypedValue) -> None:
        """Set how the kernel merges equal pages (KSM): ``shm_pages_to_scan=200``.  (virNodeSetMemoryParameters)

        :raises NotSupportedError: no such parameter, or it is read-only
        """
        with Params({**(values or {}), **more}, _MEMORY_PARAMETERS) as array:
            self._conn._call(lib.virNodeSetMemoryParameters, array.pointer, array.count, 0)

    # ---- memory pages ----

    def free_pages(self, page_sizes: Iterable[int]) -> dict[int, int]:
        """Return the number of free pages of the whole host, by their size in bytes.  (virNodeGetFreePages)

        :param page_sizes: bytes; ``capabilities().host.cpu.page_sizes`` has all sizes
        """
        cells = self._free_pages(page_sizes, _ALL, 1)
        return cells.get(_ALL, {})

    def cells_free_pages(
        self, page_sizes: Iterable[int], start_cell: int = 0, max_cells: int | None = None
    ) -> dict[int, dict[int, int]]:
        """Return the number of free pages of each NUMA cell: ``{cell: {size: pages}}``.  (virNodeGetFreePages)

        :param page_sizes: bytes
        :param max_cells: the number of cells; a daemon accepts at most 1024 divided by the number of sizes, which is
            the default
        """
        return self._free_pages(page_sizes, start_cell, max_cells)

    def _free_pages(
        self, page_sizes: Iterable[int], start_cell: int, max_cells: int | None
    ) -> dict[int, dict[int, int]]:
        sizes = _kib(page_sizes)
        width = len(sizes)
        if max_cells is None:
            max_cells = _MOST_CELLS // max(width, 1)
        counts = ffi.new("unsigned long long[]", width * max(max_cells, 0))
        filled = self._conn._call(lib.virNodeGetFreePages, width, sizes, start_cell, max_cells, counts, 0)
        return {
            start_cell + i // width: {sizes[j] << 10: counts[i + j] for j in range(width)}
            for i in range(0, filled, width)
        }

    def alloc_pages(
        self,
        pages: Mapping[int, int],
        start_cell: int | None = None,
        cell_count: int = 1,
        *,
        flags: NodeAllocPagesFlags = NodeAllocPagesFlags.ADD,
    ) -> int:
        """Reserve huge pages, and return the number of NUMA cells where that was done.  (virNodeAllocPages)

        :param pages: the number of pages by their size in bytes: ``{2 << 20: 512}``
        :param start_cell: the first of *cell_count* cells, each of which gets that number; ``None`` spreads it over all
        :param flags: ``ADD`` to the reserved pages, or ``SET`` their number
        :raises OperationFailedError: the kernel reserved fewer; they stay reserved
        """
        sizes = _kib(pages)
        first = _ALL if start_cell is None else start_cell
        return self._conn._call(
            lib.virNodeAllocPages, len(sizes), sizes, list(pages.values()), first, cell_count, flags
        )

    # ---- guests ----

    def max_vcpus(self, type: str | None = None) -> int:
        """Return the maximum number of vCPUs of a guest; its machine type may allow fewer.  (virConnectGetMaxVcpus)

        :param type: the type of domain, ``"kvm"`` or ``"qemu"``
        """
        return self._conn._call(lib.virConnectGetMaxVcpus, encode_or_null(type))

    def domain_capabilities(
        self,
        *,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectGetDomainCapabilitiesFlags = ConnectGetDomainCapabilitiesFlags(0),
    ) -> DomainCapabilities:
        """Return the features that a hypervisor offers to guests; ``.xml`` is the text.

        (virConnectGetDomainCapabilities)

        For a parameter that is not given, libvirt uses the default of a new domain.

        :param emulator: a path on the host
        :param virttype: the type of domain, ``"kvm"`` or ``"qemu"``
        :raises InvalidArgumentError: the hypervisor does not support this combination
        """
        xml = self._conn._call_string(
            lib.virConnectGetDomainCapabilities,
            encode_or_null(emulator),
            encode_or_null(arch),
            encode_or_null(machine),
            encode_or_null(virttype),
            flags,
        )
        return DomainCapabilities.parse(xml)

    # ---- power ----

    def suspend(self, target: NodeSuspendTarget, duration: int) -> None:
        """Suspend the host; this takes effect shortly after the call returns.  (virNodeSuspendForDuration)

        :param duration: seconds until its clock wakes the host, at least 60
        :raises NotSupportedError: the host does not support *target*
        """
        self._conn._call(lib.virNodeSuspendForDuration, target, duration, 0)
