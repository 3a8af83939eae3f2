# SPDX-License-Identifier: LGPL-2.1-or-later
"""One tick of statistics, as tables of columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property, partial
from itertools import groupby, pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt._lib import ffi, lib
from pyvirt.enums.common import TypedParameterType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyvirt._lib import CData
    from pyvirt._typedparams import TypedValue
    from pyvirt.stats.rates import Rates

STRING = TypedParameterType.STRING

# Of a column's cells: the format for a memoryview.
_FORMATS = {
    TypedParameterType.INT: "i",
    TypedParameterType.UINT: "I",
    TypedParameterType.LLONG: "q",
    TypedParameterType.ULLONG: "Q",
    TypedParameterType.DOUBLE: "d",
    TypedParameterType.BOOLEAN: "?",
    STRING: "q",
}

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


def _drop(owner: object, pointer: object) -> None:
    """Do nothing, and by that let go of *owner*."""


def _cast(view: memoryview, format: str) -> memoryview:
    # A type checker only takes a literal for a format.
    return view.cast(format)  # type: ignore[call-overload,no-any-return]


def view_of(owner: object, pointer: CData, count: int, format: str) -> memoryview:
    """Return *count* items of C memory as a read-only memoryview that keeps *owner* alive."""
    size = count * struct.calcsize(format)
    if size == 0:
        return _cast(memoryview(b""), format)
    held = ffi.gc(ffi.cast("char *", pointer), partial(_drop, owner))
    return _cast(memoryview(ffi.buffer(held, size)).toreadonly(), format)


def decode_texts(offsets: Sequence[int], data: bytes) -> list[str]:
    """Split the text of a string column at its offsets, one more than there are rows."""
    whole = data.decode("utf-8", "surrogateescape")
    if len(whole) == len(data):  # all ASCII: a character is a byte
        return [whole[start:end] for start, end in pairwise(offsets)]
    return [data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(offsets)]


class Column:
    """One field of all rows of a table."""

    def __init__(self, owner: object, view: CData) -> None:
        self._owner = owner
        #: number of this field, the same in every frame of a connection
        self.id: int = view.id
        self.name: str = ffi.string(view.name).decode("utf-8", "surrogateescape")
        #: what follows the last number of libvirt's name: ``".time"``
        self.field: str = ffi.string(view.field).decode("utf-8", "surrogateescape")
        self.type = TypedParameterType(view.type)
        self._rows: int = view.rows
        #: how many rows have a value
        self.present: int = view.present
        self._values = view.values
        self._valid = view.valid
        self._text = view.text
        self._text_size: int = view.text_size

    def __repr__(self) -> str:
        missing = len(self) - self.present
        return f"<Column {self.name!r} {self.type.name} of {len(self)} rows{f', {missing} missing' * bool(missing)}>"

    def __len__(self) -> int:
        return self._rows

    @cached_property
    def values(self) -> memoryview:
        """The numbers, without a copy: ``numpy.asarray(column.values)``.

        Rows without a value hold 0; :attr:`valid` tells them apart.  For strings these are the offsets into
        :attr:`text`, one more than rows.
        """
        rows = self._rows + (self.type is STRING)
        return view_of(self._owner, self._values, rows, _FORMATS[self.type])

    @cached_property
    def valid(self) -> memoryview | None:
        """A bit per row, the lowest of a byte first, set where there is a value; ``None`` if all have one."""
        if not self._valid:
            return None
        return view_of(self._owner, self._valid, (self._rows + 7) // 8, "B")

    @cached_property
    def text(self) -> memoryview:
        """The UTF-8 of a string column, end to end."""
        return view_of(self._owner, self._text, self._text_size, "B")

    def to_list(self) -> list[TypedValue | None]:
        """Return Python objects, ``None`` where there is no value."""
        items: list[TypedValue | None] = (
            list(decode_texts(self.values.tolist(), bytes(self.text))) if self.type is STRING else list(self.values)
        )
        if self.valid is not None:
            bits = int.from_bytes(self.valid, "little")
            items = [item if bits >> row & 1 else None for row, item in enumerate(items)]
        return items


class Table(Mapping[str, Column]):
    """Columns over the same rows, by name.

    ``domain`` maps each row to its domain (a row of ``frame.domains``); ``index`` holds the numbers of its items, one
    run of numbers per level: ``index[0]`` for ``vcpu``, two for groups within groups.
    """

    def __init__(self, owner: object, view: CData, columns: dict[str, Column]) -> None:
        self._owner = owner
        self._view = view
        self.id: int = view.id
        self.name: str = ffi.string(view.name).decode("utf-8", "surrogateescape")
        self.rows: int = view.rows
        #: what its fields are called in libvirt: ``"vcpu.*"``
        self.pattern: str = ffi.string(view.pattern).decode("utf-8", "surrogateescape")
        self._columns = columns

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {self.rows} rows, {len(self)} columns>"

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def field_name(self, column: str, row: int) -> str:
        """Return libvirt's name of a field: ``"vcpu.3.time"``."""
        numbers = (str(index[row]) for index in self.index)
        parts = [
            next(numbers) if self._view.where >> at & 1 else part for at, part in enumerate(self.pattern.split("."))
        ]
        return ".".join(parts) + self._columns[column].field

    @cached_property
    def domain(self) -> memoryview:
        """The domain of each row, uint32."""
        return view_of(self._owner, self._view.domain, self.rows, "I")

    @cached_property
    def index(self) -> tuple[memoryview, ...]:
        """The index numbers of each row, uint32, a memoryview per level."""
        return tuple(
            view_of(self._owner, self._view.index + level * self.rows, self.rows, "I")
            for level in range(self._view.n_index)
        )


