# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.blkio``: a domain's share of the host's disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import STRING, UINT, Params
from pyvirt.domain._part import Part
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue

_CURRENT = DomainModificationImpact.CURRENT

_PARAMETERS = {
    params.DOMAIN_BLKIO_WEIGHT: UINT,
    params.DOMAIN_BLKIO_DEVICE_WEIGHT: STRING,
    params.DOMAIN_BLKIO_DEVICE_READ_IOPS: STRING,
    params.DOMAIN_BLKIO_DEVICE_WRITE_IOPS: STRING,
    params.DOMAIN_BLKIO_DEVICE_READ_BPS: STRING,
    params.DOMAIN_BLKIO_DEVICE_WRITE_BPS: STRING,
}


class Blkio(Part):
    """Weights and limits for a domain's use of the host's disks.

    Names are :mod:`pyvirt.enums.params`' ``DOMAIN_BLKIO_…``.  ``weight`` is a number; values of names that begin with
    ``device_`` are texts of paths and numbers: ``"/dev/sda,500,/dev/sdb,300"``.
    """

    __slots__ = ()

    def parameters(self, *, flags: DomainModificationImpact = _CURRENT) -> dict[str, TypedValue]:
        """Return weights and limits.  (virDomainGetBlkioParameters)

        :raises OperationInvalidError: the domain is running, but not in a control group
        """
        return self._fill_params(lib.virDomainGetBlkioParameters, flags)

    def set_parameters(
        self,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: TypedValue,
    ) -> None:
        """Set some of them: ``weight=500``; 0 for a device means no limit.  (virDomainSetBlkioParameters)

        :raises InvalidArgumentError: a text is not a list of paths and numbers
        """
        with Params({**(values or {}), **more}, _PARAMETERS) as array:
            self._call(lib.virDomainSetBlkioParameters, array.pointer, array.count, flags)
