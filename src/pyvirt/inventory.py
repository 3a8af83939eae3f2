# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inventories: the objects of one kind as columns, returned by ``conn.domains.inventory()`` and similar methods.

Asking each of 10,000 domains for its state, persistence and autostart takes 30,000 round trips.  Bulk statistics of the
group ``STATE`` and listings filtered by flag return the same facts in four, for any number of domains.  Listings are
matched with the rows by UUID, because the host can change between two calls (``_native/inventory.c``).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from pyvirt._core.call import forget, last_error
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.domain import ConnectListAllDomainsFlags, DomainState, StatsGroup
from pyvirt.enums.interface import ConnectListAllInterfacesFlags
from pyvirt.enums.network import ConnectListAllNetworksFlags
from pyvirt.enums.secret import ConnectListAllSecretsFlags, SecretUsageType
from pyvirt.enums.storage import ConnectListAllStoragePoolsFlags
from pyvirt.errors import DomainNotFoundError, NotSupportedError
from pyvirt.stats.engine import engine_of
from pyvirt.stats.frame import decode_texts, keep_alive, memory_view

if TYPE_CHECKING:
    from pyvirt._core.lib import CData
    from pyvirt._model.abc import Conn, HasPointer
    from pyvirt.stats import StatsFrame

_Flags = ConnectListAllDomainsFlags


class DomainEntry(NamedTuple):
    """A domain, a row of :class:`DomainInventory`."""

    name: str
    uuid: UUID
    #: ``None`` if it is not running
    id: int | None
    state: DomainState
    #: a value of the enumeration that belongs to the state; ``None`` if the driver has no bulk statistics
    reason: int | None
    persistent: bool
    autostart: bool


class NetworkEntry(NamedTuple):
    """A network."""

    name: str
    uuid: UUID
    active: bool
    persistent: bool
    autostart: bool


class StoragePoolEntry(NamedTuple):
    """A storage pool."""

    name: str
    uuid: UUID
    active: bool
    persistent: bool
    autostart: bool


class StorageVolumeEntry(NamedTuple):
    """A volume of a storage pool."""

    name: str
    #: identifies it on this host: usually its path
    key: str


class NodeDeviceEntry(NamedTuple):
    """A device of the host."""

    name: str


class InterfaceEntry(NamedTuple):
    """A network interface of the host."""

    name: str
    #: hardware address
    mac: str
    active: bool


class SecretEntry(NamedTuple):
    """A secret; it has no name, but a usage id."""

    uuid: UUID
    usage_type: SecretUsageType
    usage_id: str
    ephemeral: bool
    private: bool


class NWFilterEntry(NamedTuple):
    """A network filter."""

    name: str
    uuid: UUID


Row = TypeVar("Row", bound=tuple[object, ...])


class Inventory(Generic[Row]):
    """All objects of one kind at one moment, as columns of the same length.

    Iterating yields rows; ``inventory[name]`` and ``inventory[uuid]`` return one.  An inventory no longer needs its
    connection.
    """

    _row: ClassVar[type[tuple[object, ...]]]

    def __init__(self, names: list[str], uuid_bytes: memoryview) -> None:
        #: the name of each row
        self.names = names
        #: the UUIDs, 16 bytes each, concatenated; empty if the objects have no UUIDs
        self.uuid_bytes = uuid_bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def uuids(self) -> list[UUID]:
        """The UUID of each row; empty if the objects have no UUIDs."""
        data = bytes(self.uuid_bytes)
        return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        """The columns, in the order of the fields of a row."""
        raise NotImplementedError

    @cached_property
    def _rows_by_key(self) -> dict[str | UUID, int]:
        rows: dict[str | UUID, int] = {uuid: row for row, uuid in enumerate(self.uuids)}
        if "name" in self._row._fields:  # type: ignore[attr-defined]
            rows.update((name, row) for row, name in enumerate(self.names))
        return rows

    def _make_row(self, values: Iterable[object]) -> Row:
        made: Row = self._row._make(values)  # type: ignore[attr-defined]
        return made

    def __iter__(self) -> Iterator[Row]:
        return map(self._make_row, zip(*self._columns, strict=True))

    def __getitem__(self, key: str | UUID) -> Row:
        """Return the row with this name or UUID.

        :raises KeyError: no row has it
        """
        row = self._rows_by_key[key]
        return self._make_row(column[row] for column in self._columns)

    def __contains__(self, key: object) -> bool:
        return key in self._rows_by_key

    def get(self, key: str | UUID) -> Row | None:
        """Return the row with this name or UUID, or ``None``."""
        return self[key] if key in self._rows_by_key else None

    def to_dicts(self) -> list[dict[str, object]]:
        """Return one dictionary per row."""
        fields: tuple[str, ...] = self._row._fields  # type: ignore[attr-defined]
        return [dict(zip(fields, row, strict=True)) for row in self]


