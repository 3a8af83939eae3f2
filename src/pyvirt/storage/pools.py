# SPDX-License-Identifier: LGPL-2.1-or-later
"""``conn.storage_pools``: where volumes lie."""

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
    """A directory, file system, volume group, disk, … that holds volumes."""

    __slots__ = ()

    _release = lib.pv_release_storage_pool
    _get_name = lib.virStoragePoolGetName
    _get_uuid = lib.virStoragePoolGetUUID
    _get_autostart = lib.virStoragePoolGetAutostart
    _set_autostart = lib.virStoragePoolSetAutostart

    @property
    def volumes(self) -> StorageVolumes:
        """The volumes in it, as of its last refresh; it must be active."""
        return StorageVolumes(self)

    # ---- state ----

    def info(self) -> StoragePoolInfo:
        """Return its state and how full it is.  (virStoragePoolGetInfo)"""
        out = ffi.new("virStoragePoolInfo *")
        self._call(lib.virStoragePoolGetInfo, out)
        return StoragePoolInfo(StoragePoolState(out.state), out.capacity, out.allocation, out.available)

    def is_active(self) -> bool:
        """Return whether it is started: only then its volumes are known.  (virStoragePoolIsActive)"""
        return self._call(lib.virStoragePoolIsActive) == 1

    def is_persistent(self) -> bool:
        """Return whether a configuration is stored, which outlives a stop.  (virStoragePoolIsPersistent)"""
        return self._call(lib.virStoragePoolIsPersistent) == 1

    def xml_desc(self, *, flags: StorageXMLFlags = StorageXMLFlags(0)) -> str:
        """Return its configuration: the active one, or with ``INACTIVE`` the stored.  (virStoragePoolGetXMLDesc)"""
        return self._call_string(lib.virStoragePoolGetXMLDesc, flags)

    def edit(self, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> AbstractContextManager[_Element]:
        """Change the stored configuration as a tree: ``with pool.edit() as root: …``

        Defined again when the block ends, left as it was when the block raises; an active pool follows at its next
        start.  (virStoragePoolGetXMLDesc, virStoragePoolDefineXML)

        :raises OperationInvalidError: a transient pool has no stored configuration
        """
        return edit(
            lambda: stored(self, StorageXMLFlags.INACTIVE),
            lambda xml: StoragePools(self._conn).define(xml, flags=flags),
        )

    # ---- life ----

    def build(self, *, flags: StoragePoolBuildFlags = StoragePoolBuildFlags(0)) -> None:
        """Make what it needs: the directory, the file system, the volume group, …  (virStoragePoolBuild)

        :param flags: ``NO_OVERWRITE`` refuses a device with something on it, ``OVERWRITE`` does not ask.  Without
            either it depends on the type of pool; those that know neither refuse them
        :raises OperationInvalidError: it is active
        :raises AlreadyExistsError: ``NO_OVERWRITE``, and the device is formatted already
        """
        self._call(lib.virStoragePoolBuild, flags)

    def start(self, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> None:
        """Start it: mount, log in, … and look for volumes.  (virStoragePoolCreate)

        :raises OperationInvalidError: it is active already
        """
        self._call(lib.virStoragePoolCreate, flags)

    def refresh(self) -> None:
        """Look again for volumes and how full it is: others than libvirt may have been at work.

        (virStoragePoolRefresh)
        """
        self._call(lib.virStoragePoolRefresh, 0)

    def destroy(self) -> None:
        """Stop it; what it stores stays.  A transient pool is gone.  (virStoragePoolDestroy)

        :raises OperationInvalidError: it is not active
        """
        self._call(lib.virStoragePoolDestroy)

    def delete(self, *, flags: StoragePoolDeleteFlags = StoragePoolDeleteFlags(0)) -> None:
        """Undo :meth:`build`: remove the directory, the volume group, …  (virStoragePoolDelete)

        :raises OperationInvalidError: it is active
        """
        self._call(lib.virStoragePoolDelete, flags)

    def undefine(self) -> None:
        """Drop the stored configuration; what it stores stays.  (virStoragePoolUndefine)

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
        """Return the names of those that are active.  (virConnectNumOfStoragePools, virConnectListStoragePools)"""
        return self._conn._call_names(lib.virConnectNumOfStoragePools, lib.virConnectListStoragePools)

    def defined_names(self) -> NameList:
        """Return the names of those that are not active.

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

        :param target_path: the directory where its volumes appear on the host; the pool must be active
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

        :param key: what identifies it on this host, :attr:`StorageVolume.key`
        :param path: on the host
        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume, as far as the last refresh of its pool saw
        :raises TypeError: not exactly one of the two was given
        """
        volumes = _AllVolumes(self._conn)
        return volumes._get(default, "exactly one of key and path", (volumes._by_key, key), (volumes._by_path, path))

    def define(self, xml: XML, *, flags: StoragePoolDefineFlags = StoragePoolDefineFlags(0)) -> StoragePool:
        """Store a configuration; an active pool of that UUID gets it at its next start.  (virStoragePoolDefineXML)

        :raises XMLError: *xml* is no XML, or no pool
        :raises OperationFailedError: its name, its UUID or its source belongs to another pool
        """
        return self._new(lib.virStoragePoolDefineXML, encode_xml(xml), flags)

    def create(self, xml: XML, *, flags: StoragePoolCreateFlags = StoragePoolCreateFlags(0)) -> StoragePool:
        """Start a pool that vanishes when it stops; what it stores stays.  (virStoragePoolCreateXML)

        :param flags: ``WITH_BUILD`` and its kin do what :meth:`StoragePool.build` does before
        :raises XMLError: *xml* is no XML, or no pool
        """
        return self._new(lib.virStoragePoolCreateXML, encode_xml(xml), flags)

    def find_sources(self, type: str, source: XML | None = None) -> str:
        """Return what pools could be made of, as a ``<sources>`` document.  (virConnectFindStoragePoolSources)

        :param type: of pool: ``"logical"`` finds volume groups, ``"netfs"`` exports, ``"iscsi"`` targets
        :param source: where to look, as ``<source><host name="…"/></source>``; ``"netfs"`` and ``"iscsi"`` need it
        :raises OperationUnsupportedError: pools of that type are not searched for
        """
        return self._conn._call_string(
            lib.virConnectFindStoragePoolSources, encode(type), encode_xml_or_null(source), 0
        )

    def capabilities(self) -> StoragePoolCapabilities:
        """Return which types of pools there are; ``.xml`` is the text.  (virConnectGetStoragePoolCapabilities)"""
        return StoragePoolCapabilities.parse(self._conn._call_string(lib.virConnectGetStoragePoolCapabilities, 0))
