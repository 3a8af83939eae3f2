# SPDX-License-Identifier: LGPL-2.1-or-later
"""One tick of statistics, as tables of columns."""

from __future__ import annotations

import struct
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from uuid import UUID

from pyvirt._core.lib import ffi, lib
from pyvirt.enums.common import TypedParameterType
from pyvirt.errors import ClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Sequence, ValuesView

    import pandas
    import pyarrow
    from typing_extensions import Self

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.stats.export import Array
    from pyvirt.stats.layouts import Shared
    from pyvirt.stats.rates import Rates
    from pyvirt.stats.rows import DomainRow
    from pyvirt.stats.select import DomainChoice

    Hold: TypeAlias = Callable[[object], object]

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


_BYTES = ffi.typeof("char *")
_SIZES = {format: struct.calcsize(format) for format in "BiIqQd?"}
_gc, _cast, _buffer = ffi.gc, ffi.cast, ffi.buffer

# pv_column_view: id, table, name, field, type, rows, present, values, valid, text, text_size
_COLUMN_VIEW = struct.Struct("@iiPPiqqPPPq")
assert _COLUMN_VIEW.size == ffi.sizeof("pv_column_view")


def holding(owner: object) -> Hold:
    """Return a function that keeps *owner* alive and, called with a pointer, does nothing: for :func:`view_of`."""
    # A method of a list is C: a frame has dozens of views, and each of them calls it when it dies.
    return [owner].count


