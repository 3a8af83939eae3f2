# SPDX-License-Identifier: LGPL-2.1-or-later
"""Export of frames to Arrow, numpy and pandas.

Arrow readers (pyarrow, polars, pandas, duckdb, …) take a table or a column directly, through its ``__arrow_c_…__``
methods, which return C structs in capsules.  ``_native/stats_arrow.c`` makes the structs, and has the destructors of
the capsules.  Only Python's C API can make a capsule, and only with the GIL, which calls through cffi release.  So
``ctypes.pythonapi`` makes them.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from pyvirt._core.lib import ffi, lib
from pyvirt.enums.common import TypedParameterType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    import numpy
    import pandas
    import pyarrow

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.stats.frame import Column, StatsFrame, Table

    Array: TypeAlias = numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]

STRING = TypedParameterType.STRING
BOOLEAN = TypedParameterType.BOOLEAN

# The columns by which tables can be joined, in every export.
HOST, NAME, UUID, ID = "domain.host", "domain.name", "domain.uuid", "domain.id"

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p] * 3
lib.pv_arrow_capsules(
    ffi.cast(
        "void *(*)(void *, const char *)",
        ctypes.cast(ctypes.pythonapi.PyCapsule_GetPointer, ctypes.c_void_p).value,
    )
)


def _address(pointer: CData) -> int:
    address: int = int(ffi.cast("uintptr_t", pointer))
    return address


def _capsule(kind: str, made: CData) -> object:
    """Put a struct of *kind*, ``schema``, ``array`` or ``stream``, into a capsule that owns it."""
    if not made:
        raise MemoryError
    destructor = ffi.addressof(lib, f"pv_arrow_drop_{kind}")
    try:
        return _new_capsule(_address(made), _address(getattr(lib, f"pv_arrow_{kind}_name")()), _address(destructor))
    except BaseException:
        getattr(lib, f"pv_arrow_{kind}_free")(made)
        raise


def column_schema(column: Column) -> object:
    """Return a capsule with the type of *column*."""
    return _capsule("schema", lib.pv_arrow_column_schema(column.keeper.frame, column.id))


def column_array(column: Column) -> object:
    """Return a capsule with the values of *column*."""
    return _capsule("array", lib.pv_arrow_column_array(column.keeper.frame, column.id))


def table_schema(table: Table) -> object:
    """Return a capsule with the names and types of the columns of *table*."""
    return _capsule("schema", lib.pv_arrow_table_schema(table.keeper.frame, table.id))


def table_array(table: Table) -> object:
    """Return a capsule with *table* as a struct of columns."""
    table.keeper.close()  # reads the names of the domains, which are part of the table
    return _capsule("array", lib.pv_arrow_table_array(table.keeper.frame, table.id))


def table_stream(table: Table) -> object:
    """Return a capsule with *table* as a stream of one batch."""
    table.keeper.close()
    return _capsule("stream", lib.pv_arrow_table_stream(table.keeper.frame, table.id))


# ---- exports that need other packages ----


def _load(module: str, method: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"StatsFrame.{method}() needs {module}: pip install 'pyvirt[{extra}]'", name=module
        ) from error


def index_names(table: Table) -> list[str]:
    """Return the names of the columns with the numbers of items: ``index``, or ``index.0``, ``index.1``, …"""
    levels = len(table.index)
    return ["index"] if levels == 1 else [f"index.{level}" for level in range(levels)]


def to_arrow(frame: StatsFrame) -> dict[str, pyarrow.Table]:
    """See :meth:`StatsFrame.to_arrow`."""
    pyarrow = _load("pyarrow", "to_arrow", "arrow")
    return {name: pyarrow.table(table) for name, table in frame.tables.items()}


def _mask(numpy: ModuleType, column: Column) -> Array:
    """Return an array that is true in the rows in which *column* has no value."""
    bits = numpy.frombuffer(column.valid, numpy.uint8)
    mask: Array = numpy.unpackbits(bits, count=len(column), bitorder="little") == 0
    return mask


def _object_array(numpy: ModuleType, items: Sequence[object]) -> Array:
    array: Array = numpy.fromiter(items, object, len(items))
    return array


def to_numpy(frame: StatsFrame) -> dict[str, dict[str, Array]]:
    """See :meth:`StatsFrame.to_numpy`.  Only texts, and the columns that describe the domain, are copied."""
    numpy = _load("numpy", "to_numpy", "numpy")
    hosts = None if frame.domains.host_names is None else _object_array(numpy, frame.domains.host_names)
    names = _object_array(numpy, frame.domains.names)
    uuids = numpy.frombuffer(frame.domains.uuid_bytes, "V16") if len(frame) else numpy.empty(0, "V16")
    ids = numpy.asarray(frame.domains.ids)
    tables = {}
    for table_name, table in frame.tables.items():
        rows = slice(None) if table_name == "domain" else numpy.asarray(table.domain)
        arrays = {} if hosts is None else {HOST: hosts[rows]}
        arrays.update({NAME: names[rows], UUID: uuids[rows], ID: ids[rows]})
        arrays.update(zip(index_names(table), map(numpy.asarray, table.index), strict=True))
        for name, column in table.items():
            array = _object_array(numpy, column.to_list()) if column.type is STRING else numpy.asarray(column.values)
            arrays[name] = array if column.valid is None else numpy.ma.masked_array(array, _mask(numpy, column))
        tables[table_name] = arrays
    return tables


def _valid_utf8(texts: Iterable[TypedValue | None]) -> list[TypedValue | None]:
    """Replace each invalid byte by ``?``, as for Arrow's readers: pandas may store texts in Arrow's arrays."""
    return [
        text.encode("utf-8", "replace").decode() if isinstance(text, str) and not text.isascii() else text
        for text in texts
    ]


def to_pandas(frame: StatsFrame) -> dict[str, pandas.DataFrame]:
    """See :meth:`StatsFrame.to_pandas`.  Columns with missing values have nullable types, so integers stay exact."""
    pandas = _load("pandas", "to_pandas", "pandas")
    numpy = _load("numpy", "to_pandas", "pandas")
    uuids = _object_array(numpy, [str(uuid) for uuid in frame.domains.uuids])
    frames = {}
    for table_name, arrays in to_numpy(frame).items():
        table = frame.tables[table_name]
        series: dict[str, object] = dict(arrays)
        series[UUID] = uuids[numpy.asarray(table.domain)]
        series[NAME] = _valid_utf8(arrays[NAME])
        if HOST in series:
            series[HOST] = pandas.Categorical(_valid_utf8(arrays[HOST]))
        for name, column in table.items():
            if column.valid is not None and column.type is not STRING:
                kind = {BOOLEAN: "BooleanArray", TypedParameterType.DOUBLE: "FloatingArray"}.get(column.type)
                make = getattr(pandas.arrays, kind or "IntegerArray")
                series[name] = make(numpy.asarray(column.values), _mask(numpy, column))
            elif column.type is STRING:
                series[name] = pandas.array(_valid_utf8(column.to_list()), dtype="string")
        frames[table_name] = pandas.DataFrame(series, copy=False)
    return frames
