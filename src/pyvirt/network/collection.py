# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.networks``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import lib
from pyvirt._model.collection import RAISE
from pyvirt._model.where import WhereLiving
from pyvirt.enums.network import ConnectListAllNetworksFlags, NetworkCreateFlags, NetworkDefineFlags
from pyvirt.errors import NetworkNotFoundError
from pyvirt.network.network import Network

if TYPE_CHECKING:
    from typing import TypeAlias
    from uuid import UUID

    from pyvirt._model.collection import D
    from pyvirt.inventory import NetworkInventory
    from pyvirt.xmldesc import XML

    NetworkList: TypeAlias = list[Network]  # in the class below, list is a method


class Networks(WhereLiving[Network]):
    """The virtual networks of a connection, active or not.

    ``for network in conn.networks``, ``len(conn.networks)``, ``conn.networks["default"]``.
    """

    __slots__ = ()
    _kind = Network
    _not_found = NetworkNotFoundError
    _pointer = "virNetworkPtr"
    _flags = ConnectListAllNetworksFlags
    _list_all = lib.virConnectListAllNetworks
    _look_up_by_name = lib.virNetworkLookupByName
    _look_up_by_uuid = lib.virNetworkLookupByUUID

    def list(self, flags: ConnectListAllNetworksFlags = ConnectListAllNetworksFlags(0)) -> NetworkList:
        """Return the networks that match *flags*, all without any.  (virConnectListAllNetworks)

        Flags of one group (active or inactive; persistent or transient; …) widen, groups narrow.
        """
        return self._list(flags)

    def inventory(self) -> NetworkInventory:
        """Return them as columns: names, UUIDs, activity, persistence, autostart, in four round trips.

        (virConnectListAllNetworks)
        """
        from pyvirt.inventory import networks_of

        return networks_of(self._conn)

    def get(
        self, name: str | None = None, *, uuid: UUID | str | bytes | None = None, default: D = RAISE
    ) -> Network | D:
        """Return one network by its name or UUID.  (virNetworkLookupByName, virNetworkLookupByUUID)

        :param default: returned instead of raising when there is no such network
        :raises NetworkNotFoundError: no such network
        :raises TypeError: not exactly one of the two was given
        """
        return self._get(default, "exactly one of name and uuid", (self._by_name, name), (self._by_uuid, uuid))

    def define(self, xml: XML, *, flags: NetworkDefineFlags = NetworkDefineFlags(0)) -> Network:
        """Store a configuration; an active network of that UUID uses it from its next start on.

        (virNetworkDefineXML, or with *flags* virNetworkDefineXMLFlags)

        :raises XMLError: *xml* is not well-formed, or does not describe a network
        :raises OperationFailedError: a network with another UUID has its name
        :raises NotSupportedError: *flags* are given, and libvirt is older than 7.7
        """
        return self._from_xml(xml, flags, lib.virNetworkDefineXML, lib.virNetworkDefineXMLFlags)

    def create(self, xml: XML, *, flags: NetworkCreateFlags = NetworkCreateFlags(0)) -> Network:
        """Create and start a transient network, which no longer exists when it stops.

        (virNetworkCreateXML, or with *flags* virNetworkCreateXMLFlags)

        :raises XMLError: *xml* is not well-formed, or does not describe a network
        :raises OperationFailedError: a network with another UUID has its name
        :raises OperationInvalidError: the network is already active
        :raises NotSupportedError: *flags* are given, and libvirt is older than 7.8
        """
        return self._from_xml(xml, flags, lib.virNetworkCreateXML, lib.virNetworkCreateXMLFlags)
