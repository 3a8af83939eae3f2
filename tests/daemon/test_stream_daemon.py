# SPDX-License-Identifier: LGPL-2.1-or-later
"""Transfers between volumes and files, over the socket of a real daemon."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt.enums import ErrorNumber, StorageVolDownloadFlags, StorageVolUploadFlags, StreamEventType, StreamFlags
from pyvirt.errors import ClosedError, Error, StorageVolumeNotFoundError
from pyvirt.storage import StorageVolume
from pyvirt.stream import Stream
from pyvirt.testing.daemon import PrivateDaemon

MIB = 1 << 20
SPARSE_DOWN, SPARSE_UP = StorageVolDownloadFlags.SPARSE_STREAM, StorageVolUploadFlags.SPARSE_STREAM


@pytest.fixture
def conn(private_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(private_daemon.uri("storage")) as conn:
        yield conn


@pytest.fixture
def volume(conn: pyvirt.Connection, tmp_path: Path) -> Iterator[StorageVolume]:
    """A file of 4 MiB that takes no space yet."""
    directory = tmp_path / "pool"
    directory.mkdir()
    pool = conn.storage_pools.create(f"<pool type='dir'><name>s</name><target><path>{directory}</path></target></pool>")
    yield pool.volumes.create(
        "<volume><name>disk</name><capacity unit='MiB'>4</capacity><allocation>0</allocation></volume>"
    )
    pool.destroy()


@pytest.fixture
def data() -> bytes:
    return os.urandom(4 * MIB)


@pytest.fixture
def full(volume: StorageVolume, data: bytes) -> StorageVolume:
    """The volume, with content."""
    volume.upload(io.BytesIO(data))
    return volume


def content(volume: StorageVolume) -> bytes:
    return Path(volume.path()).read_bytes()


# ---- whole volumes ----


def test_upload_and_download_accept_a_path(volume: StorageVolume, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(data)
    assert volume.upload(tmp_path / "source") == 4 * MIB
    assert content(volume) == data
    assert volume.download(str(tmp_path / "dest")) == 4 * MIB
    assert (tmp_path / "dest").read_bytes() == data


def test_upload_and_download_accept_file_objects(volume: StorageVolume, data: bytes) -> None:
    assert volume.upload(io.BytesIO(data)) == 4 * MIB
    assert content(volume) == data
    dest = io.BytesIO()
    assert volume.download(dest) == 4 * MIB
    assert dest.getvalue() == data


def test_upload_and_download_accept_compressed_files(volume: StorageVolume, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "packed"
    with gzip.open(path, "wb") as packed:
        packed.write(data)
    with gzip.open(path) as packed:
        assert volume.upload(packed) == 4 * MIB  # type: ignore[arg-type]
    assert content(volume) == data
    with gzip.open(path, "wb") as packed:
        assert volume.download(packed) == 4 * MIB  # type: ignore[arg-type]
    with gzip.open(path) as packed:
        assert packed.read() == data
    with gzip.open(path) as packed, pytest.raises(TypeError, match="GzipFile"):
        volume.upload(packed, flags=SPARSE_UP)  # type: ignore[arg-type]


class _Sip(io.RawIOBase):
    """Accepts a part of the data, as a raw file may; or is never ready."""

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self._most = most
        self.taken = bytearray()

    def write(self, data: object, /) -> int | None:
        if self._most is None:
            return None
        taken = memoryview(data)[: self._most]  # type: ignore[arg-type]
        self.taken += taken
        return len(taken)

    def read(self, size: int = -1, /) -> None:
        return None


def test_a_raw_file_may_accept_short_writes(volume: StorageVolume, full: StorageVolume, data: bytes) -> None:
    sip = _Sip(100_000)
    assert full.download(sip) == 4 * MIB  # type: ignore[arg-type]
    assert sip.taken == data


def test_a_nonblocking_file_without_data_raises(full: StorageVolume) -> None:
    with pytest.raises(BlockingIOError):
        full.download(_Sip(None))  # type: ignore[arg-type]
    with pytest.raises(BlockingIOError):
        full.upload(_Sip(None))  # type: ignore[arg-type]


def test_an_open_file_is_used_from_its_position(volume: StorageVolume, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data[: 2 * MIB])
    with path.open("rb") as file:
        assert file.read(5) == data[:5]  # its buffer has read ahead
        assert volume.upload(file, offset=MIB) == 2 * MIB - 5
        assert file.tell() == 2 * MIB
    assert content(volume)[MIB : 3 * MIB - 5] == data[5 : 2 * MIB]
    with path.open("wb") as file:
        file.write(b"head")
        assert volume.download(file, offset=MIB, length=1000) == 1000
        assert file.tell() == 1004
        file.write(b"tail")
    assert path.read_bytes() == b"head" + data[5:1005] + b"tail"


def test_download_writes_to_a_pipe(full: StorageVolume, data: bytes) -> None:
    with subprocess.Popen(["sha256sum"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert full.download(process.stdin) == 4 * MIB
        digest = process.communicate()[0].split()[0].decode()
    summed = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout.split()[0].decode()
    assert digest == summed


def test_sparse_transfers_keep_holes(volume: StorageVolume, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    with source.open("wb") as file:
        file.seek(2 * MIB)
        file.write(b"in the middle")
        file.truncate(4 * MIB)
    assert volume.upload(source, flags=SPARSE_UP) == 4 * MIB
    assert content(volume) == source.read_bytes()
    assert os.stat(volume.path()).st_blocks * 512 < MIB
    assert volume.download(dest, flags=SPARSE_DOWN) == 4 * MIB
    assert dest.read_bytes() == source.read_bytes()
    assert dest.stat().st_blocks * 512 < MIB
    with pytest.raises(TypeError, match="BytesIO"):
        volume.download(io.BytesIO(), flags=SPARSE_DOWN)


@pytest.mark.parametrize("made_up", [False, True])
def test_an_exception_of_progress_aborts_the_transfer(
    full: StorageVolume, data: bytes, tmp_path: Path, made_up: bool
) -> None:
    seen: list[int] = []
    with open(tmp_path / "dest", "wb") as file:
        assert full.download(io.BytesIO() if made_up else file, progress=seen.append) == 4 * MIB
    assert seen == sorted(seen)
    assert seen[-1] == 4 * MIB

    def enough(moved: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        full.download(io.BytesIO() if made_up else tmp_path / "other", progress=enough)
    assert full.download(io.BytesIO()) == 4 * MIB  # the connection still works


# ---- what can go wrong ----


def test_an_upload_beyond_the_capacity_raises(volume: StorageVolume, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * MIB))
    with pytest.raises(Error, match=r"No space left.*after [0-9,]+ bytes") as caught:
        volume.upload(source, length=MIB)
    assert caught.value.code == ErrorNumber.SYSTEM_ERROR
    with pytest.raises(Error, match="No space left"):
        volume.upload(io.BytesIO(bytes(3 * MIB)), length=MIB)
    assert volume.connection.alive()


def test_an_error_of_the_local_file_aborts_the_transfer(full: StorageVolume, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        full.upload(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        full.download(tmp_path / "nothing" / "there")
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        full.download(file)
    with pytest.raises(IsADirectoryError):
        full.download(tmp_path)
    assert full.download(io.BytesIO()) == 4 * MIB


def test_a_refused_download_does_not_truncate_the_file(full: StorageVolume, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("precious")
    os.unlink(full.path())
    full.pool().refresh()
    with pytest.raises(StorageVolumeNotFoundError):
        full.download(kept)
    assert kept.read_text() == "precious"
    with pytest.raises(StorageVolumeNotFoundError) as caught:
        full.open()
    assert caught.value.function is None or "Vol" in caught.value.function


@pytest.mark.parametrize(("name", "value"), [("offset", -1), ("length", -1), ("offset", 1 << 64)])
def test_negative_offsets_and_lengths_are_refused(full: StorageVolume, name: str, value: int) -> None:
    with pytest.raises(OverflowError):
        full.download(io.BytesIO(), **{name: value})  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        full.open(**{name: value})  # type: ignore[arg-type]


def test_unknown_modes_are_refused(full: StorageVolume) -> None:
    with pytest.raises(ValueError, match="'x'"):
        full.open("x")
    with pytest.raises(ValueError, match="'rb'"):
        Stream(full.connection, "rb")


# ---- as a file ----


def test_a_stream_is_readable_or_writable_as_its_mode_says(full: StorageVolume, data: bytes) -> None:
    with full.open("w", offset=10) as stream:
        assert stream.writable()
        assert not stream.readable()
        assert stream.write(b"hello") == 5
    with full.open(offset=8, length=9) as stream:
        assert stream.readable()
        assert not stream.writable()
        assert stream.readall() == data[8:10] + b"hello" + data[15:17]
        assert stream.read(1) == b""
    assert stream.closed
    with io.BufferedReader(full.open()) as reader:
        assert reader.read(10) == data[:10]  # the rest is aborted


def test_holes_are_sent_and_received_explicitly(volume: StorageVolume) -> None:
    from pyvirt._core.lib import lib

    with volume.open("w") as stream:
        stream.write(b"x" * 4096)
    stream = Stream(volume.connection, "r")
    with stream._begin(lambda: lib.virStorageVolDownload(volume._ptr, stream._ptr, 0, 0, SPARSE_DOWN)):
        buffer, got = bytearray(1 << 16), 0
        while (count := stream.readinto_or_hole(buffer)) and count > 0:
            got += count
        assert (got, count) == (4096, -1)
        assert stream.recv_hole() == 4 * MIB - 4096
        assert stream.readinto_or_hole(buffer) == 0
    stream = Stream(volume.connection, "w")
    with stream._begin(lambda: lib.virStorageVolUpload(volume._ptr, stream._ptr, 0, 0, SPARSE_UP)):
        stream.send_hole(MIB)
        assert stream.write(b"after") == 5
    assert content(volume)[MIB : MIB + 5] == b"after"


def test_an_exception_in_the_block_aborts_the_stream(full: StorageVolume) -> None:
    def half() -> None:
        with stream:
            stream.write(b"half")
            raise LookupError

    stream = full.open("w")
    with pytest.raises(LookupError):
        half()
    assert stream.closed
    stream.abort()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)
    with pytest.raises(ValueError, match="closed"):
        stream.write(b"x")
    with pytest.raises(ValueError, match="closed"):
        stream.wait(StreamEventType.READABLE)
    assert "closed" in repr(stream)


def test_finish_raises_if_the_data_did_not_arrive(private_daemon: PrivateDaemon, volume: StorageVolume) -> None:
    # A separate connection: libvirtd occasionally closes the connection when a stream ends while it writes.
    with pyvirt.connect(private_daemon.uri("storage")) as other:
        stream = other.storage_pools.volume(path=volume.path()).open("w", length=10)
        stream.write(bytes(MIB))
        with pytest.raises(Error, match="No space left"):
            stream.finish()
        assert stream.closed


def test_a_stream_of_a_closed_connection_raises(private_daemon: PrivateDaemon, full: StorageVolume) -> None:
    with pyvirt.connect(private_daemon.uri("storage")) as other:
        stream = other.storage_pools.volume(path=full.path()).open()
        assert stream.read(1)
    with pytest.raises(ClosedError):
        stream.read(1)
    stream.close()
    assert stream.closed


def test_finish_raises_when_the_connection_closed_first(private_daemon: PrivateDaemon, full: StorageVolume) -> None:
    for end in (Stream.finish, Stream.close):
        with pyvirt.connect(private_daemon.uri("storage")) as other:
            stream = other.storage_pools.volume(path=full.path()).open("w")
            stream.write(b"something")
        with pytest.raises(ClosedError):
            end(stream)
        assert stream.closed


def test_a_fully_read_stream_may_be_closed_after_its_connection(
    private_daemon: PrivateDaemon, full: StorageVolume
) -> None:
    with pyvirt.connect(private_daemon.uri("storage")) as other:
        stream = other.storage_pools.volume(path=full.path()).open()
        assert len(stream.readall()) == 4 * MIB
        assert stream.readinto(bytearray()) == 0
        assert "at its end" in repr(stream)
    stream.close()


def test_closing_the_connection_ends_a_waiting_thread(private_daemon: PrivateDaemon, full: StorageVolume) -> None:
    with pyvirt.connect(private_daemon.uri("storage")) as other:
        stream = other.storage_pools.volume(path=full.path()).open("w", flags=StreamFlags.NONBLOCK)
        assert not stream.wait(StreamEventType.READABLE, timeout=0)
        ended: list[type[BaseException]] = []

        def wait() -> None:
            with pytest.raises(ClosedError) as caught:
                stream.wait(StreamEventType.READABLE, timeout=float("inf"))
            ended.append(caught.type)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
    thread.join(60)
    assert ended == [ClosedError]
    stream.abort()


def test_an_unclosed_stream_warns(full: StorageVolume) -> None:
    with pytest.warns(ResourceWarning, match="unclosed <pyvirt.Stream"):
        full.open().__del__()


def test_a_driver_without_streams_raises_unsupported() -> None:
    with pyvirt.connect("test:///default") as conn:
        pool = conn.storage_pools["default-pool"]
        volume = pool.volumes.create("<volume><name>v</name><capacity>1</capacity></volume>")
        with pytest.raises(pyvirt.OperationUnsupportedError):
            volume.download(io.BytesIO())
        with pytest.raises(pyvirt.OperationUnsupportedError) as caught:
            Stream(conn).read(1)
        assert caught.value.function == "virStreamRecv"
        Stream(conn, flags=StreamFlags.NONBLOCK).abort()
