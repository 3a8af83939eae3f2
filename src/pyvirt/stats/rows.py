# SPDX-License-Identifier: LGPL-2.1-or-later
"""One domain of a frame, and its items, for people: ``frame["vm-1"].block["vda"].rd_bytes``.

A frame has no attribute per field, as libvirt invents fields as it goes; a row looks its columns up by name.  Programs
that go through many rows read columns instead.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from pyvirt.enums.common import TypedParameterType
from pyvirt.enums.domain import DomainState
from pyvirt.enums.domain_device import VcpuState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from pyvirt._core.params import FieldValue
    from pyvirt.stats.frame import StatsFrame, Table

#: of an item: its name, its number, or its numbers where there are several
ItemKey: TypeAlias = "str | int | tuple[int, ...]"

_NAME = "name"  # the column that names an item
_STATES = {("domain", "state.state"): DomainState, ("vcpu", "state"): VcpuState}


def attribute_of(name: str) -> str:
    """Return what a column or table is called as an attribute: ``rd_bytes`` for ``rd.bytes``."""
    return name.replace(".", "_").replace("-", "_").replace(":", "_")


def _list_of(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


class ItemRow(Mapping[str, "FieldValue"]):
    """The fields of one row, those that have a value: ``row["rd.bytes"]``, ``row.rd_bytes``.

    Numbers of states compare as integers and show as ``DomainState`` and ``VcpuState``.
    """

    def __init__(self, table: Table | None, row: int) -> None:
        self._table = table
        self._row = row

    def __getitem__(self, name: str) -> FieldValue:
        value = None if self._table is None or name not in self._table else self._table[name][self._row]
        if self._table is None or value is None:
            raise KeyError(name)
        state = _STATES.get((self._table.name, name))
        return state(value) if state is not None and isinstance(value, int) else value

    def __iter__(self) -> Iterator[str]:
        table = self._table
        return iter(()) if table is None else (name for name in table if table[name][self._row] is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _attributes(self) -> dict[str, str]:
        """Every attribute that a field has, and its name: ``state.state`` is ``state`` as well."""
        found = {}
        for name in self:
            first, _, rest = name.partition(".")
            if first == rest:
                found[first] = name
            found[attribute_of(name)] = name
        return found

    def __getattr__(self, name: str) -> FieldValue:
        if name.startswith("_"):
            raise AttributeError(name)
        known = self._attributes()
        if name not in known:
            raise AttributeError(f"{self._label()} has no {name!r}; it has {_list_of(known)}", name=name, obj=self)
        return self[known[name]]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._attributes()})

    def _label(self) -> str:
        return f"this row of {self._table.name!r}" if self._table is not None else "this row"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self)!r}>"


class Items(Mapping["ItemKey", ItemRow]):
    """The rows of one domain in a table of items: ``items["vda"]`` by name, ``items[3]`` by number.

    Iterating gives names where the items have them, else numbers.  Where names carry several numbers, ``items[0, 1]``.
    """

    def __init__(self, table: Table, domain: int) -> None:
        self._table = table
        self._first = bisect_left(table.domain, domain)
        self._end = bisect_right(table.domain, domain)

    @cached_property
    def _numbers(self) -> list[ItemKey]:
        found: list[ItemKey] = []
        for row in range(self._first, self._end):
            numbers = tuple(level[row] for level in self._table.index)
            found.append(numbers[0] if len(numbers) == 1 else numbers)
        return found

    @cached_property
    def _names(self) -> list[str | None]:
        column = self._table.get(_NAME)
        if column is None or column.type is not TypedParameterType.STRING:
            return [None] * (self._end - self._first)
        names = [column[row] for row in range(self._first, self._end)]
        return [name if isinstance(name, str) else None for name in names]

    def __getitem__(self, key: ItemKey) -> ItemRow:
        where: list[str | None] | list[ItemKey] = self._names if isinstance(key, str) else self._numbers
        if key not in where:
            raise KeyError(f"no {self._table.name} {key!r} here; there is {_list_of(map(repr, self))}")
        return ItemRow(self._table, self._first + where.index(key))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[ItemKey]:
        # An image that is backed by another has its disk's name: the first keeps it, the others go by number.
        seen: set[str] = set()
        for name, number in zip(self._names, self._numbers, strict=True):
            if name is None or name in seen:
                yield number
            else:
                seen.add(name)
                yield name

    def __len__(self) -> int:
        return self._end - self._first

    def __repr__(self) -> str:
        return f"<Items {self._table.name!r}: {_list_of(map(repr, self))}>"


class DomainRow(ItemRow):
    """One domain: its fields (``row.cpu_time``, ``row["cpu.time"]``, ``row.state``) and its items (``row.block``)."""

    def __init__(self, frame: StatsFrame, domain: int) -> None:
        super().__init__(frame.tables.get("domain"), domain)
        self._frame = frame

    @property
    def name(self) -> str:
        """Its name."""
        return self._frame.domains.names[self._row]

    @property
    def uuid(self) -> UUID:
        """Its UUID."""
        return self._frame.domains.uuids[self._row]

    @property
    def id(self) -> int | None:
        """Its id; ``None`` while it does not run."""
        id: int = self._frame.domains.ids[self._row]
        return None if id < 0 else id

    def _tables(self) -> dict[str, Table]:
        return {attribute_of(name): table for name, table in self._frame.tables.items() if name != "domain"}

    def __getitem__(self, name: str) -> FieldValue:
        table = self._frame.tables.get(name)
        if table is not None and name != "domain":
            return Items(table, self._row)
        return super().__getitem__(name)

    def __getattr__(self, name: str) -> FieldValue:
        if name.startswith("_"):
            raise AttributeError(name)
        fields, tables = self._attributes(), self._tables()
        if name in tables:
            return Items(tables[name], self._row)
        if name in fields:
            return super().__getitem__(fields[name])
        raise AttributeError(
            f"{self._label()} has no {name!r}; it has {_list_of([*tables, *fields])}", name=name, obj=self
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._tables()})

    def _label(self) -> str:
        return f"domain {self.name!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {dict(self)!r}>"
