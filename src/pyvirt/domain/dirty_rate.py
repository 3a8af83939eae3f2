# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.dirty_rate``: how fast a guest writes to its memory, which decides whether a live migration can end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt.domain._part import Part
from pyvirt.enums.domain import StatsGroup
from pyvirt.enums.domain_job import DomainDirtyRateCalcFlags

if TYPE_CHECKING:
    from pyvirt._core.params import TypedValue


class DirtyRate(Part):
    """A measurement of how fast a guest writes to its memory."""

    __slots__ = ()

    def start(
        self, seconds: int = 1, *, flags: DomainDirtyRateCalcFlags = DomainDirtyRateCalcFlags.PAGE_SAMPLING
    ) -> None:
        """Start a measurement, and return at once.  (virDomainStartDirtyRateCalc)

        :param seconds: the duration of the measurement, 1 to 60
        :param flags: how to measure
        :raises OperationInvalidError: the domain is not running
        """
        self._call(lib.virDomainStartDirtyRateCalc, seconds, flags)

    def stats(self) -> dict[str, TypedValue]:
        """Return the result of the latest measurement, or that it is still running.  (virDomainListGetStats)

        ``dirtyrate.calc_status`` is a :class:`~pyvirt.enums.DomainDirtyRateStatus`; with ``MEASURED`` there is
        ``dirtyrate.megabytes_per_second``.
        """
        (found,) = self._conn.domains.stats(StatsGroup.DIRTYRATE, domains=[self._domain]).to_dicts()
        return found
