# SPDX-License-Identifier: LGPL-2.1-or-later
"""``net.ports``: the interfaces that are connected to a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt._core.call import check
from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.params import UINT, Params
from pyvirt._model.collection import RAISE, UUIDCollection
from pyvirt._model.object import Object
from pyvirt.enums import params
from pyvirt.enums.network import NetworkPortCreateFlags
from pyvirt.errors import InvalidArgumentError, NetworkPortNotFoundError
from pyvirt.network.network import Network

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt._core.params import TypedValue
    from pyvirt._model.collection import D
    from pyvirt.xmldesc import XML

    PortList: TypeAlias = list["NetworkPort"]  # in the class below, list is a method

_PORT_PARAMETERS = dict.fromkeys(
    (
        params.NETWORK_PORT_BANDWIDTH_IN_AVERAGE,
        params.NETWORK_PORT_BANDWIDTH_IN_PEAK,
        params.NETWORK_PORT_BANDWIDTH_IN_BURST,
        params.NETWORK_PORT_BANDWIDTH_IN_FLOOR,
        params.NETWORK_PORT_BANDWIDTH_OUT_AVERAGE,
        params.NETWORK_PORT_BANDWIDTH_OUT_PEAK,
        params.NETWORK_PORT_BANDWIDTH_OUT_BURST,
    ),
    UINT,
)


class NetworkPort(Object[tuple[bytes, bytes]]):
    """An interface, of a guest or another owner, that is connected to a network."""

    __slots__ = ()

    _release = lib.pv_release_network_port

    @property
    def network(self) -> Network:
        """The network that it is connected to.  (virNetworkPortGetNetwork)"""
        pointer = self._call_nonzero(lib.virNetworkPortGetNetwork)
        check(lib.virNetworkRef(pointer), "virNetworkRef")  # what the port returns is its own reference
        return Network(self._conn, pointer)

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virNetworkPortGetUUID)"""
        return UUID(bytes=self._identity()[1])

    def _ask_identity(self) -> tuple[bytes, bytes]:
        return self.network._identity(), self._call_uuid(lib.virNetworkPortGetUUID)

    def _label(self) -> str:
        return str(self.uuid)

    def xml_desc(self) -> str:
        """Return its configuration.  (virNetworkPortGetXMLDesc)"""
        return self._call_string(lib.virNetworkPortGetXMLDesc, 0)

    def parameters(self) -> dict[str, TypedValue]:
        """Return its limits of bandwidth, only those that were set.  (virNetworkPortGetParameters)

        Names are :mod:`pyvirt.enums.params`' ``NETWORK_PORT_BANDWIDTH_…``; averages, peaks and floor are KiB per
        second, bursts are KiB.
        """
        return self._call_params(lib.virNetworkPortGetParameters, 0)

    def set_parameters(self, values: Mapping[str, TypedValue]) -> None:
        """Set its limits of bandwidth: ``{"inbound.average": 500}``.  (virNetworkPortSetParameters)

        Names and units as in :meth:`parameters`.  This removes all limits that *values* do not name.

        :raises InvalidArgumentError: no such parameter, or a value of the wrong kind
        :raises OperationUnsupportedError: a floor needs a limit of the network itself
        """
        for name in values:
            if name not in _PORT_PARAMETERS:  # libvirt would ignore it, and remove the existing limits
                raise InvalidArgumentError(f"unknown parameter of a network port: {name!r}")
        with Params(values, _PORT_PARAMETERS) as array:
            self._call(lib.virNetworkPortSetParameters, array.pointer, array.count, 0)

    def delete(self) -> None:
        """Disconnect it.  (virNetworkPortDelete)"""
        self._call(lib.virNetworkPortDelete, 0)


class NetworkPorts(UUIDCollection[NetworkPort]):
    """The ports of a network, by their UUIDs: ``net.ports[uuid]``, ``uuid in net.ports``."""

    __slots__ = ()
    _kind = NetworkPort
    _not_found = NetworkPortNotFoundError
    _pointer = "virNetworkPortPtr"
    _list_all = lib.virNetworkListAllPorts
    _look_up_by_uuid = lib.virNetworkPortLookupByUUID

    def list(self) -> PortList:
        """Return all of them.  (virNetworkListAllPorts)"""
        return self._list(0)

    def get(self, uuid: UUID | str | bytes, *, default: D = RAISE) -> NetworkPort | D:
        """Return one port by its UUID.  (virNetworkPortLookupByUUID)

        :param default: returned instead of raising when there is no such port
        :raises NetworkPortNotFoundError: no such port
        """
        return self._get(default, "a uuid", (self._by_uuid, uuid))

    def create(self, xml: XML, *, flags: NetworkPortCreateFlags = NetworkPortCreateFlags(0)) -> NetworkPort:
        """Connect an interface.  (virNetworkPortCreateXML)

        :param xml: ``<networkport>`` with the ``<owner>``'s name and UUID, and a ``<mac>``
        :param flags: with ``RECLAIM`` it gets the device again that *xml* names
        :raises AlreadyExistsError: a port with that UUID exists
        :raises XMLError: *xml* is not well-formed, or does not describe a port
        """
        return self._new(lib.virNetworkPortCreateXML, encode_xml(xml), flags)
