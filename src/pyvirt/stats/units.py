# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the numbers are: which are counters, and in what unit.  One table for rates, tables and exporters."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """The unit of a field."""

    #: whether it only grows while the domain runs, so that its rate says more than its value
    counter: bool
    #: ``"ns"``, ``"B"``, ``"KiB"`` or ``""`` for a plain number
    unit: str


_NUMBER = Unit(counter=False, unit="")

# Table -> suffixes of columns -> unit.  Longest suffix first where one ends in another.
_COUNTERS: dict[str, dict[str, str]] = {
    "domain": {
        "cpu.time": "ns",
        "cpu.user": "ns",
        "cpu.system": "ns",
        "cpu.haltpoll.success.time": "ns",
        "cpu.haltpoll.fail.time": "ns",
        "balloon.swap_in": "KiB",
        "balloon.swap_out": "KiB",
        "balloon.major_fault": "",
        "balloon.minor_fault": "",
        "balloon.hugetlb_pgalloc": "",
        "balloon.hugetlb_pgfail": "",
        **dict.fromkeys(
            (
                "perf.mbmt perf.mbml perf.cpu_cycles perf.instructions perf.cache_references perf.cache_misses "
                "perf.branch_instructions perf.branch_misses perf.bus_cycles perf.stalled_cycles_frontend "
                "perf.stalled_cycles_backend perf.ref_cpu_cycles perf.page_faults perf.context_switches "
                "perf.cpu_migrations perf.page_faults_min perf.page_faults_maj perf.alignment_faults "
                "perf.emulation_faults"
            ).split(),
            "",
        ),
        "perf.cpu_clock": "ns",
        "perf.task_clock": "ns",
    },
    "vcpu": {"time": "ns", "wait": "ns", "delay": "ns", "exits": "", "halt_exits": ""},
    "net": {
        "rx.bytes": "B",
        "tx.bytes": "B",
        **dict.fromkeys("rx.pkts rx.errs rx.drop tx.pkts tx.errs tx.drop".split(), ""),
    },
    "block": {
        "rd.bytes": "B",
        "wr.bytes": "B",
        "rd.times": "ns",
        "wr.times": "ns",
        "fl.times": "ns",
        **dict.fromkeys("rd.reqs wr.reqs fl.reqs errors".split(), ""),
    },
    "memory.bandwidth.monitor.node": {"bytes.local": "B", "bytes.total": "B"},
}

_GAUGES: dict[str, dict[str, str]] = {
    "domain": {
        **dict.fromkeys(
            (
                "balloon.current balloon.maximum balloon.unused balloon.available balloon.usable balloon.rss "
                "balloon.disk_caches balloon.limit"
            ).split(),
            "KiB",
        ),
    },
    "block": {"allocation": "B", "capacity": "B", "physical": "B", "threshold": "B"},
    "cpu.cache.monitor.bank": {"bytes": "B"},
    "iothread": {"poll-max-ns": "ns"},
}


def unit_of(table: str, column: str) -> Unit:
    """Return what the numbers of *column* in *table* are; of fields not known here, plain numbers."""
    unit = _COUNTERS.get(table, {}).get(column)
    if unit is None and column.endswith(".sum"):  # vm.* and vcpu.N.* of QEMU's own statistics
        return Unit(counter=True, unit="ns" if column.endswith("_ns.sum") else "")
    if unit is not None:
        return Unit(counter=True, unit=unit)
    unit = _GAUGES.get(table, {}).get(column)
    return _NUMBER if unit is None else Unit(counter=False, unit=unit)
