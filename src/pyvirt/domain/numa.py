# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.numa``: the NUMA nodes that a domain's memory comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import INT, STRING, Params
from pyvirt.domain._part import Part
from pyvirt.enums import params
from pyvirt.enums.domain import DomainModificationImpact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue

_CURRENT = DomainModificationImpact.CURRENT
_PARAMETERS = {params.DOMAIN_NUMA_MODE: INT, params.DOMAIN_NUMA_NODESET: STRING}


class Numa(Part):
    """The NUMA nodes of the host that a domain's memory comes from.

    ``numa_mode`` is a :class:`~pyvirt.enums.DomainNumatuneMemMode`, ``numa_nodeset`` a text: ``"0-3,5"``.
    """

    __slots__ = ()

    def parameters(self, *, flags: DomainModificationImpact = _CURRENT) -> dict[str, TypedValue]:
        """Return the mode and the nodes.  (virDomainGetNumaParameters)

        :raises OperationInvalidError: the domain is running, but not in a control group
        """
        return self._fill_params(lib.virDomainGetNumaParameters, flags)

    def set_parameters(
        self,
        values: Mapping[str, TypedValue] | None = None,
        /,
        *,
        flags: DomainModificationImpact = _CURRENT,
        **more: TypedValue,
    ) -> None:
        """Set the nodes or the mode.  (virDomainSetNumaParameters)

        :raises OperationInvalidError: the mode of a running domain cannot change, and its nodes only if the mode is
            ``RESTRICTIVE``
        """
        with Params({**(values or {}), **more}, _PARAMETERS) as array:
            self._call(lib.virDomainSetNumaParameters, array.pointer, array.count, flags)
