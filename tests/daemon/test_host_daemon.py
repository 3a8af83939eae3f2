# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host as a daemon with the QEMU driver sees it, compared with the kernel and virsh."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree
from lxml.etree import _Element

import pyvirt
from pyvirt.enums import (
    ConnectBaselineCPUFlags,
    ConnectCompareCPUFlags,
    CPUCompareResult,
    ErrorNumber,
    NodeAllocPagesFlags,
    NodeSuspendTarget,
)
from pyvirt.errors import (
    Error,
    InvalidArgumentError,
    NotSupportedError,
    OperationFailedError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.host import Host
from pyvirt.testing.daemon import Isolation, PrivateDaemon
from pyvirt.xmldesc import XML, parse, serialize

PAGE = os.sysconf("SC_PAGE_SIZE")
KSM = Path("/sys/kernel/mm/ksm")
TICK = 10**9 // os.sysconf("SC_CLK_TCK")  # nanoseconds
ALIEN = "<cpu><arch>{}</arch><model>unknown</model></cpu>"


@pytest.fixture
def host(qemu_daemon: PrivateDaemon) -> Iterator[Host]:
    with pyvirt.connect(qemu_daemon.uri("qemu")) as conn:
        yield conn.host


def virsh(daemon: PrivateDaemon, *command: str) -> str:
    return daemon.run_inside(["virsh", "-c", daemon.uri("qemu"), *command]).stdout.strip()


def colon_table(text: str) -> dict[str, str]:
    rows = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in rows}


def meminfo() -> dict[str, int]:
    """Return the memory figures of the kernel, in bytes."""
    table = colon_table(Path("/proc/meminfo").read_text())
    return {name: int(value.split()[0]) << 10 for name, value in table.items() if value.endswith(" kB")}


def online_cpus() -> set[int]:
    ranges = Path("/sys/devices/system/cpu/online").read_text().strip().split(",")
    ends = [(int(first), int(last or first)) for first, _, last in (part.partition("-") for part in ranges)]
    return {cpu for first, last in ends for cpu in range(first, last + 1)}


def proc_stat(name: str) -> dict[str, int]:
    """Return the CPU times of the kernel in nanoseconds, summed up as libvirt does."""
    for line in Path("/proc/stat").read_text().splitlines():
        kind, *ticks = line.split()
        if kind == name:
            user, nice, system, idle, iowait, irq, softirq = (int(tick) * TICK for tick in ticks[:7])
            return {"user": user + nice, "kernel": system + irq + softirq, "idle": idle, "iowait": iowait}
    raise LookupError(name)


def huge_pages(size: int, what: str) -> int:
    return int(Path(f"/sys/kernel/mm/hugepages/hugepages-{size >> 10}kB/{what}").read_text())


def own_cpu(host: Host) -> _Element:
    cpu = parse(host.capabilities().xml).find("host/cpu")
    assert cpu is not None
    return cpu


def features(cpu: str) -> set[str | None]:
    return {feature.get("name") for feature in parse(cpu).iterfind("feature")}


def test_info_equals_nodeinfo_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    info = host.info()
    table = colon_table(virsh(qemu_daemon, "nodeinfo"))
    assert info.memory == int(table["Memory size"].removesuffix(" KiB")) << 10
    assert info.model == table["CPU model"] == os.uname().machine
    assert info.cpus == int(table["CPU(s)"]) == len(online_cpus())
    assert info.mhz > 0
    figures = (info.sockets, info.cores, info.threads, info.nodes)
    names = ("CPU socket(s)", "Core(s) per socket", "Thread(s) per core", "NUMA cell(s)")
    assert figures == tuple(int(table[name]) for name in names)


def test_hostname_equals_that_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    assert host.hostname() == virsh(qemu_daemon, "hostname")


def test_cpu_map_equals_that_of_the_kernel(host: Host, qemu_daemon: PrivateDaemon) -> None:
    found = host.cpu_map()
    assert found.online == online_cpus()
    assert found.present == int(colon_table(virsh(qemu_daemon, "nodecpumap"))["CPUs present"])


