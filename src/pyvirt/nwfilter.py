# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.nwfilters`` and ``conn.nwfilter_bindings``: rules of traffic, and the devices that they are applied to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from pyvirt._collection import Collection, as_uuid
from pyvirt._convert import decode, encode, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt.enums.nwfilter import NWFilterBindingCreateFlags, NWFilterDefineFlags
from pyvirt.errors import NWFilterBindingNotFoundError, NWFilterNotFoundError, check
from pyvirt.xmldesc import parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from lxml.etree import _Element

    from pyvirt._lib import CData
    from pyvirt.connection import Connection

    NWFilterList: TypeAlias = list["NWFilter"]  # in the classes below, list is a method
    BindingList: TypeAlias = list["NWFilterBinding"]

_RAISE = object()


class NWFilter(Handle):
    """A named set of rules for the traffic of guests."""

    __slots__ = ("_name", "_uuid")

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_nwfilter
    _name: str
    _uuid: bytes

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.NWFilter {self.name!r} {self.uuid}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.NWFilter closed>"

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._conn

    @property
    def name(self) -> str:
        """The name.  (virNWFilterGetName)"""
        try:
            return self._name
        except AttributeError:
            self._name = decode(lib.virNWFilterGetName(self._ptr))
            return self._name

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virNWFilterGetUUID)"""
        return UUID(bytes=self._identity())

    def _identity(self) -> bytes:
        try:
            return self._uuid
        except AttributeError:
            buffer = ffi.new("unsigned char[16]")
            check(lib.virNWFilterGetUUID(self._ptr, buffer))
            self._uuid = bytes(buffer)
            return self._uuid

    def undefine(self) -> None:
        """Remove it.  (virNWFilterUndefine)

        :raises OperationInvalidError: it is applied to a device
        """
        check(lib.virNWFilterUndefine(self._ptr))

    def xml_desc(self) -> str:
        """Return its rules.  (virNWFilterGetXMLDesc)"""
        return take_string(lib.virNWFilterGetXMLDesc(self._ptr, 0))

    @contextmanager
    def edit(self, *, flags: NWFilterDefineFlags = NWFilterDefineFlags(0)) -> Iterator[_Element]:
        """Change its rules as a tree: ``with nwfilter.edit() as root: …``

        Defined again when the block ends, which running guests feel at once; left as it was when the block raises.
        (virNWFilterGetXMLDesc, virNWFilterDefineXMLFlags)
        """
        root = parse(self.xml_desc())
        yield root
        NWFilters(self._conn).define(serialize(root), flags=flags)


class NWFilters(Collection[NWFilter]):
    """The network filters of a connection.

    ``for nwfilter in conn.nwfilters``, ``len(conn.nwfilters)`` (virConnectNumOfNWFilters),
    ``conn.nwfilters["clean-traffic"]``.
    """

    __slots__ = ()
    _kind = NWFilter
    _pointer = "virNWFilterPtr"

    def list(self) -> NWFilterList:
        """Return all of them.  (virConnectListAllNWFilters)"""
        return self._list(0)

    def _list(self, flags: int) -> NWFilterList:
        return self._wrap_list(lib.virConnectListAllNWFilters, flags)

    def _count(self) -> int:
        return check(lib.virConnectNumOfNWFilters(self._conn._ptr))

    def _by_name(self, name: str) -> NWFilter:
        return self._wrap(lib.virNWFilterLookupByName(self._conn._ptr, encode(name)), name)

    def get(
        self, name: str | None = None, *, uuid: UUID | str | bytes | None = None, default: object = _RAISE
    ) -> NWFilter:
        """Return one filter by its name or UUID.  (virNWFilterLookupByName, virNWFilterLookupByUUID)

        :param default: returned instead of raising when there is no such filter
        :raises NWFilterNotFoundError: no such filter
        :raises TypeError: not exactly one of the two was given
        """
        try:
            if name is not None and uuid is None:
                return self._by_name(name)
            if uuid is not None and name is None:
                return self._by_uuid(uuid)
        except NWFilterNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]
        raise TypeError("give exactly one of name and uuid")

    def _by_uuid(self, uuid: UUID | str | bytes) -> NWFilter:
        wanted = as_uuid(uuid)
        return self._wrap(lib.virNWFilterLookupByUUID(self._conn._ptr, wanted.bytes), wanted)

    def define(self, xml: str, *, flags: NWFilterDefineFlags = NWFilterDefineFlags(0)) -> NWFilter:
        """Store a filter, or change the one of that name and UUID, also for guests that run.

        (virNWFilterDefineXML, or with *flags* virNWFilterDefineXMLFlags)

        :raises XMLError: *xml* is no XML, or no filter
        :raises OperationFailedError: its name is taken by a filter of another UUID
        :raises NotSupportedError: *flags* before libvirt 7.7
        """
        # A daemon before 7.7 knows only the one without flags.
        if flags:
            return self._define_with(xml, flags)
        return self._wrap(lib.virNWFilterDefineXML(self._conn._ptr, encode(xml)))

    def _define_with(self, xml: str, flags: NWFilterDefineFlags) -> NWFilter:
        return self._wrap(lib.virNWFilterDefineXMLFlags(self._conn._ptr, encode(xml), flags))


class NWFilterBinding(Handle):
    """A device of the host that a filter is applied to."""

    __slots__ = ("_port_dev",)

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_nwfilter_binding
    _port_dev: str

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.NWFilterBinding {self.port_dev!r}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.NWFilterBinding closed>"

    @property
    def port_dev(self) -> str:
        """The name of the device, ``"vnet0"``.  (virNWFilterBindingGetPortDev)"""
        return self._identity()

    @property
    def filter_name(self) -> str:
        """The name of the filter.  (virNWFilterBindingGetFilterName)"""
        return decode(lib.virNWFilterBindingGetFilterName(self._ptr))

    def _identity(self) -> str:
        try:
            return self._port_dev
        except AttributeError:
            self._port_dev = decode(lib.virNWFilterBindingGetPortDev(self._ptr))
            return self._port_dev

    def xml_desc(self) -> str:
        """Return its configuration.  (virNWFilterBindingGetXMLDesc)"""
        return take_string(lib.virNWFilterBindingGetXMLDesc(self._ptr, 0))

    def delete(self) -> None:
        """Take the rules off the device; its traffic is no longer filtered.  (virNWFilterBindingDelete)"""
        check(lib.virNWFilterBindingDelete(self._ptr))


class NWFilterBindings(Collection[NWFilterBinding]):
    """Which filters are applied to which devices: ``conn.nwfilter_bindings["vnet0"].filter_name``."""

    __slots__ = ()
    _kind = NWFilterBinding
    _pointer = "virNWFilterBindingPtr"

    def list(self) -> BindingList:
        """Return all of them.  (virConnectListAllNWFilterBindings)"""
        return self._list(0)

    def _list(self, flags: int) -> BindingList:
        return self._wrap_list(lib.virConnectListAllNWFilterBindings, flags)

    def _count(self) -> int:
        return check(lib.virConnectListAllNWFilterBindings(self._conn._ptr, ffi.NULL, 0))

    def _by_name(self, name: str) -> NWFilterBinding:
        return self._wrap(lib.virNWFilterBindingLookupByPortDev(self._conn._ptr, encode(name)), name)

    def get(self, port_dev: str, *, default: object = _RAISE) -> NWFilterBinding:
        """Return the binding of one device.  (virNWFilterBindingLookupByPortDev)

        :param default: returned instead of raising when there is none
        :raises NWFilterBindingNotFoundError: no filter is applied to such a device
        """
        try:
            return self._by_name(port_dev)
        except NWFilterBindingNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]

    def create(self, xml: str, *, flags: NWFilterBindingCreateFlags = NWFilterBindingCreateFlags(0)) -> NWFilterBinding:
        """Apply a filter to a device.  (virNWFilterBindingCreateXML)

        A device that is not there is no error: it gets the rules when the filter is next defined.

        :param xml: ``<filterbinding>`` with ``<owner>`` (a name and a UUID), ``<portdev>``, ``<mac>``, ``<filterref>``
        :raises OperationFailedError: a filter is applied to it already
        :raises XMLError: *xml* is no XML, or no binding
        """
        return self._wrap(lib.virNWFilterBindingCreateXML(self._conn._ptr, encode(xml), flags))
