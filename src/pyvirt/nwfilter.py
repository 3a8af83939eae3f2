# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.nwfilters`` and ``conn.nwfilter_bindings``: filters of network traffic, and their use on devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import lib
from pyvirt._model.collection import RAISE, Collection
from pyvirt._model.edit import edit
from pyvirt._model.object import NamedByUUID, Object
from pyvirt._model.where import WhereNamed
from pyvirt.enums.nwfilter import NWFilterBindingCreateFlags, NWFilterDefineFlags
from pyvirt.errors import NWFilterBindingNotFoundError, NWFilterNotFoundError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import TypeAlias
    from uuid import UUID

    from lxml.etree import _Element

    from pyvirt._model.collection import D
    from pyvirt.inventory import NWFilterInventory
    from pyvirt.xmldesc import XML

    NWFilterList: TypeAlias = list["NWFilter"]  # in the classes below, list is a method
    BindingList: TypeAlias = list["NWFilterBinding"]


class NWFilter(NamedByUUID):
    """A named set of rules for the traffic of guests."""

    __slots__ = ()

    _release = lib.pv_release_nwfilter
    _get_name = lib.virNWFilterGetName
    _get_uuid = lib.virNWFilterGetUUID

    def undefine(self) -> None:
        """Delete it.  (virNWFilterUndefine)

        :raises OperationInvalidError: it is applied to a device
        """
        self._call(lib.virNWFilterUndefine)

    def xml_desc(self) -> str:
        """Return its rules.  (virNWFilterGetXMLDesc)"""
        return self._call_string(lib.virNWFilterGetXMLDesc, 0)

    def edit(self, *, flags: NWFilterDefineFlags = NWFilterDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change its rules as a tree: ``with nwfilter.edit() as root: …``

        The filter is defined again when the block ends, with an immediate effect on running guests.  It is left as it
        was if the block raises.
        (virNWFilterGetXMLDesc, virNWFilterDefineXMLFlags)
        """
        return edit(self.xml_desc, lambda xml: NWFilters(self._conn).define(xml, flags=flags))


class NWFilters(WhereNamed[NWFilter]):
    """The network filters of a connection.

    ``for nwfilter in conn.nwfilters``, ``len(conn.nwfilters)`` (virConnectNumOfNWFilters),
    ``conn.nwfilters["clean-traffic"]``.
    """

    __slots__ = ()
    _kind = NWFilter
    _not_found = NWFilterNotFoundError
    _pointer = "virNWFilterPtr"
    _list_all = lib.virConnectListAllNWFilters
    _look_up_by_name = lib.virNWFilterLookupByName
    _look_up_by_uuid = lib.virNWFilterLookupByUUID

    def list(self) -> NWFilterList:
        """Return all of them.  (virConnectListAllNWFilters)"""
        return self._list(0)

    def inventory(self) -> NWFilterInventory:
        """Return them as columns: names and UUIDs, in one round trip.

        (virConnectListAllNWFilters)
        """
        from pyvirt.inventory import nwfilters_of

        return nwfilters_of(self._conn)

    def _count(self) -> int:
        return self._conn._call(lib.virConnectNumOfNWFilters)

    def get(
        self, name: str | None = None, *, uuid: UUID | str | bytes | None = None, default: D = RAISE
    ) -> NWFilter | D:
        """Return one filter by its name or UUID.  (virNWFilterLookupByName, virNWFilterLookupByUUID)

        :param default: returned instead of raising when there is no such filter
        :raises NWFilterNotFoundError: no such filter
        :raises TypeError: not exactly one of the two was given
        """
        return self._get(default, "exactly one of name and uuid", (self._by_name, name), (self._by_uuid, uuid))

    def define(self, xml: XML, *, flags: NWFilterDefineFlags = NWFilterDefineFlags(0)) -> NWFilter:
        """Store a filter, or replace the one of that name and UUID, also for running guests.

        (virNWFilterDefineXML, or with *flags* virNWFilterDefineXMLFlags)

        :raises XMLError: *xml* is not well-formed, or does not describe a filter
        :raises OperationFailedError: a filter with another UUID has its name
        :raises NotSupportedError: *flags* are given, and libvirt is older than 7.7
        """
        return self._from_xml(xml, flags, lib.virNWFilterDefineXML, lib.virNWFilterDefineXMLFlags)


class NWFilterBinding(Object[str]):
    """A device of the host that a filter is applied to."""

    __slots__ = ()

    _release = lib.pv_release_nwfilter_binding

    @property
    def port_dev(self) -> str:
        """The name of the device, ``"vnet0"``.  (virNWFilterBindingGetPortDev)"""
        return self._identity()

    @property
    def filter_name(self) -> str:
        """The name of the filter.  (virNWFilterBindingGetFilterName)"""
        return self._call_text(lib.virNWFilterBindingGetFilterName)

    def _ask_identity(self) -> str:
        return self._call_text(lib.virNWFilterBindingGetPortDev)

    def _label(self) -> str:
        return repr(self.port_dev)

    def xml_desc(self) -> str:
        """Return its configuration.  (virNWFilterBindingGetXMLDesc)"""
        return self._call_string(lib.virNWFilterBindingGetXMLDesc, 0)

    def delete(self) -> None:
        """Remove the filter from the device; its traffic is no longer filtered.  (virNWFilterBindingDelete)"""
        self._call(lib.virNWFilterBindingDelete)


class NWFilterBindings(Collection[NWFilterBinding]):
    """Which filters are applied to which devices: ``conn.nwfilter_bindings["vnet0"].filter_name``."""

    __slots__ = ()
    _kind = NWFilterBinding
    _not_found = NWFilterBindingNotFoundError
    _pointer = "virNWFilterBindingPtr"
    _list_all = lib.virConnectListAllNWFilterBindings
    _look_up_by_name = lib.virNWFilterBindingLookupByPortDev

    def list(self) -> BindingList:
        """Return all of them.  (virConnectListAllNWFilterBindings)"""
        return self._list(0)

    def get(self, port_dev: str, *, default: D = RAISE) -> NWFilterBinding | D:
        """Return the binding of one device.  (virNWFilterBindingLookupByPortDev)

        :param default: returned instead of raising when there is no such binding
        :raises NWFilterBindingNotFoundError: no filter is applied to such a device
        """
        return self._get(default, "a port_dev", (self._by_name, port_dev))

    def create(self, xml: XML, *, flags: NWFilterBindingCreateFlags = NWFilterBindingCreateFlags(0)) -> NWFilterBinding:
        """Apply a filter to a device.  (virNWFilterBindingCreateXML)

        A missing device is not an error: it gets the rules when the filter is defined the next time.

        :param xml: ``<filterbinding>`` with ``<owner>`` (a name and a UUID), ``<portdev>``, ``<mac>``, ``<filterref>``
        :raises OperationFailedError: a filter is already applied to the device
        :raises XMLError: *xml* is not well-formed, or does not describe a binding
        """
        return self._new(lib.virNWFilterBindingCreateXML, encode_xml(xml), flags)