class FrameKeeper:
    """What a connection knows of a frame: closing it must not leave a domain referenced."""

    __slots__ = ("__weakref__", "_frame")

    def __init__(self, frame: CData) -> None:
        self._frame = frame

    def close(self) -> None:
        """Let go of the domains, and keep in mind who they were."""
        if lib.pv_frame_identify(self._frame) < 0:
            raise MemoryError

    def _disown(self) -> None:
        """Leave the domains alone: their connection belongs to the process before a fork."""


class DomainColumns:
    """Which domains a frame holds: row for row the table ``domain``."""

    def __init__(self, frame: CData, count: int) -> None:
        self._owner = frame
        self._count = count

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _view(self) -> CData:
        # Not before somebody asks: libvirt takes longer over the UUIDs than C over all the columns.
        if lib.pv_frame_identify(self._owner) < 0:
            raise MemoryError
        view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(self._owner, view)
        return view

    @cached_property
    def names(self) -> list[str]:
        """Their names."""
        if not len(self):
            return []
        offsets = ffi.unpack(self._view.name_offsets, len(self) + 1)
        return decode_texts(offsets, ffi.buffer(self._view.names, offsets[-1])[:] if offsets[-1] else b"")

    @cached_property
    def uuid_bytes(self) -> memoryview:
        """Their UUIDs, 16 bytes each, end to end."""
        return view_of(self._owner, self._view.uuids, 16 * len(self), "B")

    @cached_property
    def uuids(self) -> list[UUID]:
        """Their UUIDs."""
        data = bytes(self.uuid_bytes)
        return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]

    @cached_property
    def ids(self) -> memoryview:
        """Their ids, int32; -1 for those that do not run."""
        return view_of(self._owner, self._view.ids, len(self), "i")


