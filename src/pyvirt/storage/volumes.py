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
        """Its identifier on its host: often the path, else another permanent text.  (virStorageVolGetKey)"""
        return self._identity()

    def _ask_identity(self) -> str:
        return self._call_text(lib.virStorageVolGetKey)

    def _label(self) -> str:
        return f"{self.name!r} {self.key!r}"

    # ---- state ----

    def path(self) -> str:
        """Return its path on the host.  (virStorageVolGetPath)"""
        return self._call_string(lib.virStorageVolGetPath)

    def pool(self) -> StoragePool:
        """Return its pool.  (virStoragePoolLookupByVolume)"""
        from pyvirt.storage.pools import StoragePool

        return self._call_object(StoragePool, lib.virStoragePoolLookupByVolume)

    def info(self, *, flags: StorageVolInfoFlags = StorageVolInfoFlags(0)) -> StorageVolumeInfo:
        """Return its type and size.  (virStorageVolGetInfo, with *flags* virStorageVolGetInfoFlags)

        :param flags: ``GET_PHYSICAL`` makes ``allocation`` the length of the file
        """
        out = ffi.new("virStorageVolInfo *")
        if flags:
            self._call(lib.virStorageVolGetInfoFlags, out, flags)
        else:  # not every driver has the function with flags
            self._call(lib.virStorageVolGetInfo, out)
        return StorageVolumeInfo(StorageVolType(out.type), out.capacity, out.allocation)

    def xml_desc(self) -> str:
        """Return its description.  (virStorageVolGetXMLDesc)"""
        return self._call_string(lib.virStorageVolGetXMLDesc, 0)

    # ---- life ----

    def clone(self, name: str, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)) -> StorageVolume:
        """Create a copy with the same content in its pool.  (virStorageVolCreateXMLFrom)

        For a copy in another pool or format see :meth:`StorageVolumes.create_from`.

        :raises AlreadyExistsError: the pool has a volume *name*
        """
        root = parse(self.xml_desc())
        element = root.find("name")
        assert element is not None
        try:
            element.text = name
        except ValueError:  # raised by lxml
            raise InvalidArgumentError(f"a name must contain only characters of XML, not {name[:80]!r}") from None
        return self.pool().volumes.create_from(root, self, flags=flags)

    def resize(self, capacity: int, *, flags: StorageVolResizeFlags = StorageVolResizeFlags(0)) -> None:
        """Set its size; a guest that uses it is not informed.  (virStorageVolResize)

        :param capacity: bytes; with ``DELTA`` the growth, or with ``SHRINK`` too the reduction
        :raises InvalidArgumentError: the new size is smaller, and *flags* lack ``SHRINK``
        """
        self._call(lib.virStorageVolResize, capacity, flags)

    def wipe(self, algorithm: StorageVolWipeAlgorithm = StorageVolWipeAlgorithm.ZERO) -> None:
        """Overwrite its content.  (virStorageVolWipePattern; with ``ZERO`` the same as virStorageVolWipe)

        :param algorithm: all except ``ZERO`` and ``TRIM`` need the program scrub on the host
        """
        self._call(lib.virStorageVolWipePattern, algorithm, 0)

    # ---- content ----

    def open(self, mode: str = "r", *, offset: int = 0, length: int = 0, flags: StreamFlags = StreamFlags(0)) -> Stream:
        """Open its content as a raw binary file.  (virStorageVolDownload, virStorageVolUpload)

        :param mode: ``"r"`` to read, ``"w"`` to overwrite the existing content; nothing is truncated
        :param offset: the position in the volume to start at, in bytes
        :param length: bytes; 0 means up to the end
        :param flags: with ``NONBLOCK`` the stream is non-blocking
        """
        from pyvirt.stream import Stream

        if mode not in ("r", "w"):
            raise ValueError(f"mode must be 'r' or 'w', not {mode!r}")
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
        """Write its content into a file, and return the number of bytes.

        (virStorageVolDownload, virStreamRecvAll or with holes virStreamSparseRecvAll)

        C moves the bytes, unless the file has no descriptor of its own, for example a BytesIO or a gzip file.

        :param dest: a path, whose file is replaced, or a file open for writing, which is written from its position on
        :param offset: the position in the volume to start at, in bytes
        :param length: bytes; 0 means up to the end
        :param progress: called regularly with the bytes received so far; if it raises, the transfer is aborted
        :param flags: with ``SPARSE_STREAM`` holes stay holes
        :raises OSError: reading or writing the file failed
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
        """Overwrite its content with a file, and return the number of bytes.

        (virStorageVolUpload, virStreamSendAll or with holes virStreamSparseSendAll)

        C moves the bytes, unless the file has no descriptor of its own, for example a BytesIO or a gzip file.

        :param source: a path, or a file open for reading, which is read from its position on
        :param offset: the position in the volume to start at, in bytes
        :param length: the number of bytes that may be written; 0 means up to the end; more is an error
        :param progress: called regularly with the bytes sent so far; if it raises, the transfer is aborted
        :param flags: with ``SPARSE_STREAM`` holes are skipped; use it for an empty volume
        :raises OSError: reading or writing the file failed
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
        """Return one volume by its name; ``conn.storage_pools.volume()`` finds one by key or path.

        (virStorageVolLookupByName)

        :param default: returned instead of raising when there is no such volume
        :raises StorageVolumeNotFoundError: no such volume
        """
        return self._get(default, "a name", (self._by_name, name))

    def create(self, xml: XML, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)) -> StorageVolume:
        """Create a volume.  (virStorageVolCreateXML)

        :param xml: a ``<volume>``; its ``<capacity>`` is in bytes unless it has a unit
        :raises AlreadyExistsError: a volume of that name exists
        :raises XMLError: *xml* is not well-formed, or does not describe a volume
        """
        return self._new(lib.virStorageVolCreateXML, encode_xml(xml), flags)

    def create_from(
        self, xml: XML, source: StorageVolume, *, flags: StorageVolCreateFlags = StorageVolCreateFlags(0)
    ) -> StorageVolume:
        """Create a volume with the content of another one, converted if the formats differ.

        (virStorageVolCreateXMLFrom)

        :param xml: a ``<volume>``.  A ``<capacity>`` smaller than that of *source* is raised to it; a larger one has an
            effect only from raw to raw, so resize a converted volume afterwards
        :param source: a volume of any active pool of this connection
        :param flags: ``REFLINK`` shares the blocks, where the file system can
        :raises AlreadyExistsError: a volume of that name exists
        """
        function = lib.virStorageVolCreateXMLFrom
        pointer = self._owner._call_nonzero(function, encode_xml(xml), source._ptr, flags)
        return StorageVolume(self._conn, pointer)
