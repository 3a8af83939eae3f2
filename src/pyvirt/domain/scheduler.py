# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.scheduler``: a domain's share of the host's CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import INT, LLONG, UINT, ULLONG, Params
from pyvirt.domain._part import Part
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue

_CURRENT = DomainModificationImpact.CURRENT

_PARAMETERS = {
    params.DOMAIN_SCHEDULER_CPU_SHARES: ULLONG,
    params.DOMAIN_SCHEDULER_GLOBAL_PERIOD: ULLONG,
    params.DOMAIN_SCHEDULER_GLOBAL_QUOTA: LLONG,
    params.DOMAIN_SCHEDULER_VCPU_PERIOD: ULLONG,
    params.DOMAIN_SCHEDULER_VCPU_QUOTA: LLONG,
    params.DOMAIN_SCHEDULER_EMULATOR_PERIOD: ULLONG,
    params.DOMAIN_SCHEDULER_EMULATOR_QUOTA: LLONG,
    params.DOMAIN_SCHEDULER_IOTHREAD_PERIOD: ULLONG,
    params.DOMAIN_SCHEDULER_IOTHREAD_QUOTA: LLONG,
    params.DOMAIN_SCHEDULER_WEIGHT: UINT,
    params.DOMAIN_SCHEDULER_CAP: UINT,
    params.DOMAIN_SCHEDULER_RESERVATION: LLONG,
    params.DOMAIN_SCHEDULER_LIMIT: LLONG,
    params.DOMAIN_SCHEDULER_SHARES: INT,
}


class Scheduler(Part):
    """Shares and limits for a domain's use of the host's CPUs.

    Names are :mod:`pyvirt.enums.params`' ``DOMAIN_SCHEDULER_…``: periods and quotas are microseconds, and a
    negative quota means no limit; shares and weights are relative to those of other domains.
    """

    __slots__ = ()

    def type(self) -> str:
        """Return the type of scheduler: ``"posix"``, ``"credit"``, ``"allocation"``, …  (virDomainGetSchedulerType)

        :raises OperationInvalidError: the domain is running, but not in a control group
        """
        return self._call_string(lib.virDomainGetSchedulerType, ffi.NULL)

    def _count(self) -> int:
        """Return the number of parameters, which no other function returns."""
        count = ffi.new("int *")
        self._call_string(lib.virDomainGetSchedulerType, count)
        return int(count[0])

    def parameters(self, *, flags: DomainModificationImpact = _CURRENT) -> dict[str, TypedValue]:
        """Return shares, periods and quotas.  (virDomainGetSchedulerParametersFlags, virDomainGetSchedulerType)

        :raises OperationInvalidError: the domain is running, but not in a control group
        """
        return self._fill_params(lib.virDomainGetSchedulerParametersFlags, flags, room=self._count())

    def basic_parameters(self) -> dict[str, TypedValue]:
        """Return the same, also in drivers that do not accept flags.

        (virDomainGetSchedulerParameters, virDomainGetSchedulerType)
        """
        return self._fill_params(lib.virDomainGetSchedulerParameters, room=self._count())

    def set_parameters(
        self,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: TypedValue,
    ) -> None:
        """Set some of them: ``vcpu_quota=50_000``.  (virDomainSetSchedulerParametersFlags)

        :raises InvalidArgumentError: a value is out of range
        """
        with Params({**(values or {}), **more}, _PARAMETERS) as array:
            self._call(lib.virDomainSetSchedulerParametersFlags, array.pointer, array.count, flags)

    def set_basic_parameters(self, values: Mapping[str, TypedValue] | None = None, /, **more: TypedValue) -> None:
        """Set some of them, also in drivers that do not accept flags.  (virDomainSetSchedulerParameters)"""
        with Params({**(values or {}), **more}, _PARAMETERS) as array:
            self._call(lib.virDomainSetSchedulerParameters, array.pointer, array.count)
