# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.cpu``: the time that a domain has used of the host's CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import to_dict
from pyvirt.domain._part import Part

if TYPE_CHECKING:
    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue

_TOTAL = -1
_MOST_CPUS = 128  # in one answer of a daemon


class DomainCPU(Part):
    """The time that a domain has used of the host's CPUs, in nanoseconds.

    Names are :mod:`pyvirt.enums.params`' ``DOMAIN_CPU_STATS_…``.
    """

    __slots__ = ()

    def total(self) -> dict[str, TypedValue]:
        """Return the sum over all CPUs.  (virDomainGetCPUStats)

        :raises OperationInvalidError: the domain is not running, or not in a control group
        """
        width = self._get_stats(ffi.NULL, 0, _TOTAL, 1)
        return self._read(width, _TOTAL, 1)[0]

    def per_cpu(self) -> dict[int, dict[str, TypedValue]]:
        """Return the times for each CPU, by the CPU's number.  (virDomainGetCPUStats)

        :raises OperationInvalidError: the domain is not running, or not in a control group
        :raises OperationUnsupportedError: the host's control groups do not report it, for example those of version 2
        """
        end = self._get_stats(ffi.NULL, 0, 0, 0)
        width = self._get_stats(ffi.NULL, 0, 0, 1)
        found: dict[int, dict[str, TypedValue]] = {}
        for first in range(0, end, _MOST_CPUS):
            figures = self._read(width, first, min(_MOST_CPUS, end - first))
            found.update((cpu, values) for cpu, values in enumerate(figures, first) if values)
        return found

    def _read(self, width: int, first: int, count: int) -> list[dict[str, TypedValue]]:
        out = ffi.new("virTypedParameter[]", width * count)
        filled = self._get_stats(out, width, first, count)
        try:
            return [to_dict(out + i * width, filled) for i in range(count)]
        finally:
            lib.virTypedParamsClear(out, width * count)

    def _get_stats(self, out: CData, width: int, first: int, count: int) -> int:
        return self._call(lib.virDomainGetCPUStats, out, width, first, count, 0)
