# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.storage_pools``: where volumes lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from pyvirt._collection import Collection, as_uuid
from pyvirt._convert import decode, encode, encode_or_null, take_string
from pyvirt._handle import Handle
from pyvirt._lib import ffi, lib
from pyvirt._names import list_names
from pyvirt.capabilities.storage import StoragePoolCapabilities
from pyvirt.enums.storage import (
    ConnectListAllStoragePoolsFlags,
    StoragePoolBuildFlags,
    StoragePoolCreateFlags,
    StoragePoolDefineFlags,
    StoragePoolDeleteFlags,
    StoragePoolState,
    StorageXMLFlags,
)
from pyvirt.errors import (
    OperationInvalidError,
    StoragePoolNotFoundError,
    StorageVolumeNotFoundError,
    check,
    check_pointer,
)
from pyvirt.models import StoragePoolInfo
from pyvirt.storage.volumes import NameList, StorageVolume, StorageVolumes
from pyvirt.xmldesc import parse, serialize

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from lxml.etree import _Element

    from pyvirt._lib import CData
    from pyvirt.connection import Connection

_RAISE = object()


class StoragePool(Handle):
    """A directory, file system, volume group, disk, … that holds volumes."""

    __slots__ = ("_name", "_uuid")

    _conn: Connection
    _release: ClassVar[Callable[[CData], None]] = lib.pv_release_storage_pool
    _name: str
    _uuid: bytes

    def __repr__(self) -> str:
        try:
            return f"<pyvirt.StoragePool {self.name!r} {self.uuid}>"
        except Exception:  # closed before anybody asked for the name: a repr never fails
            return "<pyvirt.StoragePool closed>"

    # ---- identity: what the handle knows ----

    @property
    def connection(self) -> Connection:
        """The connection it belongs to."""
        return self._conn

    @property
    def name(self) -> str:
        """The name.  (virStoragePoolGetName)"""
        try:
            return self._name
        except AttributeError:
            self._name = decode(lib.virStoragePoolGetName(self._ptr))
            return self._name

    @property
    def uuid(self) -> UUID:
        """The UUID.  (virStoragePoolGetUUID)"""
        return UUID(bytes=self._identity())

    def _identity(self) -> bytes:
        try:
            return self._uuid
        except AttributeError:
            buffer = ffi.new("unsigned char[16]")
            check(lib.virStoragePoolGetUUID(self._ptr, buffer))
            self._uuid = bytes(buffer)
            return self._uuid

    @property
    def volumes(self) -> StorageVolumes:
        """The volumes in it, as of its last refresh; it must be active."""
        return StorageVolumes(self)

    # ---- state ----

    def info(self) -> StoragePoolInfo:
        """Return its state and how full it is.  (virStoragePoolGetInfo)"""
        out = ffi.new("virStoragePoolInfo *")
        check(lib.virStoragePoolGetInfo(self._ptr, out))
        return StoragePoolInfo(StoragePoolState(out.state), out.capacity, out.allocation, out.available)

    def is_active(self) -> bool:
        """Return whether it is started: only then its volumes are known.  (virStoragePoolIsActive)"""
        return check(lib.virStoragePoolIsActive(self._ptr)) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which outlives a stop.  (virStoragePoolIsPersistent)"""
        return check(lib.virStoragePoolIsPersistent(self._ptr)) == 1

    def xml_desc(self, *, flags: StorageXMLFlags = StorageXMLFlags(0)) -> str:
        """Return its configuration: the active one, or with ``INACTIVE`` the stored.  (virStoragePoolGetXMLDesc)"""
        return take_string(lib.virStoragePoolGetXMLDesc(self._ptr, flags))

    @contextmanager
    def edit(self, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> Iterator[_Element]:
        """Change the stored configuration as a tree: ``with pool.edit() as root: …``

        Defined again when the block ends, left as it was when the block raises; an active pool follows at its next
        start.  (virStoragePoolGetXMLDesc, virStoragePoolDefineXML)

        :raises OperationInvalidError: a transient pool has no stored configuration
        """
        if not self.is_persistent():
            raise OperationInvalidError(
                f"storage pool {self.name!r} is transient: it has no stored configuration to edit", code=55
            )
        root = parse(self.xml_desc(flags=StorageXMLFlags.INACTIVE))
        yield root
        StoragePools(self._conn).define(serialize(root), flags=flags)

    def autostart(self) -> bool:
        """Return whether it starts with the host.  (virStoragePoolGetAutostart)"""
        out = ffi.new("int *")
        check(lib.virStoragePoolGetAutostart(self._ptr, out))
        return bool(out[0])

    def set_autostart(self, autostart: bool) -> None:
        """Say whether it starts with the host.  (virStoragePoolSetAutostart)

        :raises InvalidArgumentError: it is transient
        """
        check(lib.virStoragePoolSetAutostart(self._ptr, bool(autostart)))

    # ---- life ----

    def build(self, *, flags: StoragePoolBuildFlags = StoragePoolBuildFlags(0)) -> None:
        """Make what it needs: the directory, the file system, the volume group, …  (virStoragePoolBuild)

        :param flags: ``NO_OVERWRITE`` refuses a device with something on it, ``OVERWRITE`` does not ask.  Without
            either it depends on the type of pool; those that know neither refuse them
        :raises OperationInvalidError: it is active
        :raises AlreadyExistsError: ``NO_OVERWRITE``, and the device is formatted already
        """
        check(lib.virStoragePoolBuild(self._ptr, flags))

    def start(self, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> None:
        """Start it: mount, log in, … and look for volumes.  (virStoragePoolCreate)

        :raises OperationInvalidError: it is active already
        """
        check(lib.virStoragePoolCreate(self._ptr, flags))

    def refresh(self) -> None:
        """Look again for volumes and how full it is: others than libvirt may have been at work.

        (virStoragePoolRefresh)
        """
        check(lib.virStoragePoolRefresh(self._ptr, 0))

    def destroy(self) -> None:
        """Stop it; what it stores stays.  A transient pool is gone.  (virStoragePoolDestroy)

        :raises OperationInvalidError: it is not active
        """
        check(lib.virStoragePoolDestroy(self._ptr))

    def delete(self, *, flags: StoragePoolDeleteFlags = StoragePoolDeleteFlags(0)) -> None:
        """Undo :meth:`build`: remove the directory, the volume group, …  (virStoragePoolDelete)

        :raises OperationInvalidError: it is active
        """
        check(lib.virStoragePoolDelete(self._ptr, flags))

    def undefine(self) -> None:
        """Drop the stored configuration; what it stores stays.  (virStoragePoolUndefine)

        :raises OperationInvalidError: it is active
        """
        check(lib.virStoragePoolUndefine(self._ptr))


StoragePoolList: TypeAlias = list[StoragePool]  # in the class below, list is a method


class StoragePools(Collection[StoragePool]):
    """The storage pools of a connection, active or not."""

    __slots__ = ()
    _kind = StoragePool
    _pointer = "virStoragePoolPtr"

    def list(self, flags: ConnectListAllStoragePoolsFlags = ConnectListAllStoragePoolsFlags(0)) -> StoragePoolList:
        """Return the pools that match *flags*, all without any.  (virConnectListAllStoragePools)

        Flags of one group (active or inactive; persistent or transient; the types; …) widen, groups narrow.
        """
        return self._list(flags)

    def _list(self, flags: int) -> StoragePoolList:
        return self._wrap_list(lib.virConnectListAllStoragePools, flags)

    def _count(self) -> int:
        return check(lib.virConnectListAllStoragePools(self._conn._ptr, ffi.NULL, 0))

    def _by_name(self, name: str) -> StoragePool:
        return self._wrap(lib.virStoragePoolLookupByName(self._conn._ptr, encode(name)), name)

    def names(self) -> NameList:
        """Return the names of those that are active.  (virConnectNumOfStoragePools, virConnectListStoragePools)"""
        conn = self._conn._ptr
        return list_names(
            lambda: check(lib.virConnectNumOfStoragePools(conn)),
            lambda names, room: check(lib.virConnectListStoragePools(conn, names, room)),
        )

    def defined_names(self) -> NameList:
        """Return the names of those that are not active.

        (virConnectNumOfDefinedStoragePools, virConnectListDefinedStoragePools)
        """
        conn = self._conn._ptr
        return list_names(
            lambda: check(lib.virConnectNumOfDefinedStoragePools(conn)),
            lambda names, room: check(lib.virConnectListDefinedStoragePools(conn, names, room)),
        )

    def get(
        self,
        name: str | None = None,
        *,
        uuid: UUID | str | bytes | None = None,
        target_path: str | None = None,
        default: object = _RAISE,
    ) -> StoragePool:
        """Return one pool by its name, UUID or target path.

        (virStoragePoolLookupByName, virStoragePoolLookupByUUID, virStoragePoolLookupByTargetPath)

        :param target_path: the directory where its volumes appear on the host; the pool must be active
        :param default: returned instead of raising when there is no such pool
        :raises StoragePoolNotFoundError: no such pool
        :raises TypeError: not exactly one of the three was given
        """
        if (name is not None) + (uuid is not None) + (target_path is not None) != 1:
            raise TypeError("give exactly one of name, uuid and target_path")
        try:
            if name is not None:
                return self._by_name(name)
            if uuid is not None:
                return self._by_uuid(uuid)
            assert target_path is not None
            pointer = lib.virStoragePoolLookupByTargetPath(self._conn._ptr, encode(target_path))
            return self._wrap(pointer, target_path)
        except StoragePoolNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]

    def _by_uuid(self, uuid: UUID | str | bytes) -> StoragePool:
        wanted = as_uuid(uuid)
        return self._wrap(lib.virStoragePoolLookupByUUID(self._conn._ptr, wanted.bytes), wanted)

    def volume(self, *, key: str | None = None, path: str | None = None, default: object = _RAISE) -> StorageVolume:
        """Return a volume of any active pool.  (virStorageVolLookupByKey, virStorageVolLookupByPath)

        :param key: what identifies it on this host, :attr:`StorageVolume.key`
        :param path: on the host
        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume, as far as the last refresh of its pool saw
        :raises TypeError: not exactly one of the two was given
        """
        if (key is None) == (path is None):
            raise TypeError("give exactly one of key and path")
        conn = self._conn
        try:
            if key is not None:
                pointer = lib.virStorageVolLookupByKey(conn._ptr, encode(key))
            else:
                assert path is not None
                pointer = lib.virStorageVolLookupByPath(conn._ptr, encode(path))
            check_pointer(pointer)
        except StorageVolumeNotFoundError:
            if default is _RAISE:
                raise
            return default  # type: ignore[return-value]
        return StorageVolume(conn, pointer)

    def define(self, xml: str, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> StoragePool:
        """Store a configuration; an active pool of that UUID gets it at its next start.  (virStoragePoolDefineXML)

        :raises XMLError: *xml* is no XML, or no pool
        :raises OperationFailedError: its name, its UUID or its source belongs to another pool
        """
        return self._wrap(lib.virStoragePoolDefineXML(self._conn._ptr, encode(xml), flags))

    def create(self, xml: str, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> StoragePool:
        """Start a pool that vanishes when it stops; what it stores stays.  (virStoragePoolCreateXML)

        :param flags: ``WITH_BUILD`` and its kin do what :meth:`StoragePool.build` does before
        :raises XMLError: *xml* is no XML, or no pool
        """
        return self._wrap(lib.virStoragePoolCreateXML(self._conn._ptr, encode(xml), flags))

    def find_sources(self, type: str, source: str | None = None) -> str:
        """Return what pools could be made of, as a ``<sources>`` document.  (virConnectFindStoragePoolSources)

        :param type: of pool: ``"logical"`` finds volume groups, ``"netfs"`` exports, ``"iscsi"`` targets
        :param source: where to look, as ``<source><host name="…"/></source>``; ``"netfs"`` and ``"iscsi"`` need it
        :raises OperationUnsupportedError: pools of that type are not searched for
        """
        return take_string(
            lib.virConnectFindStoragePoolSources(self._conn._ptr, encode(type), encode_or_null(source), 0)
        )

    def capabilities(self) -> StoragePoolCapabilities:
        """Return which types of pools there are; ``.xml`` is the text.  (virConnectGetStoragePoolCapabilities)"""
        return StoragePoolCapabilities.parse(take_string(lib.virConnectGetStoragePoolCapabilities(self._conn._ptr, 0)))
