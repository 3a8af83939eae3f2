# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.node_devices``: the devices of the host as a tree; mediated devices and virtual HBAs can be created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core import codes
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import decode, encode, encode_or_null
from pyvirt._model.collection import RAISE
from pyvirt._model.object import Autostarting, KnownByName
from pyvirt._model.where import WhereCapable
from pyvirt.enums.nodedev import (
    ConnectListAllNodeDeviceFlags,
    NodeDeviceCreateXMLFlags,
    NodeDeviceDefineXMLFlags,
    NodeDeviceUpdateFlags,
    NodeDeviceXMLFlags,
)
from pyvirt.errors import Error, NodeDeviceNotFoundError
from pyvirt.xmldesc import parse

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt._model.collection import D
    from pyvirt.inventory import NodeDeviceInventory
    from pyvirt.xmldesc import XML

    NodeDeviceList: TypeAlias = list["NodeDevice"]  # in the collection below, list is a method
    NameList: TypeAlias = list[str]

_UNKNOWN = (codes.INTERNAL_ERROR, codes.FROM_NONE)  # the error for a failure for which the driver gives no reason


class NodeDevice(KnownByName, Autostarting[str]):
    """A device of the host, under the name that libvirt uses: ``"pci_0000_00_02_0"``."""

    __slots__ = ()

    _release = lib.pv_release_node_device
    _get_name = lib.virNodeDeviceGetName
    _get_autostart = lib.virNodeDeviceGetAutostart
    _set_autostart = lib.virNodeDeviceSetAutostart

    # ---- the tree ----

    def parent_name(self) -> str | None:
        """Return the name of its parent device, ``None`` at the top.

        (virNodeDeviceGetParent, and at the top virNodeDeviceGetXMLDesc)

        :raises NodeDeviceNotFoundError: it has been unplugged
        """
        name = lib.virNodeDeviceGetParent(self._ptr)
        if name:
            return decode(name)
        # NULL means the top, or any failure; drivers disagree on which of them is an error, and a daemon does not pass
        # the error on.
        return parse(self.xml_desc()).findtext("parent")

    def parent(self) -> NodeDevice | None:
        """Return its parent device, ``None`` at the top.  (virNodeDeviceGetParent, virNodeDeviceLookupByName)

        :raises NodeDeviceNotFoundError: one of the two has been unplugged
        """
        name = self.parent_name()
        return None if name is None else NodeDevices(self._conn)[name]

    def children(self) -> list[NodeDevice]:
        """Return its child devices.  (virConnectListAllNodeDevices, virNodeDeviceGetParent)

        This reads the parent of every device of the host; for the whole tree use :meth:`NodeDevices.tree`.
        """
        return NodeDevices(self._conn).tree().get(self.name, [])

    # ---- state ----

    def caps(self) -> list[str]:
        """Return its capabilities, ``["pci"]``.  (virNodeDeviceNumOfCaps, virNodeDeviceListCaps)"""
        return self._call_names(lib.virNodeDeviceNumOfCaps, lib.virNodeDeviceListCaps)

    def is_active(self) -> bool:
        """Return whether it is active; a mediated device may only be defined.  (virNodeDeviceIsActive)"""
        return self._call(lib.virNodeDeviceIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether it still exists after a reboot of the host.  (virNodeDeviceIsPersistent)"""
        return self._call(lib.virNodeDeviceIsPersistent) == 1

    # ---- the host's driver ----

    def detach(self, driver: str | None = None) -> None:
        """Detach it from its driver on the host, so that a guest can use it.

        (virNodeDeviceDetachFlags, which without a driver does what virNodeDeviceDettach does)

        :param driver: the driver to attach it to instead, ``"vfio"``; ``None`` leaves the choice to the hypervisor
        :raises NotSupportedError: the host cannot assign devices to guests, or not with that driver
        :raises InvalidArgumentError: it is not a PCI device
        """
        self._call(lib.virNodeDeviceDetachFlags, encode_or_null(driver), 0)

    def reattach(self) -> None:
        """Attach it to its driver on the host again.  (virNodeDeviceReAttach)

        :raises InvalidArgumentError: it is not a PCI device
        """
        self._call(lib.virNodeDeviceReAttach)

    def reset(self) -> None:
        """Reset it to its state after power-on, between two guests.  (virNodeDeviceReset)

        :raises InvalidArgumentError: it is not a PCI device
        """
        self._call(lib.virNodeDeviceReset)

    # ---- life ----

    def start(self) -> None:
        """Start a defined mediated device.  (virNodeDeviceCreate)

        :raises OperationInvalidError: it is already active
        """
        self._call(lib.virNodeDeviceCreate, 0)

    def destroy(self) -> None:
        """Stop a mediated device or remove a virtual HBA; its definition stays.  (virNodeDeviceDestroy)

        :raises NotSupportedError: it is a physical device
        :raises OperationInvalidError: it is not active
        """
        self._call(lib.virNodeDeviceDestroy)

    def undefine(self) -> None:
        """Delete the definition of a mediated device; an active one exists until it is stopped.

        (virNodeDeviceUndefine)

        :raises OperationInvalidError: it is not defined
        """
        self._call(lib.virNodeDeviceUndefine, 0)

    # ---- configuration ----

    def xml_desc(self, *, flags: NodeDeviceXMLFlags = NodeDeviceXMLFlags(0)) -> str:
        """Return its description: of the active device, or with ``INACTIVE`` as defined.  (virNodeDeviceGetXMLDesc)"""
        return self._call_string(lib.virNodeDeviceGetXMLDesc, flags)

    def update(self, xml: XML, *, flags: NodeDeviceUpdateFlags = NodeDeviceUpdateFlags.CURRENT) -> None:
        """Change a mediated device.  (virNodeDeviceUpdate)

        :param xml: the complete new device
        :param flags: what to change: the active device, its definition or both
        :raises NotSupportedError: before libvirt 10.1
        """
        self._call(lib.virNodeDeviceUpdate, encode_xml(xml), flags)


class NodeDevices(WhereCapable[NodeDevice]):
    """The devices of the host.

    ``for device in conn.node_devices``, ``len(conn.node_devices)``, ``conn.node_devices["pci_0000_00_02_0"]``.
    """

    __slots__ = ()
    _kind = NodeDevice
    _not_found = NodeDeviceNotFoundError
    _pointer = "virNodeDevicePtr"
    _flags = ConnectListAllNodeDeviceFlags
    _list_all = lib.virConnectListAllNodeDevices
    _look_up_by_name = lib.virNodeDeviceLookupByName

    def list(self, flags: ConnectListAllNodeDeviceFlags = ConnectListAllNodeDeviceFlags(0)) -> NodeDeviceList:
        """Return the devices that match *flags*, all without any.  (virConnectListAllNodeDevices)

        Several capabilities widen the list: ``CAP_NET | CAP_STORAGE`` selects network cards and disks.
        """
        return self._list(flags)

    def inventory(self) -> NodeDeviceInventory:
        """Return their names, in one round trip.

        (virConnectListAllNodeDevices)
        """
        from pyvirt.inventory import devices_of

        return devices_of(self._conn)

    def names(self, cap: str | None = None) -> NameList:
        """Return the names of the devices.  (virNodeNumOfDevices, virNodeListDevices)

        :param cap: only those with this capability, ``"net"``; an unknown capability matches none
        """
        before = (encode_or_null(cap),)
        return self._conn._call_names(lib.virNodeNumOfDevices, lib.virNodeListDevices, 0, before=before)

    def tree(self) -> dict[str | None, NodeDeviceList]:
        """Return the devices by the name of their parent; ``None`` is the key of those at the top.

        (virConnectListAllNodeDevices, virNodeDeviceGetParent)

        This takes one call for the list, and one for each device.
        """
        children: dict[str | None, NodeDeviceList] = {}
        for device in self._list(0):
            try:
                children.setdefault(device.parent_name(), []).append(device)
            except NodeDeviceNotFoundError:
                pass  # unplugged in the meantime
        return children

    def get(
        self,
        name: str | None = None,
        *,
        wwnn: str | None = None,
        wwpn: str | None = None,
        default: D = RAISE,
    ) -> NodeDevice | D:
        """Return one device by its name, or a SCSI host by its two world wide names.

        (virNodeDeviceLookupByName, virNodeDeviceLookupSCSIHostByWWN)

        :param wwnn: the world wide name of the node, as 16 hexadecimal digits
        :param wwpn: the world wide name of the port
        :param default: returned instead of raising when there is no such device
        :raises NodeDeviceNotFoundError: no such device
        :raises TypeError: not exactly a name, or both others, were given
        """
        return self._get(default, "a name, or wwnn and wwpn", (self._by_name, name), (self._by_wwn, wwnn, wwpn))

    def _by_wwn(self, wwnn: str, wwpn: str) -> NodeDevice:
        try:
            return self._new(lib.virNodeDeviceLookupSCSIHostByWWN, encode(wwnn), encode(wwpn), 0)
        except Error as error:
            if (error.code, error.domain) != _UNKNOWN:  # the driver gives no reason when no device matches
                raise
            message = f"no SCSI host with WWNN {wwnn[:80]!r} and WWPN {wwpn[:80]!r}"
            raise NodeDeviceNotFoundError(message, function=error.function) from None

    def define(self, xml: XML, *, flags: NodeDeviceDefineXMLFlags = NodeDeviceDefineXMLFlags(0)) -> NodeDevice:
        """Define a mediated device, which can be started later.  (virNodeDeviceDefineXML)

        :raises XMLError: *xml* is not well-formed
        :raises NotSupportedError: its parent does not support mediated devices
        """
        return self._new(lib.virNodeDeviceDefineXML, encode_xml(xml), flags)

    def create(self, xml: XML, *, flags: NodeDeviceCreateXMLFlags = NodeDeviceCreateXMLFlags(0)) -> NodeDevice:
        """Create a transient mediated device, or a virtual HBA, which no longer exists after ``destroy()``.

        (virNodeDeviceCreateXML)

        :raises XMLError: *xml* is not well-formed
        """
        return self._new(lib.virNodeDeviceCreateXML, encode_xml(xml), flags)
