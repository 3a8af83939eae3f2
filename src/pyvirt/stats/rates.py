# SPDX-License-Identifier: LGPL-2.1-or-later
"""The growth of counters between two ticks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt.stats.frame import STRING
from pyvirt.stats.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyvirt._core.lib import CData
    from pyvirt.stats.frame import Column, StatsFrame, Table

# The column by which items are matched: the indices of devices change when a device is unplugged.
_KEY = "name"


class RateColumn:
    """Growth per second of one counter, one double per row."""

    def __init__(self, name: str, rates: CData, valid: CData, rows: int, present: int) -> None:
        self.name = name
        self.present = present
        self.values: memoryview[float] = memoryview(ffi.buffer(rates)).toreadonly().cast("d")
        #: one bit per row, as in :attr:`Column.valid`
        self.valid: memoryview = memoryview(ffi.buffer(valid)).toreadonly().cast("B")

    def __len__(self) -> int:
        return len(self.values)

    def to_list(self) -> list[float | None]:
        """Return floats, ``None`` where there is no rate."""
        bits = int.from_bytes(self.valid, "little")
        return [rate if bits >> row & 1 else None for row, rate in enumerate(self.values.tolist())]


class RateTable(Mapping[str, RateColumn]):
    """The rates of one table, in the same rows as ``frame.tables[name]``."""

    def __init__(self, name: str, columns: dict[str, RateColumn]) -> None:
        self.name = name
        self._columns = columns

    def __getitem__(self, name: str) -> RateColumn:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class Rates(Mapping[str, RateTable]):
    """The rates of all counters between two frames, by table: ``rates["net"]["rx.bytes"].values``."""

    def __init__(self, now: StatsFrame, before: StatsFrame) -> None:
        #: seconds between the two; those of a single domain may differ, as requests are answered at different times
        self.seconds: float = (now.keeper.view.taken - before.keeper.view.taken) / 1e9
        if self.seconds <= 0:
            raise ValueError("rates() needs a frame that is older than this one")
        self.frame = now
        self._tables = {
            name: RateTable(name, columns)
            for name, table in now.tables.items()
            if name in before.tables and (columns := self._rates_of(table, before.tables[name], before))
        }

    def _rates_of(self, table: Table, older: Table, before: StatsFrame) -> dict[str, RateColumn]:
        counters = [name for name in table if name in older and unit_of(table.name, name).counter]
        if not counters:
            return {}
        by_name = _is_text(table.get(_KEY)) and _is_text(older.get(_KEY))
        match = ffi.new("int64_t[]", table.rows)
        failed = lib.pv_frame_match(
            self.frame._frame,
            table.id,
            table[_KEY].id if by_name else -1,
            before._frame,
            older.id,
            older[_KEY].id if by_name else -1,
            match,
        )
        if failed:
            raise MemoryError
        columns = {}
        for name in counters:
            rates = ffi.new("double[]", table.rows)
            valid = ffi.new("uint8_t[]", (table.rows + 7) // 8)
            present = lib.pv_frame_rate(
                self.frame._frame,
                table[name].id,
                before._frame,
                older[name].id,
                match,
                rates,
                valid,
            )
            columns[name] = RateColumn(name, rates, valid, table.rows, present)
        return columns

    def __getitem__(self, name: str) -> RateTable:
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def _is_text(column: Column | None) -> bool:
    return column is not None and column.type is STRING