class DomainInventory(Inventory[DomainEntry]):
    """The domains of a connection."""

    _row = DomainEntry

    def __init__(
        self,
        names: list[str],
        uuid_bytes: memoryview,
        ids: memoryview,
        states: memoryview,
        reasons: memoryview | None,
        persistent: memoryview[bool],
        autostart: memoryview[bool],
    ) -> None:
        super().__init__(names, uuid_bytes)
        #: int32; -1 if the domain is not running
        self.ids = ids
        #: int32, members of :class:`~pyvirt.DomainState`
        self.states = states
        #: int32; ``None`` if the driver has no bulk statistics
        self.reasons = reasons
        #: bool: a configuration is stored
        self.persistent = persistent
        #: bool
        self.autostart = autostart

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        members = {value: DomainState(value) for value in set(self.states)}
        return (
            self.names,
            self.uuids,
            [None if id < 0 else id for id in self.ids],
            [members[value] for value in self.states],
            [None] * len(self) if self.reasons is None else self.reasons,
            self.persistent,
            self.autostart,
        )


class _ActiveInventory(Inventory[Row]):
    """Objects that can be active or not: networks and storage pools."""

    def __init__(
        self,
        names: list[str],
        uuid_bytes: memoryview,
        active: memoryview[bool],
        persistent: memoryview[bool],
        autostart: memoryview[bool],
    ) -> None:
        super().__init__(names, uuid_bytes)
        #: bool
        self.active = active
        #: bool: a configuration is stored
        self.persistent = persistent
        #: bool
        self.autostart = autostart

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        return self.names, self.uuids, self.active, self.persistent, self.autostart


class NetworkInventory(_ActiveInventory[NetworkEntry]):
    """The networks of a connection."""

    _row = NetworkEntry


class StoragePoolInventory(_ActiveInventory[StoragePoolEntry]):
    """The storage pools of a connection."""

    _row = StoragePoolEntry


class StorageVolumeInventory(Inventory[StorageVolumeEntry]):
    """The volumes of a storage pool."""

    _row = StorageVolumeEntry

    def __init__(self, names: list[str], uuid_bytes: memoryview, keys: list[str]) -> None:
        super().__init__(names, uuid_bytes)
        #: identify them on this host
        self.keys = keys

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        return self.names, self.keys


class NodeDeviceInventory(Inventory[NodeDeviceEntry]):
    """The devices of the host."""

    _row = NodeDeviceEntry

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        return (self.names,)


class InterfaceInventory(Inventory[InterfaceEntry]):
    """The network interfaces of the host."""

    _row = InterfaceEntry

    def __init__(self, names: list[str], uuid_bytes: memoryview, macs: list[str], active: memoryview[bool]) -> None:
        super().__init__(names, uuid_bytes)
        #: hardware addresses
        self.macs = macs
        #: bool
        self.active = active

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        return self.names, self.macs, self.active


class SecretInventory(Inventory[SecretEntry]):
    """The secrets of a connection; ``names`` are their usage ids."""

    _row = SecretEntry

    def __init__(
        self,
        names: list[str],
        uuid_bytes: memoryview,
        usage_types: memoryview,
        ephemeral: memoryview[bool],
        private: memoryview[bool],
    ) -> None:
        super().__init__(names, uuid_bytes)
        #: int32, members of :class:`~pyvirt.SecretUsageType`
        self.usage_types = usage_types
        #: bool: never written to disk
        self.ephemeral = ephemeral
        #: bool: libvirt does not return its value to clients
        self.private = private

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        types = [SecretUsageType(value) for value in self.usage_types]
        return self.uuids, types, self.names, self.ephemeral, self.private


class NWFilterInventory(Inventory[NWFilterEntry]):
    """The network filters of a connection."""

    _row = NWFilterEntry

    @cached_property
    def _columns(self) -> tuple[Sequence[object], ...]:
        return self.names, self.uuids


