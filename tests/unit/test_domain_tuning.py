# SPDX-License-Identifier: LGPL-2.1-or-later
"""vCPUs, memory and shares of the host of a domain, as far as libvirt's test driver supports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyvirt
from pyvirt._core.cpumaps import cpu_map, cpu_numbers
from pyvirt.domain import Domain, cpu, vcpus
from pyvirt.domain._part import Part
from pyvirt.domain.blkio import Blkio
from pyvirt.domain.cpu import DomainCPU
from pyvirt.domain.iothreads import IOThreads
from pyvirt.domain.memory import Memory
from pyvirt.domain.numa import Numa
from pyvirt.domain.perf import Perf
from pyvirt.domain.scheduler import Scheduler
from pyvirt.domain.throttle import ThrottleGroups
from pyvirt.domain.vcpus import Vcpus
from pyvirt.enums import (
    DomainMemoryFlags,
    DomainMemoryModFlags,
    DomainMemoryStatTags,
    DomainModificationImpact,
    DomainNumatuneMemMode,
    DomainVcpuFlags,
    DomainXMLFlags,
    VcpuState,
    params,
)
from pyvirt.errors import (
    InvalidArgumentError,
    NotSupportedError,
    OperationInvalidError,
)
from pyvirt.models import IOThreadInfo
from pyvirt.testing.hosts import host_uri
from pyvirt.xmldesc import parse
from tests.support.drivers import lacking, since
from tests.support.method_tables import Call, check_closed, check_lacking, functions_named, invalid, public_names
from tests.support.resources import resident_memory
from tests.support.xml import domain_xml

if TYPE_CHECKING:
    from pyvirt._core.params import TypedValue

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LIVE, CONFIG = DomainModificationImpact.LIVE, DomainModificationImpact.CONFIG
UNKNOWN = DomainModificationImpact(1 << 30)
PHYSICAL = DomainMemoryFlags.PHYSICAL
ALL = frozenset(range(8))  # the CPUs that the driver's host has

CLASSES: tuple[type[Part], ...] = (
    Vcpus,
    Memory,
    Numa,
    IOThreads,
    Scheduler,
    Blkio,
    Perf,
    DomainCPU,
    ThrottleGroups,
)
PARTS = {cls.__name__: cls for cls in CLASSES}


def run(call: Call, domain: Domain) -> object:
    return call(PARTS[call.cls](domain))


def parameter(name: str) -> Callable[[Any, object], object]:
    """Read one parameter of a part, for a table."""
    return lambda part, _: part.parameters()[name]


def memory_now(memory: Memory, _: object) -> int:
    return memory.domain.info().memory


def thread_ids(threads: IOThreads, _: object) -> list[int]:
    return [thread.id for thread in threads.list()]


def stats_period(domain: Domain) -> str | None:
    """Return how many seconds pass between two reports of the balloon."""
    period = parse(domain.xml_desc()).find("devices/memballoon/stats")
    return None if period is None else period.get("period")


# Calls that libvirt's test driver supports.
SUPPORTED = [
    Call("virDomainGetVcpusFlags", Vcpus.count, expected=2),
    Call("virDomainGetMaxVcpus", Vcpus.max, expected=4),
    Call("virDomainSetVcpusFlags", Vcpus.set, (3,), expected=3, look=lambda vcpus, _: vcpus.count()),
    Call("virDomainSetVcpus", Vcpus.set_live, (1,), expected=1, look=lambda vcpus, _: vcpus.count()),
    Call("virDomainGetVcpus", Vcpus.info, expected=[0, 1], look=lambda _, found: [vcpu.number for vcpu in found]),
    Call("virDomainGetVcpuPinInfo", Vcpus.pinning, expected=[ALL] * 4),
    Call("virDomainPinVcpuFlags", Vcpus.pin, (0, {1}), expected={1}, look=lambda vcpus, _: vcpus.pinning()[0]),
    Call("virDomainPinVcpu", Vcpus.pin_live, (0, {1}), expected={1}, look=lambda vcpus, _: vcpus.pinning()[0]),
    Call("virDomainGetEmulatorPinInfo", Vcpus.emulator_pinning, expected=ALL),
    Call(
        "virDomainPinEmulator", Vcpus.pin_emulator, ({1},), expected={1}, look=lambda vcpus, _: vcpus.emulator_pinning()
    ),
    Call("virDomainGetMaxMemory", Memory.max, expected=4 * GIB),
    Call("virDomainSetMemoryFlags", Memory.set, (GIB,), expected=GIB, look=memory_now),
    Call("virDomainSetMemory", Memory.set_live, (GIB,), expected=GIB, look=memory_now),
    Call("virDomainMemoryStats", Memory.stats, expected=set(DomainMemoryStatTags), look=lambda _, stats: set(stats)),
    Call(
        "virDomainSetMemoryStatsPeriod",
        Memory.set_stats_period,
        (1,),
        expected="1",
        look=lambda memory, _: stats_period(memory.domain),
    ),
    Call("virDomainMemoryPeek", Memory.peek, (0, 16), {"flags": PHYSICAL}, expected=bytes(range(16))),
    Call(
        "virDomainGetMemoryParameters",
        Memory.parameters,
        expected={"hard_limit": None, "soft_limit": None, "swap_hard_limit": None},
    ),
    Call(
        "virDomainSetMemoryParameters",
        Memory.set_parameters,
        ({"soft_limit": GIB},),
        expected=GIB,
        look=parameter("soft_limit"),
    ),
    Call(
        "virDomainGetNumaParameters",
        Numa.parameters,
        expected={"numa_mode": DomainNumatuneMemMode.STRICT, "numa_nodeset": "0"},
    ),
    Call(
        "virDomainSetNumaParameters",
        Numa.set_parameters,
        ({"numa_nodeset": "1"},),
        expected="1",
        look=parameter("numa_nodeset"),
    ),
    Call("virDomainGetIOThreadInfo", IOThreads.list, expected=[1, 2], look=thread_ids),
    Call("virDomainAddIOThread", IOThreads.add, (4,), expected=[1, 2, 4], look=thread_ids),
    Call("virDomainDelIOThread", IOThreads.remove, (1,), expected=[2], look=thread_ids),
    Call(
        "virDomainPinIOThread",
        IOThreads.pin,
        (2, {1}),
        expected={1},
        look=lambda threads, _: threads.list()[1].affinity,
    ),
    Call("virDomainSetIOThreadParams", IOThreads.set_parameters, (2, {"poll_grow": 3})),
    Call("virDomainGetSchedulerType", Scheduler.type, expected="fair"),
    Call("virDomainGetSchedulerParameters", Scheduler.basic_parameters, expected={"weight": 50}),
    Call("virDomainSetSchedulerParameters", Scheduler.set_basic_parameters, ({"weight": 20},)),
    Call("virDomainSetSchedulerParametersFlags", Scheduler.set_parameters, ({"weight": 20},)),
    Call("virDomainGetBlkioParameters", Blkio.parameters, expected=0, look=lambda _, found: found["weight"]),
    Call(
        "virDomainSetBlkioParameters", Blkio.set_parameters, ({"weight": 500},), expected=500, look=parameter("weight")
    ),
    Call("virDomainGetPerfEvents", Perf.events, expected={False}, look=lambda _, events: set(events.values())),
    Call(
        "virDomainSetPerfEvents",
        Perf.set_events,
        ({"cmt": True},),
        expected=True,
        look=lambda perf, _: perf.events()["cmt"],
    ),
    Call(
        "virDomainGetCPUStats",
        DomainCPU.total,
        expected={"cpu_time", "user_time", "system_time"},
        look=lambda _, total: set(total),
    ),
    Call(
        "virDomainGetCPUStats",
        DomainCPU.per_cpu,
        expected={"cpu_time", "vcpu_time"},
        look=lambda _, found: set(found[0]),
    ),
]
UNSUPPORTED = [
    Call("virDomainSetVcpu", Vcpus.set_enabled, ({1}, False)),
    Call("virDomainGetGuestVcpus", Vcpus.guest),
    Call("virDomainSetGuestVcpus", Vcpus.set_guest_online, ({1}, False)),
]
NEWER = [
    Call("virDomainSetThrottleGroup", ThrottleGroups.set, ("fast", {"total_bytes_sec": MIB})),
    Call("virDomainDelThrottleGroup", ThrottleGroups.remove, ("fast",)),
]
TABLE = [
    *SUPPORTED,
    *UNSUPPORTED,
    *NEWER,
    Call("virDomainSetMaxMemory", Memory.set_max, (GIB,)),  # not while it runs
    Call(
        "virDomainGetSchedulerParametersFlags", Scheduler.parameters
    ),  # the driver refuses a flag that libvirt itself adds
]


ELEMENTS = """<vcpu current='2'>4</vcpu><iothreads>2</iothreads>
<numatune><memory mode='strict' nodeset='0'/></numatune><devices><memballoon model='virtio'/></devices>"""
HOST = f"<node>{domain_xml('tuned', memory=4 * GIB, elements=ELEMENTS)}</node>"


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[Domain]:
    """A running domain with two of four vCPUs, 4 GiB of memory and two I/O threads."""
    (tmp_path / "host.xml").write_text(HOST)
    with pyvirt.connect(host_uri(tmp_path / "host.xml")) as conn:
        yield conn.domains["tuned"]


# All of them


def test_all_methods_are_in_the_table() -> None:
    assert {call.name for call in TABLE} == public_names(*CLASSES)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert call.function in functions_named(call.method)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    check_closed(partial(run, call))


@pytest.mark.parametrize("call", [pytest.param(call, marks=since(call.function), id=str(call)) for call in SUPPORTED])
def test_calls_that_the_driver_supports_have_the_expected_effect(domain: Domain, call: Call) -> None:
    call.check(PARTS[call.cls](domain))


@pytest.mark.parametrize("call", UNSUPPORTED, ids=str)
def test_calls_that_the_driver_lacks_raise_unsupported(domain: Domain, call: Call) -> None:
    check_lacking(domain, call.function, partial(run, call))


@pytest.mark.parametrize("call", NEWER, ids=str)
def test_calls_that_an_older_libvirt_lacks_raise_not_supported(domain: Domain, call: Call) -> None:
    error, message = lacking(call.function)
    with pytest.raises(error, match=message) as caught:
        run(call, domain)
    assert caught.value.function == call.function


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (InvalidArgumentError, Call("", Vcpus.set, (5,))),
        (InvalidArgumentError, Call("", Vcpus.set, (0,))),
        (InvalidArgumentError, Call("", Vcpus.count, (), {"flags": DomainVcpuFlags(1 << 30)})),
        (InvalidArgumentError, Call("", Vcpus.pinning, (), {"flags": UNKNOWN})),
        (InvalidArgumentError, Call("", Vcpus.pin, (4, {0}))),
        (InvalidArgumentError, Call("", Vcpus.pin, (0, {-1}))),
        (InvalidArgumentError, Call("", Vcpus.pin_emulator, ([1 << 40],))),
        (InvalidArgumentError, Call("", IOThreads.pin, (1, [16384]))),
        (invalid("virDomainPinIOThread"), Call("", IOThreads.pin, (9, [0]))),
        (invalid("virDomainAddIOThread"), Call("", IOThreads.add, (1,))),
        (invalid("virDomainDelIOThread"), Call("", IOThreads.remove, (9,))),
        (InvalidArgumentError, Call("", IOThreads.set_parameters, (2, {"poll_grow": 1 << 40}))),
        (NotSupportedError, Call("", IOThreads.set_parameters, (2, {"nope": 1}))),
        (InvalidArgumentError, Call("", Memory.set, (0,))),
        (InvalidArgumentError, Call("", Memory.set, (5 * GIB,))),
        (OperationInvalidError, Call("", Memory.set_max, (GIB,))),
        (OperationInvalidError, Call("", Memory.set, (8 * GIB,), {"flags": DomainMemoryModFlags.MAXIMUM})),
        (InvalidArgumentError, Call("", Memory.peek, (0, 1), {"flags": DomainMemoryFlags(0)})),
        (InvalidArgumentError, Call("", Memory.set_parameters, ({"hard_limit": -1},))),
        (InvalidArgumentError, Call("", Memory.set_parameters, ({"hard_limit": 4 * MIB, "swap_hard_limit": MIB},))),
        (NotSupportedError, Call("", Memory.set_parameters, ({"nope": 1},))),
        (InvalidArgumentError, Call("", Numa.set_parameters, ({"numa_nodeset": "some"},))),
        (InvalidArgumentError, Call("", Numa.set_parameters, ({"numa_nodeset": "0\0"},))),
        (OperationInvalidError, Call("", Numa.set_parameters, ({"numa_mode": DomainNumatuneMemMode.INTERLEAVE},))),
        (InvalidArgumentError, Call("", Scheduler.set_parameters, ({"weight": -1},))),
        (NotSupportedError, Call("", Scheduler.set_parameters, ({"vcpu_quota": 1000},))),
        (invalid("virDomainSetBlkioParameters"), Call("", Blkio.set_parameters, ({"device_weight": "/dev/sda"},))),
        (InvalidArgumentError, Call("", Blkio.set_parameters, ({"weight": 1 << 40},))),
        (NotSupportedError, Call("", Perf.set_events, ({"nope": True},))),
        (InvalidArgumentError, Call("", Perf.set_events, ({"n" * 80: True},))),
        (InvalidArgumentError, Call("", ThrottleGroups.set, ("a\0b",))),
        (InvalidArgumentError, Call("", ThrottleGroups.remove, ("\ud800",))),
        (OverflowError, Call("", Vcpus.set, (-1,))),
        (OverflowError, Call("", Vcpus.pin, (-1, {0}))),
        (OverflowError, Call("", IOThreads.add, (-1,))),
        (OverflowError, Call("", Memory.set, (-1,))),
        (OverflowError, Call("", Memory.peek, (-1, 1), {"flags": PHYSICAL})),
        (ValueError, Call("", Memory.peek, (0, -1), {"flags": PHYSICAL})),
        (TypeError, Call("", Vcpus.set, ("2",))),
        (TypeError, Call("", Vcpus.pin, (0, 1))),
        (TypeError, Call("", Vcpus.pin, (0, "0-3"))),
        (TypeError, Call("", Vcpus.pin, (0, [0.5]))),
        (TypeError, Call("", Vcpus.set_enabled, ("1", True))),
        (TypeError, Call("", Vcpus.set_guest_online, ([1.5], True))),
        (TypeError, Call("", Memory.set, (1.5 * GIB,))),
        (TypeError, Call("", Memory.set, ("1G",))),
        (TypeError, Call("", Numa.set_parameters, ({"numa_nodeset": [0]},))),
        (TypeError, Call("", Blkio.set_parameters, ({"weight": "heavy"},))),
        (TypeError, Call("", ThrottleGroups.set, (b"fast",))),
    ],
)  # fmt: skip
def test_bad_input_raises_and_changes_nothing(domain: Domain, error: type[Exception], call: Call) -> None:
    before = domain.xml_desc()
    with pytest.raises(error) as caught:
        run(call, domain)
    str(caught.value).encode()
    assert domain.xml_desc() == before


@pytest.mark.parametrize(
    "call",
    [
        call
        for call in SUPPORTED
        if call.method
        in (Vcpus.max, Vcpus.info, Vcpus.set_live, Vcpus.pin_live, Memory.set_live, Memory.stats, Memory.peek)
        or call.method in vars(DomainCPU).values()
    ],
    ids=str,
)
def test_calls_that_need_a_running_domain_raise_operation_invalid(domain: Domain, call: Call) -> None:
    domain.destroy()
    with pytest.raises(OperationInvalidError):
        run(call, domain)


def test_parts_compare_by_domain_and_refuse_unknown_attributes(domain: Domain) -> None:
    for cls in CLASSES:
        part = cls(domain)
        assert repr(part) == f"<pyvirt.{cls.__name__} of {domain!r}>"
        assert part == cls(domain)
        with pytest.raises(AttributeError):
            part.typo = 1  # type: ignore[attr-defined]
    assert len({cls(domain) for cls in CLASSES * 2}) == len(CLASSES)


# Sets of CPUs


@given(st.frozensets(st.integers(0, 16383), max_size=50))
def test_cpu_numbers_survive_the_way_to_bits_and_back(numbers: frozenset[int]) -> None:
    bits = cpu_map(numbers)
    assert len(bits) == max(numbers, default=0) // 8 + 1
    assert cpu_numbers(bits, len(bits)) == numbers


def test_the_lowest_bit_is_the_first_cpu() -> None:
    assert cpu_map([]) == b"\0"
    assert cpu_map([0, 7, 9]) == b"\x81\x02"
    assert cpu_map([9, 9]) == b"\0\x02"
    assert cpu_numbers(b"\x81\x02", 1) == {0, 7}


def test_only_the_requested_bits_are_read() -> None:
    assert cpu_numbers(b"\x05", 1000, 2) == {0, 2}
    with pytest.raises(IndexError):
        cpu_numbers(b"\x05", 1000, 3)


@given(st.frozensets(st.integers(0, 5000)))
def test_cpu_numbers_survive_the_way_to_text_and_back(numbers: frozenset[int]) -> None:
    assert vcpus._numbers(vcpus._text(numbers).decode()) == numbers


@pytest.mark.parametrize(
    ("text", "numbers"), [("", set()), ("0", {0}), ("0-3,5", {0, 1, 2, 3, 5}), ("7,10-11", {7, 10, 11})]
)
def test_ranges_in_text_are_expanded(text: str, numbers: set[int]) -> None:
    assert vcpus._numbers(text) == numbers


# vCPUs


def test_vcpu_counts_differ_by_flags(domain: Domain) -> None:
    of, MAXIMUM = Vcpus(domain), DomainVcpuFlags.MAXIMUM
    of.set(3)
    of.set(6, flags=MAXIMUM | DomainVcpuFlags.CONFIG)
    of.set(5, flags=DomainVcpuFlags.CONFIG)
    assert (of.count(), of.count(flags=MAXIMUM), of.max()) == (3, 4, 4)
    assert of.count(flags=DomainVcpuFlags.CONFIG) == 5
    assert of.count(flags=DomainVcpuFlags.CONFIG | MAXIMUM) == 6
    of.set_live(1)
    assert of.count() == domain.info().vcpus == 1


def test_info_returns_state_and_affinity_of_each_vcpu(domain: Domain) -> None:
    Vcpus(domain).pin(1, {0, 3})
    first, second = Vcpus(domain).info()
    assert (first.number, second.number) == (0, 1)
    assert first.state == second.state == VcpuState.RUNNING
    assert first.cpu_time > 0
    assert isinstance(first.cpu, int)
    assert [first.affinity, second.affinity] == [ALL, frozenset({0, 3})]


def test_pinning_is_set_and_read(domain: Domain) -> None:
    of = Vcpus(domain)
    assert of.pinning() == [ALL] * 4
    of.pin(1, range(3))
    of.pin_live(0, [7])
    assert of.pinning() == [{7}, {0, 1, 2}, ALL, ALL]
    assert of.pinning(flags=CONFIG) == [ALL] * 4
    assert of.emulator_pinning() == ALL
    of.pin_emulator(iter([2, 6]))
    assert of.emulator_pinning(flags=LIVE) == frozenset({2, 6})
    domain.destroy()
    assert of.pinning() == [ALL] * 4
    with pytest.raises(OperationInvalidError):
        of.pinning(flags=LIVE)


def test_more_than_255_vcpus_are_supported(domain: Domain) -> None:
    many = domain.connection.domains.create(domain_xml("many", elements="<vcpu>300</vcpu>"))
    Vcpus(many).pin(299, {5})
    assert Vcpus(many).pinning() == [ALL] * 299 + [{5}]
    assert [vcpu.number for vcpu in Vcpus(many).info()] == list(range(300))


# Memory


def test_memory_sizes_are_bytes(domain: Domain) -> None:
    memory = Memory(domain)
    assert memory.max() == 4 * GIB
    memory.set(GIB)
    assert domain.info().memory == GIB
    memory.set_live(GIB + 1)
    assert domain.info().memory == GIB + KIB  # rounded up
    domain.destroy()
    memory.set_max(2 * GIB - 1)
    assert memory.max() == 2 * GIB
    memory.set(3 * GIB, flags=DomainMemoryModFlags.MAXIMUM | DomainMemoryModFlags.CONFIG)
    assert memory.max() == domain.info().max_memory == 3 * GIB


def test_memory_stats_have_every_tag(domain: Domain) -> None:
    stats = Memory(domain).stats()
    assert set(stats) == set(DomainMemoryStatTags)
    # The driver invents them: the size is that of the domain, the time is a constant.
    assert stats[DomainMemoryStatTags.ACTUAL_BALLOON] == stats[DomainMemoryStatTags.AVAILABLE] == 4 * GIB
    assert stats[DomainMemoryStatTags.UNUSED] == 2 * GIB
    assert stats[DomainMemoryStatTags.LAST_UPDATE] == 627319920


def test_the_stats_period_changes_the_running_configuration(domain: Domain) -> None:
    Memory(domain).set_stats_period(7, flags=DomainMemoryModFlags.LIVE)
    assert stats_period(domain) == "7"
    assert "period" not in domain.xml_desc(flags=DomainXMLFlags.INACTIVE)


def test_peek_reads_the_memory(domain: Domain) -> None:
    memory = Memory(domain)
    assert memory.peek(0, 4, flags=PHYSICAL) == bytes(range(4))  # the driver's memory counts bytes
    assert memory.peek(250, 10, flags=DomainMemoryFlags.VIRTUAL) == bytes([*range(250, 256), *range(4)])
    assert memory.peek(0, 0, flags=PHYSICAL) == b""


def test_memory_parameters_are_set_and_read(domain: Domain) -> None:
    memory = Memory(domain)
    names = {params.DOMAIN_MEMORY_HARD_LIMIT, params.DOMAIN_MEMORY_SOFT_LIMIT, params.DOMAIN_MEMORY_SWAP_HARD_LIMIT}
    assert memory.parameters() == dict.fromkeys(names)
    memory.set_parameters({"hard_limit": 2 * GIB - 1}, soft_limit=GIB)
    assert memory.parameters() == {"hard_limit": 2 * GIB, "soft_limit": GIB, "swap_hard_limit": None}
    assert memory.parameters(flags=CONFIG) == dict.fromkeys(names)
    memory.set_parameters(soft_limit=None, flags=LIVE)
    assert memory.parameters(flags=LIVE)["soft_limit"] is None


# Shares of the host


def test_numa_parameters_are_set_and_read(domain: Domain) -> None:
    numa = Numa(domain)
    stored: dict[str, TypedValue] = {
        params.DOMAIN_NUMA_MODE: DomainNumatuneMemMode.INTERLEAVE,
        params.DOMAIN_NUMA_NODESET: "0-1,3",
    }
    numa.set_parameters(stored, flags=CONFIG)
    assert numa.parameters(flags=CONFIG) == stored
    numa.set_parameters(numa_nodeset="1")
    assert numa.parameters() == {"numa_mode": DomainNumatuneMemMode.STRICT, "numa_nodeset": "1"}


@since("virDomainAddIOThread")
def test_iothreads_are_added_pinned_and_removed(domain: Domain) -> None:
    threads = IOThreads(domain)
    threads.add(3, flags=LIVE)
    threads.add(7)
    threads.pin(7, {1})
    threads.remove(2)
    here = {thread.id: thread.affinity for thread in threads.list()}
    assert list(here) == [1, 3, 7]
    assert here[7] == {1} < here[1] | {1}
    assert threads.list()[2] == IOThreadInfo(7, frozenset({1}))
    assert [thread.id for thread in threads.list(flags=CONFIG)] == [1, 2]
    # The types are right: libvirt refuses others.
    threads.set_parameters(
        7, {params.DOMAIN_IOTHREAD_POLL_MAX_NS: 32768, params.DOMAIN_IOTHREAD_POLL_GROW: 4}, poll_shrink=2
    )
    for id in here:
        threads.remove(id)
    assert threads.list() == []


@since("virDomainAddIOThread")
def test_iothreads_do_not_leak(domain: Domain) -> None:
    threads = IOThreads(domain)
    for id in range(10, 60):
        threads.add(id)
    for _ in range(100):
        threads.list()
    before = resident_memory()
    for _ in range(2000):  # unfreed, these are 8 MiB
        threads.list()
    assert resident_memory() - before < 4 * MIB


def test_the_scheduler_has_a_type_and_parameters(domain: Domain) -> None:
    scheduler = Scheduler(domain)
    assert scheduler.type() == "fair"
    # The driver has one parameter, and accepts and ignores any value.
    assert scheduler.basic_parameters() == {params.DOMAIN_SCHEDULER_WEIGHT: 50}


@since("virDomainGetBlkioParameters")
def test_block_io_parameters_are_set_and_read(domain: Domain) -> None:
    blkio = Blkio(domain)
    assert blkio.parameters()["weight"] == 0
    blkio.set_parameters({params.DOMAIN_BLKIO_WEIGHT: 700}, device_read_bytes_sec="/dev/a,5,/dev/b,6")
    blkio.set_parameters(device_read_bytes_sec="/dev/a,0")
    set_now = {name: value for name, value in blkio.parameters().items() if value}
    assert set_now == {"weight": 700, "device_read_bytes_sec": "/dev/b,6"}
    assert blkio.parameters(flags=CONFIG)["weight"] == 0


def test_perf_events_are_switched_on_and_off(domain: Domain) -> None:
    perf = Perf(domain)
    events = perf.events()
    assert set(events) == {getattr(params, name) for name in dir(params) if name.startswith("PERF_PARAM_")}
    assert set(events.values()) == {False}
    perf.set_events({params.PERF_PARAM_CPU_CYCLES: True}, instructions=True)
    perf.set_events(instructions=False)
    assert [name for name, counted in perf.events().items() if counted] == ["cpu_cycles"]
    assert set(perf.events(flags=CONFIG).values()) == {False}


def test_cpu_times_of_all_cpus_add_up_to_the_total(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = DomainCPU(domain)
    total, each = figures.total(), figures.per_cpu()
    assert set(total) == {
        params.DOMAIN_CPU_STATS_CPUTIME,
        params.DOMAIN_CPU_STATS_USERTIME,
        params.DOMAIN_CPU_STATS_SYSTEMTIME,
    }
    assert list(each) == list(range(len(each)))
    assert {frozenset(one) for one in each.values()} == {frozenset({"cpu_time", "vcpu_time"})}
    assert sum(int(one["cpu_time"]) for one in each.values()) == total["cpu_time"]
    monkeypatch.setattr(cpu, "_MOST_CPUS", 1)
    assert figures.per_cpu() == each


def test_types_of_parameters_are_those_of_libvirt() -> None:
    """Every parameter of libvirt has its type in a table, except those whose type is guessed right."""
    from pyvirt.domain import blkio, iothreads, memory, numa, scheduler

    tables: dict[str, tuple[Any, set[str]]] = {
        "DOMAIN_BLKIO_": (blkio._PARAMETERS, set()),
        "DOMAIN_IOTHREAD_": (iothreads._PARAMETERS, {"poll_weight"}),  # since 12.7
        "DOMAIN_MEMORY_": (memory._LIMITS, set()),
        "DOMAIN_NUMA_": (numa._PARAMETERS, set()),
        "DOMAIN_SCHEDULER_": (scheduler._PARAMETERS, set()),
    }
    for prefix, (table, without) in tables.items():
        known = {getattr(params, name) for name in dir(params) if name.startswith(prefix)}
        assert set(table) == known - without
