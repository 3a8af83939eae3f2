# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.networks``"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._collection import Collection, as_uuid
from pyvirt._convert import encode
from pyvirt._lib import ffi, lib
from pyvirt.enums.network import ConnectListAllNetworksFlags, NetworkCreateFlags, NetworkDefineFlags
from pyvirt.errors import NetworkNotFoundError, check
from pyvirt.network.network import Network

if TYPE_CHECKING:
    from typing import TypeAlias
    from uuid import UUID

    NetworkList: TypeAlias = list[Network]  # in the class below, list is a method

_RAISE = object()


class Networks(Collection[Network]):
    """The virtual networks of a connection, active or not.

    ``for network in conn.networks``, ``len(conn.networks)``, ``conn.networks["default"]``.
    """

    __slots__ = ()
    _kind = Network
    _pointer = "virNetworkPtr"

    def list(self, flags: ConnectListAllNetworksFlags = ConnectListAllNetworksFlags(0)) -> NetworkList:
        """Return the networks that match *flags*, all without any.  (virConnectListAllNetworks)

        Flags of one group (active or inactive; persistent or transient; …) widen, groups narrow.
        """
        return self._list(flags)

    def _list(self, flags: int) -> NetworkList:
        return self._wrap_list(lib.virConnectListAllNetworks, flags)

    def _count(self) -> int:
        return check(lib.virConnectListAllNetworks(self._conn._ptr, ffi.NULL, 0))

    def _by_name(self, name: str) -> Network:
        return self._wrap(lib.virNetworkLookupByName(self._conn._ptr, encode(name)), name)

    def get(
        self, name: str | None = None, *, uuid: UUID | str | bytes | None = None, default: object = _RAISE
    ) -> Network:
        """Return one network by its name or UUID.  (virNetworkLookupByName, virNetworkLookupByUUID)

        :param default: returned instead of raising when there is no such network
        :raises NetworkNotFoundError: no such network
        :raises TypeError: not exactly one of the two was given
        """
        try:
            if name is not None and uuid is None:
                return self._by_name(name)
            if uuid is not None and name is None:
                return self._by_uuid(uuid)
        except NetworkNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]
        raise TypeError("give exactly one of name and uuid")

    def _by_uuid(self, uuid: UUID | str | bytes) -> Network:
        wanted = as_uuid(uuid)
        return self._wrap(lib.virNetworkLookupByUUID(self._conn._ptr, wanted.bytes), wanted)

    def define(self, xml: str, *, flags: NetworkDefineFlags = NetworkDefineFlags(0)) -> Network:
        """Store a configuration; a network of that UUID that is up gets it at its next start.

        (virNetworkDefineXML, or with *flags* virNetworkDefineXMLFlags)

        :raises XMLError: *xml* is no XML, or no network
        :raises OperationFailedError: its name is taken by a network of another UUID
        :raises NotSupportedError: *flags* before libvirt 7.7
        """
        # A daemon before 7.7 knows only the one without flags.
        if flags:
            return self._define_with(xml, flags)
        return self._wrap(lib.virNetworkDefineXML(self._conn._ptr, encode(xml)))

    def _define_with(self, xml: str, flags: NetworkDefineFlags) -> Network:
        return self._wrap(lib.virNetworkDefineXMLFlags(self._conn._ptr, encode(xml), flags))

    def create(self, xml: str, *, flags: NetworkCreateFlags = NetworkCreateFlags(0)) -> Network:
        """Bring a network up that vanishes when it is taken down.

        (virNetworkCreateXML, or with *flags* virNetworkCreateXMLFlags)

        :raises XMLError: *xml* is no XML, or no network
        :raises OperationFailedError: its name is taken by a network of another UUID
        :raises OperationInvalidError: that network is up already
        :raises NotSupportedError: *flags* before libvirt 7.8
        """
        if flags:
            return self._create_with(xml, flags)
        return self._wrap(lib.virNetworkCreateXML(self._conn._ptr, encode(xml)))

    def _create_with(self, xml: str, flags: NetworkCreateFlags) -> Network:
        return self._wrap(lib.virNetworkCreateXMLFlags(self._conn._ptr, encode(xml), flags))
