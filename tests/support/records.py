# SPDX-License-Identifier: LGPL-2.1-or-later
"""Records as libvirt returns them, made from given fields: for shapes that no available driver produces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from pyvirt import Domain
from pyvirt._core.lib import ffi, lib
from pyvirt.stats import StatsFrame
from pyvirt.stats.engine import new_frame, new_schema, seal
from pyvirt.stats.layouts import FrameCache

INT, UINT, LLONG, ULLONG, DOUBLE, BOOLEAN, STRING = range(1, 8)
MEMBERS = {INT: "i", UINT: "ui", LLONG: "l", ULLONG: "ul", DOUBLE: "d", BOOLEAN: "b", STRING: "s"}

#: one field: its name, its virTypedParameterType and its value
Field = tuple[str, int, Any]


class Feed:
    """Makes frames of given records, which share names and layouts as the frames of a connection do."""

    def __init__(self) -> None:
        self._schema = new_schema()
        self._cache = FrameCache()

    def frame(self, *parts: Sequence[tuple[Domain, Sequence[Field]]]) -> StatsFrame:
        """Return a frame of these records, added part by part as the parts of a large host are."""
        frame = new_frame(self._schema)
        for records in parts:
            array = _allocate("virDomainStatsRecordPtr", len(records) + 1)
            for i, (domain, fields) in enumerate(records):
                array[i] = _record(domain, fields)
            assert lib.pv_frame_add(frame, array, len(records)) == len(records)
        return StatsFrame(seal(frame), self._cache)


def _allocate(kind: str, count: int) -> Any:
    """Return memory that libvirt may free, filled with a non-zero pattern; an array of pointers ends with NULL."""
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


# ---- arbitrary records ----

values = st.one_of(
    st.tuples(st.just(INT), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(UINT), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(LLONG), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(ULLONG), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(BOOLEAN), st.booleans()),
    st.tuples(st.just(STRING), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)),
)
names = st.one_of(
    st.from_regex(r"[a-z]{0,3}(\.([0-9]{1,2}|[a-z*]{0,2})){0,5}", fullmatch=True),
    st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30),
)
record_fields = st.lists(st.tuples(names, values), max_size=12)
