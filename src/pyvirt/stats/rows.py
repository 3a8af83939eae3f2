# SPDX-License-Identifier: LGPL-2.1-or-later
"""One domain of a frame, and its items, for interactive use: ``frame["vm-1"].block["vda"].rd_bytes``.

Fields are not declared as attributes, because new releases of libvirt add fields; a row looks up its columns by name.
Programs that process many rows should read columns instead.
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

#: an item: its name, its number, or its numbers if it has several
ItemKey: TypeAlias = "str | int | tuple[int, ...]"

_NAME = "name"  # the column that names an item
_STATES = {("domain", "state.state"): DomainState, ("vcpu", "state"): VcpuState}


def attribute_of(name: str) -> str:
    """Return the attribute name of a column or table: ``rd_bytes`` for ``rd.bytes``."""
    return name.replace(".", "_").replace("-", "_").replace(":", "_")


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


class ItemRow(Mapping[str, "FieldValue"]):
    """The fields of one row that have a value: ``row["rd.bytes"]``, ``row.rd_bytes``.

    States are members of ``DomainState`` and ``VcpuState``, which compare as integers.
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
        """Return the names of fields by attribute: ``state.state`` is also ``state``."""
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
        fields = self._attributes()
        if name not in fields:
            raise AttributeError(f"{self._label()} has no {name!r}; it has {_join(fields)}", name=name, obj=self)
        return self[fields[name]]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._attributes()})

    def _label(self) -> str:
        return f"this row of {self._table.name!r}" if self._table is not None else "this row"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self)!r}>"


class Items(Mapping["ItemKey", ItemRow]):
    """The rows of one domain in a table of items: ``items["vda"]`` by name, ``items[3]`` by number.

    Iterating yields the names of the items, or their numbers if they have no names.  If the name of a field has several
    numbers, use all of them: ``items[0, 1]``.
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
        keys: list[str | None] | list[ItemKey] = self._names if isinstance(key, str) else self._numbers
        if key not in keys:
            raise KeyError(f"no {self._table.name} {key!r} in this row; it has {_join(map(repr, self))}")
        return ItemRow(self._table, self._first + keys.index(key))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[ItemKey]:
        # All images of a backing chain have the name of their disk: the first one has it here, the others have numbers.
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
        return f"<Items {self._table.name!r}: {_join(map(repr, self))}>"


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
        """Its id; ``None`` if it is not running."""
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
            f"{self._label()} has no {name!r}; it has {_join([*tables, *fields])}", name=name, obj=self
        )

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._tables()})

    def _label(self) -> str:
        return f"domain {self.name!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {dict(self)!r}>"
