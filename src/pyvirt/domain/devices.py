# SPDX-License-Identifier: LGPL-2.1-or-later
"""``dom.devices``: plugging in and out."""

from __future__ import annotations

from pyvirt._convert import encode
from pyvirt._lib import lib
from pyvirt.domain._part import Part
from pyvirt.enums.domain import DeviceModify
from pyvirt.errors import check


class Devices(Part):
    """The devices of a domain.

    ``flags`` choose the configuration that changes: the running one (``LIVE``), the stored one (``CONFIG``), both, or,
    by default, the running one of a domain that runs and the stored one of any other.
    """

    __slots__ = ()

    def attach(self, xml: str, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Attach a device.  (virDomainAttachDeviceFlags)

        :param xml: one device element, ``<disk>…</disk>``
        :raises XMLError: *xml* is no XML, or no device
        :raises OperationInvalidError: the domain is not in the state that *flags* need
        """
        check(lib.virDomainAttachDeviceFlags(self._ptr, encode(xml), flags))

    def detach(self, xml: str, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Detach a device.  (virDomainDetachDeviceFlags)

        A running guest is asked to let go of it, and QEMU's driver waits for some seconds; the device is gone when it
        has left the running configuration.  A guest without an operating system keeps what sits on PCI.

        :param xml: the device element, with as much of it as tells it from the others
        :raises DeviceNotFoundError: no such device
        """
        check(lib.virDomainDetachDeviceFlags(self._ptr, encode(xml), flags))

    def detach_alias(self, alias: str, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Detach the device of that alias.  (virDomainDetachDeviceAlias)

        A running guest is only asked, as in :meth:`detach`.

        :param alias: ``"net0"``, as in ``<alias name='net0'/>``
        """
        check(lib.virDomainDetachDeviceAlias(self._ptr, encode(alias), flags))

    def update(self, xml: str, *, flags: DeviceModify = DeviceModify.CURRENT) -> None:
        """Change a device: other media in a drive, another link state, …  (virDomainUpdateDeviceFlags)

        :param xml: the whole element as it shall be; what it leaves out is taken for its default
        :param flags: with ``FORCE`` the media of a locked drive changes too
        :raises NotSupportedError: that cannot change while the domain runs
        """
        check(lib.virDomainUpdateDeviceFlags(self._ptr, encode(xml), flags))

    def hotplug(self, xml: str) -> None:
        """Attach a device to the running domain, also in drivers that know no flags.  (virDomainAttachDevice)

        :raises OperationInvalidError: it does not run
        """
        check(lib.virDomainAttachDevice(self._ptr, encode(xml)))

    def hotunplug(self, xml: str) -> None:
        """Detach a device from the running domain, also in drivers that know no flags.  (virDomainDetachDevice)

        :raises OperationInvalidError: it does not run
        """
        check(lib.virDomainDetachDevice(self._ptr, encode(xml)))
