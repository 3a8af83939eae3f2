# SPDX-License-Identifier: LGPL-2.1-or-later
"""vCPUs, memory and shares of the host of running guests, with and without control groups."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyvirt
from pyvirt.domain import Domain
from pyvirt.domain._wait import poll_times
from pyvirt.domain.blkio import Blkio
from pyvirt.domain.cpu import DomainCPU
from pyvirt.domain.iothreads import IOThreads
from pyvirt.domain.memory import Memory
from pyvirt.domain.numa import Numa
from pyvirt.domain.perf import Perf
from pyvirt.domain.scheduler import Scheduler
from pyvirt.domain.vcpus import Vcpus
from pyvirt.enums import (
    DomainMemoryFlags,
    DomainMemoryModFlags,
    DomainMemoryStatTags,
    DomainModificationImpact,
    DomainNumatuneMemMode,
    DomainSetVcpuFlags,
    DomainVcpuFlags,
    StatsGroup,
    VcpuState,
    params,
)
from pyvirt.errors import (
    AgentUnresponsiveError,
    InvalidArgumentError,
    NotSupportedError,
    OperationInvalidError,
    OperationUnsupportedError,
)
from pyvirt.models import GuestVcpus
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.guests import container, tiny_guest, write_boot_disk
from pyvirt.testing.linux_guest import start_linux_guest
from pyvirt.testing.pytest_plugin import skip_unless_in_ci

if TYPE_CHECKING:
    from pyvirt._core.params import TypedValue
    from pyvirt.testing.linux_guest import LinuxImage

MIB, GIB = 1 << 20, 1 << 30
SIZE = 16 * MIB
LIVE, CONFIG = DomainModificationImpact.LIVE, DomainModificationImpact.CONFIG
PHYSICAL = DomainMemoryFlags.PHYSICAL
BOOT_SECTOR = 0x7C00  # where a BIOS puts it
NAME = "tuned"
LIMIT = 60  # seconds; more than anything takes


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boot_disk(tmp_path_factory.mktemp("tuning") / "boot.img")


@pytest.fixture(scope="module")
def cgroups_daemon() -> Iterator[PrivateDaemon]:
    with contextlib.ExitStack() as stack:
        with skip_unless_in_ci():
            daemon = stack.enter_context(PrivateDaemon(cgroups=True))
        yield daemon


def run_guest(daemon: PrivateDaemon, disk: Path) -> Iterator[Domain]:
    """A guest with two of three vCPUs, an I/O thread, a balloon, and an agent channel without an agent."""
    xml = tiny_guest(NAME, disk, memory=SIZE, vcpus=3, agent=True, elements="<iothreads>1</iothreads>")
    xml = xml.replace("<vcpu>", "<vcpu current='2'>").replace("memballoon model='none'", "memballoon model='virtio'")
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        domain = conn.domains.define(xml)
        try:
            domain.start()
            yield domain
        finally:
            if domain.is_active():
                domain.destroy()
            domain.undefine()


@pytest.fixture
def guest(qemu_daemon: PrivateDaemon, disk: Path) -> Iterator[Domain]:
    yield from run_guest(qemu_daemon, disk)


@pytest.fixture
def grouped(cgroups_daemon: PrivateDaemon, disk: Path) -> Iterator[Domain]:
    yield from run_guest(cgroups_daemon, disk)


@pytest.fixture(scope="module")
def linux(qemu_daemon: PrivateDaemon, linux_image: LinuxImage) -> Iterator[Domain]:
    """A Linux with two vCPUs and 96 MiB, whose agent answers."""
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        domain = start_linux_guest(conn, linux_image, "tuned-linux", vcpus=2, timeout=LIMIT)
        yield domain
        domain.destroy()


def threads(daemon: PrivateDaemon) -> dict[str, int]:
    """Return the threads of the guest's QEMU by name."""
    tasks = Path(f"/proc/{daemon.guest_pid(NAME)}/task")
    return {(task / "comm").read_text().strip(): int(task.name) for task in tasks.iterdir()}


def stats_of(domain: Domain, group: StatsGroup) -> dict[str, object]:
    (found,) = domain.connection.domains.stats(group, domains=[domain]).to_dicts()
    return dict(found)


# vCPUs


