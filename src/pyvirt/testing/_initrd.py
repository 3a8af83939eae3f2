# SPDX-License-Identifier: LGPL-2.1-or-later
"""The archive from which Linux makes its initial file system: cpio, in the kernel's "newc" format."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple


class Entry(NamedTuple):
    """A file, directory, device or symbolic link."""

    path: str
    #: kind and permissions, as in ``st_mode``
    mode: int
    #: content of a file, or target of a link
    data: bytes = b""
    #: major and minor number
    device: tuple[int, int] = (0, 0)


_DIRECTORY = 0o040755


def archive(entries: Iterable[Entry]) -> bytes:
    """Return an archive of *entries*, all owned by root; missing parent directories are added."""
    out = bytearray()
    written: set[str] = {"."}
    number = 0
    for entry in entries:
        path = PurePosixPath(entry.path.lstrip("/"))
        parents = [Entry(str(parent), _DIRECTORY) for parent in reversed(path.parents)]
        for member in (*parents, entry._replace(path=str(path))):
            if member.path not in written:
                written.add(member.path)
                number += 1
                out += _record(number, member)
    return bytes(out + _record(0, Entry("TRAILER!!!", 0)))


def _record(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    # inode, mode, owner, group, links, time, size, device of the archive (2), device (2), length of the name, checksum
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(header) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
