# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.perf``: the performance events that the host's CPUs count for a domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import BOOLEAN, Params
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DomainModificationImpact

if TYPE_CHECKING:
    from collections.abc import Mapping

_CURRENT = DomainModificationImpact.CURRENT


class Perf(Part):
    """The performance events of a domain, which ``conn.domains.stats(StatsGroup.PERF)`` then counts.

    Names are :mod:`pyvirt.enums.params`' ``PERF_PARAM_…``.
    """

    __slots__ = ()

    def events(self, *, flags: DomainModificationImpact = _CURRENT) -> dict[str, bool]:
        """Return which events are counted.  (virDomainGetPerfEvents)"""
        found = self._call_params(lib.virDomainGetPerfEvents, flags)
        return {name: bool(counted) for name, counted in found.items()}

    def set_events(
        self,
        values: Mapping[str, bool] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: bool,
    ) -> None:
        """Set which events are counted: ``cpu_cycles=True``.  (virDomainSetPerfEvents)

        :raises NotSupportedError: no such event
        :raises Error: the host's kernel or CPU cannot count such an event
        """
        events = {**(values or {}), **more}
        with Params(events, dict.fromkeys(events, BOOLEAN)) as array:
            self._call(lib.virDomainSetPerfEvents, array.pointer, array.count, flags)