@pytest.mark.parametrize("cpu", [None, 0])
def test_cpu_stats_lie_between_two_readings_of_the_kernel(host: Host, cpu: int | None) -> None:
    name = "cpu" if cpu is None else f"cpu{cpu}"
    before = proc_stat(name)
    stats = host.cpu_stats(cpu)
    after = proc_stat(name)
    assert before.keys() <= stats.keys()
    for kind in ("user", "kernel", "idle"):  # iowait may go backwards
        assert before[kind] <= stats[kind] <= after[kind]


def test_cpu_stats_of_a_missing_cpu_raise(host: Host) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        host.cpu_stats(100_000)
    assert caught.value.function == "virNodeGetCPUStats"


def test_memory_stats_equal_those_of_the_kernel(host: Host) -> None:
    stats = host.memory_stats()
    assert stats["total"] == meminfo()["MemTotal"]
    assert 0 < stats["free"] < stats["total"]
    assert stats.keys() >= {"total", "free", "buffers", "cached"}
    cells = host.capabilities().host.cells
    for cell in cells:
        of_cell = host.memory_stats(cell.id)
        assert of_cell["total"] == cell.memory
        assert 0 < of_cell["free"] < of_cell["total"]
    with pytest.raises(InvalidArgumentError):
        host.memory_stats(len(cells) + 1000)


def test_free_memory_is_less_than_the_memory_of_the_cells(host: Host) -> None:
    cells = host.cells_free_memory()
    assert list(cells) == [cell.id for cell in host.capabilities().host.cells]
    totals = {cell.id: cell.memory or 0 for cell in host.capabilities().host.cells}
    assert all(0 < free < totals[cell] for cell, free in cells.items())
    assert 0 < host.free_memory() < sum(totals.values())
    with pytest.raises(Error, match="too many NUMA cells"):
        host.cells_free_memory(0, 1025)


def test_free_pages_are_counted_by_size_and_cell(host: Host) -> None:
    capabilities = host.capabilities().host
    assert capabilities.cpu is not None
    sizes = capabilities.cpu.page_sizes
    assert PAGE in sizes
    whole = host.free_pages(sizes)
    assert list(whole) == list(sizes)
    assert whole[PAGE] > 0
    assert {size: count for size, count in whole.items() if size != PAGE} == {
        size: huge_pages(size, "free_hugepages") for size in sizes if size != PAGE
    }
    cells = host.cells_free_pages(sizes)
    assert list(cells) == [cell.id for cell in capabilities.cells]
    assert all(list(pages) == list(sizes) for pages in cells.values())
    assert all(pages[PAGE] > 0 for pages in cells.values())
    assert host.cells_free_pages(sizes[:1], 0, 1).keys() == {0}
    with pytest.raises(OperationFailedError, match="page size"):
        host.free_pages([PAGE * 3])


def test_pages_are_reserved_and_returned(host: Host, qemu_daemon: PrivateDaemon) -> None:
    with pytest.raises(OperationUnsupportedError):
        host.alloc_pages({PAGE: 1})
    cpu = host.capabilities().host.cpu
    assert cpu is not None
    size = min(size for size in cpu.page_sizes if size != PAGE)
    before = huge_pages(size, "nr_hugepages")
    if qemu_daemon.isolation is not Isolation.ROOT:
        with pytest.raises(Error, match="nr_hugepages"):
            host.alloc_pages({size: 1})
        return
    try:
        assert host.alloc_pages({size: 1}) == 1
        assert huge_pages(size, "nr_hugepages") == before + 1
        assert host.alloc_pages({size: 1}, 0, flags=NodeAllocPagesFlags.ADD) == 1
        assert huge_pages(size, "nr_hugepages") == before + 2
    finally:
        assert host.alloc_pages({size: before}, flags=NodeAllocPagesFlags.SET) == 1
    assert huge_pages(size, "nr_hugepages") == before