def view_of(hold: Hold, pointer: CData | int, count: int, format: str) -> memoryview:
    """Return *count* items of C memory as a read-only memoryview that keeps alive what *hold* does."""
    size = count * _SIZES[format]
    view = memoryview(_buffer(_gc(_cast(_BYTES, pointer), hold), size) if size else b"").toreadonly()
    # A type checker only takes a literal for a format.
    return view if format == "B" else view.cast(format)  # type: ignore[call-overload]


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

    __slots__ = ("_hold", "_rows", "_text", "_text_at", "_valid", "_values", "_values_at", "keeper", "kind", "present")

    def __init__(self, keeper: FrameKeeper, hold: Hold, kind: ColumnKind, fields: tuple[int, ...]) -> None:
        """Take it from the *fields* of a ``pv_column_view``: to ask the struct for them by name takes longer."""
        self.keeper = keeper
        self.kind = kind
        self._hold = hold
        #: how many rows have a value
        self.present: int
        *_, self._rows, self.present, self._values_at, valid_at, text_at, text_size = fields
        self._values: memoryview | None = None
        self._valid: memoryview | int = valid_at
        self._text: memoryview | None = None
        self._text_at = text_at, text_size

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

    def __repr__(self) -> str:
        missing = len(self) - self.present
        return f"<Column {self.name!r} {self.type.name} of {len(self)} rows{f', {missing} missing' * bool(missing)}>"

    def __len__(self) -> int:
        return self._rows

    @property
    def values(self) -> memoryview:
        """The numbers, without a copy: ``numpy.asarray(column.values)``.

        Rows without a value hold 0; :attr:`valid` tells them apart.  For strings these are the offsets into
        :attr:`text`, one more than rows.
        """
        view = self._values
        if view is None:
            kind = self.kind
            count = self._rows + (kind.type is STRING)
            view = self._values = view_of(self._hold, self._values_at, count, kind.format)
        return view

    @property
    def valid(self) -> memoryview | None:
        """A bit per row, the lowest of a byte first, set where there is a value; ``None`` if all have one."""
        view = self._valid
        if view.__class__ is int:  # an address
            if not view:
                return None
            view = self._valid = view_of(self._hold, view, (self._rows + 7) // 8, "B")
        return view  # type: ignore[return-value]

    @property
    def text(self) -> memoryview:
        """The UTF-8 of a string column, end to end."""
        if self._text is None:
            self._text = view_of(self._hold, *self._text_at, "B")
        return self._text

    def __getitem__(self, row: int) -> TypedValue | None:
        if not 0 <= row < len(self):
            raise IndexError(f"no row {row} in a column of {len(self)}")
        if self.valid is not None and not self.valid[row >> 3] >> (row & 7) & 1:
            return None
        value: TypedValue = self.values[row]
        if self.type is STRING:
            return bytes(self.text[self.values[row] : self.values[row + 1]]).decode("utf-8", "surrogateescape")
        return value

    def __arrow_c_schema__(self) -> object:
        from pyvirt.stats import export

        return export.column_schema(self)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Hand the column to whoever reads Arrow; a request for other types is left to the reader."""
        from pyvirt.stats import export

        return export.column_schema(self), export.column_array(self)

    def to_list(self) -> list[TypedValue | None]:
        """Return Python objects, ``None`` where there is no value."""
        items: list[TypedValue | None] = (
            list(decode_texts(self.values.tolist(), bytes(self.text))) if self.type is STRING else list(self.values)
        )
        if self.valid is not None:
            bits = int.from_bytes(self.valid, "little")
            items = [item if bits >> row & 1 else None for row, item in enumerate(items)]
        return items


class Table:
    """Columns over the same rows, by name.

    It has what a ``Mapping`` has and is none: polars takes a mapping apart by itself, and would leave out whose rows
    these are.

    ``domain`` maps each row to its domain (a row of ``frame.domains``); ``index`` holds the numbers of its items, one
    run of numbers per level: ``index[0]`` for ``vcpu``, two for groups within groups.
    """

    def __init__(self, keeper: FrameKeeper, hold: Hold, view: CData, columns: dict[str, Column]) -> None:
        self.keeper = keeper
        self._hold = hold
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

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def get(self, name: str) -> Column | None:
        """Return a column, ``None`` if there is none of that name."""
        return self._columns.get(name)

    def keys(self) -> KeysView[str]:
        """Return the names of the columns."""
        return self._columns.keys()

    def values(self) -> ValuesView[Column]:
        """Return the columns."""
        return self._columns.values()

    def items(self) -> ItemsView[str, Column]:
        """Return names and columns."""
        return self._columns.items()

    def field_name(self, column: str, row: int) -> str:
        """Return libvirt's name of a field: ``"vcpu.3.time"``."""
        parts = self.pattern.split(".")
        for at, index in zip(self._numbers_at, self.index, strict=True):
            parts[at] = str(index[row])
        return ".".join(parts) + self._columns[column].kind.field

    @property
    def _numbers_at(self) -> list[int]:
        """Which parts of :attr:`pattern` stand for numbers, rather than for a part that is a ``*``."""
        where: int = self._view.where
        return [at for at in range(where.bit_length()) if where >> at & 1]

    def __arrow_c_schema__(self) -> object:
        from pyvirt.stats import export

        return export.table_schema(self)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Hand the table to whoever reads Arrow; a request for other types is left to the reader."""
        from pyvirt.stats import export

        return export.table_schema(self), export.table_array(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The same as a stream of one batch."""
        from pyvirt.stats import export

        return export.table_stream(self)

    @cached_property
    def domain(self) -> memoryview:
        """The domain of each row, uint32."""
        return view_of(self._hold, self._view.domain, self.rows, "I")

    @cached_property
    def index(self) -> tuple[memoryview, ...]:
        """The index numbers of each row, uint32, a memoryview per level."""
        return tuple(
            view_of(self._hold, self._view.index + level * self.rows, self.rows, "I")
            for level in range(self._view.n_index)
        )


class FrameKeeper:
    """What a connection knows of a frame: closing it must not leave a domain referenced.

    All that reaches into the frame's memory holds on to this, as only then the connection still knows of it.
    """

    __slots__ = ("__weakref__", "frame", "view")

    def __init__(self, frame: CData) -> None:
        """Take over a sealed ``pv_frame``, to be freed with this."""
        self.view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(frame, self.view)
        # The size tells the garbage collector what hangs on this small object.
        self.frame = _gc(frame, lib.pv_frame_free, self.view.bytes)

    def close(self) -> None:
        """Let go of the domains, and keep in mind who they were."""
        if lib.pv_frame_identify(self.frame) < 0:
            raise MemoryError

    def _disown(self) -> None:
        """Leave the domains alone: their connection belongs to the process before a fork."""
        lib.pv_frame_disown(self.frame)


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
        lib.pv_frame_describe(self._owner.frame, view)
        return view

    @cached_property
    def names(self) -> list[str]:
        """Their names."""
        if not len(self):
            return []
        offsets = ffi.unpack(self._view.name_offsets, len(self) + 1)
        return decode_texts(offsets, ffi.buffer(self._view.names, offsets[-1])[:] if offsets[-1] else b"")

    @property
    def host_names(self) -> list[str] | None:
        """The host of each; ``None`` where all are of one connection and nobody had to say."""
        return None

    @cached_property
    def uuid_bytes(self) -> memoryview:
        """Their UUIDs, 16 bytes each, end to end."""
        return view_of(holding(self._owner), self._view.uuids, 16 * len(self), "B")

    @cached_property
    def uuids(self) -> list[UUID]:
        """Their UUIDs."""
        data = bytes(self.uuid_bytes)
        return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]

    @cached_property
    def rows(self) -> dict[str | UUID, int]:
        """The row of each, by name and by UUID."""
        found: dict[str | UUID, int] = {}
        for keys in (self.uuids, self.names):
            found.update(zip(keys, range(len(self)), strict=True))
        return found

    def __contains__(self, domain: object) -> bool:
        return domain in self.rows

    def row_of(self, domain: str | UUID) -> int:
        """Return the row of one of them, by name or UUID.

        :raises KeyError: it is not in this frame
        """
        try:
            return self.rows[domain]
        except KeyError:
            raise KeyError(f"no domain {str(domain)!r} among the {len(self)} of this frame") from None

    @cached_property
    def ids(self) -> memoryview:
        """Their ids, int32; -1 for those that do not run."""
        return view_of(holding(self._owner), self._view.ids, len(self), "i")


