# SPDX-License-Identifier: LGPL-2.1-or-later
"""One tick of statistics, as tables of columns."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property, partial
from itertools import groupby, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from pyvirt._lib import ffi, lib
from pyvirt.enums.common import TypedParameterType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyvirt._lib import CData
    from pyvirt._typedparams import TypedValue
    from pyvirt.stats.rates import Rates

STRING = TypedParameterType.STRING

_CELLS = ffi.typeof("int64_t[]")
_uncleared = ffi.new_allocator(should_clear_after_alloc=False)

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


class ColumnKind(NamedTuple):
    """What does not change from tick to tick of a column."""

    #: number of this field, the same in every frame of a connection
    id: int
    table: int
    name: str
    #: what follows the last number of libvirt's name: ``".time"``
    field: str
    type: TypedParameterType
    format: str

    @classmethod
    def read(cls, view: CData) -> ColumnKind:
        """Take it from C."""
        name, field = (ffi.string(text).decode("utf-8", "surrogateescape") for text in (view.name, view.field))
        type = TypedParameterType(view.type)
        return cls(view.id, view.table, name, field, type, _FORMATS[type])


class Column:
    """One field of all rows of a table."""

    def __init__(self, owner: object, views: CData, at: int, kind: ColumnKind) -> None:
        self._owner = owner
        self._views = views  # of all columns, as one of them does not keep itself
        self._at = at
        self.kind = kind

    @property
    def id(self) -> int:
        """Number of this field, the same in every frame of a connection."""
        return self.kind.id

    @property
    def name(self) -> str:
        """What the table calls it: ``"time"``."""
        return self.kind.name

    @property
    def type(self) -> TypedParameterType:
        """libvirt's type."""
        return self.kind.type

    @property
    def present(self) -> int:
        """How many rows have a value."""
        count: int = self._views[self._at].present
        return count

    def __repr__(self) -> str:
        missing = len(self) - self.present
        return f"<Column {self.name!r} {self.type.name} of {len(self)} rows{f', {missing} missing' * bool(missing)}>"

    def __len__(self) -> int:
        rows: int = self._views[self._at].rows
        return rows

    @cached_property
    def values(self) -> memoryview:
        """The numbers, without a copy: ``numpy.asarray(column.values)``.

        Rows without a value hold 0; :attr:`valid` tells them apart.  For strings these are the offsets into
        :attr:`text`, one more than rows.
        """
        view, kind = self._views[self._at], self.kind
        return view_of(self._owner, view.values, view.rows + (kind.type is STRING), kind.format)

    @cached_property
    def valid(self) -> memoryview | None:
        """A bit per row, the lowest of a byte first, set where there is a value; ``None`` if all have one."""
        view = self._views[self._at]
        return view_of(self._owner, view.valid, (view.rows + 7) // 8, "B") if view.valid else None

    @cached_property
    def text(self) -> memoryview:
        """The UTF-8 of a string column, end to end."""
        view = self._views[self._at]
        return view_of(self._owner, view.text, view.text_size, "B")

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
        return ".".join(parts) + self._columns[column].kind.field

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
    """What a connection knows of a frame: closing it must not leave a domain referenced.

    All that reaches into the frame's memory holds on to this, as only then the connection still knows of it.
    """

    __slots__ = ("__weakref__", "_frame")

    def __init__(self, frame: CData) -> None:
        self._frame = frame

    def close(self) -> None:
        """Let go of the domains, and keep in mind who they were."""
        if lib.pv_frame_identify(self._frame) < 0:
            raise MemoryError

    def _disown(self) -> None:
        """Leave the domains alone: their connection belongs to the process before a fork."""
        lib.pv_frame_disown(self._frame)


class DomainColumns:
    """Which domains a frame holds: row for row the table ``domain``."""

    def __init__(self, keeper: FrameKeeper, count: int) -> None:
        self._owner = keeper
        self._count = count

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _view(self) -> CData:
        # Not before somebody asks: libvirt takes longer over the UUIDs than C over all the columns.
        self._owner.close()
        view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(self._owner._frame, view)
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
        #: for the connection, which keeps no frame alive but has to know of it
        self.keeper = FrameKeeper(frame)
        self.domains = DomainColumns(self.keeper, self._view.domains)

    def __repr__(self) -> str:
        return f"<StatsFrame of {len(self)} domains, {self.fields} fields>"

    def __len__(self) -> int:
        return len(self.domains)

    @cached_property
    def columns(self) -> dict[int, Column]:
        """All columns by their id."""
        views = ffi.new("pv_column_view[]", lib.pv_frame_n_columns(self._frame) + 1)
        keeper, kinds = self.keeper, self._shared.kinds
        found = {}
        for at in range(lib.pv_frame_columns(self._frame, views)):
            id = views[at].id
            if id not in kinds:
                kinds[id] = ColumnKind.read(views[at])
            found[id] = Column(keeper, views, at, kinds[id])
        return found

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name: ``"domain"``, ``"vcpu"``, ``"net"``, ``"block"``, …"""
        by_table: dict[int, dict[str, Column]] = {}
        for column in self.columns.values():
            by_table.setdefault(column.kind.table, {})[column.kind.name] = column
        tables = {}
        for id in range(lib.pv_frame_n_tables(self._frame)):
            view = ffi.new("pv_table_view *")
            if lib.pv_frame_table(self._frame, id, view) == 0:
                table = Table(self.keeper, view, by_table.get(id, {}))
                tables[table.name] = table
        return tables

    def to_dicts(self) -> list[dict[str, TypedValue]]:
        """Return a dictionary per domain, in the order of :attr:`domains`: just what libvirt sent."""
        columns = self.columns
        cells = self._shared.borrow_cells(self.fields)
        if lib.pv_frame_cells(self._frame, cells) < 0:
            raise MemoryError
        texts: dict[int, list[str]] = {}

        def texts_of(id: int) -> list[str]:
            if id not in texts:
                texts[id] = self._shared.texts(columns[id])
            return texts[id]

        rows: list[dict[str, TypedValue]] = []
        at = 0
        for layout_id, run in groupby(ffi.unpack(self._view.layouts, len(self)) if len(self) else ()):
            layout = self._shared.layout(self._frame, layout_id)
            count = sum(1 for _ in run)
            rows += layout.rows(cells + at, count, texts_of)
            at += count * layout.fields
        self._shared.return_cells(cells)
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

    def __init__(self, frame: CData, id: int, kinds: Mapping[int, ColumnKind]) -> None:
        count = lib.pv_frame_layout(frame, id, ffi.NULL, ffi.NULL, 0)
        names = ffi.new("const char *[]", count + 1)
        columns = ffi.new("int[]", count + 1)
        lib.pv_frame_layout(frame, id, names, columns, count)
        self._names = [ffi.string(names[i]).decode("utf-8", "surrogateescape") for i in range(count)]
        self._formats = [_CELL_FORMATS[kinds[column].type] for column in columns[0:count]]
        last = {name: at for at, name in enumerate(self._names)}  # of a name given twice the last counts
        texts = {at: columns[at] for at in last.values() if kinds[columns[at]].type is STRING}
        self._texts = [(at, self._names[at], column) for at, column in texts.items()]
        self._numbers = int.from_bytes((at in last.values() and at not in texts for at in range(count)), "little")
        self._readers: dict[int, tuple[list[str], struct.Struct]] = {}
        self._read_all = struct.Struct("=" + "".join(self._formats))
        #: how many fields a record has
        self.fields = count

    def rows(self, cells: CData, count: int, texts_of: Callable[[int], list[str]]) -> list[dict[str, TypedValue]]:
        """Return the *count* records at *cells*; *texts_of* gives the texts of a column.

        Copying a dictionary and filling it in is a third faster than letting one grow; and many fields of most domains
        (errors, drops, limits, kinds of states) are the same in all of them, so the copy has those.
        """
        if not self.fields:
            return [{} for _ in range(count)]
        varying = ffi.new("uint8_t[]", self.fields)
        lib.pv_cells_varying(cells, count, self.fields, varying)
        numbers, reader = self._reader(int.from_bytes(ffi.buffer(varying), "little") & self._numbers)
        data = ffi.buffer(cells, count * self._read_all.size)
        template: dict[str, TypedValue] = dict(zip(self._names, self._read_all.unpack_from(data), strict=True))
        names, columns = list(numbers), []
        for at, name, id in self._texts:
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
