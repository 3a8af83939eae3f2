# SPDX-License-Identifier: LGPL-2.1-or-later
"""``pool.volumes``: disk images, partitions, logical volumes, …"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pyvirt._collection import Collection
from pyvirt._convert import decode, encode, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt._names import list_names
from pyvirt.enums.storage import (
    StorageVolCreateFlags,
    StorageVolDeleteFlags,
    StorageVolInfoFlags,
    StorageVolResizeFlags,
    StorageVolType,
    StorageVolWipeAlgorithm,
)
from pyvirt.errors import InvalidArgumentError, StorageVolumeNotFoundError, check, check_pointer
from pyvirt.models import StorageVolumeInfo
from pyvirt.xmldesc import parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from pyvirt._lib import CData
    from pyvirt.connection import Connection
    from pyvirt.storage.pools import StoragePool

_RAISE = object()


class StorageVolume(Handle):
    """One volume of a storage pool."""

    __slots__ = ("_key", "_name")

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_storage_volume
    _key: str
    _name: str

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.StorageVolume {self.name!r} {self.key!r}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.StorageVolume closed>"

    # ---- identity: what the handle knows ----

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._conn

    @property
    def name(self) -> str:
        """The name, unique in its pool.  (virStorageVolGetName)"""
        try:
            return self._name
        except AttributeError:
            self._name = decode(lib.virStorageVolGetName(self._ptr))
            return self._name

    @property
    def key(self) -> str:
        """What identifies it on its host: often the path, else something that stays.  (virStorageVolGetKey)"""
        return self._identity()

    def _identity(self) -> str:
        try:
            return self._key
        except AttributeError:
            self._key = decode(lib.virStorageVolGetKey(self._ptr))
            return self._key

    # ---- state ----

    def path(self) -> str:
        """Return where it is on the host.  (virStorageVolGetPath)"""
        return take_string(lib.virStorageVolGetPath(self._ptr))

    def pool(self) -> StoragePool:
        """Return the pool it lies in.  (virStoragePoolLookupByVolume)"""
        from pyvirt.storage.pools import StoragePool

        pointer = lib.virStoragePoolLookupByVolume(self._ptr)
        check_pointer(pointer)
        return StoragePool(self._conn, pointer)

    def info(self, *, flags: StorageVolInfoFlags = StorageVolInfoFlags(0)) -> StorageVolumeInfo:
        """Return its type and size.  (virStorageVolGetInfo, with *flags* virStorageVolGetInfoFlags)

        :param flags: ``GET_PHYSICAL`` makes ``allocation`` the length of the file
        """
        out = ffi.new("virStorageVolInfo *")
        if flags:
            check(lib.virStorageVolGetInfoFlags(self._ptr, out, flags))
        else:  # not every driver has the other one
            check(lib.virStorageVolGetInfo(self._ptr, out))
        return StorageVolumeInfo(StorageVolType(out.type), out.capacity, out.allocation)

    def xml_desc(self) -> str:
        """Return its description.  (virStorageVolGetXMLDesc)"""
        return take_string(lib.virStorageVolGetXMLDesc(self._ptr, 0))

    # ---- life ----

    def clone(self, name: str, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)) -> StorageVolume:
        """Make another like it, with the same content, in its pool.  (virStorageVolCreateXMLFrom)

        For a copy in another pool or format see :meth:`StorageVolumes.create_from`.

        :raises AlreadyExistsError: the pool has a volume *name*
        """
        root = parse(self.xml_desc())
        element = root.find("name")
        assert element is not None
        try:
            element.text = name
        except ValueError:  # lxml's
            raise InvalidArgumentError(f"no name in an XML document: {name[:80]!r}") from None
        return self.pool().volumes.create_from(serialize(root), self, flags=flags)

    def resize(self, capacity: int, *, flags: StorageVolResizeFlags = StorageVolResizeFlags(0)) -> None:
        """Change its size, of which a guest that uses it hears nothing.  (virStorageVolResize)

        :param capacity: bytes; with ``DELTA``, by how many to grow, or with ``SHRINK`` too to shrink
        :raises InvalidArgumentError: it would shrink, and *flags* lack ``SHRINK``
        """
        check(lib.virStorageVolResize(self._ptr, capacity, flags))

    def wipe(self, algorithm: StorageVolWipeAlgorithm = StorageVolWipeAlgorithm.ZERO) -> None:
        """Overwrite its content.  (virStorageVolWipePattern; with ``ZERO`` it does what virStorageVolWipe does)

        :param algorithm: those other than ``ZERO`` and ``TRIM`` need the program scrub on the host
        """
        check(lib.virStorageVolWipePattern(self._ptr, algorithm, 0))

    def delete(self, *, flags: StorageVolDeleteFlags = StorageVolDeleteFlags(0)) -> None:
        """Remove it with its content.  (virStorageVolDelete)"""
        check(lib.virStorageVolDelete(self._ptr, flags))


# In the class below, list is a method.
StorageVolumeList: TypeAlias = list[StorageVolume]
NameList: TypeAlias = list[str]


class StorageVolumes(Collection[StorageVolume]):
    """The volumes of a storage pool, as of its last refresh."""

    __slots__ = ("_pool",)
    _kind = StorageVolume
    _pointer = "virStorageVolPtr"

    def __init__(self, pool: StoragePool) -> None:
        super().__init__(pool._conn)
        self._pool = pool

    def __repr__(self) -> str:
        return f"<StorageVolumes of {self._pool!r}>"

    def list(self) -> StorageVolumeList:
        """Return all volumes.  (virStoragePoolListAllVolumes)

        :raises OperationInvalidError: the pool is not active
        """
        return self._list(0)

    def _list(self, flags: int) -> StorageVolumeList:
        pool = self._pool._ptr
        return self._wrap_list(lambda _, out, flags: lib.virStoragePoolListAllVolumes(pool, out, flags), flags)

    def _count(self) -> int:
        return check(lib.virStoragePoolNumOfVolumes(self._pool._ptr))

    def names(self) -> NameList:
        """Return the names of all volumes.  (virStoragePoolNumOfVolumes, virStoragePoolListVolumes)"""
        pool = self._pool._ptr
        return list_names(self._count, lambda names, room: check(lib.virStoragePoolListVolumes(pool, names, room)))

    def _by_name(self, name: str) -> StorageVolume:
        return self._wrap(lib.virStorageVolLookupByName(self._pool._ptr, encode(name)), name)

    def get(self, name: str, *, default: object = _RAISE) -> StorageVolume:
        """Return one volume; by key or path ``conn.storage_pools.volume()`` does.  (virStorageVolLookupByName)

        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume
        """
        try:
            return self._by_name(name)
        except StorageVolumeNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]

    def create(self, xml: str, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)) -> StorageVolume:
        """Make a new volume.  (virStorageVolCreateXML)

        :param xml: a ``<volume>``; its ``<capacity>`` is in bytes unless it has a unit
        :raises AlreadyExistsError: there is one of that name
        :raises XMLError: *xml* is no XML, or no volume
        """
        return self._wrap(lib.virStorageVolCreateXML(self._pool._ptr, encode(xml), flags))

    def create_from(
        self, xml: str, source: StorageVolume, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)
    ) -> StorageVolume:
        """Make a new volume with the content of another, converted if the formats differ.

        (virStorageVolCreateXMLFrom)

        :param xml: a ``<volume>``.  A ``<capacity>`` smaller than that of *source* is raised to it, and a larger one
            counts only from raw to raw: resize what was converted
        :param source: a volume of any active pool of this connection
        :param flags: ``REFLINK`` shares the blocks, where the file system can
        :raises AlreadyExistsError: there is one of that name
        """
        return self._wrap(lib.virStorageVolCreateXMLFrom(self._pool._ptr, encode(xml), source._ptr, flags))
