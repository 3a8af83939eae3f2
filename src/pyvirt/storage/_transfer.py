# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes into files and back, pumped by C."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

from pyvirt._core.background import run_watched
from pyvirt._core.call import last_error
from pyvirt._core.lib import ffi, lib
from pyvirt.enums.storage import StorageVolDownloadFlags, StorageVolUploadFlags
from pyvirt.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, TypeAlias

    from pyvirt._core.lib import CData
    from pyvirt.storage import StorageVolume

    #: is given how many bytes have gone
    TransferProgress: TypeAlias = Callable[[int], object]
    Path: TypeAlias = str | os.PathLike[str]
    File: TypeAlias = IO[bytes] | io.RawIOBase

_INTERVAL = 0.1  # seconds between two reports
_CHUNK = 1 << 20  # bytes that Python moves at a time, for files without a descriptor


def download(
    volume: StorageVolume,
    dest: Path | IO[bytes],
    offset: int,
    length: int,
    progress: TransferProgress | None,
    flags: StorageVolDownloadFlags,
) -> int:
    """See :meth:`StorageVolume.download`."""
    stream = Stream(volume._conn, "r")
    with stream._begin(lambda: volume._call(lib.virStorageVolDownload, stream._ptr, offset, length, flags)):
        sparse = bool(flags & StorageVolDownloadFlags.SPARSE_STREAM)
        if not isinstance(dest, str | os.PathLike):
            return _receive(stream, dest, sparse, progress)
        with open(dest, "wb") as file:  # only after the daemon has agreed: opening truncates the file
            return _receive(stream, file, sparse, progress)


def upload(
    volume: StorageVolume,
    source: Path | IO[bytes],
    offset: int,
    length: int,
    progress: TransferProgress | None,
    flags: StorageVolUploadFlags,
) -> int:
    """See :meth:`StorageVolume.upload`."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return upload(volume, file, offset, length, progress, flags)
    stream = Stream(volume._conn, "w")
    with stream._begin(lambda: volume._call(lib.virStorageVolUpload, stream._ptr, offset, length, flags)):
        return _send(stream, source, bool(flags & StorageVolUploadFlags.SPARSE_STREAM), progress)


def _receive(stream: Stream, file: IO[bytes], sparse: bool, progress: TransferProgress | None) -> int:
    number = _descriptor(file, sparse)
    if number is None:
        return _copy(stream, file, progress)
    file.flush()
    moved = _pump(
        stream,
        number,
        "virStreamSparseRecvAll" if sparse else "virStreamRecvAll",
        lambda pump, pointer: lib.pv_pump_receive(pump, pointer, sparse),
        progress,
    )
    stream._end = True
    if file.seekable():
        file.seek(os.lseek(number, 0, os.SEEK_CUR))
    return moved


def _send(stream: Stream, file: IO[bytes], sparse: bool, progress: TransferProgress | None) -> int:
    number = _descriptor(file, sparse)
    if number is None:
        return _copy(file, stream, progress)
    if file.seekable():  # not where its buffer has read ahead to
        os.lseek(number, file.tell(), os.SEEK_SET)
    moved = _pump(
        stream,
        number,
        "virStreamSparseSendAll" if sparse else "virStreamSendAll",
        lambda pump, pointer: lib.pv_pump_send(pump, pointer, sparse),
        progress,
    )
    if file.seekable():
        file.seek(os.lseek(number, 0, os.SEEK_CUR))
    return moved


def _descriptor(file: IO[bytes], sparse: bool) -> int | None:
    """Return the descriptor of a file, ``None`` if Python code transforms its content."""
    try:
        if not _is_made_up(file):
            return file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        pass
    if sparse:
        raise TypeError(f"sparse transfers need a real file with a descriptor, not a {type(file).__name__}")
    return None


def _is_made_up(file: object) -> bool:
    """Return whether a file has other content than its descriptor: that of a gzip file is the compressed data."""
    if isinstance(file, io.BufferedReader | io.BufferedWriter | io.BufferedRandom):
        return _is_made_up(file.raw)
    return isinstance(file, io.BufferedIOBase)


def _copy(source: File, dest: File, progress: TransferProgress | None) -> int:
    moved = 0
    while True:
        chunk = source.read(_CHUNK)
        if chunk is None:
            raise BlockingIOError(errno.EAGAIN, "a transfer needs a blocking file")
        if not chunk:
            return moved
        _write_all(dest, chunk)
        moved += len(chunk)
        if progress is not None:
            progress(moved)


def _write_all(dest: File, data: bytes) -> None:
    if not isinstance(dest, io.RawIOBase):
        dest.write(data)
        return
    rest = memoryview(data)  # a raw file may write only a part
    while rest:
        count = dest.write(rest)
        if count is None:
            raise BlockingIOError(errno.EAGAIN, "a transfer needs a blocking file")
        rest = rest[count:]


def _pump(
    stream: Stream, number: int, function: str, run: Callable[[CData, CData], int], progress: TransferProgress | None
) -> int:
    """Move all bytes in C, and return their number.

    :param function: the libvirt function behind *run*
    """
    pump = lib.pv_pump_new(number)
    if not pump:
        raise MemoryError
    pump = ffi.gc(pump, lib.pv_pump_free)

    def call() -> None:
        if run(pump, stream._ptr) == 0:
            return
        stream._over = True  # libvirt has aborted it
        error = last_error(function, stream._conn)
        if failure := lib.pv_pump_errno(pump):
            raise OSError(failure, os.strerror(failure))
        error.args = (f"{error.message}, after {lib.pv_pump_moved(pump):,} bytes",)
        (error.message,) = error.args
        raise error

    def report() -> None:
        if progress is not None:
            progress(lib.pv_pump_moved(pump))

    run_watched(call, report, lambda: lib.pv_pump_cancel(pump), _INTERVAL)
    moved: int = lib.pv_pump_moved(pump)
    if progress is not None:
        progress(moved)
    return moved
