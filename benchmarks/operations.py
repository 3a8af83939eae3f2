# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measured operations, written in each binding.

They are statements rather than functions, so that no code of ours runs between the loop and the call.  ``floor.c`` uses
the same names for the operations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyvirt import Connection
    from pyvirt.stats import StatsFrame

PYVIRT, LIBVIRT_PYTHON, FLOOR = "pyvirt", "libvirt-python", "C"
FIELDS = 102  # of a synthetic domain


@dataclass(frozen=True)
class Operation:
    """One call, or a typical use of one."""

    name: str
    calls: int  # calls in one turn: enough for the clock, few enough for many turns
    pyvirt: str
    libvirt: str | None
    beside: str | None = None  # the operation that it is compared with, if not the one of its own name
    before: str = "pass"  # a Python statement that runs first and is not measured; calls is then 1

    @property
    def group(self) -> str:
        """The name of the group that it is compared in."""
        return self.beside or self.name

    @property
    def bindings(self) -> tuple[str, ...]:
        """The bindings in which it can be measured."""
        return (PYVIRT,) if self.libvirt is None else (FLOOR, LIBVIRT_PYTHON, PYVIRT)

    def statement(self, binding: str) -> str | None:
        """Return the statement for *binding*, ``None`` if that binding has no such operation."""
        return self.pyvirt if binding == PYVIRT else self.libvirt


CALLS = (
    Operation("state", 2000, "domain.state()", "domain.state()"),
    Operation("info", 2000, "domain.info()", "domain.info()"),
    Operation("lookup", 1000, "conn.domains[name]", "conn.lookupByName(name)"),
    Operation("xml_desc", 100, "domain.xml_desc()", "domain.XMLDesc()"),
)
LISTING = (Operation("list", 1, "conn.domains.list()", "conn.listAllDomains()"),)
CLOSING = (
    # libvirt-python's close() leaves the socket open while handles exist.
    Operation(
        "close",
        1,
        "other.close()",
        "kept.clear(); other.close()",
        before="other = reopen(); kept = [list_of(other) for _ in range(10)]",
    ),
)
STATS = (
    Operation("stats", 3, "touch(conn.domains.stats())", "conn.getAllDomainStats()"),
    Operation(
        "stats_who",
        3,
        "touch_all(conn.domains.stats())",
        "[(domain.name(), domain.UUID(), fields) for domain, fields in conn.getAllDomainStats()]",
    ),
    Operation("to_dicts", 3, "conn.domains.stats().to_dicts()", None, beside="stats"),
)
RATES = (Operation("rates", 5, "rate(*two_ticks(conn))", None),)
INVENTORY = (
    Operation(
        "inventory",
        1,
        "conn.domains.inventory()",
        "[(domain.name(), domain.UUID(), domain.ID(), domain.state(), domain.isPersistent(), domain.autostart())"
        " for domain in conn.listAllDomains()]",
    ),
)
TICKS = (Operation("tick", 1, "collector.collect()", "conn.getAllDomainStats()"),)
OPERATIONS = {
    operation.name: operation for operation in (*CALLS, *LISTING, *CLOSING, *STATS, *RATES, *INVENTORY, *TICKS)
}


def touch(frame: StatsFrame) -> int:
    """Request every buffer of every table, and read from each, so that no work is postponed."""
    from pyvirt.stats.frame import STRING

    total = 0
    for table in frame.tables.values():
        total += table.domain.nbytes + sum(level.nbytes for level in table.index)
        for column in table.values():
            values = column.values
            total += values.nbytes + (values[-1] is None)
            if column.valid is not None:
                total += column.valid.nbytes
            if column.type is STRING:
                total += column.text.nbytes
    return total


def touch_all(frame: StatsFrame) -> int:
    """Read the names and UUIDs of the domains too.  A frame fetches them only on request: a UUID is slow in libvirt."""
    return touch(frame) + len(frame.domains.names) + frame.domains.uuid_bytes.nbytes


@functools.cache
def two_ticks(conn: Connection) -> tuple[StatsFrame, StatsFrame]:
    """Return two frames that have already read names and UUIDs; every call returns the same two."""
    before, now = (conn.domains.stats(), conn.domains.stats())
    touch_all(before)
    touch_all(now)
    return now, before


def rate(now: StatsFrame, before: StatsFrame) -> int:
    """Compute all rates, and make arrays of them."""
    import numpy

    return sum(numpy.asarray(column.values).size for table in now.rates(before).values() for column in table.values())


def connect(binding: str, uri: str, name: str) -> tuple[dict[str, object], Callable[[], object]]:
    """Return the variables that the statements use, and a function that closes their connection."""
    if binding == PYVIRT:
        import pyvirt

        conn = pyvirt.connect(uri)
        collector = pyvirt.Collector(conn, deadline=60)
        names = {
            "touch": touch,
            "touch_all": touch_all,
            "reopen": lambda: pyvirt.connect(uri),
            "list_of": lambda conn: conn.domains.list(),
            "two_ticks": two_ticks,
            "rate": rate,
            "collector": collector,
        }

        def close() -> None:
            collector.close()
            conn.close()

        return {"conn": conn, "name": name, "domain": conn.domains[name], **names}, close

    import libvirt

    old = libvirt.open(uri)
    names = {"reopen": lambda: libvirt.open(uri), "list_of": lambda conn: conn.listAllDomains()}
    return {"conn": old, "name": name, "domain": old.lookupByName(name), **names}, old.close
