# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print the memory that one tick of statistics takes:  memory.py BINDING URI

It prints two numbers of bytes.  The first is the additional memory in use while the result exists, counted by the C
library; PYTHONMALLOC=malloc makes Python allocate its objects through the C library too.  The second is the maximum
growth of the process, reported by the kernel.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

from operations import FLOOR, LIBVIRT_PYTHON, PYVIRT, connect

TICK = {
    PYVIRT: "(frame := conn.domains.stats(), touch_all(frame))",
    LIBVIRT_PYTHON: "[(domain.name(), domain.UUID(), fields) for domain, fields in conn.getAllDomainStats()]",
}


class Mallinfo2(ctypes.Structure):
    """struct mallinfo2"""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena o s hblks hblkhd us fs uordblks f k".split()]


libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo2


def in_use() -> int:
    """Return how many bytes are allocated."""
    found = libc.mallinfo2()
    return int(found.uordblks + found.hblkhd)


def resident(line: str) -> int:
    """Return a line of the process's status, in bytes."""
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith(f"{line}:"):
            return int(text.split()[1]) * 1024
    raise LookupError(line)


def ask_and_free(uri: str) -> tuple[int, int]:
    """Do the work that every binding has in common: get the records, and free them."""
    from pyvirt._core.lib import ffi, lib

    conn = lib.virConnectOpen(uri.encode())
    records = ffi.new("virDomainStatsRecordPtr **")
    before = start()
    lib.virConnectGetAllDomainStats(conn, 0, records, 0)
    lib.virDomainStatsRecordListFree(records[0])
    return 0, resident("VmHWM") - before


def start() -> int:
    """Free unused memory, reset the kernel's record of the maximum size, and return the size of the process."""
    gc.collect()
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def main(binding: str, uri: str) -> None:
    """Make one tick."""
    if binding == FLOOR:
        print(*ask_and_free(uri))
        return
    namespace, close = connect(binding, uri, "vm-00001")
    tick = compile(TICK[binding], "tick", "eval")
    before, used = start(), in_use()
    namespace["result"] = eval(tick, namespace)
    print(in_use() - used, resident("VmHWM") - before)
    namespace.clear()
    close()


if __name__ == "__main__":
    main(*sys.argv[1:])
