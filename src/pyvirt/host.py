# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.host``: the machine a hypervisor runs on."""

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
_MOST_CELLS = 1024  # REMOTE_NODE_MAX_CELLS: the daemon refuses to be asked for more at once

# The others tell, and cannot be set.
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
    """Return page sizes as libvirt takes them."""
    sizes = list(sizes)
    for size in sizes:
        if size % 1024 or not 0 < size >> 10 < 1 << 32:
            raise InvalidArgumentError(f"no page has {size} bytes")
    return [size >> 10 for size in sizes]


class Host:
    """The machine a hypervisor runs on, and what libvirt says of it.

    Calls that a driver lacks raise :class:`~pyvirt.errors.OperationUnsupportedError`.
    """

    __slots__ = ("_conn",)

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def __repr__(self) -> str:
        return f"<pyvirt.Host of {self._conn!r}>"

    # ---- what it is ----

    def hostname(self) -> str:
        """Return its name, fully qualified where it has a domain.  (virConnectGetHostname)"""
        return self._conn._call_string(lib.virConnectGetHostname)

    def info(self) -> NodeInfo:
        """Return its memory and CPUs at a glance.  (virNodeGetInfo)"""
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
        """Return its make in detail, and the kinds of guests it runs; ``.xml`` is the text.

        (virConnectGetCapabilities)
        """
        return Capabilities.parse(self._conn._call_string(lib.virConnectGetCapabilities))

    def sysinfo(self) -> str:
        """Return what its firmware says of it, as a ``<sysinfo>`` document.  (virConnectGetSysinfo)

        :raises NotSupportedError: the daemon may not read it, or there is none
        """
        return self._conn._call_string(lib.virConnectGetSysinfo, 0)

    def security_model(self) -> SecurityModel:
        """Return what keeps its guests apart, the first where there are several.  (virNodeGetSecurityModel)"""
        out = ffi.new("virSecurityModel *")
        self._conn._call(lib.virNodeGetSecurityModel, out)
        return SecurityModel(decode(out.model), decode(out.doi))

    def sev_info(self) -> dict[str, TypedValue]:
        """Return what guests with AMD's encrypted memory need to know.  (virNodeGetSEVInfo)

        :raises OperationUnsupportedError: it has no such CPU, or its QEMU no support
        """
        return self._conn._call_params(lib.virNodeGetSEVInfo, 0)

    # ---- CPUs ----

    def cpu_map(self) -> NodeCPUMap:
        """Return how many CPUs there are, and which are online.  (virNodeGetCPUMap)"""
        bitmap = ffi.new("unsigned char **")
        online = ffi.new("unsigned int *")
        try:
            present = self._conn._call(lib.virNodeGetCPUMap, bitmap, online, 0)
            # A driver in this process makes the bitmap no longer than its last bit needs.
            return NodeCPUMap(present, cpu_numbers(bitmap[0], (present + 7) // 8, online[0]))
        finally:
            lib.free(bitmap[0])

    def cpu_stats(self, cpu: int | None = None) -> dict[str, int]:
        """Return the time that CPUs spent since boot, by what they did.  (virNodeGetCPUStats)

        Nanoseconds for ``"user"``, ``"kernel"``, ``"idle"``, ``"iowait"``, ``"intr"``; some drivers know only
        ``"utilization"``, in percent.

        :param cpu: the number of one CPU; ``None`` for the sum of all
        :raises InvalidArgumentError: no such CPU
        """
        number = _ALL if cpu is None else cpu
        return _named_values(self._conn, "virNodeCPUStats", lib.virNodeGetCPUStats, number)

    def cpu_models(self, arch: str) -> list[str]:
        """Return the CPU models that libvirt knows; none means that it takes any.  (virConnectGetCPUModelNames)

        :param arch: ``"x86_64"``
        :raises InvalidArgumentError: no such architecture
        """
        out = ffi.new("char ***")
        count = self._conn._call(lib.virConnectGetCPUModelNames, encode(arch), out, 0)
        return take_strings(out[0], count)

    def compare_cpu(self, xml: XML, *, flags: ConnectCompareCPUFlags = ConnectCompareCPUFlags(0)) -> CPUCompareResult:
        """Return whether this host's CPU can stand in for another.  (virConnectCompareCPU)

        :param xml: a ``<cpu>``, as in the capabilities of a host or in a domain
        :raises Error: with ``FAIL_INCOMPATIBLE``, in place of ``INCOMPATIBLE``: the message says why
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
        """Return whether the CPU that a hypervisor gives here can stand in for another.

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
        """Return the best ``<cpu>`` that several hosts have in common.  (virConnectBaselineCPU)

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
        """Return the best ``<cpu>`` that a hypervisor can give to guests on several hosts.

        (virConnectBaselineHypervisorCPU)

        :param xmls: a ``<cpu>`` for each host, best made of the ``host-model`` in its domain capabilities
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
        """Return how many bytes are free.  (virNodeGetFreeMemory)"""
        free: int = self._conn._call_nonzero(lib.virNodeGetFreeMemory)
        return free

    def cells_free_memory(self, start_cell: int = 0, max_cells: int = _MOST_CELLS) -> dict[int, int]:
        """Return how many bytes are free on each NUMA cell, by the cell's number.  (virNodeGetCellsFreeMemory)

        :param max_cells: how many to ask for; a daemon takes no more than 1024
        """
        out = ffi.new("unsigned long long[]", max(max_cells, 0))
        count = self._conn._call(lib.virNodeGetCellsFreeMemory, out, start_cell, max_cells)
        return {start_cell + i: out[i] for i in range(count)}

    def memory_stats(self, cell: int | None = None) -> dict[str, int]:
        """Return how memory is used: ``"total"``, ``"free"``, ``"buffers"``, ``"cached"``, in bytes.

        (virNodeGetMemoryStats)

        :param cell: the number of one NUMA cell; ``None`` for the whole host.  ``"free"`` of the whole host may
            count buffers and caches in, and a cell may lack these two
        :raises InvalidArgumentError: no such cell
        """
        number = _ALL if cell is None else cell
        stats = _named_values(self._conn, "virNodeMemoryStats", lib.virNodeGetMemoryStats, number)
        return {name: kib << 10 for name, kib in stats.items()}

    def memory_parameters(self) -> dict[str, TypedValue]:
        """Return how the kernel merges equal pages (KSM), and its success.  (virNodeGetMemoryParameters)

        Names are :mod:`pyvirt.enums.params`' ``NODE_MEMORY_SHARED_…``; counts are pages, ``shm_sleep_millisecs`` is
        milliseconds.
        """
        return self._conn._fill_params(lib.virNodeGetMemoryParameters, 0)

    def set_memory_parameters(self, values: Mapping[str, TypedValue] | None = None, /, **more: TypedValue) -> None:
        """Change how the kernel merges equal pages: ``shm_pages_to_scan=200``.  (virNodeSetMemoryParameters)

        :raises NotSupportedError: no such parameter, or none that can be set
        """
        with Params({**(values or {}), **more}, _MEMORY_PARAMETERS) as array:
            self._conn._call(lib.virNodeSetMemoryParameters, array.pointer, array.count, 0)

    # ---- memory pages ----

    def free_pages(self, page_sizes: Iterable[int]) -> dict[int, int]:
        """Return how many pages are free on the whole host, by their size in bytes.  (virNodeGetFreePages)

        :param page_sizes: bytes; ``capabilities().host.cpu.page_sizes`` are those there are
        """
        cells = self._free_pages(page_sizes, _ALL, 1)
        return cells.get(_ALL, {})

    def cells_free_pages(
        self, page_sizes: Iterable[int], start_cell: int = 0, max_cells: int | None = None
    ) -> dict[int, dict[int, int]]:
        """Return how many pages are free on each NUMA cell: ``{cell: {size: pages}}``.  (virNodeGetFreePages)

        :param page_sizes: bytes
        :param max_cells: how many to ask for; a daemon takes no more than 1024 by the number of sizes, which is
            what ``None`` stands for
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
        """Reserve huge pages, and return on how many NUMA cells that was done.  (virNodeAllocPages)

        :param pages: how many by their size in bytes: ``{2 << 20: 512}``
        :param start_cell: the first of *cell_count* cells that each get so many; ``None`` spreads them over all
        :param flags: ``ADD`` to what is reserved already, or ``SET`` the number
        :raises OperationFailedError: the kernel found fewer; those stay reserved
        """
        sizes = _kib(pages)
        first = _ALL if start_cell is None else start_cell
        return self._conn._call(
            lib.virNodeAllocPages, len(sizes), sizes, list(pages.values()), first, cell_count, flags
        )

    # ---- guests ----

    def max_vcpus(self, type: str | None = None) -> int:
        """Return how many vCPUs a guest may have; its machine type may allow fewer.  (virConnectGetMaxVcpus)

        :param type: of domain, ``"kvm"`` or ``"qemu"``
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
        """Return what a hypervisor offers to guests; ``.xml`` is the text.  (virConnectGetDomainCapabilities)

        What is not given is chosen as it would be for a new domain.

        :param emulator: a path on the host
        :param virttype: the type of domain, ``"kvm"`` or ``"qemu"``
        :raises InvalidArgumentError: there is no such combination
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
        """Make the host sleep, a moment from now.  (virNodeSuspendForDuration)

        :param duration: seconds until its clock wakes it, at least 60
        :raises NotSupportedError: it cannot sleep like that
        """
        self._conn._call(lib.virNodeSuspendForDuration, target, duration, 0)
