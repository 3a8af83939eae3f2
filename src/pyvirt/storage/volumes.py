# SPDX-License-Identifier: LGPL-2.1-or-later
"""``pool.volumes``: disk images, partitions, logical volumes, …"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pyvirt._core.document import encode_xml
from pyvirt._core.lib import ffi, lib
from pyvirt._model.collection import RAISE
from pyvirt._model.object import Named
from pyvirt._model.where import WhereNamed
from pyvirt.enums.storage import (
    StorageVolCreateFlags,
    StorageVolDeleteFlags,
    StorageVolDownloadFlags,
    StorageVolInfoFlags,
    StorageVolResizeFlags,
    StorageVolType,
    StorageVolUploadFlags,
    StorageVolWipeAlgorithm,
)
from pyvirt.enums.stream import StreamFlags
from pyvirt.errors import InvalidArgumentError, StorageVolumeNotFoundError
from pyvirt.models import StorageVolumeInfo
from pyvirt.xmldesc import parse

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import IO

    from pyvirt._model.collection import D
    from pyvirt.inventory import StorageVolumeInventory
    from pyvirt.storage.pools import StoragePool
    from pyvirt.stream import Stream
    from pyvirt.xmldesc import XML


class StorageVolume(Named[str]):
    """One volume of a storage pool; its name is unique there."""

    __slots__ = ()

    _release = lib.pv_release_storage_volume
    _get_name = lib.virStorageVolGetName

    @property
    def key(self) -> str:
        """What identifies it on its host: often the path, else something that stays.  (virStorageVolGetKey)"""
        return self._identity()

    def _ask_identity(self) -> str:
        return self._call_text(lib.virStorageVolGetKey)

    def _label(self) -> str:
        return f"{self.name!r} {self.key!r}"

    # ---- state ----

    def path(self) -> str:
        """Return where it is on the host.  (virStorageVolGetPath)"""
        return self._call_string(lib.virStorageVolGetPath)

    def pool(self) -> StoragePool:
        """Return the pool it lies in.  (virStoragePoolLookupByVolume)"""
        from pyvirt.storage.pools import StoragePool

        return self._call_object(StoragePool, lib.virStoragePoolLookupByVolume)

    def info(self, *, flags: StorageVolInfoFlags = StorageVolInfoFlags(0)) -> StorageVolumeInfo:
        """Return its type and size.  (virStorageVolGetInfo, with *flags* virStorageVolGetInfoFlags)

        :param flags: ``GET_PHYSICAL`` makes ``allocation`` the length of the file
        """
        out = ffi.new("virStorageVolInfo *")
        if flags:
            self._call(lib.virStorageVolGetInfoFlags, out, flags)
        else:  # not every driver has the other one
            self._call(lib.virStorageVolGetInfo, out)
        return StorageVolumeInfo(StorageVolType(out.type), out.capacity, out.allocation)

    def xml_desc(self) -> str:
        """Return its description.  (virStorageVolGetXMLDesc)"""
        return self._call_string(lib.virStorageVolGetXMLDesc, 0)

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
        return self.pool().volumes.create_from(root, self, flags=flags)

    def resize(self, capacity: int, *, flags: StorageVolResizeFlags = StorageVolResizeFlags(0)) -> None:
        """Change its size, of which a guest that uses it hears nothing.  (virStorageVolResize)

        :param capacity: bytes; with ``DELTA``, by how many to grow, or with ``SHRINK`` too to shrink
        :raises InvalidArgumentError: it would shrink, and *flags* lack ``SHRINK``
        """
        self._call(lib.virStorageVolResize, capacity, flags)

    def wipe(self, algorithm: StorageVolWipeAlgorithm = StorageVolWipeAlgorithm.ZERO) -> None:
        """Overwrite its content.  (virStorageVolWipePattern; with ``ZERO`` it does what virStorageVolWipe does)

        :param algorithm: those other than ``ZERO`` and ``TRIM`` need the program scrub on the host
        """
        self._call(lib.virStorageVolWipePattern, algorithm, 0)

    # ---- content ----

    def open(self, mode: str = "r", *, offset: int = 0, length: int = 0, flags: StreamFlags = StreamFlags(0)) -> Stream:
        """Open its content as a raw binary file.  (virStorageVolDownload, virStorageVolUpload)

        :param mode: ``"r"`` to read, ``"w"`` to write over what is there; nothing is truncated
        :param offset: bytes to leave out at its beginning
        :param length: bytes, 0 for all to its end
        :param flags: with ``NONBLOCK`` nothing waits
        """
        from pyvirt.stream import Stream

        if mode not in ("r", "w"):
            raise ValueError(f"the mode of a volume is 'r' or 'w', not {mode!r}")
        stream = Stream(self._conn, mode, flags=flags)
        begin = lib.virStorageVolDownload if mode == "r" else lib.virStorageVolUpload
        return stream._begin(lambda: self._call(begin, stream._ptr, offset, length, 0))

    def download(
        self,
        dest: str | os.PathLike[str] | IO[bytes],
        *,
        offset: int = 0,
        length: int = 0,
        progress: Callable[[int], object] | None = None,
        flags: StorageVolDownloadFlags = StorageVolDownloadFlags(0),
    ) -> int:
        """Write its content into a file, and return how many bytes that were.

        (virStorageVolDownload, virStreamRecvAll or with holes virStreamSparseRecvAll)

        No Python runs per chunk, unless the file is one that Python made up.

        :param dest: a path, which is written anew, or a file open for writing, which is written from where it stands
        :param offset: bytes to leave out at its beginning
        :param length: bytes, 0 for all to its end
        :param progress: called now and then with how many bytes have come; when it raises, the transfer is aborted
        :param flags: with ``SPARSE_STREAM`` holes stay holes
        :raises OSError: the file failed
        """
        from pyvirt.storage._transfer import download

        return download(self, dest, offset, length, progress, flags)

    def upload(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        *,
        offset: int = 0,
        length: int = 0,
        progress: Callable[[int], object] | None = None,
        flags: StorageVolUploadFlags = StorageVolUploadFlags(0),
    ) -> int:
        """Write a file over its content, and return how many bytes that were.

        (virStorageVolUpload, virStreamSendAll or with holes virStreamSparseSendAll)

        No Python runs per chunk, unless the file is one that Python made up.

        :param source: a path, or a file open for reading, which is read from where it stands
        :param offset: where to begin in the volume, in bytes
        :param length: bytes of the volume that may be written, 0 for all to its end; more than that is an error
        :param progress: called now and then with how many bytes have gone; when it raises, the transfer is aborted
        :param flags: with ``SPARSE_STREAM`` holes are passed over: meant for a volume that is still empty
        :raises OSError: the file failed
        """
        from pyvirt.storage._transfer import upload

        return upload(self, source, offset, length, progress, flags)

    def delete(self, *, flags: StorageVolDeleteFlags = StorageVolDeleteFlags(0)) -> None:
        """Remove it with its content.  (virStorageVolDelete)"""
        self._call(lib.virStorageVolDelete, flags)


# In the class below, list is a method.
StorageVolumeList: TypeAlias = list[StorageVolume]
NameList: TypeAlias = list[str]


class StorageVolumes(WhereNamed[StorageVolume]):
    """The volumes of a storage pool, as of its last refresh."""

    __slots__ = ()
    _kind = StorageVolume
    _not_found = StorageVolumeNotFoundError
    _pointer = "virStorageVolPtr"
    _list_all = lib.virStoragePoolListAllVolumes
    _look_up_by_name = lib.virStorageVolLookupByName

    def list(self) -> StorageVolumeList:
        """Return all volumes.  (virStoragePoolListAllVolumes)

        :raises OperationInvalidError: the pool is not active
        """
        return self._list(0)

    def inventory(self) -> StorageVolumeInventory:
        """Return them as columns: names and keys, in one round trip.

        (virStoragePoolListAllVolumes)
        """
        from pyvirt.inventory import volumes_of

        return volumes_of(self._owner)

    def _count(self) -> int:
        return self._owner._call(lib.virStoragePoolNumOfVolumes)

    def names(self) -> NameList:
        """Return the names of all volumes.  (virStoragePoolNumOfVolumes, virStoragePoolListVolumes)"""
        return self._owner._call_names(lib.virStoragePoolNumOfVolumes, lib.virStoragePoolListVolumes)

    def get(self, name: str, *, default: D = RAISE) -> StorageVolume | D:
        """Return one volume; by key or path ``conn.storage_pools.volume()`` does.  (virStorageVolLookupByName)

        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume
        """
        return self._get(default, "a name", (self._by_name, name))

    def create(self, xml: XML, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)) -> StorageVolume:
        """Make a new volume.  (virStorageVolCreateXML)

        :param xml: a ``<volume>``; its ``<capacity>`` is in bytes unless it has a unit
        :raises AlreadyExistsError: there is one of that name
        :raises XMLError: *xml* is no XML, or no volume
        """
        return self._new(lib.virStorageVolCreateXML, encode_xml(xml), flags)

    def create_from(
        self, xml: XML, source: StorageVolume, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)
    ) -> StorageVolume:
        """Make a new volume with the content of another, converted if the formats differ.

        (virStorageVolCreateXMLFrom)

        :param xml: a ``<volume>``.  A ``<capacity>`` smaller than that of *source* is raised to it, and a larger one
            counts only from raw to raw: resize what was converted
        :param source: a volume of any active pool of this connection
        :param flags: ``REFLINK`` shares the blocks, where the file system can
        :raises AlreadyExistsError: there is one of that name
        """
        function = lib.virStorageVolCreateXMLFrom
        pointer = self._owner._call_nonzero(function, encode_xml(xml), source._ptr, flags)
        return StorageVolume(self._conn, pointer)
