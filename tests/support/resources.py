# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory and the sockets of this process."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import sys
import termios
from collections.abc import Iterator
from pathlib import Path


def resident_memory() -> int:
    """Return the resident memory in bytes."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def used_memory() -> int:
    """Return the bytes in use, as the C library counts them."""

    class Mallinfo2(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in "arena o s hb hd us fs u f k".split()]

    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo2
    found = libc.mallinfo2()
    return int(found.u + found.hd)  # in the heap and mapped


def _sockets() -> Iterator[tuple[int, str]]:
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # the descriptor of listdir itself
            continue
        if target.startswith("socket:"):
            yield int(fd), target


def open_sockets() -> set[str]:
    """Return the open sockets."""
    return {name for _, name in _sockets()}


def unread_bytes() -> int:
    """Return how many sent bytes are still unread.  After a call to a stopped daemon there are some."""
    count = 0
    for fd, _ in _sockets():
        queued = bytearray(4)
        try:
            fcntl.ioctl(fd, termios.TIOCOUTQ, queued)
        except OSError:  # another kind of socket, or closed by another thread
            continue
        count += int.from_bytes(queued, sys.byteorder)
    return count
