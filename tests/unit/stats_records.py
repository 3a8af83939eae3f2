# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records as libvirt would hand them over, made from dictionaries: for shapes that no driver here produces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyvirt import Domain
from pyvirt._lib import ffi, lib
from pyvirt.stats import StatsFrame

INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)
MEMBERS = {INT: "i", UINT: "ui", LLONG: "l", ULLONG: "ul", DOUBLE: "d", BOOLEAN: "b", STRING: "s"}

#: one field: its name, its virTypedParameterType and its value
Field = tuple[str, int, Any]


class Feed:
    """Frames made of given records, which share names and layouts as those of a connection do."""

    def __init__(self) -> None:
        self._schema = ffi.gc(lib.pv_schema_new(), lib.pv_schema_free)
        self._layouts: dict[int, Any] = {}

    def frame(self, *parts: Sequence[tuple[Domain, Sequence[Field]]]) -> StatsFrame:
        """Return a frame of these records, added part by part as the parts of a large host are."""
        frame = ffi.gc(lib.pv_frame_new(self._schema), lib.pv_frame_free)
        for records in parts:
            kept: list[Any] = []
            pointers = [_record(domain, fields, kept) for domain, fields in records]
            array = ffi.new("virDomainStatsRecordPtr[]", [*pointers, ffi.NULL])
            assert lib.pv_frame_add(frame, array, len(pointers)) == len(pointers)
        assert lib.pv_frame_seal(frame) == 0
        return StatsFrame(frame, self._layouts)


def _record(domain: Domain, fields: Sequence[Field], kept: list[Any]) -> Any:
    params = ffi.new("virTypedParameter[]", max(len(fields), 1))
    # What follows the name in its array is anything: libvirt does not clear it.
    ffi.memmove(params, b"\xaa" * ffi.sizeof(params), ffi.sizeof(params))
    for param, (name, kind, value) in zip(params, fields, strict=False):
        ffi.memmove(param.field, name.encode("utf-8", "surrogateescape") + b"\0", len(name.encode()) + 1)
        param.type = kind
        if kind == STRING:
            value = ffi.new("char[]", value.encode("utf-8", "surrogateescape"))
            kept.append(value)
        if kind == BOOLEAN:
            value = bytes([value])
        setattr(param.value, MEMBERS[kind], value)
    record = ffi.new("virDomainStatsRecord *", {"dom": domain._ptr, "params": params, "nparams": len(fields)})
    kept += [params, record]
    return record
