# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.storage_pools``: storage pools, which contain volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pyvirt._core.document import encode_xml, encode_xml_or_null
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import encode
from pyvirt._model.collection import RAISE, Collection
from pyvirt._model.edit import edit, stored
from pyvirt._model.object import Autostarting, NamedByUUID
from pyvirt._model.where import WhereLiving
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
from pyvirt.errors import StoragePoolNotFoundError, StorageVolumeNotFoundError
from pyvirt.models import StoragePoolInfo
from pyvirt.storage.volumes import NameList, StorageVolume, StorageVolumes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from uuid import UUID

    from lxml.etree import _Element

    from pyvirt._model.collection import D
    from pyvirt.inventory import StoragePoolInventory
    from pyvirt.xmldesc import XML


class StoragePool(NamedByUUID, Autostarting[bytes]):
    """A directory, file system, volume group, disk, … that contains volumes."""

    __slots__ = ()

    _release = lib.pv_release_storage_pool
    _get_name = lib.virStoragePoolGetName
    _get_uuid = lib.virStoragePoolGetUUID
    _get_autostart = lib.virStoragePoolGetAutostart
    _set_autostart = lib.virStoragePoolSetAutostart

    @property
    def volumes(self) -> StorageVolumes:
        """Its volumes, as of its last refresh; the pool must be active."""
        return StorageVolumes(self)

    # ---- state ----

    def info(self) -> StoragePoolInfo:
        """Return its state, capacity and free space.  (virStoragePoolGetInfo)"""
        out = ffi.new("virStoragePoolInfo *")
        self._call(lib.virStoragePoolGetInfo, out)
        return StoragePoolInfo(StoragePoolState(out.state), out.capacity, out.allocation, out.available)

    def is_active(self) -> bool:
        """Return whether it is active; only then its volumes are known.  (virStoragePoolIsActive)"""
        return self._call(lib.virStoragePoolIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which remains when the pool stops.  (virStoragePoolIsPersistent)"""
        return self._call(lib.virStoragePoolIsPersistent) == 1

    def xml_desc(self, *, flags: StorageXMLFlags = StorageXMLFlags(0)) -> str:
        """Return its configuration: the active one, or with ``INACTIVE`` the stored one.  (virStoragePoolGetXMLDesc)"""
        return self._call_string(lib.virStoragePoolGetXMLDesc, flags)

    def edit(self, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with pool.edit() as root: …``

        The configuration is defined again when the block ends, and left as it was if the block raises.  An active pool
        uses it from its next start on.  (virStoragePoolGetXMLDesc, virStoragePoolDefineXML)

        :raises OperationInvalidError: a transient pool has no stored configuration
        """
        return edit(
            lambda: stored(self, StorageXMLFlags.INACTIVE),
            lambda xml: StoragePools(self._conn).define(xml, flags=flags),
        )

    # ---- life ----

    def build(self, *, flags: StoragePoolBuildFlags = StoragePoolBuildFlags(0)) -> None:
        """Create the underlying storage: the directory, the file system, the volume group, …  (virStoragePoolBuild)

        :param flags: with ``NO_OVERWRITE`` a device with existing data is refused, with ``OVERWRITE`` it is
            overwritten. Without them it depends on the type of pool; some types accept neither flag
        :raises OperationInvalidError: it is active
        :raises AlreadyExistsError: the device is already formatted, and *flags* have ``NO_OVERWRITE``
        """
        self._call(lib.virStoragePoolBuild, flags)

    def start(self, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> None:
        """Start it (mount, log in, …) and find its volumes.  (virStoragePoolCreate)

        :raises OperationInvalidError: it is already active
        """
        self._call(lib.virStoragePoolCreate, flags)

    def refresh(self) -> None:
        """Find its volumes and free space again: other programs than libvirt may have changed them.

        (virStoragePoolRefresh)
        """
        self._call(lib.virStoragePoolRefresh, 0)

    def destroy(self) -> None:
        """Stop it; its data stays.  A transient pool no longer exists then.  (virStoragePoolDestroy)

        :raises OperationInvalidError: it is not active
        """
        self._call(lib.virStoragePoolDestroy)

    def delete(self, *, flags: StoragePoolDeleteFlags = StoragePoolDeleteFlags(0)) -> None:
        """Undo :meth:`build`: remove the directory, the volume group, …  (virStoragePoolDelete)

        :raises OperationInvalidError: it is active
        """
        self._call(lib.virStoragePoolDelete, flags)

    def undefine(self) -> None:
        """Delete the stored configuration; its data stays.  (virStoragePoolUndefine)

        :raises OperationInvalidError: it is active
        """
        self._call(lib.virStoragePoolUndefine)


class _AllVolumes(Collection[StorageVolume]):
    """The volumes of all active pools."""

    __slots__ = ()
    _kind = StorageVolume
    _not_found = StorageVolumeNotFoundError

    def _by_key(self, key: str) -> StorageVolume:
        return self._look_up(key, lib.virStorageVolLookupByKey, encode(key))

    def _by_path(self, path: str) -> StorageVolume:
        return self._look_up(path, lib.virStorageVolLookupByPath, encode(path))


StoragePoolList: TypeAlias = list[StoragePool]  # in the class below, list is a method


class StoragePools(WhereLiving[StoragePool]):
    """The storage pools of a connection, active or not."""

    __slots__ = ()
    _kind = StoragePool
    _not_found = StoragePoolNotFoundError
    _pointer = "virStoragePoolPtr"
    _flags = ConnectListAllStoragePoolsFlags
    _list_all = lib.virConnectListAllStoragePools
    _look_up_by_name = lib.virStoragePoolLookupByName
    _look_up_by_uuid = lib.virStoragePoolLookupByUUID

    def list(self, flags: ConnectListAllStoragePoolsFlags = ConnectListAllStoragePoolsFlags(0)) -> StoragePoolList:
        """Return the pools that match *flags*, all without any.  (virConnectListAllStoragePools)

        Flags of one group (active or inactive; persistent or transient; the types; …) widen, groups narrow.
        """
        return self._list(flags)

    def inventory(self) -> StoragePoolInventory:
        """Return them as columns: names, UUIDs, activity, persistence, autostart, in four round trips.

        (virConnectListAllStoragePools)
        """
        from pyvirt.inventory import pools_of

        return pools_of(self._conn)

    def names(self) -> NameList:
        """Return the names of the active ones.  (virConnectNumOfStoragePools, virConnectListStoragePools)"""
        return self._conn._call_names(lib.virConnectNumOfStoragePools, lib.virConnectListStoragePools)

    def defined_names(self) -> NameList:
        """Return the names of the inactive ones.

        (virConnectNumOfDefinedStoragePools, virConnectListDefinedStoragePools)
        """
        return self._conn._call_names(lib.virConnectNumOfDefinedStoragePools, lib.virConnectListDefinedStoragePools)

    def get(
        self,
        name: str | None = None,
        *,
        uuid: UUID | str | bytes | None = None,
        target_path: str | None = None,
        default: D = RAISE,
    ) -> StoragePool | D:
        """Return one pool by its name, UUID or target path.

        (virStoragePoolLookupByName, virStoragePoolLookupByUUID, virStoragePoolLookupByTargetPath)

        :param target_path: the directory of its volumes on the host; the pool must be active
        :param default: returned instead of raising when there is no such pool
        :raises StoragePoolNotFoundError: no such pool
        :raises TypeError: not exactly one of the three was given
        """
        return self._get(
            default,
            "exactly one of name, uuid and target_path",
            (self._by_name, name),
            (self._by_uuid, uuid),
            (self._by_target_path, target_path),
        )

    def _by_target_path(self, path: str) -> StoragePool:
        return self._look_up(path, lib.virStoragePoolLookupByTargetPath, encode(path))

    def volume(self, *, key: str | None = None, path: str | None = None, default: D = RAISE) -> StorageVolume | D:
        """Return a volume of any active pool.  (virStorageVolLookupByKey, virStorageVolLookupByPath)

        :param key: its identifier on this host, :attr:`StorageVolume.key`
        :param path: its path on the host
        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume, as of the last refresh of its pool
        :raises TypeError: not exactly one of the two was given
        """
        volumes = _AllVolumes(self._conn)
        return volumes._get(default, "exactly one of key and path", (volumes._by_key, key), (volumes._by_path, path))

    def define(self, xml: XML, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> StoragePool:
        """Store a configuration; an active pool of that UUID uses it from its next start on.  (virStoragePoolDefineXML)

        :raises XMLError: *xml* is not well-formed, or does not describe a pool
        :raises OperationFailedError: its name, its UUID or its source belongs to another pool
        """
        return self._new(lib.virStoragePoolDefineXML, encode_xml(xml), flags)

    def create(self, xml: XML, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> StoragePool:
        """Create and start a transient pool, which no longer exists when it stops; its data stays.

        (virStoragePoolCreateXML)

        :param flags: with ``WITH_BUILD`` and similar flags the pool is built first, as by :meth:`StoragePool.build`
        :raises XMLError: *xml* is not well-formed, or does not describe a pool
        """
        return self._new(lib.virStoragePoolCreateXML, encode_xml(xml), flags)

    def find_sources(self, type: str, source: XML | None = None) -> str:
        """Return possible sources of pools, as a ``<sources>`` document.  (virConnectFindStoragePoolSources)

        :param type: the type of pool: ``"logical"`` finds volume groups, ``"netfs"`` exports, ``"iscsi"`` targets
        :param source: where to look, as ``<source><host name="…"/></source>``; ``"netfs"`` and ``"iscsi"`` need it
        :raises OperationUnsupportedError: libvirt cannot search for sources of that type
        """
        return self._conn._call_string(
            lib.virConnectFindStoragePoolSources, encode(type), encode_xml_or_null(source), 0
        )

    def capabilities(self) -> StoragePoolCapabilities:
        """Return the supported types of pools; ``.xml`` is the text.  (virConnectGetStoragePoolCapabilities)"""
        return StoragePoolCapabilities.parse(self._conn._call_string(lib.virConnectGetStoragePoolCapabilities, 0))
