# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual network: what it is, its life, and which addresses it has given out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from pyvirt._convert import decode, decode_or_none, encode, encode_or_null, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt.enums.network import (
    IPAddrType,
    NetworkDefineFlags,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
    NetworkXMLFlags,
)
from pyvirt.errors import OperationInvalidError, check
from pyvirt.models import NetworkDHCPLease
from pyvirt.network.metadata import NetworkMetadata
from pyvirt.xmldesc import parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable

    from lxml.etree import _Element

    from pyvirt._lib import CData
    from pyvirt.connection import Connection
    from pyvirt.network.ports import NetworkPorts


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


class Network(Handle):
    """A virtual network, active or not."""

    __slots__ = ("_name", "_uuid")

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_network
    _name: str
    _uuid: bytes

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.Network {self.name!r} {self.uuid}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.Network closed>"

    # ---- identity: what the handle knows ----

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._conn

    @property
    def name(self) -> str:
        """The name.  (virNetworkGetName)"""
        try:
            return self._name
        except AttributeError:
            self._name = decode(lib.virNetworkGetName(self._ptr))
            return self._name

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virNetworkGetUUID)"""
        return UUID(bytes=self._identity())

    def _identity(self) -> bytes:
        try:
            return self._uuid
        except AttributeError:
            buffer = ffi.new("unsigned char[16]")
            check(lib.virNetworkGetUUID(self._ptr, buffer))
            self._uuid = bytes(buffer)
            return self._uuid

    # ---- state ----

    def is_active(self) -> bool:
        """Return whether it is up.  (virNetworkIsActive)"""
        return check(lib.virNetworkIsActive(self._ptr)) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which outlives a stop.  (virNetworkIsPersistent)"""
        return check(lib.virNetworkIsPersistent(self._ptr)) == 1

    def bridge_name(self) -> str:
        """Return the name of the host's bridge that guests are plugged into.  (virNetworkGetBridgeName)

        :raises Error: it has none: guests use a device of the host directly
        """
        return take_string(lib.virNetworkGetBridgeName(self._ptr))

    @property
    def ports(self) -> NetworkPorts:
        """Who is plugged in."""
        from pyvirt.network.ports import NetworkPorts

        return NetworkPorts(self)

    @property
    def metadata(self) -> NetworkMetadata:
        """What programs note about it."""
        return NetworkMetadata(self)

    def dhcp_leases(self, mac: str | None = None) -> list[NetworkDHCPLease]:
        """Return the addresses that its DHCP server has given out.  (virNetworkGetDHCPLeases)

        :param mac: only those of this hardware address; an unknown one has none
        :raises InvalidArgumentError: this is no hardware address
        """
        out = ffi.new("virNetworkDHCPLeasePtr **")
        count = check(lib.virNetworkGetDHCPLeases(self._ptr, encode_or_null(mac), out, 0))
        return _take_leases(out[0], count)

    # ---- life ----

    def start(self) -> None:
        """Bring it up.  (virNetworkCreate)

        :raises OperationInvalidError: it is up already
        """
        check(lib.virNetworkCreate(self._ptr))

    def destroy(self) -> None:
        """Take it down; a transient one is gone then, and nothing stored is lost.  (virNetworkDestroy)

        :raises OperationInvalidError: it is not up
        """
        check(lib.virNetworkDestroy(self._ptr))

    def undefine(self) -> None:
        """Drop the stored configuration; if it is up it becomes transient.  (virNetworkUndefine)"""
        check(lib.virNetworkUndefine(self._ptr))

    def autostart(self) -> bool:
        """Return whether it comes up with the host.  (virNetworkGetAutostart)"""
        out = ffi.new("int *")
        check(lib.virNetworkGetAutostart(self._ptr, out))
        return bool(out[0])

    def set_autostart(self, autostart: bool) -> None:
        """Say whether it comes up with the host.  (virNetworkSetAutostart)

        :raises OperationInvalidError: it is transient
        """
        check(lib.virNetworkSetAutostart(self._ptr, bool(autostart)))

    # ---- configuration ----

    def xml_desc(self, *, flags: NetworkXMLFlags = NetworkXMLFlags(0)) -> str:
        """Return its configuration: the running one, or with ``INACTIVE`` the stored.  (virNetworkGetXMLDesc)"""
        return take_string(lib.virNetworkGetXMLDesc(self._ptr, flags))

    @contextmanager
    def edit(self, *, flags: NetworkDefineFlags = NetworkDefineFlags(0)) -> Iterator[_Element]:
        """Change the stored configuration as a tree: ``with net.edit() as root: …``

        Defined again when the block ends, left as it was when the block raises; what is up follows at its next
        start.  (virNetworkGetXMLDesc, virNetworkDefineXMLFlags)

        :raises OperationInvalidError: a transient network has no stored configuration
        """
        if not self.is_persistent():
            raise OperationInvalidError(
                f"network {self.name!r} is transient: it has no stored configuration to edit", code=55
            )
        from pyvirt.network.collection import Networks

        root = parse(self.xml_desc(flags=NetworkXMLFlags.INACTIVE))
        yield root
        Networks(self._conn).define(serialize(root), flags=flags)

    def update(
        self,
        command: NetworkUpdateCommand,
        section: NetworkUpdateSection,
        xml: str,
        *,
        parent_index: int = -1,
        flags: NetworkUpdateFlags = NetworkUpdateFlags.CURRENT,
    ) -> None:
        """Add, change or delete one element, at once and without a restart.  (virNetworkUpdate)

        :param xml: the element, e.g. ``<host mac='…' ip='…'/>`` for ``IP_DHCP_HOST``; for what is to be changed or
            deleted as much of it as tells which
        :param parent_index: in which of several parents, such as ``<ip>``, counted from 0; -1 for the only suitable one
        :param flags: which configuration to change: the running one, the stored one or both
        :raises OperationUnsupportedError: that section cannot be changed so
        :raises OperationInvalidError: it is there already, or not there, or the network is not up
        """
        check(lib.virNetworkUpdate(self._ptr, command, section, parent_index, encode(xml), flags))