def test_memory_parameters_are_read_from_the_kernel_and_set(host: Host, qemu_daemon: PrivateDaemon) -> None:
    parameters = host.memory_parameters()
    assert parameters["shm_pages_to_scan"] == int((KSM / "pages_to_scan").read_text())
    names = {f"shm_{name}" for name in ("sleep_millisecs", "pages_shared", "full_scans", "merge_across_nodes")}
    assert names <= parameters.keys()
    before = parameters["shm_sleep_millisecs"]
    assert isinstance(before, int)
    if qemu_daemon.isolation is not Isolation.ROOT:
        with pytest.raises(Error):
            host.set_memory_parameters(shm_sleep_millisecs=before)
        return
    try:
        host.set_memory_parameters({"shm_pages_to_scan": parameters["shm_pages_to_scan"]}, shm_sleep_millisecs=77)
        assert (KSM / "sleep_millisecs").read_text() == "77\n"
        assert host.memory_parameters() == parameters | {"shm_sleep_millisecs": 77}
    finally:
        host.set_memory_parameters(shm_sleep_millisecs=before)
    # The documentation of libvirt has the wrong type for this one.
    host.set_memory_parameters(shm_merge_across_nodes=parameters["shm_merge_across_nodes"])
    assert host.memory_parameters() == parameters


@pytest.mark.parametrize("name", ["shm_full_scans", "no_such"])
def test_read_only_memory_parameters_are_refused(host: Host, name: str) -> None:
    with pytest.raises(NotSupportedError, match=name):
        host.set_memory_parameters({name: 1})


def test_capabilities_equal_those_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    found = host.capabilities()
    text = virsh(qemu_daemon, "capabilities")
    assert found.xml.strip() == text
    assert found.host.uuid is not None
    assert str(found.host.uuid) in text
    assert found.host.cpu is not None
    assert found.host.cpu.arch == os.uname().machine
    assert {cpu.id for cell in found.host.cells for cpu in cell.cpus} == online_cpus()
    assert all(cpu.id in cpu.siblings for cell in found.host.cells for cpu in cell.cpus)
    assert found.host.live_migration
    assert "tcp" in found.host.migration_transports
    models = [model.model for model in found.host.security]
    assert models == (["none"] if qemu_daemon.isolation is Isolation.SESSION else ["none", "dac"])
    assert host.security_model().model == models[0]
    guest = next(guest for guest in found.guests if guest.arch == "x86_64")
    assert (guest.os_type, guest.wordsize) == ("hvm", 64)
    assert {"pc", "q35"} <= {machine.name for machine in guest.machines}
    aliases = {machine.canonical for machine in guest.machines} - {None}
    assert aliases <= {machine.name for machine in guest.machines}
    assert "qemu" in {domain.type for domain in guest.domains}


def test_every_guest_of_the_document_is_found(host: Host) -> None:
    found = host.capabilities()
    root = parse(found.xml)
    for guest, element in zip(found.guests, root.iterfind("guest"), strict=True):
        assert len(guest.machines) == len(element.findall("arch/machine")) > 0
        assert guest.features.keys() == {child.tag for child in element.iterfind("features/*")}


def test_domain_capabilities_equal_those_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    found = host.domain_capabilities(arch="x86_64", virttype="qemu", machine="q35")
    wanted = ("--arch", "x86_64", "--virttype", "qemu", "--machine", "q35")
    assert found.xml.strip() == virsh(qemu_daemon, "domcapabilities", *wanted)
    assert found.machine is not None
    assert found.machine.startswith("pc-q35-")
    assert (found.domain, found.arch, found.iothreads) == ("qemu", "x86_64", True)
    assert found.max_vcpus is not None
    assert found.max_vcpus > 1
    assert "virtio" in found.devices["disk"].enums["bus"]
    assert {"custom", "host-model"} <= {name for name, mode in found.cpu_modes.items() if mode.supported}
    assert "qemu64" in {model.name for model in found.cpu_modes["custom"].models if model.usable}
    assert found.path is not None
    assert host.domain_capabilities(emulator=found.path, arch="x86_64", machine="q35", virttype="qemu") == found
    pc = host.domain_capabilities(arch="x86_64", machine="pc", virttype="qemu")
    assert pc.machine != found.machine


@pytest.mark.parametrize(
    "wanted",
    [{"machine": "no-such"}, {"arch": "no-such"}, {"virttype": "no-such"}, {"emulator": "/bin/true"}],
    ids=str,
)
def test_domain_capabilities_of_unknown_types_raise(host: Host, wanted: dict[str, str]) -> None:
    with pytest.raises(Error) as caught:
        host.domain_capabilities(**wanted)  # type: ignore[arg-type]
    assert caught.value.function == "virConnectGetDomainCapabilities"


