# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.launch_security``: guests whose memory is a secret to their host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import Params
from pyvirt.domain._part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue


class LaunchSecurity(Part):
    """What the owner of such a guest checks and hands over while it is started but still paused.

    Names are :mod:`pyvirt.enums.params`' ``DOMAIN_LAUNCH_SECURITY_…``.
    """

    __slots__ = ()

    def info(self) -> dict[str, TypedValue]:
        """Return how the guest was launched: AMD SEV's measurement, policy, …  (virDomainGetLaunchSecurityInfo)

        Empty where nothing protects its memory.

        :raises OperationInvalidError: it does not run
        """
        return self._call_params(lib.virDomainGetLaunchSecurityInfo, 0)

    def set_state(self, values: Mapping[str, TypedValue]) -> None:
        """Put a secret into the memory of a paused guest.  (virDomainSetLaunchSecurityState)

        If it fails, libvirt advises to destroy the guest.

        :param values: ``{"sev-secret-header": …, "sev-secret": …}``, and where to, by default where the firmware says
        """
        with Params(values) as array:
            self._call(lib.virDomainSetLaunchSecurityState, array.pointer, array.count, 0)
