# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames for other people's tools: Arrow, numpy, pandas.

Arrow readers (pyarrow, polars, pandas, duckdb, …) take a table or a column as it is, by its ``__arrow_c_…__`` methods,
which hand over C structs in capsules.  ``_native/stats_arrow.c`` makes the structs and is what a capsule calls when it
dies.  Python alone can make the capsules, and only while it holds the GIL, which calls through cffi release: so
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

# What tells rows of different tables that they belong to the same domain, in every export.
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
    drop = ffi.addressof(lib, f"pv_arrow_drop_{kind}")
    try:
        return _new_capsule(_address(made), _address(getattr(lib, f"pv_arrow_{kind}_name")()), _address(drop))
    except BaseException:
        getattr(lib, f"pv_arrow_{kind}_free")(made)
        raise


def column_schema(column: Column) -> object:
    """Return a capsule that says what *column* holds."""
    return _capsule("schema", lib.pv_arrow_column_schema(column.keeper.frame, column.id))


def column_array(column: Column) -> object:
    """Return a capsule with the values of *column*."""
    return _capsule("array", lib.pv_arrow_column_array(column.keeper.frame, column.id))


def table_schema(table: Table) -> object:
    """Return a capsule that says what *table* holds."""
    return _capsule("schema", lib.pv_arrow_table_schema(table.keeper.frame, table.id))


def table_array(table: Table) -> object:
    """Return a capsule with *table* as a struct of columns."""
    table.keeper.close()  # the domains' names are part of it
    return _capsule("array", lib.pv_arrow_table_array(table.keeper.frame, table.id))


def table_stream(table: Table) -> object:
    """Return a capsule with *table* as a stream of one batch."""
    table.keeper.close()
    return _capsule("stream", lib.pv_arrow_table_stream(table.keeper.frame, table.id))


# ---- what needs other packages ----


def _load(module: str, method: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"StatsFrame.{method}() needs {module}: pip install 'pyvirt[{extra}]'", name=module
        ) from error


def index_names(table: Table) -> list[str]:
    """Return what the numbers of its items are called: ``index``, or ``index.0``, ``index.1``, …"""
    levels = len(table.index)
    return ["index"] if levels == 1 else [f"index.{level}" for level in range(levels)]


def to_arrow(frame: StatsFrame) -> dict[str, pyarrow.Table]:
    """Hand every table to pyarrow."""
    pyarrow = _load("pyarrow", "to_arrow", "arrow")
    return {name: pyarrow.table(table) for name, table in frame.tables.items()}


def _mask(numpy: ModuleType, column: Column) -> Array:
    """Return where *column* has no value."""
    bits = numpy.frombuffer(column.valid, numpy.uint8)
    mask: Array = numpy.unpackbits(bits, count=len(column), bitorder="little") == 0
    return mask


def _objects(numpy: ModuleType, items: Sequence[object]) -> Array:
    array: Array = numpy.fromiter(items, object, len(items))
    return array


def to_numpy(frame: StatsFrame) -> dict[str, dict[str, Array]]:
    """Make arrays over the memory of the frame; texts and what is taken from the domains are copied."""
    numpy = _load("numpy", "to_numpy", "numpy")
    hosts = None if frame.domains.host_names is None else _objects(numpy, frame.domains.host_names)
    names = _objects(numpy, frame.domains.names)
    uuids = numpy.frombuffer(frame.domains.uuid_bytes, "V16") if len(frame) else numpy.empty(0, "V16")
    ids = numpy.asarray(frame.domains.ids)
    tables = {}
    for table_name, table in frame.tables.items():
        of = slice(None) if table_name == "domain" else numpy.asarray(table.domain)
        arrays = {} if hosts is None else {HOST: hosts[of]}
        arrays.update({NAME: names[of], UUID: uuids[of], ID: ids[of]})
        arrays.update(zip(index_names(table), map(numpy.asarray, table.index), strict=True))
        for name, column in table.items():
            array = _objects(numpy, column.to_list()) if column.type is STRING else numpy.asarray(column.values)
            arrays[name] = array if column.valid is None else numpy.ma.masked_array(array, _mask(numpy, column))
        tables[table_name] = arrays
    return tables


def _readable(texts: Iterable[TypedValue | None]) -> list[TypedValue | None]:
    """Put ``?`` for each byte that is no UTF-8, as Arrow's readers get it: pandas may keep texts in Arrow's arrays."""
    return [
        text.encode("utf-8", "replace").decode() if isinstance(text, str) and not text.isascii() else text
        for text in texts
    ]


def to_pandas(frame: StatsFrame) -> dict[str, pandas.DataFrame]:
    """Make data frames; columns with holes have pandas' types that know of them, so integers stay exact."""
    pandas = _load("pandas", "to_pandas", "pandas")
    numpy = _load("numpy", "to_pandas", "pandas")
    uuids = _objects(numpy, [str(uuid) for uuid in frame.domains.uuids])
    frames = {}
    for table_name, arrays in to_numpy(frame).items():
        table = frame.tables[table_name]
        series: dict[str, object] = dict(arrays)
        series[UUID] = uuids[numpy.asarray(table.domain)]
        series[NAME] = _readable(arrays[NAME])
        if HOST in series:
            series[HOST] = pandas.Categorical(_readable(arrays[HOST]))
        for name, column in table.items():
            if column.valid is not None and column.type is not STRING:
                kind = {BOOLEAN: "BooleanArray", TypedParameterType.DOUBLE: "FloatingArray"}.get(column.type)
                make = getattr(pandas.arrays, kind or "IntegerArray")
                series[name] = make(numpy.asarray(column.values), _mask(numpy, column))
            elif column.type is STRING:
                series[name] = pandas.array(_readable(column.to_list()), dtype="string")
        frames[table_name] = pandas.DataFrame(series, copy=False)
    return frames
