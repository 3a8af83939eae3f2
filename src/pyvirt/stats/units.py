# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units of fields, and which fields are counters.

One table for rates, exporters and the documentation (``docs/statistics.md`` repeats it, and a test compares the two).
It has the fields of all groups up to libvirt 12.8.0.
"""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """The unit of a field."""

    #: whether it only grows while the domain runs, so that its rate is more useful than its value
    counter: bool
    #: ``"ns"``, ``"s"``, ``"B"``, ``"KiB"``, ``"MiB/s"``, ``"J"``, ``"F"``, or ``""`` for plain numbers and texts
    unit: str


def _gauges(names: str, unit: str = "") -> dict[str, Unit]:
    return dict.fromkeys(names.split(), Unit(False, unit))


def _counters(names: str, unit: str = "") -> dict[str, Unit]:
    return dict.fromkeys(names.split(), Unit(True, unit))


_HISTOGRAM = {**_gauges("start", "ns"), **_counters("value")}
_HISTOGRAMS = [f"latency_histogram.{operation}" for operation in ("read", "write", "zone_append", "flush")]

#: Table -> column -> unit.
UNITS: dict[str, dict[str, Unit]] = {
    "domain": {
        **_gauges("state.state state.reason"),
        **_counters("cpu.time cpu.user cpu.system cpu.haltpoll.success.time cpu.haltpoll.fail.time", "ns"),
        **_gauges("cpu.cache.monitor.count cpu.energy.monitor.count memory.bandwidth.monitor.count"),
        **_gauges("balloon.current balloon.maximum balloon.unused balloon.available balloon.usable", "KiB"),
        **_gauges("balloon.rss balloon.disk_caches", "KiB"),
        **_counters("balloon.swap_in balloon.swap_out", "KiB"),
        **_counters("balloon.major_fault balloon.minor_fault balloon.hugetlb_pgalloc balloon.hugetlb_pgfail"),
        **_gauges("balloon.last-update", "s"),
        **_gauges("vcpu.current vcpu.maximum net.count block.count iothread.count"),
        **_gauges("perf.cmt", "B"),
        **_counters("perf.mbmt perf.mbml", "B"),
        **_counters("perf.cpu_cycles perf.ref_cpu_cycles perf.bus_cycles perf.instructions"),
        **_counters("perf.stalled_cycles_frontend perf.stalled_cycles_backend"),
        **_counters("perf.cache_references perf.cache_misses perf.branch_instructions perf.branch_misses"),
        **_counters("perf.page_faults perf.page_faults_min perf.page_faults_maj"),
        **_counters("perf.context_switches perf.cpu_migrations perf.alignment_faults perf.emulation_faults"),
        **_counters("perf.cpu_clock perf.task_clock", "ns"),
        **_gauges("dirtyrate.calc_status dirtyrate.calc_mode"),
        **_gauges("dirtyrate.calc_start_time dirtyrate.calc_period", "s"),
        **_gauges("dirtyrate.megabytes_per_second", "MiB/s"),
    },
    "vcpu": {**_gauges("state halted"), **_counters("time wait delay", "ns"), **_counters("exits halt_exits")},
    "net": {
        **_gauges("name"),
        **_counters("rx.bytes tx.bytes", "B"),
        **_counters("rx.pkts rx.errs rx.drop tx.pkts tx.errs tx.drop"),
    },
    "block": {
        **_gauges("name path backingIndex"),
        **_counters("rd.reqs wr.reqs fl.reqs errors"),
        **_counters("rd.bytes wr.bytes", "B"),
        **_counters("rd.times wr.times fl.times", "ns"),
        **_gauges("allocation capacity physical threshold", "B"),
        **_gauges("limits.request_alignment limits.discard_max limits.discard_alignment", "B"),
        **_gauges("limits.write_zeroes_max limits.write_zeroes_alignment limits.transfer_optimal", "B"),
        **_gauges("limits.transfer_max limits.transfer_hw_max", "B"),
        **_gauges("limits.memory_alignment_minimal limits.memory_alignment_optimal", "B"),
        **_gauges("limits.iov_max limits.iov_hw_max timed_group.count"),
        **_gauges(" ".join(f"{name}.bin.count" for name in _HISTOGRAMS)),
    },
    "block.timed_group": {
        **_gauges("interval", "s"),
        **_gauges("rd_latency_min rd_latency_max rd_latency_avg wr_latency_min wr_latency_max wr_latency_avg", "ns"),
        **_gauges("zone_append_latency_min zone_append_latency_max zone_append_latency_avg", "ns"),
        **_gauges("flush_latency_min flush_latency_max flush_latency_avg", "ns"),
        **_gauges("rd_queue_depth_avg wr_queue_depth_avg zone_append_queue_depth_avg"),
    },
    **{f"block.{name}.bin": _HISTOGRAM for name in _HISTOGRAMS},
    "iothread": {**_gauges("poll-max-ns", "ns"), **_gauges("poll-grow poll-shrink poll-weight")},
    "dirtyrate.vcpu": _gauges("megabytes_per_second", "MiB/s"),
    "cpu.cache.monitor": _gauges("name vcpus bank.count"),
    "cpu.cache.monitor.bank": {**_gauges("id"), **_gauges("bytes", "B")},
    "cpu.energy.monitor": _gauges("name vcpus pkg.count"),
    # The names depend on the processor: libvirt defines only "id".
    "cpu.energy.monitor.pkg": {**_gauges("id"), **_counters("core_energy", "J"), **_counters("activity", "F")},
    "memory.bandwidth.monitor": _gauges("name vcpus node.count"),
    "memory.bandwidth.monitor.node": {**_gauges("id"), **_counters("bytes.local bytes.total", "B")},
}

_NUMBER = Unit(False, "")
# The suffixes of QEMU's own statistics, vm.* and vcpu.N.*, and whether they mark counters.
_QEMU_SUFFIXES = {".sum": True, ".cur": False, ".max": False}


def unit_of(table: str, column: str) -> Unit:
    """Return the unit of *column* in *table*; a field that is not in :data:`UNITS` is a plain number."""
    unit = UNITS.get(table, {}).get(column)
    if unit is not None:
        return unit
    stem, dot, last = column.rpartition(".")
    if dot + last in _QEMU_SUFFIXES:
        return Unit(_QEMU_SUFFIXES[dot + last], "ns" if stem.endswith("_ns") else "")
    return _NUMBER
