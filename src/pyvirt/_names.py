# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of names, as libvirt gave them before it had lists of objects: one function counts, another fills an array."""

from __future__ import annotations

from pyvirt._convert import decode
from pyvirt._lib import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyvirt._lib import CData


def list_names(count: Callable[[], int], fill: Callable[[CData, int], int]) -> list[str]:
    """Return what *fill* puts into an array, which *count* says the size of.

    Both check their own results, and hold no pointer: in a traceback it would keep the connection open.
    """
    room = count() + 1
    while True:
        names = ffi.new("char *[]", room)
        found = fill(names, room)
        try:
            if found < room:
                return [decode(names[i]) for i in range(found)]
        finally:
            for i in range(found):
                lib.free(names[i])
        room *= 2  # more have come meanwhile