# ---- making inventories ----


class _Listing:
    """The objects of one kind, and which of them are listed with a flag."""

    def __init__(self, kind: int, parent: HasPointer, function: str) -> None:
        self._kind = kind
        self._parent = parent
        self._function = function
        self._rows: CData = ffi.gc(lib.pv_inventory_new(kind), lib.pv_inventory_free)
        if not self._rows:
            raise MemoryError
        self._view = ffi.new("pv_inventory_view *")

    @classmethod
    def of_all(cls, kind: int, parent: HasPointer, function: str) -> _Listing:
        """Return a listing of all objects."""
        listing = cls(kind, parent, function)
        listing.append(0)
        return listing

    def append(self, flags: int) -> None:
        """Add the objects that are listed with *flags*."""
        self._check(lib.pv_inventory_list(self._rows, self._parent._ptr, flags))
        lib.pv_inventory_describe(self._rows, self._view)

    def use(self, uuid_bytes: memoryview) -> None:
        """Use rows that were listed elsewhere."""
        self._rows = buffer = ffi.from_buffer("uint8_t[]", uuid_bytes)
        self._view.rows = len(uuid_bytes) // 16
        self._view.uuids = buffer

    def mark(self, marks: bytearray, flags: int, mark: int) -> None:
        """Set the *marks* of the objects that are listed with *flags* to *mark*."""
        array = ffi.from_buffer("uint8_t[]", marks, require_writable=True)
        self._check(lib.pv_inventory_mark(self._kind, self._view, self._parent._ptr, flags, array, mark))

    def _check(self, result: int) -> None:
        if result == lib.PV_NO_MEMORY:
            raise MemoryError
        if result < 0:
            raise last_error(self._function, self._parent._conn)

    def __len__(self) -> int:
        rows: int = self._view.rows
        return rows

    def flagged(self, flag: int) -> memoryview[bool]:
        """Return for each object whether it is listed with *flag*."""
        marks = bytearray(len(self))
        self.mark(marks, flag, 1)
        return _bools(marks)

    @property
    def names(self) -> list[str]:
        """The names."""
        return self._texts(self._view.name_offsets, self._view.names)

    @property
    def keys(self) -> list[str]:
        """The keys."""
        return self._texts(self._view.key_offsets, self._view.keys)

    def _texts(self, offsets: CData, text: CData) -> list[str]:
        ends = ffi.unpack(offsets, len(self) + 1)
        return decode_texts(ends, ffi.buffer(text, ends[-1])[:] if ends[-1] else b"")

    @property
    def uuid_bytes(self) -> memoryview:
        """The UUIDs, concatenated."""
        return memory_view(keep_alive(self._rows), self._view.uuids, 16 * len(self) if self._view.uuids else 0, "B")

    @property
    def ids(self) -> memoryview:
        """The ids, int32."""
        return memory_view(keep_alive(self._rows), self._view.ids, len(self), "i")


def _bools(marks: bytearray) -> memoryview[bool]:
    return memoryview(marks).toreadonly().cast("?")


def domains_of(conn: Conn) -> DomainInventory:
    """See :meth:`Domains.inventory`."""
    domains = conn.domains
    listing = _Listing(lib.PV_LIST_DOMAIN, conn, "virConnectListAllDomains")
    reasons: memoryview | None
    try:
        frame = engine_of(conn).collect(StatsGroup.STATE)
    except NotSupportedError:
        domains._in_parts(0, listing.append)
        names, uuid_bytes, ids = listing.names, listing.uuid_bytes, listing.ids
        states, reasons = _states(conn, listing), None
    else:
        names, uuid_bytes, ids = frame.domains.names, frame.domains.uuid_bytes, frame.domains.ids
        listing.use(uuid_bytes)
        states, reasons = _column(frame, "state.state"), _column(frame, "state.reason")
    persistent = bytearray(b"\1" * len(names))  # most are; the transient ones are listed
    domains._in_parts(_Flags.TRANSIENT, lambda flags: listing.mark(persistent, flags, 0))
    return DomainInventory(names, uuid_bytes, ids, states, reasons, _bools(persistent), _autostart(conn, listing))


def _column(frame: StatsFrame, name: str) -> memoryview:
    table = frame.tables.get("domain")
    return memoryview(bytes(4 * len(frame))).cast("i") if table is None else table[name].values


