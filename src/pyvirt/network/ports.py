# SPDX-License-Identifier: LGPL-2.1-or-later
"""``net.ports``: who is plugged into a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from pyvirt._collection import Collection, as_uuid
from pyvirt._convert import encode, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt._typedparams import UINT, Params, take_dict
from pyvirt.enums import params
from pyvirt.enums.network import NetworkPortCreateFlags
from pyvirt.errors import InvalidArgumentError, NetworkPortNotFoundError, check
from pyvirt.network.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from pyvirt._lib import CData
    from pyvirt._typedparams import TypedValue
    from pyvirt.connection import Connection

    PortList: TypeAlias = list["NetworkPort"]  # in the class below, list is a method

_RAISE = object()

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


class NetworkPort(Handle):
    """A guest's interface, or something else's, that is plugged into a network."""

    __slots__ = ("_key",)

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_network_port
    _key: tuple[bytes, bytes]

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.NetworkPort {self.uuid}>"
        except Exception:  # closed before anybody asked for the UUID: a repr never fails
            return "<pyvirt.NetworkPort closed>"

    @property
    def network(self) -> Network:
        """The network that it is plugged into.  (virNetworkPortGetNetwork)"""
        pointer = lib.virNetworkPortGetNetwork(self._ptr)
        check(lib.virNetworkRef(pointer))  # it has lent us its own reference
        return Network(self._conn, pointer)

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virNetworkPortGetUUID)"""
        return UUID(bytes=self._identity()[1])

    def _identity(self) -> tuple[bytes, bytes]:
        try:
            return self._key
        except AttributeError:
            buffer = ffi.new("unsigned char[16]")
            check(lib.virNetworkPortGetUUID(self._ptr, buffer))
            self._key = self.network._identity(), bytes(buffer)
            return self._key

    def xml_desc(self) -> str:
        """Return its configuration.  (virNetworkPortGetXMLDesc)"""
        return take_string(lib.virNetworkPortGetXMLDesc(self._ptr, 0))

    def parameters(self) -> dict[str, TypedValue]:
        """Return its limits of bandwidth; none that was not set.  (virNetworkPortGetParameters)

        Names are :mod:`pyvirt.enums.params`' ``NETWORK_PORT_BANDWIDTH_…``; averages, peaks and floor are KiB per
        second, bursts are KiB.
        """
        port, call = self._ptr, lib.virNetworkPortGetParameters
        return take_dict(lambda values, count: call(port, values, count, 0))

    def set_parameters(self, values: Mapping[str, TypedValue]) -> None:
        """Set its limits of bandwidth: ``{"inbound.average": 500}``.  (virNetworkPortSetParameters)

        Names and units as in :meth:`parameters`; what is not named has no limit any more.

        :raises InvalidArgumentError: no such parameter, or none that such a value fits
        :raises OperationUnsupportedError: a floor, and the network itself has no limit to share
        """
        for name in values:
            if name not in _PORT_PARAMETERS:  # libvirt would ignore it, and lift the limits that there are
                raise InvalidArgumentError(f"a network port has no parameter {name!r}")
        with Params(values, _PORT_PARAMETERS) as array:
            check(lib.virNetworkPortSetParameters(self._ptr, array.pointer, array.count, 0))

    def delete(self) -> None:
        """Unplug it.  (virNetworkPortDelete)"""
        check(lib.virNetworkPortDelete(self._ptr, 0))


class NetworkPorts(Collection[NetworkPort]):
    """The ports of a network, by their UUIDs: ``net.ports[uuid]``, ``uuid in net.ports``."""

    __slots__ = ("_network",)
    _kind = NetworkPort
    _pointer = "virNetworkPortPtr"

    def __init__(self, network: Network) -> None:
        super().__init__(network._conn)
        self._network = network

    def __repr__(self) -> str:
        return f"<NetworkPorts of {self._network!r}>"

    def list(self) -> PortList:
        """Return all of them.  (virNetworkListAllPorts)"""
        return self._list(0)

    def _list(self, flags: int) -> PortList:
        network = self._network._ptr
        return self._wrap_list(lambda _, out, flags: lib.virNetworkListAllPorts(network, out, flags), flags)

    def _count(self) -> int:
        return check(lib.virNetworkListAllPorts(self._network._ptr, ffi.NULL, 0))

    def _by_name(self, name: str) -> NetworkPort:
        return self._by_uuid(name)

    def _by_uuid(self, uuid: UUID | str | bytes) -> NetworkPort:
        wanted = as_uuid(uuid)
        return self._wrap(lib.virNetworkPortLookupByUUID(self._network._ptr, wanted.bytes), wanted)

    def __getitem__(self, uuid: UUID | str | bytes) -> NetworkPort:
        """Return the port of that *uuid*, or raise a :class:`NetworkPortNotFoundError`."""
        return self._by_uuid(uuid)

    def __contains__(self, item: object) -> bool:
        """Whether a port of that UUID, or that very port, is there."""
        return super().__contains__(str(item) if isinstance(item, UUID) else item)

    def get(self, uuid: UUID | str | bytes, *, default: object = _RAISE) -> NetworkPort:
        """Return one port by its UUID.  (virNetworkPortLookupByUUID)

        :param default: returned instead of raising when there is no such port
        :raises NetworkPortNotFoundError: no such port
        """
        try:
            return self._by_uuid(uuid)
        except NetworkPortNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]

    def create(self, xml: str, *, flags: NetworkPortCreateFlags = NetworkPortCreateFlags(0)) -> NetworkPort:
        """Plug something in.  (virNetworkPortCreateXML)

        :param xml: ``<networkport>`` with the ``<owner>``'s name and UUID, and a ``<mac>``
        :param flags: ``RECLAIM`` takes the device again that *xml* says it was given before
        :raises AlreadyExistsError: a port of that UUID is there
        :raises XMLError: *xml* is no XML, or no port
        """
        return self._wrap(lib.virNetworkPortCreateXML(self._network._ptr, encode(xml), flags))
