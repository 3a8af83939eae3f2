# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists of names, as libvirt gave them before it had lists of objects: one function counts, another fills an array."""

from __future__ import annotations

from pyvirt._core.call import check
from pyvirt._core.lib import ffi, lib
from pyvirt._core.text import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyvirt._core.handle import Owner


def list_names(
    owner: Owner,
    count: Callable[..., int],
    fill: Callable[..., int],
    *,
    before: tuple[object, ...] = (),
    after: tuple[object, ...] = (),
) -> list[str]:
    """Return what *fill* puts into an array, which *count* says the size of.

    :param before: what both take before the array, or its place
    :param after: what both take behind it
    """
    # The owner's pointer stands in no variable: in a traceback it would keep the connection open.
    room = check(count(owner._ptr, *before, *after), count) + 1
    while True:
        names = ffi.new("char *[]", room)
        found = check(fill(owner._ptr, *before, names, room, *after), fill)
        try:
            if found < room:
                return [decode(names[i]) for i in range(found)]
        finally:
            for i in range(found):
                lib.free(names[i])
        room *= 2  # more have come meanwhile
