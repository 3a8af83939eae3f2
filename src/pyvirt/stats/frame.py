# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics of many domains at one moment, as tables of columns."""

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
    from pyvirt.stats.layouts import FrameCache
    from pyvirt.stats.rates import Rates
    from pyvirt.stats.rows import DomainRow
    from pyvirt.stats.select import DomainChoice

    Destructor: TypeAlias = Callable[[object], object]

STRING = TypedParameterType.STRING

# The formats of the values of a column, for a memoryview.
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


def keep_alive(owner: object) -> Destructor:
    """Return a destructor for :func:`memory_view` that does nothing, but keeps *owner* alive until then."""
    # A method of a list, because it is in C: a frame has dozens of views, and each of them calls it when it dies.
    return [owner].count


def memory_view(destructor: Destructor, pointer: CData | int, count: int, format: str) -> memoryview:
    """Return *count* items of C memory as a read-only memoryview.

    :param destructor: the result of :func:`keep_alive` for the owner of the memory
    """
    size = count * _SIZES[format]
    view = memoryview(_buffer(_gc(_cast(_BYTES, pointer), destructor), size) if size else b"").toreadonly()
    # Type checkers accept only a literal as the format.
    return view if format == "B" else view.cast(format)  # type: ignore[call-overload]


def decode_texts(offsets: Sequence[int], data: bytes) -> list[str]:
    """Split the text of a string column at its offsets, of which there is one more than rows."""
    whole = data.decode("utf-8", "surrogateescape")
    if len(whole) == len(data):  # all ASCII: a character is a byte
        return [whole[start:end] for start, end in pairwise(offsets)]
    return [data[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(offsets)]


class ColumnKind(NamedTuple):
    """The attributes of a column that are the same in all ticks."""

    #: the number of this field, the same in every frame of a connection
    id: int
    table: int
    name: str
    #: the part of libvirt's name after the last number: ``".time"``
    field: str
    type: TypedParameterType
    format: str

    @classmethod
    def read(cls, view: CData) -> ColumnKind:
        """Read the attributes from a ``pv_column_view``."""
        name, field = (ffi.string(text).decode("utf-8", "surrogateescape") for text in (view.name, view.field))
        type = TypedParameterType(view.type)
        return cls(view.id, view.table, name, field, type, _FORMATS[type])


class Column:
    """One field, for all rows of a table."""

    __slots__ = (
        "_destructor",
        "_rows",
        "_text",
        "_text_address",
        "_valid",
        "_values",
        "_values_address",
        "keeper",
        "kind",
        "present",
    )

    def __init__(self, keeper: FrameKeeper, destructor: Destructor, kind: ColumnKind, fields: tuple[int, ...]) -> None:
        """*fields* are those of a ``pv_column_view``: unpacking all of them is faster than reading each by name."""
        self.keeper = keeper
        self.kind = kind
        self._destructor = destructor
        #: how many rows have a value
        self.present: int
        *_, self._rows, self.present, self._values_address, valid_address, text_address, text_size = fields
        self._values: memoryview | None = None
        self._valid: memoryview | int = valid_address
        self._text: memoryview | None = None
        self._text_address = text_address, text_size

    @property
    def id(self) -> int:
        """The number of this field, the same in every frame of a connection."""
        return self.kind.id

    @property
    def name(self) -> str:
        """Its name in the table: ``"time"``."""
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

        Rows without a value have 0 here; see :attr:`valid`.  For strings these are offsets into :attr:`text`, one more
        than there are rows.
        """
        view = self._values
        if view is None:
            kind = self.kind
            count = self._rows + (kind.type is STRING)
            view = self._values = memory_view(self._destructor, self._values_address, count, kind.format)
        return view

    @property
    def valid(self) -> memoryview | None:
        """One bit per row, lowest bit of a byte first, set if the row has a value; ``None`` if all rows have one."""
        view = self._valid
        if view.__class__ is int:  # an address
            if not view:
                return None
            view = self._valid = memory_view(self._destructor, view, (self._rows + 7) // 8, "B")
        return view  # type: ignore[return-value]

    @property
    def text(self) -> memoryview:
        """For strings: the UTF-8 of all rows, concatenated."""
        if self._text is None:
            self._text = memory_view(self._destructor, *self._text_address, "B")
        return self._text

    def __getitem__(self, row: int) -> TypedValue | None:
        if not 0 <= row < len(self):
            raise IndexError(f"row must be 0 to {len(self) - 1}, not {row}" if len(self) else "this column has no rows")
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
        """Return the column for an Arrow reader; *requested_schema* is ignored, the reader must convert types."""
        from pyvirt.stats import export

        return export.column_schema(self), export.column_array(self)

    def to_list(self) -> list[TypedValue | None]:
        """Return the values as Python objects, ``None`` for rows without a value."""
        items: list[TypedValue | None] = (
            list(decode_texts(self.values.tolist(), bytes(self.text))) if self.type is STRING else list(self.values)
        )
        if self.valid is not None:
            bits = int.from_bytes(self.valid, "little")
            items = [item if bits >> row & 1 else None for row, item in enumerate(items)]
        return items


class Table:
    """Columns over the same rows, by name.

    It has the methods of a ``Mapping``, but does not inherit from it: polars would read a mapping column by column, and
    lose the columns that describe the domain.

    ``domain`` maps each row to its domain (a row of ``frame.domains``).  ``index`` has the numbers of the items, one
    sequence per level: ``index[0]`` for ``vcpu``, two levels for groups within groups.
    """

    def __init__(self, keeper: FrameKeeper, destructor: Destructor, view: CData, columns: dict[str, Column]) -> None:
        self.keeper = keeper
        self._destructor = destructor
        self._view = view
        self.id: int = view.id
        self.name: str = ffi.string(view.name).decode("utf-8", "surrogateescape")
        self.rows: int = view.rows
        #: the pattern of libvirt's field names: ``"vcpu.*"``
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
        """Return a column, or ``None`` if the table does not have it."""
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
        for position, index in zip(self._number_positions, self.index, strict=True):
            parts[position] = str(index[row])
        return ".".join(parts) + self._columns[column].kind.field

    @property
    def _number_positions(self) -> list[int]:
        """The parts of :attr:`pattern` that are placeholders for numbers; other parts may be a literal ``*``."""
        bits: int = self._view.where
        return [position for position in range(bits.bit_length()) if bits >> position & 1]

    def __arrow_c_schema__(self) -> object:
        from pyvirt.stats import export

        return export.table_schema(self)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Return the table for an Arrow reader; *requested_schema* is ignored, the reader must convert types."""
        from pyvirt.stats import export

        return export.table_schema(self), export.table_array(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table for an Arrow reader, as a stream of one batch."""
        from pyvirt.stats import export

        return export.table_stream(self)

    @cached_property
    def domain(self) -> memoryview:
        """The domain of each row, uint32."""
        return memory_view(self._destructor, self._view.domain, self.rows, "I")

    @cached_property
    def index(self) -> tuple[memoryview, ...]:
        """The index numbers of each row, uint32, one memoryview per level."""
        return tuple(
            memory_view(self._destructor, self._view.index + level * self.rows, self.rows, "I")
            for level in range(self._view.n_index)
        )


class FrameKeeper:
    """The owner of a frame's memory, registered with the connection.

    When the connection closes, it closes this object, so that no domain stays referenced.  The connection refers to it
    weakly, so everything that reads the frame's memory must keep it alive.
    """

    __slots__ = ("__weakref__", "frame", "view")

    def __init__(self, frame: CData) -> None:
        """Own a sealed ``pv_frame``, which is freed together with this object."""
        self.view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(frame, self.view)
        # The size tells the garbage collector how much memory this small object keeps.
        self.frame = _gc(frame, lib.pv_frame_free, self.view.bytes)

    def close(self) -> None:
        """Release the domains, after reading their names, UUIDs and ids."""
        if lib.pv_frame_identify(self.frame) < 0:
            raise MemoryError

    def _disown(self) -> None:
        """Forget the domains without releasing them: their connection belongs to the process before a fork."""
        lib.pv_frame_disown(self.frame)


class DomainColumns:
    """The domains of a frame, in the same rows as the table ``domain``."""

    def __init__(self, keeper: FrameKeeper, count: int) -> None:
        self._keeper = keeper
        self._count = count

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _view(self) -> CData:
        # Only at first use: reading the UUIDs takes libvirt longer than making all columns takes our C code.
        self._keeper.close()
        view = ffi.new("pv_frame_view *")
        lib.pv_frame_describe(self._keeper.frame, view)
        return view

    @cached_property
    def names(self) -> list[str]:
        """The name of each domain."""
        if not len(self):
            return []
        offsets = ffi.unpack(self._view.name_offsets, len(self) + 1)
        return decode_texts(offsets, ffi.buffer(self._view.names, offsets[-1])[:] if offsets[-1] else b"")

    @property
    def host_names(self) -> list[str] | None:
        """The host of each domain; ``None`` if the frame is that of one connection, without a collector."""
        return None

    @cached_property
    def uuid_bytes(self) -> memoryview:
        """The UUIDs, 16 bytes each, concatenated."""
        return memory_view(keep_alive(self._keeper), self._view.uuids, 16 * len(self), "B")

    @cached_property
    def uuids(self) -> list[UUID]:
        """The UUID of each domain."""
        data = bytes(self.uuid_bytes)
        return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]

    @cached_property
    def rows(self) -> dict[str | UUID, int]:
        """The rows by name and by UUID."""
        found: dict[str | UUID, int] = {}
        for keys in (self.uuids, self.names):
            found.update(zip(keys, range(len(self)), strict=True))
        return found

    def __contains__(self, domain: object) -> bool:
        return domain in self.rows

    def row_of(self, domain: str | UUID) -> int:
        """Return the row of a domain, by name or UUID.

        :raises KeyError: it is not in this frame
        """
        try:
            return self.rows[domain]
        except KeyError:
            raise KeyError(f"no domain {str(domain)!r} among the {len(self)} domains of this frame") from None

    @cached_property
    def ids(self) -> memoryview:
        """The id of each domain, int32; -1 if it is not running."""
        return memory_view(keep_alive(self._keeper), self._view.ids, len(self), "i")


class StatsFrame:
    """The statistics of many domains at one moment.

    ``frame["vm-1"]`` is the row of a domain, by name or UUID.  Iterating yields the rows of all domains.
    """

    def __init__(self, keeper: FrameKeeper, cache: FrameCache, *, only: frozenset[str] | None = None) -> None:
        """Show the memory of *keeper*; *cache* belongs to all frames of one engine.

        :param only: the names of the tables to show; all by default
        """
        self._cache = cache
        self._view = keeper.view
        self._only = only
        #: when libvirt returned the statistics, in seconds of ``time.monotonic()``
        self.time: float = self._view.taken / 1e9
        #: bytes of memory of all columns
        self.nbytes: int = self._view.bytes
        #: the owner of the memory, registered with the connection
        self.keeper = keeper
        self._destructor = keep_alive(self.keeper)
        self.domains = DomainColumns(self.keeper, self._view.domains)

    @property
    def _frame(self) -> CData:
        return self.keeper.frame

    def __repr__(self) -> str:
        return f"<StatsFrame of {len(self)} domains, {self.fields} fields>"

    def __len__(self) -> int:
        return len(self.domains)

    def close(self) -> None:
        """Release the memory now, and not with the last reference to this frame.  Calling it again has no effect.

        Columns and views that were taken before stay valid, and keep the memory until they are freed.
        """
        self.__class__ = ClosedFrame
        self.__dict__.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @cached_property
    def fields(self) -> int:
        """The number of values."""
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
        """The columns by id."""
        views = ffi.new("pv_column_view[]", lib.pv_frame_n_columns(self._frame) + 1)
        count = lib.pv_frame_columns(self._frame, views)
        keeper, destructor, kinds = self.keeper, self._destructor, self._cache.kinds
        found = {}
        for number, fields in enumerate(_COLUMN_VIEW.iter_unpack(_buffer(views, count * _COLUMN_VIEW.size))):
            id = fields[0]
            if id not in kinds:
                kinds[id] = ColumnKind.read(views[number])
            if self._only is None or kinds[id].table in self._table_views:
                found[id] = Column(keeper, destructor, kinds[id], fields)
        return found

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name: ``"domain"``, ``"vcpu"``, ``"net"``, ``"block"``, …"""
        by_table: dict[int, dict[str, Column]] = {}
        for column in self.columns.values():
            by_table.setdefault(column.kind.table, {})[column.kind.name] = column
        tables = (
            Table(self.keeper, self._destructor, view, by_table.get(id, {})) for id, view in self._table_views.items()
        )
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

        Names that match nothing are ignored.  Selecting tables copies nothing; selecting domains copies their values,
        because a column must be contiguous.

        :param domains: names, globs of names, UUIDs, ``Domain`` objects, and functions that receive a row and return
            whether to select it
        :param tables: names and globs of names
        """
        rows, only = self._chosen(domains, tables)
        return StatsFrame(self._keeper_of(rows), self._cache, only=only)

    def _chosen(
        self, domains: DomainChoice | Iterable[DomainChoice] | None, tables: str | Iterable[str] | None
    ) -> tuple[Sequence[int], frozenset[str] | None]:
        """Return the rows of the selected domains, and the names of the selected tables; ``None`` for all tables."""
        from pyvirt.stats.select import chosen_names, domain_rows

        return (
            range(len(self)) if domains is None else domain_rows(self, domains),
            self._only if tables is None else chosen_names(self.tables, tables),
        )

    def _keeper_of(self, rows: Sequence[int]) -> FrameKeeper:
        """Return the keeper of a frame of these rows, in this order: our own if these are all rows, else of a copy."""
        if len(rows) == len(self):
            return self.keeper
        self.keeper.close()  # reads the names of the domains: the copy has these, and no handles
        chosen = lib.pv_frame_select(self._frame, ffi.new("uint32_t[]", list(rows)), len(rows))
        if not chosen:
            raise MemoryError
        return FrameKeeper(chosen)

    def to_numpy(self) -> dict[str, dict[str, Array]]:
        """Return the columns of each table as arrays; arrays of numbers use the memory of this frame.

        A column with missing values is a masked array.  Each table also has ``domain.name``, ``domain.uuid`` (16
        bytes), ``domain.id`` and the numbers of its items: ``index``, or ``index.0`` and ``index.1``.

        :raises ImportError: numpy is not installed
        """
        from pyvirt.stats import export

        return export.to_numpy(self)

    def to_arrow(self) -> dict[str, pyarrow.Table]:
        """Return each table as a ``pyarrow.Table`` that uses the memory of this frame.

        The columns are those of :meth:`to_numpy`.

        :raises ImportError: pyarrow is not installed
        """
        from pyvirt.stats import export

        return export.to_arrow(self)

    def to_pandas(self) -> dict[str, pandas.DataFrame]:
        """Return each table as a data frame, with the same columns as :meth:`to_numpy`; UUIDs are text.

        :raises ImportError: pandas is not installed
        """
        from pyvirt.stats import export

        return export.to_pandas(self)

    def to_dicts(self) -> list[dict[str, TypedValue]]:
        """Return a dictionary per domain, in the order of :attr:`domains`: exactly the fields that libvirt sent."""
        columns = self.columns
        wanted = None if self._only is None else columns
        total: int = self._view.fields
        cells = self._cache.borrow_cells(total)
        if lib.pv_frame_cells(self._frame, cells) < 0:
            raise MemoryError
        texts: dict[int, list[str]] = {}

        def texts_of(id: int) -> list[str]:
            if id not in texts:
                texts[id] = self._cache.texts(columns[id])
            return texts[id]

        rows: list[dict[str, TypedValue]] = []
        first = 0
        for layout_id, run in groupby(ffi.unpack(self._view.layouts, len(self)) if len(self) else ()):
            layout = self._cache.layout(self._frame, layout_id)
            count = sum(1 for _ in run)
            rows += layout.rows(cells + first, count, texts_of, wanted)
            first += count * layout.fields
        self._cache.return_cells(cells)
        return rows

    def rates(self, previous: StatsFrame) -> Rates:
        """Return the growth per second of all counters since *previous*.

        Rows are compared if the domains have the same UUID and the items the same name (or, without names, the same
        index numbers).  A row that is new, a domain that was restarted, and a counter that went back have no rate: it
        is absent, never negative.

        :raises ValueError: *previous* is not older than this frame
        """
        from pyvirt.stats.rates import Rates

        return Rates(self, previous)


class ClosedFrame(StatsFrame):
    """The class of a closed frame: every use of it raises :class:`ClosedError`.

    The closed form of handles (``_core/handle.py``) replaces one property, ``_ptr``, because every call reads it.  A
    frame has no such attribute: values that were read before are cached in its ``__dict__``.  So this class intercepts
    all attributes, which costs an open frame nothing.
    """

    def __getattribute__(self, name: str) -> object:
        if name.startswith("__") or name == "close":
            return super().__getattribute__(name)
        raise ClosedError("this StatsFrame is closed")

    def __repr__(self) -> str:
        return "<StatsFrame, closed>"

    def close(self) -> None:
        """Do nothing: the frame is closed already."""
