# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.launch_security``: guests whose memory the host cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._core.params import Params
from pyvirt.domain._part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyvirt._core.params import TypedValue


class LaunchSecurity(Part):
    """The values that the owner of such a guest checks and sets while it is started but still paused.

    Names are :mod:`pyvirt.enums.params`' ``DOMAIN_LAUNCH_SECURITY_…``.
    """

    __slots__ = ()

    def info(self) -> dict[str, TypedValue]:
        """Return how the guest was launched: AMD SEV's measurement, policy, …  (virDomainGetLaunchSecurityInfo)

        The result is empty if the memory is not protected.

        :raises OperationInvalidError: the domain is not running
        """
        return self._call_params(lib.virDomainGetLaunchSecurityInfo, 0)

    def set_state(self, values: Mapping[str, TypedValue]) -> None:
        """Put a secret into the memory of a paused guest.  (virDomainSetLaunchSecurityState)

        If this fails, libvirt recommends to destroy the guest.

        :param values: ``{"sev-secret-header": …, "sev-secret": …}``, and optionally the address, by default one that
            the firmware chooses
        """
        with Params(values) as array:
            self._call(lib.virDomainSetLaunchSecurityState, array.pointer, array.count, 0)