def test_compare_cpu_tells_compatible_from_foreign_cpus(host: Host) -> None:
    assert host.compare_cpu(own_cpu(host)) in (CPUCompareResult.IDENTICAL, CPUCompareResult.SUPERSET)
    alien = ALIEN.format("s390x")
    assert host.compare_cpu(alien) is CPUCompareResult.INCOMPATIBLE
    with pytest.raises(Error, match="incompatible") as caught:
        host.compare_cpu(alien, flags=ConnectCompareCPUFlags.FAIL_INCOMPATIBLE)
    assert caught.value.code == ErrorNumber.CPU_INCOMPATIBLE
    with pytest.raises(XMLError):
        host.compare_cpu("no XML")


def test_hypervisor_cpus_are_compared_and_combined(host: Host) -> None:
    offered = host.domain_capabilities(arch="x86_64", virttype="qemu")
    model = next(model.name for model in offered.cpu_modes["custom"].models if model.usable)
    cpu = f"<cpu><arch>x86_64</arch><model>{model}</model></cpu>"
    result = host.compare_hypervisor_cpu(
        cpu, emulator=offered.path, arch="x86_64", machine=offered.machine, virttype="qemu"
    )
    assert result in (CPUCompareResult.IDENTICAL, CPUCompareResult.SUPERSET)
    xml = host.baseline_hypervisor_cpu(
        [cpu, cpu], emulator=offered.path, arch="x86_64", machine=offered.machine, virttype="qemu"
    )
    baseline = parse(xml)
    assert baseline.findtext("model") == model
    for call in (
        lambda: host.compare_hypervisor_cpu(cpu, virttype="no-such"),
        lambda: host.baseline_hypervisor_cpu([cpu], machine="no-such"),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def test_baseline_cpu_takes_any_form_of_xml(host: Host) -> None:
    cpu = own_cpu(host)
    forms: list[XML] = [cpu, serialize(cpu), serialize(cpu).encode()]
    assert parse(host.baseline_cpu(forms)).findtext("model") == cpu.findtext("model")
    plain = features(host.baseline_cpu([cpu]))
    assert plain
    assert plain < features(host.baseline_cpu([cpu], flags=ConnectBaselineCPUFlags.EXPAND_FEATURES))


def test_cpu_models_equal_those_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    assert host.cpu_models("x86_64") == virsh(qemu_daemon, "cpu-models", "x86_64").split()


def test_max_vcpus_equals_that_of_virsh(host: Host, qemu_daemon: PrivateDaemon) -> None:
    assert host.max_vcpus("qemu") == 16  # the driver's limit for QEMU without KVM, for every machine type
    # The more precise answer, which virsh prefers.
    assert host.domain_capabilities(virttype="qemu").max_vcpus == int(virsh(qemu_daemon, "maxvcpus", "qemu"))
    with pytest.raises(InvalidArgumentError, match="no-such"):
        host.max_vcpus("no-such")


def test_sev_info_is_returned_or_refused_as_the_capabilities_say(host: Host) -> None:
    if host.domain_capabilities().features["sev"].supported:
        assert {"pdh", "cert-chain", "cbitpos"} <= host.sev_info().keys()
        return
    with pytest.raises(OperationUnsupportedError, match="SEV"):
        host.sev_info()


def test_an_unknown_suspend_target_is_refused(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match="suspend target"):
        host.suspend(NodeSuspendTarget(99), 60)


def test_sysinfo_is_what_virsh_prints(host: Host, qemu_daemon: PrivateDaemon) -> None:
    answer = qemu_daemon.run_inside(["virsh", "-c", qemu_daemon.uri("qemu"), "sysinfo"], check=False)
    if answer.returncode == 0:
        assert host.sysinfo().strip() == answer.stdout.strip()
        return
    with pytest.raises(NotSupportedError) as caught:
        host.sysinfo()
    assert caught.value.message in answer.stderr


def test_the_daemon_returns_what_the_driver_returns_in_process(private_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(private_daemon.uri("test")) as far, pyvirt.connect("test:///default") as near:
        for name in ("info", "cpu_map", "cpu_stats", "capabilities", "cells_free_memory", "free_memory"):
            assert getattr(far.host, name)() == getattr(near.host, name)()
        assert etree.fromstring(far.host.sysinfo()).tag == "sysinfo"
        with pytest.raises(OperationUnsupportedError, match="virNodeGetMemoryStats"):
            far.host.memory_stats()
