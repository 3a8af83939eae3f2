# SPDX-License-Identifier: LGPL-2.1-or-later
"""From columns back to dictionaries, one shape of records at a time."""

from __future__ import annotations

import struct
from itertools import repeat
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt.enums.common import TypedParameterType
from pyvirt.stats.frame import STRING, decode_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.stats.frame import Column, ColumnKind

_CELLS = ffi.typeof("int64_t[]")
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

# Of the 8-byte cells that pv_frame_cells writes: the struct format that reads the type back.
_CELL_FORMATS = {
    TypedParameterType.INT: "i4x",
    TypedParameterType.UINT: "I4x",
    TypedParameterType.LLONG: "q",
    TypedParameterType.ULLONG: "Q",
    TypedParameterType.DOUBLE: "d",
    TypedParameterType.BOOLEAN: "?7x",
    STRING: "q",
}
if struct.pack("=H", 1) != struct.pack("<H", 1):  # the value stands at the far end
    _CELL_FORMATS.update({TypedParameterType.INT: "4xi", TypedParameterType.UINT: "4xI"})
    _CELL_FORMATS[TypedParameterType.BOOLEAN] = "7x?"


class Layout:
    """How to read back the records of one shape."""

    def __init__(self, frame: CData, id: int, kinds: Mapping[int, ColumnKind]) -> None:
        count = lib.pv_frame_layout(frame, id, ffi.NULL, ffi.NULL, 0)
        names = ffi.new("const char *[]", count + 1)
        columns = ffi.new("int[]", count + 1)
        lib.pv_frame_layout(frame, id, names, columns, count)
        self._names = [ffi.string(names[i]).decode("utf-8", "surrogateescape") for i in range(count)]
        self._columns = list(columns[0:count])
        self._formats = [_CELL_FORMATS[kinds[column].type] for column in self._columns]
        last = {name: at for at, name in enumerate(self._names)}  # of a name given twice the last counts
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
        """Return the *count* records at *cells*; *texts_of* gives the texts of a column.

        :param wanted: only fields of these columns

        Copying a dictionary and filling it in is a third faster than letting one grow; and many fields of most domains
        (errors, drops, limits, kinds of states) are the same in all of them, so the copy has those.
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
            # The cell says the row; from one record of this shape to the next it moves on by the same step.
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
            # Both are as long as this layout says; a strict zip() would count all the same.
            row.update(zip(names, values + words))  # noqa: B905
            rows.append(row)
        return rows

    def _reader(self, wanted: int) -> tuple[list[str], struct.Struct]:
        """Return the names of the fields in *wanted*, a byte of 1 for each, and what reads them."""
        known = self._readers.get(wanted)
        if known is None:
            if len(self._readers) > 100:
                self._readers.clear()
            mask = wanted.to_bytes(self.fields, "little")
            names = [name for name, wants in zip(self._names, mask, strict=True) if wants]
            formats = [form if wants else "8x" for form, wants in zip(self._formats, mask, strict=True)]
            known = self._readers[wanted] = names, struct.Struct("=" + "".join(formats))
        return known


class Shared:
    """What the frames of one engine have in common: layouts, and the texts of the tick before."""

    def __init__(self) -> None:
        self._layouts: dict[int, Layout] = {}
        self._texts: dict[int, tuple[bytes, bytes, list[str]]] = {}
        self._cells: list[CData] = []  # at most one; list.pop and list.append are atomic
        #: of each column id what never changes
        self.kinds: dict[int, ColumnKind] = {}

    def borrow_cells(self, count: int) -> CData:
        """Return room for *count* values, mostly that of the tick before: fresh pages cost more than filling them."""
        try:
            cells = self._cells.pop()
        except IndexError:
            cells = ()
        return cells if count < len(cells) < 2 * count + 1000 else _uncleared(_CELLS, count + 1)

    def return_cells(self, cells: CData) -> None:
        """Keep them for the next tick."""
        if not self._cells:
            self._cells.append(cells)

    def layout(self, frame: CData, id: int) -> Layout:
        """Return a layout, made when it is first met."""
        if id not in self._layouts:
            self._layouts[id] = Layout(frame, id, self.kinds)
        return self._layouts[id]

    def texts(self, column: Column) -> list[str]:
        """Return the texts of a column: names and paths, mostly, so the very objects of the tick before."""
        offsets, text = bytes(column.values), bytes(column.text)
        before = self._texts.get(column.id)
        if before is None or before[0] != offsets or before[1] != text:
            before = self._texts[column.id] = offsets, text, decode_texts(column.values.tolist(), text)
        return before[2]
