# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.interfaces``: the network interfaces of the host, and changes to them that can be rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE
from pyvirt._model.object import KnownByName
from pyvirt._model.where import WhereActive
from pyvirt.enums.interface import ConnectListAllInterfacesFlags, InterfaceDefineFlags, InterfaceXMLFlags
from pyvirt.errors import InterfaceNotFoundError

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyvirt._model.collection import D
    from pyvirt.inventory import InterfaceInventory
    from pyvirt.xmldesc import XML

    InterfaceList: TypeAlias = list["Interface"]  # in the collection below, list is a method
    NameList: TypeAlias = list[str]


class Interface(KnownByName):
    """A network interface of the host, active or not: ``conn.interfaces["eth0"]``."""

    __slots__ = ()

    _release = lib.pv_release_interface
    _get_name = lib.virInterfaceGetName

    @property
    def mac_string(self) -> str:
        """The hardware address when this handle was looked up; ``""`` if it has none.  (virInterfaceGetMACString)"""
        return self._call_text(lib.virInterfaceGetMACString)

    # ---- state ----

    def is_active(self) -> bool:
        """Return whether it is active (up).  (virInterfaceIsActive)"""
        return self._call(lib.virInterfaceIsActive) == 1

    def xml_desc(self, *, flags: InterfaceXMLFlags = InterfaceXMLFlags(0)) -> str:
        """Return its configuration: the active one, or with ``INACTIVE`` the stored one.  (virInterfaceGetXMLDesc)"""
        return self._call_string(lib.virInterfaceGetXMLDesc, flags)

    # ---- life ----

    def start(self) -> None:
        """Activate it (bring it up).  (virInterfaceCreate)

        :raises OperationInvalidError: it is already active
        """
        self._call(lib.virInterfaceCreate, 0)

    def destroy(self) -> None:
        """Deactivate it (take it down), even if this connection uses it.  (virInterfaceDestroy)

        :raises OperationInvalidError: it is not active
        """
        self._call(lib.virInterfaceDestroy, 0)

    def undefine(self) -> None:
        """Delete its configuration; it stays active.  (virInterfaceUndefine)"""
        self._call(lib.virInterfaceUndefine)


class Interfaces(WhereActive[Interface]):
    """The network interfaces of the host.

    ``for interface in conn.interfaces``, ``len(conn.interfaces)``, ``"eth0" in conn.interfaces``,
    ``conn.interfaces["eth0"]``.
    """

    __slots__ = ()
    _kind = Interface
    _not_found = InterfaceNotFoundError
    _pointer = "virInterfacePtr"
    _flags = ConnectListAllInterfacesFlags
    _list_all = lib.virConnectListAllInterfaces
    _look_up_by_name = lib.virInterfaceLookupByName

    def list(self, flags: ConnectListAllInterfacesFlags = ConnectListAllInterfacesFlags(0)) -> InterfaceList:
        """Return the interfaces that match *flags*, all without any.  (virConnectListAllInterfaces)"""
        return self._list(flags)

    def inventory(self) -> InterfaceInventory:
        """Return them as columns: names, hardware addresses, activity, in two round trips.

        (virConnectListAllInterfaces)
        """
        from pyvirt.inventory import interfaces_of

        return interfaces_of(self._conn)

    def _count(self) -> int:
        return len(self._list(0))  # the udev driver returns 0 when it is asked for the number only

    def names(self) -> NameList:
        """Return the names of the active ones.  (virConnectNumOfInterfaces, virConnectListInterfaces)"""
        return self._conn._call_names(lib.virConnectNumOfInterfaces, lib.virConnectListInterfaces)

    def defined_names(self) -> NameList:
        """Return the names of the inactive ones.

        (virConnectNumOfDefinedInterfaces, virConnectListDefinedInterfaces)
        """
        return self._conn._call_names(lib.virConnectNumOfDefinedInterfaces, lib.virConnectListDefinedInterfaces)

    def get(self, name: str | None = None, *, mac_string: str | None = None, default: D = RAISE) -> Interface | D:
        """Return one interface by its name or hardware address.

        (virInterfaceLookupByName, virInterfaceLookupByMACString)

        :param default: returned instead of raising when there is no such interface
        :raises InterfaceNotFoundError: no such interface
        :raises Error: several interfaces have that address, for example a bridge and its port
        :raises TypeError: not exactly one of the two was given
        """
        what = "exactly one of name and mac_string"
        return self._get(default, what, (self._by_name, name), (self._by_mac_string, mac_string))

    def _by_mac_string(self, mac_string: str) -> Interface:
        return self._look_up(mac_string, lib.virInterfaceLookupByMACString, encode(mac_string))

    def define(self, xml: XML, *, flags: InterfaceDefineFlags = InterfaceDefineFlags(0)) -> Interface:
        """Store or replace the configuration of an interface; it is used from the next start on.

        (virInterfaceDefineXML)

        :raises XMLError: *xml* is not well-formed, or does not describe an interface
        """
        return self._new(lib.virInterfaceDefineXML, encode_xml(xml), flags)

    # ---- changes that can be taken back ----

    @contextmanager
    def change(self) -> Iterator[None]:
        """Make several changes, or none: ``with conn.interfaces.change(): …``

        The changes are committed when the block ends.  They are rolled back if the block raises or the commit fails.
        If the rollback fails too, its error is raised, with the first one as its ``__context__``.
        (virInterfaceChangeBegin, virInterfaceChangeCommit, virInterfaceChangeRollback)

        :raises OperationInvalidError: changes are already in progress, perhaps of another program
        """
        self.change_begin()
        try:
            yield
            self.change_commit()
        except BaseException:
            self.change_rollback()
            raise

    def change_begin(self) -> None:
        """Save the configuration of all interfaces, for a rollback.  (virInterfaceChangeBegin)

        It lasts until any client commits or rolls back, even after this connection is closed.  If the host reboots
        before that, it rolls back.

        :raises OperationInvalidError: changes are already in progress
        """
        self._conn._call(lib.virInterfaceChangeBegin, 0)

    def change_commit(self) -> None:
        """Commit the changes since :meth:`change_begin`.  (virInterfaceChangeCommit)

        :raises OperationInvalidError: no changes are in progress
        """
        self._conn._call(lib.virInterfaceChangeCommit, 0)

    def change_rollback(self) -> None:
        """Roll back the changes since :meth:`change_begin`.  (virInterfaceChangeRollback)

        :raises OperationInvalidError: no changes are in progress
        """
        self._conn._call(lib.virInterfaceChangeRollback, 0)