def test_vcpus_are_hot_plugged(guest: Domain) -> None:
    vcpus = Vcpus(guest)
    assert (vcpus.count(), vcpus.max(), vcpus.count(flags=DomainVcpuFlags.MAXIMUM)) == (2, 3, 3)
    vcpus.set_enabled([2], True)
    assert vcpus.count() == 3
    assert vcpus.count(flags=DomainVcpuFlags.CONFIG) == 2
    assert [(vcpu.number, vcpu.state) for vcpu in vcpus.info()] == [(i, VcpuState.RUNNING) for i in range(3)]
    with pytest.raises(InvalidArgumentError):
        vcpus.set_enabled([2], True)
    with pytest.raises(OperationUnsupportedError):
        vcpus.set_enabled([1], False)  # was there from the start
    for nothing in ([], [-1]):
        with pytest.raises(InvalidArgumentError):
            vcpus.set_enabled(nothing, True)


def test_vcpus_of_the_stored_configuration_apply_at_the_next_start(guest: Domain) -> None:
    vcpus = Vcpus(guest)
    vcpus.set(4, flags=DomainVcpuFlags.CONFIG | DomainVcpuFlags.MAXIMUM)
    vcpus.set(3, flags=DomainVcpuFlags.CONFIG | DomainVcpuFlags.HOTPLUGGABLE)
    vcpus.set_enabled([1], False, flags=DomainSetVcpuFlags.CONFIG)
    assert vcpus.count(flags=DomainVcpuFlags.CONFIG) == 2
    vcpus.set_live(3)
    assert (vcpus.count(), guest.info().vcpus) == (3, 3)
    guest.destroy()
    assert (vcpus.count(), vcpus.count(flags=DomainVcpuFlags.MAXIMUM)) == (2, 4)
    with pytest.raises(OperationInvalidError):
        vcpus.info()


def test_pinning_sets_the_affinity_of_the_threads(guest: Domain, qemu_daemon: PrivateDaemon) -> None:
    vcpus, everywhere = Vcpus(guest), frozenset(os.sched_getaffinity(qemu_daemon.pid))
    here = frozenset({max(everywhere)})
    tids = threads(qemu_daemon)
    assert vcpus.pinning() == [everywhere] * 3
    vcpus.pin(0, here)
    assert os.sched_getaffinity(tids["CPU 0/TCG"]) == here
    assert os.sched_getaffinity(tids["CPU 1/TCG"]) == everywhere
    vcpus.pin_live(1, here)
    assert vcpus.pinning() == [here, here, everywhere]
    assert vcpus.info()[0].affinity == here
    assert vcpus.info()[0].cpu in everywhere  # it is halted and has not moved yet
    assert vcpus.emulator_pinning() == everywhere
    vcpus.pin_emulator(here)
    assert vcpus.emulator_pinning() == here
    assert os.sched_getaffinity(qemu_daemon.guest_pid(NAME)) == here
    vcpus.pin(2, here, flags=CONFIG)
    assert vcpus.pinning(flags=CONFIG) == [everywhere, everywhere, here]
    for vcpu, cpus in ((0, frozenset[int]()), (3, here)):
        with pytest.raises(InvalidArgumentError):
            vcpus.pin(vcpu, cpus)
    with pytest.raises(pyvirt.Error, match="affinity"):
        vcpus.pin(0, [16383])  # no host has so many
    assert vcpus.pinning() == [here, here, everywhere]


def test_guest_vcpus_need_an_agent(guest: Domain) -> None:
    vcpus = Vcpus(guest)
    for call in (
        vcpus.guest,
        lambda: vcpus.set_guest_online([1], False),
        lambda: vcpus.count(flags=DomainVcpuFlags.GUEST),
        lambda: vcpus.set(1, flags=DomainVcpuFlags.GUEST),
    ):
        with pytest.raises(AgentUnresponsiveError):
            call()


def test_vcpus_are_taken_offline_in_the_guest(linux: Domain) -> None:
    vcpus, both, second = Vcpus(linux), frozenset({0, 1}), frozenset({1})
    assert vcpus.guest() == GuestVcpus(vcpus=both, online=both, offlinable=second)
    vcpus.set_guest_online(second, False)
    assert vcpus.guest() == GuestVcpus(vcpus=both, online=frozenset({0}), offlinable=second)
    assert (vcpus.count(flags=DomainVcpuFlags.GUEST), vcpus.count()) == (1, 2)
    vcpus.set(2, flags=DomainVcpuFlags.GUEST)
    assert vcpus.guest().online == both
    with pytest.raises(OperationUnsupportedError):
        vcpus.set_guest_online([0], False)
    with pytest.raises(InvalidArgumentError):
        vcpus.set_guest_online([7], True)


# Memory