class StatsFrame:
    """The statistics of many domains at one moment."""

    def __init__(self, frame: CData, shared: Shared) -> None:
        """Take over a sealed ``pv_frame``; *shared* belongs to all frames of one engine."""
        self._frame = frame
        self._shared = shared
        self._view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(frame, self._view)
        #: how many values there are
        self.fields: int = self._view.fields
        #: when they came, in seconds of ``time.monotonic()``
        self.time: float = self._view.taken / 1e9
        #: bytes of memory behind all columns
        self.nbytes: int = self._view.bytes
        self.domains = DomainColumns(frame, self._view.domains)
        #: for the connection, which keeps no frame alive but has to know of it
        self.keeper = FrameKeeper(frame)

    def __repr__(self) -> str:
        return f"<StatsFrame of {len(self)} domains, {self.fields} fields>"

    def __len__(self) -> int:
        return len(self.domains)

    @cached_property
    def columns(self) -> dict[int, Column]:
        """All columns by their id."""
        view = ffi.new("pv_column_view *")
        found = {}
        for id in range(lib.pv_frame_n_columns(self._frame)):
            if lib.pv_frame_column(self._frame, id, view) == 0:
                found[id] = Column(self._frame, view)
        return found

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name: ``"domain"``, ``"vcpu"``, ``"net"``, ``"block"``, …"""
        by_table: dict[int, dict[str, Column]] = {}
        view = ffi.new("pv_column_view *")
        for id, column in self.columns.items():
            lib.pv_frame_column(self._frame, id, view)
            by_table.setdefault(view.table, {})[column.name] = column
        tables = {}
        for id in range(lib.pv_frame_n_tables(self._frame)):
            table_view = ffi.new("pv_table_view *")
            if lib.pv_frame_table(self._frame, id, table_view) == 0:
                table = Table(self._frame, table_view, by_table.get(id, {}))
                tables[table.name] = table
        return tables

    def to_dicts(self) -> list[dict[str, TypedValue]]:
        """Return a dictionary per domain, in the order of :attr:`domains`: just what libvirt sent."""
        cells = ffi.new("int64_t[]", self.fields + 1)
        if lib.pv_frame_cells(self._frame, cells) < 0:
            raise MemoryError
        data = memoryview(ffi.buffer(cells))
        texts: dict[int, list[str]] = {}
        rows: list[dict[str, TypedValue]] = []
        at = 0
        for layout_id, run in groupby(ffi.unpack(self._view.layouts, len(self)) if len(self) else ()):
            layout = self._shared.layout(self._frame, layout_id)
            begin, count = at, sum(1 for _ in run)
            at += count * layout.size
            made = layout.rows(data[begin:at], count)
            for name, id in layout.strings:
                if id not in texts:
                    texts[id] = self._shared.texts(self.columns[id])
                found = texts[id]
                for row in made:
                    row[name] = found[row[name]]  # type: ignore[index]
            rows += made
        return rows

    def rates(self, previous: StatsFrame) -> Rates:
        """Return the growth per second of all counters since *previous*.

        Rows are the same thing if the domain has the same UUID and the item the same name (or, without names, the
        same index numbers).  What is new, or went back, has no rate: absent, never negative.

        :raises ValueError: *previous* is not older than this frame
        """
        from pyvirt.stats.rates import Rates

        return Rates(self, previous)


class Layout:
    """How to read back the records of one shape."""

    def __init__(self, frame: CData, id: int) -> None:
        count = lib.pv_frame_layout(frame, id, ffi.NULL, ffi.NULL, 0)
        names = ffi.new("const char *[]", count + 1)
        columns = ffi.new("int[]", count + 1)
        lib.pv_frame_layout(frame, id, names, columns, count)
        self._names = [ffi.string(names[i]).decode("utf-8", "surrogateescape") for i in range(count)]
        view = ffi.new("pv_column_view *")
        formats = []
        texts = {}
        for name, column in zip(self._names, columns, strict=False):
            lib.pv_frame_column(frame, column, view)
            formats.append(_CELL_FORMATS[TypedParameterType(view.type)])
            texts[name] = column if view.type == STRING else None  # of a name given twice the last counts
        #: the fields that hold a row number for a text: name, column
        self.strings = [(name, column) for name, column in texts.items() if column is not None]
        self._reader = struct.Struct("=" + "".join(formats))
        #: bytes of a record
        self.size = self._reader.size
        # Copying a dictionary and filling it in is a third faster than letting one grow.
        self._template: dict[str, TypedValue] = dict.fromkeys(self._names, 0)

    def rows(self, data: memoryview, count: int) -> list[dict[str, TypedValue]]:
        """Return the *count* records in *data*, with row numbers in place of texts."""
        names, copy = self._names, self._template.copy
        if not names:
            return [{} for _ in range(count)]
        rows = []
        for values in self._reader.iter_unpack(data):
            row = copy()
            # Both come from one layout; a strict zip() would count all the same.
            row.update(zip(names, values))  # noqa: B905
            rows.append(row)
        return rows


class Shared:
    """What the frames of one engine have in common: layouts, and the texts of the tick before."""

    def __init__(self) -> None:
        self._layouts: dict[int, Layout] = {}
        self._texts: dict[int, tuple[bytes, bytes, list[str]]] = {}

    def layout(self, frame: CData, id: int) -> Layout:
        """Return a layout, made when it is first met."""
        if id not in self._layouts:
            self._layouts[id] = Layout(frame, id)
        return self._layouts[id]

    def texts(self, column: Column) -> list[str]:
        """Return the texts of a column: names and paths, mostly, so the very objects of the tick before."""
        offsets, text = bytes(column.values), bytes(column.text)
        before = self._texts.get(column.id)
        if before is None or before[0] != offsets or before[1] != text:
            before = self._texts[column.id] = offsets, text, decode_texts(column.values.tolist(), text)
        return before[2]
