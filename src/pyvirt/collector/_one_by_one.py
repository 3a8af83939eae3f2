# SPDX-License-Identifier: LGPL-2.1-or-later
"""Statistics of a domain from calls that each return one kind of statistics of one domain.

For drivers without bulk statistics, most notably LXC.  The fields have the same names and types as those of the QEMU
driver, so they are in the same columns.  Fields that the driver does not report are absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyvirt._core.lib import ffi, lib
from pyvirt._core.params import INT, STRING, UINT, ULLONG, add_field
from pyvirt.enums.domain import StatsGroup
from pyvirt.enums.domain_device import DomainMemoryStatTags
from pyvirt.errors import ClosedError, ConnectionLostError, DomainNotFoundError, Error, NotSupportedError
from pyvirt.stats.engine import unknown_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias

    from pyvirt._core.lib import CData
    from pyvirt._core.params import TypedValue
    from pyvirt.domain import Domain

    Field: TypeAlias = tuple[str, int, TypedValue]

# The other errors only mean that the driver does not report some fields.
_RAISED = (ClosedError, ConnectionLostError, DomainNotFoundError)

_COUNTS = {
    DomainMemoryStatTags.MAJOR_FAULT: "major_fault",
    DomainMemoryStatTags.MINOR_FAULT: "minor_fault",
    DomainMemoryStatTags.LAST_UPDATE: "last-update",
    DomainMemoryStatTags.HUGETLB_PGALLOC: "hugetlb_pgalloc",
    DomainMemoryStatTags.HUGETLB_PGFAIL: "hugetlb_pgfail",
}
_SIZES = {
    DomainMemoryStatTags.SWAP_IN: "swap_in",
    DomainMemoryStatTags.SWAP_OUT: "swap_out",
    DomainMemoryStatTags.UNUSED: "unused",
    DomainMemoryStatTags.AVAILABLE: "available",
    DomainMemoryStatTags.USABLE: "usable",
    DomainMemoryStatTags.DISK_CACHES: "disk_caches",
    DomainMemoryStatTags.RSS: "rss",
}


def _state(domain: Domain) -> Iterator[Field]:
    state, reason = domain.state()
    yield "state.state", INT, int(state)
    yield "state.reason", INT, int(reason)


def _cpu(domain: Domain) -> Iterator[Field]:
    try:
        times = domain.cpu.total()
    except _RAISED:
        raise
    except Error:  # no control groups
        times = {"cpu_time": domain.info().cpu_time}
    for name, time in times.items():
        yield f"cpu.{name.removesuffix('_time') if name != 'cpu_time' else 'time'}", ULLONG, time


def _balloon(domain: Domain) -> Iterator[Field]:
    info = domain.info()
    yield "balloon.current", ULLONG, info.memory >> 10
    yield "balloon.maximum", ULLONG, info.max_memory >> 10
    for tag, value in domain.memory.stats().items():
        if tag in _SIZES:
            yield f"balloon.{_SIZES[tag]}", ULLONG, value >> 10
        elif tag in _COUNTS:
            yield f"balloon.{_COUNTS[tag]}", ULLONG, value


def _vcpu(domain: Domain) -> Iterator[Field]:
    yield "vcpu.current", UINT, domain.info().vcpus
    yield "vcpu.maximum", UINT, domain.vcpus.max()


def _interface(domain: Domain) -> Iterator[Field]:
    yield from _items(
        "net",
        [(interface.name, interface.stats) for interface in domain.interfaces],
        "rx.bytes rx.pkts rx.errs rx.drop tx.bytes tx.pkts tx.errs tx.drop",
        "rx_bytes rx_packets rx_errs rx_drop tx_bytes tx_packets tx_errs tx_drop",
    )


def _block(domain: Domain) -> Iterator[Field]:
    yield from _items(
        "block",
        [(disk.name, disk.basic_stats) for disk in domain.disks],
        "rd.reqs rd.bytes wr.reqs wr.bytes",
        "rd_req rd_bytes wr_req wr_bytes",
    )


def _items(
    table: str, items: Sequence[tuple[str, Callable[[], object]]], fields: str, attributes: str
) -> Iterator[Field]:
    yield f"{table}.count", UINT, len(items)
    for number, (name, read) in enumerate(items):
        yield f"{table}.{number}.name", STRING, name
        try:
            figures = read()
        except _RAISED:
            raise
        except Error:
            continue
        for field, attribute in zip(fields.split(), attributes.split(), strict=True):
            value = getattr(figures, attribute)
            if value is not None:
                yield f"{table}.{number}.{field}", ULLONG, value


_GROUPS = {
    StatsGroup.STATE: _state,
    StatsGroup.CPU_TOTAL: _cpu,
    StatsGroup.BALLOON: _balloon,
    StatsGroup.VCPU: _vcpu,
    StatsGroup.INTERFACE: _interface,
    StatsGroup.BLOCK: _block,
}


def fields_of(domain: Domain, groups: StatsGroup) -> Iterator[Field]:
    """Yield the fields of *domain* that the driver reports."""
    for group, read in _GROUPS.items():
        if groups and not groups & group:
            continue
        try:
            yield from read(domain)
        except _RAISED:
            raise
        except Error:
            pass  # not available for this domain, in its state, or with this driver


def records_of(domains: Iterable[Domain], groups: StatsGroup) -> tuple[CData, int]:
    """Return records like those of a driver with bulk statistics, and their number.  The caller must free them.

    :raises NotSupportedError: one of *groups* is unknown; drivers with bulk statistics raise the same error
    """
    if unknown_groups(groups):
        raise NotSupportedError(f"no driver supports the statistics groups {unknown_groups(groups):#x}")
    domains = list(domains)
    records = lib.pv_records_new(len(domains))
    if not records:
        raise MemoryError
    made = 0
    try:
        for domain in domains:
            try:
                _put_record(records, made, domain, list(fields_of(domain, groups)))
            except DomainNotFoundError:
                continue  # it was deleted after the list was made
            made += 1
    except BaseException:
        lib.virDomainStatsRecordListFree(records)
        raise
    return records, made


def _put_record(records: CData, at: int, domain: Domain, fields: Sequence[Field]) -> None:
    params = ffi.new("virTypedParameterPtr *")
    count, room = ffi.new("int *"), ffi.new("int *")
    try:
        for name, kind, value in fields:
            add_field(params, count, room, name, kind, value)
        if lib.pv_records_put(records, at, domain._ptr, params[0], count[0]) < 0:
            raise MemoryError
    except BaseException:
        lib.virTypedParamsFree(params[0], count[0])
        raise
