# SPDX-License-Identifier: LGPL-2.1-or-later
"""Converting columns back to dictionaries, one layout at a time.

A layout is the exact sequence of names and types of a record.
"""

from __future__ import annotations

import struct
from itertools import repeat
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.slot import Slot
from pyvirt.enums.common import TypedParameterType
from pyvirt.stats.frame import STRING, decode_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.stats.frame import Column, ColumnKind

_CELLS = ffi.typeof("int64_t[]")
_new_uninitialised = ffi.new_allocator(should_clear_after_alloc=False)

# The struct formats of the 8-byte cells that pv_frame_cells writes.
_CELL_FORMATS = {
    TypedParameterType.INT: "i4x",
    TypedParameterType.UINT: "I4x",
    TypedParameterType.LLONG: "q",
    TypedParameterType.ULLONG: "Q",
    TypedParameterType.DOUBLE: "d",
    TypedParameterType.BOOLEAN: "?7x",
    STRING: "q",
}
if struct.pack("=H", 1) != struct.pack("<H", 1):  # big-endian: the value is in the last bytes of the cell
    _CELL_FORMATS.update({TypedParameterType.INT: "4xi", TypedParameterType.UINT: "4xI"})
    _CELL_FORMATS[TypedParameterType.BOOLEAN] = "7x?"


class Layout:
    """Reads the records of one layout."""

    def __init__(self, frame: CData, id: int, kinds: Mapping[int, ColumnKind]) -> None:
        count = lib.pv_frame_layout(frame, id, ffi.NULL, ffi.NULL, 0)
        names = ffi.new("const char *[]", count + 1)
        columns = ffi.new("int[]", count + 1)
        lib.pv_frame_layout(frame, id, names, columns, count)
        self._names = [ffi.string(names[i]).decode("utf-8", "surrogateescape") for i in range(count)]
        self._columns = list(columns[0:count])
        self._formats = [_CELL_FORMATS[kinds[column].type] for column in self._columns]
        last = {name: at for at, name in enumerate(self._names)}  # if a name occurs twice, the last one counts
        texts = {at: columns[at] for at in last.values() if kinds[columns[at]].type is STRING}
        self._texts = [(at, self._names[at], column) for at, column in texts.items()]
        self._numbers = int.from_bytes((at in last.values() and at not in texts for at in range(count)), "little")
        self._readers: dict[int, tuple[list[str], struct.Struct]] = {}
        self._read_all = struct.Struct("=" + "".join(self._formats))
        #: how many fields a record has
        self.fields = count

    def rows(
        self,
        cells: CData,
        count: int,
        texts_of: Callable[[int], list[str]],
        wanted: Mapping[int, Column] | None = None,
    ) -> list[dict[str, TypedValue]]:
        """Return the *count* records at *cells*; *texts_of* returns the texts of a column.

        :param wanted: return only fields of these columns

        Copying a dictionary and updating it takes a third less time than filling an empty one.  Many fields (errors,
        drops, limits, kinds of states) are the same for most domains, so the copied dictionary has their values.
        """
        if not self.fields:
            return [{} for _ in range(count)]
        varying = ffi.new("uint8_t[]", self.fields)
        lib.pv_cells_varying(cells, count, self.fields, varying)
        moving = int.from_bytes(ffi.buffer(varying), "little") & self._numbers
        if wanted is not None:
            moving &= int.from_bytes((id in wanted for id in self._columns), "little")
        numbers, reader = self._reader(moving)
        data = ffi.buffer(cells, count * self._read_all.size)
        template: dict[str, TypedValue] = dict(zip(self._names, self._read_all.unpack_from(data), strict=True))
        if wanted is not None:
            template = {
                name: template[name] for name, id in zip(self._names, self._columns, strict=True) if id in wanted
            }
        names, columns = list(numbers), []
        for at, name, id in self._texts:
            if wanted is not None and id not in wanted:
                continue
            # The cell holds the row; between consecutive records of this layout, it grows by the same step.
            first = cells[at]
            step = cells[self.fields + at] - first if count > 1 else 1
            texts = texts_of(id)[first : first + count * step : step]
            template[name] = texts[0]
            if texts.count(texts[0]) < count:
                names.append(name)
                columns.append(texts)
        if not names:
            return [template.copy() for _ in range(count)]
        rows = []
        for values, words in zip(
            reader.iter_unpack(data), zip(*columns, strict=True) if columns else repeat(()), strict=False
        ):
            row = template.copy()
            # Both have the length that the layout specifies; a strict zip() would check it for each row.
            row.update(zip(names, values + words))  # noqa: B905
            rows.append(row)
        return rows

    def _reader(self, wanted: int) -> tuple[list[str], struct.Struct]:
        """Return the names of the *wanted* fields (an integer with a byte of 1 for each), and a struct to read them."""
        known = self._readers.get(wanted)
        if known is None:
            if len(self._readers) > 100:
                self._readers.clear()
            mask = wanted.to_bytes(self.fields, "little")
            names = [name for name, is_wanted in zip(self._names, mask, strict=True) if is_wanted]
            formats = [form if is_wanted else "8x" for form, is_wanted in zip(self._formats, mask, strict=True)]
            known = self._readers[wanted] = names, struct.Struct("=" + "".join(formats))
        return known


class FrameCache:
    """Objects that the frames of one engine share: layouts, and the texts and memory of the tick before."""

    def __init__(self) -> None:
        self._layouts: dict[int, Layout] = {}
        self._texts: dict[int, tuple[bytes, bytes, list[str]]] = {}
        self._cells: Slot[CData] = Slot()
        #: by column id
        self.kinds: dict[int, ColumnKind] = {}

    def borrow_cells(self, count: int) -> CData:
        """Return memory for *count* values, usually that of the tick before: new pages take longer than filling it."""
        cells = self._cells.take()
        if cells is None or not count < len(cells) < 2 * count + 1000:
            cells = _new_uninitialised(_CELLS, count + 1)
        return cells

    def return_cells(self, cells: CData) -> None:
        """Keep *cells* for the next tick."""
        self._cells.put(cells)

    def layout(self, frame: CData, id: int) -> Layout:
        """Return the layout with this id, which is read at first use."""
        if id not in self._layouts:
            self._layouts[id] = Layout(frame, id, self.kinds)
        return self._layouts[id]

    def texts(self, column: Column) -> list[str]:
        """Return the texts of a column, usually the objects of the tick before, as names and paths rarely change."""
        offsets, text = bytes(column.values), bytes(column.text)
        before = self._texts.get(column.id)
        if before is None or before[0] != offsets or before[1] != text:
            before = self._texts[column.id] = offsets, text, decode_texts(column.values.tolist(), text)
        return before[2]