class StatsFrame:
    """The statistics of many domains at one moment.

    ``frame["vm-1"]`` is the row of a domain, by name or UUID, and iterating gives the rows of all of them.
    """

    def __init__(self, keeper: FrameKeeper, shared: Shared, *, only: frozenset[str] | None = None) -> None:
        """Show what *keeper* keeps; *shared* belongs to all frames of one engine.

        :param only: the names of the tables that it shows
        """
        self._shared = shared
        self._view = keeper.view
        self._only = only
        #: when they came, in seconds of ``time.monotonic()``
        self.time: float = self._view.taken / 1e9
        #: bytes of memory behind all columns
        self.nbytes: int = self._view.bytes
        #: for the connection, which keeps no frame alive but has to know of it
        self.keeper = keeper
        self._hold = holding(self.keeper)
        self.domains = DomainColumns(self.keeper, self._view.domains)

    @property
    def _frame(self) -> CData:
        return self.keeper.frame

    def __repr__(self) -> str:
        return f"<StatsFrame of {len(self)} domains, {self.fields} fields>"

    def __len__(self) -> int:
        return len(self.domains)

    def close(self) -> None:
        """Let go of the memory, rather than when the last reference to this frame goes.  Harmless when repeated.

        What was taken from it before, a column or a view of one, stays good, and keeps the memory until it is gone.
        """
        self.__class__ = ClosedFrame
        self.__dict__.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @cached_property
    def fields(self) -> int:
        """How many values there are."""
        if self._only is None:
            count: int = self._view.fields
            return count
        return sum(column.present for column in self.columns.values())

    @cached_property
    def _table_views(self) -> dict[int, CData]:
        views = {}
        for id in range(lib.pv_frame_n_tables(self._frame)):
            view = ffi.new("pv_table_view *")
            if lib.pv_frame_table(self._frame, id, view) < 0:
                continue
            if self._only is None or ffi.string(view.name).decode("utf-8", "surrogateescape") in self._only:
                views[id] = view
        return views

    @cached_property
    def columns(self) -> dict[int, Column]:
        """All columns by their id."""
        views = ffi.new("pv_column_view[]", lib.pv_frame_n_columns(self._frame) + 1)
        count = lib.pv_frame_columns(self._frame, views)
        keeper, hold, kinds = self.keeper, self._hold, self._shared.kinds
        found = {}
        for at, fields in enumerate(_COLUMN_VIEW.iter_unpack(_buffer(views, count * _COLUMN_VIEW.size))):
            id = fields[0]
            if id not in kinds:
                kinds[id] = ColumnKind.read(views[at])
            if self._only is None or kinds[id].table in self._table_views:
                found[id] = Column(keeper, hold, kinds[id], fields)
        return found

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name: ``"domain"``, ``"vcpu"``, ``"net"``, ``"block"``, …"""
        by_table: dict[int, dict[str, Column]] = {}
        for column in self.columns.values():
            by_table.setdefault(column.kind.table, {})[column.kind.name] = column
        tables = (Table(self.keeper, self._hold, view, by_table.get(id, {})) for id, view in self._table_views.items())
        return {table.name: table for table in tables}

    def _row(self, row: int) -> DomainRow:
        from pyvirt.stats.rows import DomainRow

        return DomainRow(self, row)

    def __iter__(self) -> Iterator[DomainRow]:
        return map(self._row, range(len(self)))

    def __getitem__(self, domain: str | UUID) -> DomainRow:
        """Return the row of one domain.

        :param domain: its name or UUID
        :raises KeyError: it is not in this frame
        """
        return self._row(self.domains.row_of(domain))

    def __contains__(self, domain: object) -> bool:
        return domain in self.domains

    def select(
        self,
        domains: DomainChoice | Iterable[DomainChoice] | None = None,
        *,
        tables: str | Iterable[str] | None = None,
    ) -> StatsFrame:
        """Return a frame of some domains, some tables, or both.

        What is chosen and not there is left out.  Tables are chosen without a copy; of some domains the values are
        copied, as a column lies in one piece.

        :param domains: names, globs of names, UUIDs, ``Domain`` objects, and functions that take a row and say yes
        :param tables: names and globs of names
        """
        rows, only = self._choose(domains, tables)
        return StatsFrame(self._keep(rows), self._shared, only=only)

    def _choose(
        self, domains: DomainChoice | Iterable[DomainChoice] | None, tables: str | Iterable[str] | None
    ) -> tuple[Sequence[int], frozenset[str] | None]:
        """Return the rows of the domains, and the names of the tables if not all."""
        from pyvirt.stats.select import chosen_names, domain_rows

        return (
            range(len(self)) if domains is None else domain_rows(self, domains),
            self._only if tables is None else chosen_names(self.tables, tables),
        )

    def _keep(self, rows: Sequence[int]) -> FrameKeeper:
        """Return what keeps the memory of a frame of these rows, in that order: our own if they are all of them."""
        if len(rows) == len(self):
            return self.keeper
        self.keeper.close()  # what is copied knows its domains by name, not by a handle
        chosen = lib.pv_frame_select(self._frame, ffi.new("uint32_t[]", list(rows)), len(rows))
        if not chosen:
            raise MemoryError
        return FrameKeeper(chosen)

    def to_numpy(self) -> dict[str, dict[str, Array]]:
        """Return the columns of each table as arrays, over the memory of this frame where they are numbers.

        Where values are missing it is a masked array.  With each table come ``domain.name``, ``domain.uuid`` (16
        bytes), ``domain.id`` and the numbers of its items: ``index``, or ``index.0`` and ``index.1``.

        :raises ImportError: numpy is not installed
        """
        from pyvirt.stats import export

        return export.to_numpy(self)

    def to_arrow(self) -> dict[str, pyarrow.Table]:
        """Return the tables as pyarrow's, over the memory of this frame; with the same columns as :meth:`to_numpy`.

        :raises ImportError: pyarrow is not installed
        """
        from pyvirt.stats import export

        return export.to_arrow(self)

    def to_pandas(self) -> dict[str, pandas.DataFrame]:
        """Return the tables as data frames, with the same columns as :meth:`to_numpy`; UUIDs are text.

        :raises ImportError: pandas is not installed
        """
        from pyvirt.stats import export

        return export.to_pandas(self)

    def to_dicts(self) -> list[dict[str, TypedValue]]:
        """Return a dictionary per domain, in the order of :attr:`domains`: just what libvirt sent."""
        columns = self.columns
        wanted = None if self._only is None else columns
        whole: int = self._view.fields
        cells = self._shared.borrow_cells(whole)
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
            rows += layout.rows(cells + at, count, texts_of, wanted)
            at += count * layout.fields
        self._shared.return_cells(cells)
        return rows

    def rates(self, previous: StatsFrame) -> Rates:
        """Return the growth per second of all counters since *previous*.

        Rows are the same thing if the domain has the same UUID and the item the same name (or, without names, the
        same index numbers).  What is new, was started anew, or went back, has no rate: absent, never negative.

        :raises ValueError: *previous* is not older than this frame
        """
        from pyvirt.stats.rates import Rates

        return Rates(self, previous)


class ClosedFrame(StatsFrame):
    """What a frame turns into when it is closed: the same, but to ask for anything raises."""

    def __getattribute__(self, name: str) -> object:
        if name.startswith("__") or name == "close":
            return super().__getattribute__(name)
        raise ClosedError("this StatsFrame is closed")

    def __repr__(self) -> str:
        return "<StatsFrame, closed>"

    def close(self) -> None:
        """Do nothing: it is closed."""
