# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records as libvirt would hand them over, made from dictionaries: for shapes that no driver here produces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyvirt import Domain
from pyvirt._lib import ffi, lib
from pyvirt.stats import StatsFrame
from pyvirt.stats.frame import Shared

INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)
MEMBERS = {INT: "i", UINT: "ui", LLONG: "l", ULLONG: "ul", DOUBLE: "d", BOOLEAN: "b", STRING: "s"}

#: one field: its name, its virTypedParameterType and its value
Field = tuple[str, int, Any]


class Feed:
    """Frames made of given records, which share names and layouts as those of a connection do."""

    def __init__(self) -> None:
        self._schema = ffi.gc(lib.pv_schema_new(), lib.pv_schema_free)
        self._shared = Shared()

    def frame(self, *parts: Sequence[tuple[Domain, Sequence[Field]]]) -> StatsFrame:
        """Return a frame of these records, added part by part as the parts of a large host are."""
        frame = ffi.gc(lib.pv_frame_new(self._schema), lib.pv_frame_free)
        for records in parts:
            array = _allocate("virDomainStatsRecordPtr", len(records) + 1)
            for i, (domain, fields) in enumerate(records):
                array[i] = _record(domain, fields)
            assert lib.pv_frame_add(frame, array, len(records)) == len(records)
        assert lib.pv_frame_seal(frame) == 0
        return StatsFrame(frame, self._shared)


def _allocate(kind: str, count: int) -> Any:
    """Memory that libvirt may free, filled with anything but zeros, and a zero at the end of arrays of pointers."""
    size = ffi.sizeof(kind) * max(count, 1)
    memory = ffi.cast(f"{kind} *", lib.malloc(size))
    ffi.memmove(memory, b"\xaa" * size, size)
    if ffi.typeof(kind).kind == "pointer":
        memory[count - 1] = ffi.NULL
    return memory


def _record(domain: Domain, fields: Sequence[Field]) -> Any:
    params = _allocate("virTypedParameter", len(fields))
    for i, (name, kind, value) in enumerate(fields):
        param = params + i
        data = name.encode("utf-8", "surrogateescape") + b"\0"
        ffi.memmove(param.field, data, len(data))
        param.type = kind
        if kind == STRING:
            text = value.encode("utf-8", "surrogateescape") + b"\0"
            value = _allocate("char", len(text))
            ffi.memmove(value, text, len(text))
        elif kind == BOOLEAN:
            value = bytes([value])
        setattr(param.value, MEMBERS[kind], value)
    record = _allocate("virDomainStatsRecord", 1)
    assert lib.virDomainRef(domain._ptr) == 0
    record.dom, record.params, record.nparams = domain._ptr, params, len(fields)
    return record