def _autostart(conn: Conn, listing: _Listing) -> memoryview[bool]:
    """Return which domains start with the host; lists those that do or those that do not, whichever are fewer."""
    count = lib.virConnectListAllDomains(conn._ptr, ffi.NULL, _Flags.AUTOSTART)
    if count == 0:
        return _bools(bytearray(len(listing)))
    if count < 0:
        forget()  # too many for one message: libvirt cannot count them either; the listing below uses several
    listed, mark = (_Flags.AUTOSTART, 1) if count <= len(listing) // 2 else (_Flags.NO_AUTOSTART, 0)
    marks = bytearray(bytes([not mark]) * len(listing))
    conn.domains._in_parts(listed, lambda flags: listing.mark(marks, flags, mark))
    return _bools(marks)


def _states(conn: Conn, listing: _Listing) -> memoryview:
    """Return the states, from listings filtered by flag.

    Domains in a state that has no flag of its own are in none of these listings, and are asked one by one.
    """
    unlisted = 255
    marks = bytearray([unlisted]) * len(listing)
    for flag, state in (
        (_Flags.RUNNING, DomainState.RUNNING),
        (_Flags.PAUSED, DomainState.PAUSED),
        (_Flags.SHUTOFF, DomainState.SHUTOFF),
    ):
        conn.domains._in_parts(flag, lambda flags, state=state: listing.mark(marks, flags, state))  # type: ignore[misc]
    for row in [row for row, state in enumerate(marks) if state == unlisted]:
        domain = conn.domains.get(uuid=bytes(listing.uuid_bytes[16 * row : 16 * row + 16]), default=None)
        try:
            marks[row] = DomainState.NOSTATE if domain is None else domain.state().state
        except DomainNotFoundError:
            marks[row] = DomainState.NOSTATE  # it was deleted after the list was made
    return memoryview(array("i", list(marks))).toreadonly()


def networks_of(conn: Conn) -> NetworkInventory:
    """See :meth:`Networks.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_NETWORK, conn, "virConnectListAllNetworks")
    flags = ConnectListAllNetworksFlags
    return NetworkInventory(
        found.names,
        found.uuid_bytes,
        found.flagged(flags.ACTIVE),
        found.flagged(flags.PERSISTENT),
        found.flagged(flags.AUTOSTART),
    )


def pools_of(conn: Conn) -> StoragePoolInventory:
    """See :meth:`StoragePools.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_STORAGE_POOL, conn, "virConnectListAllStoragePools")
    flags = ConnectListAllStoragePoolsFlags
    return StoragePoolInventory(
        found.names,
        found.uuid_bytes,
        found.flagged(flags.ACTIVE),
        found.flagged(flags.PERSISTENT),
        found.flagged(flags.AUTOSTART),
    )


def volumes_of(pool: HasPointer) -> StorageVolumeInventory:
    """See :meth:`StorageVolumes.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_STORAGE_VOLUME, pool, "virStoragePoolListAllVolumes")
    return StorageVolumeInventory(found.names, found.uuid_bytes, found.keys)


def devices_of(conn: Conn) -> NodeDeviceInventory:
    """See :meth:`NodeDevices.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_NODE_DEVICE, conn, "virConnectListAllNodeDevices")
    return NodeDeviceInventory(found.names, found.uuid_bytes)


def interfaces_of(conn: Conn) -> InterfaceInventory:
    """See :meth:`Interfaces.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_INTERFACE, conn, "virConnectListAllInterfaces")
    active = found.flagged(ConnectListAllInterfacesFlags.ACTIVE)
    return InterfaceInventory(found.names, found.uuid_bytes, found.keys, active)


def secrets_of(conn: Conn) -> SecretInventory:
    """See :meth:`Secrets.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_SECRET, conn, "virConnectListAllSecrets")
    flags = ConnectListAllSecretsFlags
    return SecretInventory(
        found.names,
        found.uuid_bytes,
        found.ids,
        found.flagged(flags.EPHEMERAL),
        found.flagged(flags.PRIVATE),
    )


def nwfilters_of(conn: Conn) -> NWFilterInventory:
    """See :meth:`NWFilters.inventory`."""
    found = _Listing.of_all(lib.PV_LIST_NWFILTER, conn, "virConnectListAllNWFilters")
    return NWFilterInventory(found.names, found.uuid_bytes)