def test_a_smaller_balloon_frees_memory_of_the_guest(linux: Domain) -> None:
    memory, less = Memory(linux), 80 * MIB
    for _ in poll_times(LIMIT, 0.1):  # until its balloon driver has reported
        if DomainMemoryStatTags.AVAILABLE in (before := memory.stats()):
            break
    assert before[DomainMemoryStatTags.ACTUAL_BALLOON] == linux.info().memory == memory.max() == 96 * MIB
    assert 0 < before[DomainMemoryStatTags.UNUSED] < before[DomainMemoryStatTags.AVAILABLE] < 96 * MIB
    memory.set(less)
    for _ in poll_times(LIMIT, 0.1):
        now = memory.stats()
        shrunk = now[DomainMemoryStatTags.AVAILABLE] < before[DomainMemoryStatTags.AVAILABLE]
        if shrunk and now[DomainMemoryStatTags.ACTUAL_BALLOON] == linux.info().memory == less:
            break
    else:
        pytest.fail("it keeps its memory")
    assert now[DomainMemoryStatTags.LAST_UPDATE] > before[DomainMemoryStatTags.LAST_UPDATE] > 1_700_000_000


def test_peek_reads_the_memory_of_the_guest(guest: Domain, disk: Path) -> None:
    memory, sector = Memory(guest), disk.read_bytes()[:512]
    for _ in poll_times(LIMIT, 0.1):
        if memory.peek(BOOT_SECTOR, 512, flags=PHYSICAL) == sector:
            break
    else:
        pytest.fail("the guest did not boot")
    assert memory.peek(BOOT_SECTOR, 512, flags=DomainMemoryFlags.VIRTUAL) == sector  # it has no paging
    assert memory.peek(BOOT_SECTOR, 0, flags=PHYSICAL) == b""
    assert len(memory.peek(0, 4 * MIB, flags=PHYSICAL)) == 4 * MIB
    with pytest.raises(pyvirt.Error, match="too large"):
        memory.peek(0, 4 * MIB + 1, flags=PHYSICAL)
    with pytest.raises(InvalidArgumentError):
        memory.peek(0, 1, flags=DomainMemoryFlags(0))
    assert guest.is_active()


def test_memory_stats_have_plausible_values(guest: Domain) -> None:
    memory = Memory(guest)
    stats = memory.stats()
    assert stats[DomainMemoryStatTags.ACTUAL_BALLOON] == SIZE
    assert MIB < stats[DomainMemoryStatTags.RSS] < GIB
    memory.set_stats_period(2, flags=DomainMemoryModFlags.LIVE | DomainMemoryModFlags.CONFIG)
    assert "<stats period='2'/>" in guest.xml_desc()


