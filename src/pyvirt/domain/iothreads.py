# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.iothreads``: threads that perform the input and output of disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.cpumaps import cpu_map, cpu_numbers
from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import INT, UINT, ULLONG, Params
from pyvirt.domain._part import Part, take_array
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact
from pyvirt.models import IOThreadInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue

_CURRENT = DomainModificationImpact.CURRENT

_PARAMETERS = {
    params.DOMAIN_IOTHREAD_POLL_MAX_NS: ULLONG,
    params.DOMAIN_IOTHREAD_POLL_GROW: UINT,
    params.DOMAIN_IOTHREAD_POLL_SHRINK: UINT,
    params.DOMAIN_IOTHREAD_THREAD_POOL_MIN: INT,
    params.DOMAIN_IOTHREAD_THREAD_POOL_MAX: INT,
}


class IOThreads(Part):
    """The I/O threads of a domain: numbers from 1, which its disks name in their configuration.

    ``flags`` choose the configuration, as in ``dom.devices``.
    """

    __slots__ = ()

    def list(self, *, flags: DomainModificationImpact = _CURRENT) -> list[IOThreadInfo]:
        """Return all of them, each with the host CPUs that it may run on.  (virDomainGetIOThreadInfo)"""
        out = ffi.new("virDomainIOThreadInfoPtr **")
        count = self._call(lib.virDomainGetIOThreadInfo, out, flags)
        return take_array(out[0], count, _thread, lib.virDomainIOThreadInfoFree)

    def add(self, id: int, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Add an I/O thread.  (virDomainAddIOThread)

        :param id: a number that is not in use
        """
        self._call(lib.virDomainAddIOThread, id, flags)

    def remove(self, id: int, *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Remove an I/O thread that no disk uses.  (virDomainDelIOThread)"""
        self._call(lib.virDomainDelIOThread, id, flags)

    def pin(self, id: int, cpus: Iterable[int], *, flags: DomainModificationImpact = _CURRENT) -> None:
        """Pin an I/O thread to *cpus*, numbers of host CPUs.  (virDomainPinIOThread)"""
        bits = cpu_map(cpus)
        self._call(lib.virDomainPinIOThread, id, bits, len(bits), flags)

    def set_parameters(
        self,
        id: int,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: TypedValue,
    ) -> None:
        """Set how an I/O thread polls and its pool of threads: ``poll_max_ns=32768``.  (virDomainSetIOThreadParams)

        Names are :mod:`pyvirt.enums.params`' ``DOMAIN_IOTHREAD_…``.
        """
        with Params({**(values or {}), **more}, _PARAMETERS) as array:
            self._call(lib.virDomainSetIOThreadParams, id, array.pointer, array.count, flags)


def _thread(info: CData) -> IOThreadInfo:
    return IOThreadInfo(info.iothread_id, cpu_numbers(info.cpumap, info.cpumaplen))
