# SPDX-License-Identifier: LGPL-2.1-or-later
"""A virtual network: its identity, its life cycle, and the addresses that it has leased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode, decode_or_none, encode_or_null
from pyvirt._model.edit import edit, stored
from pyvirt._model.object import Autostarting, NamedByUUID
from pyvirt.enums.network import (
    IPAddrType,
    NetworkDefineFlags,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
    NetworkXMLFlags,
)
from pyvirt.models import NetworkDHCPLease
from pyvirt.network.metadata import NetworkMetadata

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lxml.etree import _Element

    from pyvirt._core.lib import CData
    from pyvirt.network.ports import NetworkPorts
    from pyvirt.xmldesc import XML


def _take_leases(leases: CData, count: int) -> list[NetworkDHCPLease]:
    try:
        return [
            NetworkDHCPLease(
                iface=decode(lease.iface),
                expiry_time=lease.expirytime,
                type=IPAddrType(lease.type),
                mac=decode_or_none(lease.mac),
                iaid=decode_or_none(lease.iaid),
                ipaddr=decode(lease.ipaddr),
                prefix=lease.prefix,
                hostname=decode_or_none(lease.hostname),
                client_id=decode_or_none(lease.clientid),
            )
            for lease in (leases[i] for i in range(count))
        ]
    finally:
        for i in range(count):
            lib.virNetworkDHCPLeaseFree(leases[i])
        lib.free(leases)


class Network(NamedByUUID, Autostarting[bytes]):
    """A virtual network, active or not."""

    __slots__ = ()

    _release = lib.pv_release_network
    _get_name = lib.virNetworkGetName
    _get_uuid = lib.virNetworkGetUUID
    _get_autostart = lib.virNetworkGetAutostart
    _set_autostart = lib.virNetworkSetAutostart

    # ---- state ----

    def is_active(self) -> bool:
        """Return whether it is active.  (virNetworkIsActive)"""
        return self._call(lib.virNetworkIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which remains when the network stops.  (virNetworkIsPersistent)"""
        return self._call(lib.virNetworkIsPersistent) == 1

    def bridge_name(self) -> str:
        """Return the name of the host's bridge that guests are connected to.  (virNetworkGetBridgeName)

        :raises Error: it has no bridge, because guests use a device of the host directly
        """
        return self._call_string(lib.virNetworkGetBridgeName)

    @property
    def ports(self) -> NetworkPorts:
        """Its ports: the interfaces that are connected to it."""
        from pyvirt.network.ports import NetworkPorts

        return NetworkPorts(self)

    @property
    def metadata(self) -> NetworkMetadata:
        """Notes of programs in its configuration."""
        return NetworkMetadata(self)

    def dhcp_leases(self, mac: str | None = None) -> list[NetworkDHCPLease]:
        """Return the addresses that its DHCP server has leased.  (virNetworkGetDHCPLeases)

        :param mac: only those of this hardware address; an unknown address has none
        :raises InvalidArgumentError: *mac* is not a hardware address
        """
        out = ffi.new("virNetworkDHCPLeasePtr **")
        count = self._call(lib.virNetworkGetDHCPLeases, encode_or_null(mac), out, 0)
        return _take_leases(out[0], count)

    # ---- life ----

    def start(self) -> None:
        """Start it.  (virNetworkCreate)

        :raises OperationInvalidError: it is already active
        """
        self._call(lib.virNetworkCreate)

    def destroy(self) -> None:
        """Stop it; a transient network no longer exists then, a stored configuration remains.  (virNetworkDestroy)

        :raises OperationInvalidError: it is not active
        """
        self._call(lib.virNetworkDestroy)

    def undefine(self) -> None:
        """Delete the stored configuration; an active network becomes transient.  (virNetworkUndefine)"""
        self._call(lib.virNetworkUndefine)

    # ---- configuration ----

    def xml_desc(self, *, flags: NetworkXMLFlags = NetworkXMLFlags(0)) -> str:
        """Return its configuration: the running one, or with ``INACTIVE`` the stored one.  (virNetworkGetXMLDesc)"""
        return self._call_string(lib.virNetworkGetXMLDesc, flags)

    def edit(self, *, flags: NetworkDefineFlags = NetworkDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with net.edit() as root: …``

        The configuration is defined again when the block ends, and left as it was if the block raises.  An active
        network uses it from its next start on.  (virNetworkGetXMLDesc, virNetworkDefineXMLFlags)

        :raises OperationInvalidError: a transient network has no stored configuration
        """
        from pyvirt.network.collection import Networks

        return edit(
            lambda: stored(self, NetworkXMLFlags.INACTIVE), lambda xml: Networks(self._conn).define(xml, flags=flags)
        )

    def update(
        self,
        command: NetworkUpdateCommand,
        section: NetworkUpdateSection,
        xml: XML,
        *,
        parent_index: int = -1,
        flags: NetworkUpdateFlags = NetworkUpdateFlags.CURRENT,
    ) -> None:
        """Add, change or delete one element, at once and without a restart.  (virNetworkUpdate)

        :param xml: the element, e.g. ``<host mac='…' ip='…'/>`` for ``IP_DHCP_HOST``; to change or delete one, as much
            of it as identifies it
        :param parent_index: the number of the parent, such as ``<ip>``, from 0; -1 for the only suitable one
        :param flags: which configuration to change: the running one, the stored one or both
        :raises OperationUnsupportedError: this section cannot be changed in this way
        :raises OperationInvalidError: the element exists already, or does not exist, or the network is not active
        """
        self._call(lib.virNetworkUpdate, command, section, parent_index, encode_xml(xml), flags)