def test_memory_sizes_are_set_and_read(guest: Domain) -> None:
    memory = Memory(guest)
    assert memory.max() == SIZE
    memory.set_live(SIZE // 2)  # this guest does not react to it
    memory.set(SIZE // 2 + 1, flags=DomainMemoryModFlags.CONFIG)
    with pytest.raises(OperationInvalidError):
        memory.set_max(2 * SIZE)
    with pytest.raises(InvalidArgumentError):
        memory.set(2 * SIZE)
    memory.set(2 * SIZE, flags=DomainMemoryModFlags.MAXIMUM | DomainMemoryModFlags.CONFIG)
    guest.destroy()
    assert (memory.max(), guest.info().memory) == (2 * SIZE, SIZE // 2 + 1024)


# I/O threads


def test_iothreads_are_added_pinned_and_removed(guest: Domain, qemu_daemon: PrivateDaemon) -> None:
    io, everywhere = IOThreads(guest), frozenset(os.sched_getaffinity(qemu_daemon.pid))
    here = frozenset({min(everywhere)})
    io.add(5)
    io.pin(5, here)
    assert {thread.id: thread.affinity for thread in io.list()} == {1: everywhere, 5: here}
    assert os.sched_getaffinity(threads(qemu_daemon)["IO iothread5"]) == here
    assert [thread.id for thread in io.list(flags=CONFIG)] == [1]
    polling = {params.DOMAIN_IOTHREAD_POLL_MAX_NS: 40_000, params.DOMAIN_IOTHREAD_POLL_GROW: 3}
    io.set_parameters(5, polling, poll_shrink=2)
    stats = stats_of(guest, StatsGroup.IOTHREAD)
    assert [stats[f"iothread.5.poll-{name}"] for name in ("max-ns", "grow", "shrink")] == [40_000, 3, 2]
    io.set_parameters(5, thread_pool_max=8, thread_pool_min=2)
    with pytest.raises(OperationInvalidError):
        io.set_parameters(5, thread_pool_max=1, thread_pool_min=2)
    with pytest.raises(OperationUnsupportedError):
        io.set_parameters(1, poll_grow=2, flags=CONFIG)
    io.remove(5)
    assert [thread.id for thread in io.list()] == [1]


# Without control groups

TOLD_BY_CONTROL_GROUPS: dict[str, Callable[[Domain], object]] = {
    "virDomainGetSchedulerType": lambda domain: Scheduler(domain).parameters(),
    "virDomainSetSchedulerParameters": lambda domain: Scheduler(domain).set_basic_parameters(cpu_shares=500),
    "virDomainSetSchedulerParametersFlags": lambda domain: Scheduler(domain).set_parameters(vcpu_quota=5000),
    "virDomainGetMemoryParameters": lambda domain: Memory(domain).parameters(),
    "virDomainSetMemoryParameters": lambda domain: Memory(domain).set_parameters(hard_limit=GIB),
    "virDomainGetBlkioParameters": lambda domain: Blkio(domain).parameters(),
    "virDomainSetBlkioParameters": lambda domain: Blkio(domain).set_parameters(weight=300),
    "virDomainSetNumaParameters": lambda domain: Numa(domain).set_parameters(numa_nodeset="0"),
    "virDomainGetCPUStats": lambda domain: DomainCPU(domain).total(),
}


def test_without_control_groups_limits_are_refused(guest: Domain) -> None:
    for function, call in TOLD_BY_CONTROL_GROUPS.items():
        with pytest.raises(OperationInvalidError, match="cgroup") as caught:
            call(guest)
        assert caught.value.function == function


def test_the_stored_configuration_needs_no_control_groups(guest: Domain) -> None:
    # Each of these names has a different type, and libvirt refuses a wrong one.
    scheduler = {
        params.DOMAIN_SCHEDULER_CPU_SHARES: 512,
        **dict.fromkeys(("vcpu_period", "emulator_period", "iothread_period", "global_period"), 50_000),
        **dict.fromkeys(("vcpu_quota", "emulator_quota", "iothread_quota", "global_quota"), -1),
    }
    blkio: dict[str, TypedValue] = {
        "weight": 300,
        "device_weight": "/dev/sda,400",
        **dict.fromkeys(("device_read_iops_sec", "device_write_iops_sec"), "/dev/sda,50"),
        **dict.fromkeys(("device_read_bytes_sec", "device_write_bytes_sec"), "/dev/sda,5000000"),
    }
    numa: dict[str, TypedValue] = {"numa_mode": DomainNumatuneMemMode.PREFERRED, "numa_nodeset": "0"}
    limits = {"hard_limit": 3 * GIB, "soft_limit": GIB, "swap_hard_limit": 4 * GIB}
    Blkio(guest).set_parameters(blkio, flags=CONFIG)
    Numa(guest).set_parameters(numa, flags=CONFIG)
    Memory(guest).set_parameters(limits, flags=CONFIG)
    Perf(guest).set_events(cpu_cycles=True, cache_misses=True, flags=CONFIG)
    assert Numa(guest).parameters() == {"numa_mode": DomainNumatuneMemMode.STRICT, "numa_nodeset": ""}
    guest.destroy()
    Scheduler(guest).set_parameters(scheduler)
    assert Scheduler(guest).parameters() == Scheduler(guest).basic_parameters() == scheduler
    assert Blkio(guest).parameters() == blkio
    assert Numa(guest).parameters() == numa
    assert Memory(guest).parameters() == limits
    assert [name for name, counted in Perf(guest).events().items() if counted] == ["cpu_cycles", "cache_misses"]


# With control groups


def test_scheduler_parameters_are_set_and_read(grouped: Domain) -> None:
    scheduler = Scheduler(grouped)
    assert scheduler.type() == "posix"
    assert scheduler.parameters()["vcpu_quota"] < 0  # type: ignore[operator]
    scheduler.set_parameters({params.DOMAIN_SCHEDULER_VCPU_QUOTA: 50_000}, emulator_period=20_000)
    scheduler.set_basic_parameters(cpu_shares=500)
    found = scheduler.parameters(flags=LIVE)
    assert (found["vcpu_quota"], found["emulator_period"], found["cpu_shares"]) == (50_000, 20_000, 500)
    assert scheduler.basic_parameters() == found
    assert scheduler.parameters(flags=CONFIG)["vcpu_quota"] == 0
    with pytest.raises(InvalidArgumentError, match="range"):
        scheduler.set_parameters(vcpu_quota=5)
    with pytest.raises(NotSupportedError):
        scheduler.set_parameters(weight=5)  # of another scheduler
    assert scheduler.parameters() == found


def test_memory_limits_are_set_and_read(grouped: Domain) -> None:
    memory = Memory(grouped)
    assert set(memory.parameters().values()) == {None}
    memory.set_parameters({params.DOMAIN_MEMORY_HARD_LIMIT: 2 * GIB}, soft_limit=GIB)
    assert memory.parameters() == {"hard_limit": 2 * GIB, "soft_limit": GIB, "swap_hard_limit": None}
    memory.set_parameters(hard_limit=None)
    assert memory.parameters(flags=LIVE) == {"hard_limit": None, "soft_limit": GIB, "swap_hard_limit": None}
    assert set(memory.parameters(flags=CONFIG).values()) == {None}


def test_numa_parameters_are_set_and_read(grouped: Domain) -> None:
    numa = Numa(grouped)
    numa.set_parameters(numa_nodeset="0", flags=LIVE)
    assert numa.parameters()["numa_nodeset"] == "0"
    with pytest.raises(OperationInvalidError, match="mode"):
        numa.set_parameters(numa_mode=DomainNumatuneMemMode.INTERLEAVE, flags=LIVE)


def test_block_io_weights_and_limits_are_set_and_read(grouped: Domain) -> None:
    blkio = Blkio(grouped)
    if not any(any(Path("/sys/fs/cgroup").glob(pattern)) for pattern in ("blkio/*/blkio*.weight", "*/io*.weight")):
        with pytest.raises(pyvirt.Error):
            blkio.set_parameters(weight=500)  # no I/O scheduler of this kernel uses it
        return
    blkio.set_parameters(weight=500)
    assert blkio.parameters()["weight"] == 500
    assert blkio.parameters(flags=CONFIG)["weight"] == 0
    with pytest.raises(pyvirt.Error, match="/dev/nothing"):
        blkio.set_parameters(device_read_bytes_sec="/dev/nothing,5000")


def test_cpu_time_grows(grouped: Domain) -> None:
    figures = DomainCPU(grouped)
    total = figures.total()
    assert set(total) == {"cpu_time", "user_time", "system_time"}
    for _ in poll_times(LIMIT, 0.1):
        if int(figures.total()["cpu_time"]) > int(total["cpu_time"]) > 0:
            break
    else:
        pytest.fail("its clock stands still")
    if Path("/sys/fs/cgroup/cpuacct").exists() or Path("/sys/fs/cgroup/cpu,cpuacct").exists():
        each = figures.per_cpu()
        assert set(each) <= set(range(os.sysconf("SC_NPROCESSORS_CONF")))
        assert sum(int(one["cpu_time"]) for one in each.values()) >= int(total["cpu_time"])
    else:
        with pytest.raises(OperationUnsupportedError):
            figures.per_cpu()
    grouped.destroy()
    with pytest.raises(OperationInvalidError):
        figures.total()


def test_perf_events_are_switched_on_and_counted(grouped: Domain) -> None:
    perf = Perf(grouped)
    perf.set_events({params.PERF_PARAM_CPU_CLOCK: True}, flags=LIVE)
    assert [name for name, counted in perf.events().items() if counted] == ["cpu_clock"]
    assert not any(perf.events(flags=CONFIG).values())
    assert "perf.cpu_clock" in stats_of(grouped, StatsGroup.PERF)
    perf.set_events(cpu_clock=False)
    assert stats_of(grouped, StatsGroup.PERF) == {}


def test_a_container_supports_limits_but_no_vcpus(cgroups_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(cgroups_daemon.uri("lxc")) as conn:
        domain = conn.domains.create(container("tuned-container", memory=64 * MIB))
        try:
            assert Memory(domain).max() == 64 * MIB
            assert 0 < Memory(domain).stats()[DomainMemoryStatTags.RSS] <= 64 * MIB
            Memory(domain).set_live(32 * MIB)
            assert Memory(domain).parameters()["hard_limit"] == 32 * MIB
            Scheduler(domain).set_parameters(cpu_shares=300)
            assert Scheduler(domain).parameters()["cpu_shares"] == 300
            assert int(DomainCPU(domain).total()["cpu_time"]) > 0
            for call in (Vcpus(domain).count, Numa(domain).parameters, IOThreads(domain).list, Perf(domain).events):
                with pytest.raises(OperationUnsupportedError):
                    call()
        finally:
            domain.destroy()
