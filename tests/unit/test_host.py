# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt.enums import ConnectBaselineCPUFlags, ErrorNumber, NodeSuspendTarget
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    InvalidArgumentError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.host import Host
from pyvirt.models import NodeCPUMap, NodeInfo, SecurityModel
from pyvirt.testing.hosts import host_uri
from pyvirt.xmldesc import XML, parse
from tests.support.drivers import since
from tests.support.method_tables import Call, functions_named, public_names, still_lacking
from tests.support.resources import resident_memory

PENRYN = "<cpu><arch>x86_64</arch><model>Penryn</model></cpu>"
NEHALEM = "<cpu><arch>x86_64</arch><model>Nehalem</model></cpu>"
BIG = 2 << 20

# Calls that libvirt's test driver supports.
SUPPORTED = [
    Call("virConnectGetHostname", Host.hostname),
    Call("virNodeGetInfo", Host.info),
    Call("virConnectGetCapabilities", Host.capabilities),
    Call("virConnectGetSysinfo", Host.sysinfo),
    Call("virNodeGetSecurityModel", Host.security_model),
    Call("virNodeGetCPUMap", Host.cpu_map),
    Call("virNodeGetCPUStats", Host.cpu_stats),
    Call("virConnectGetCPUModelNames", Host.cpu_models, ("x86_64",)),
    Call("virConnectBaselineCPU", Host.baseline_cpu, ([NEHALEM],)),
    Call("virNodeGetFreeMemory", Host.free_memory),
    Call("virNodeGetCellsFreeMemory", Host.cells_free_memory),
    Call("virNodeGetFreePages", Host.cells_free_pages, ([4096],)),
    Call("virConnectGetMaxVcpus", Host.max_vcpus),
]
UNSUPPORTED = [
    Call("virNodeGetSEVInfo", Host.sev_info),
    Call("virConnectCompareCPU", Host.compare_cpu, (NEHALEM,)),
    Call("virConnectCompareHypervisorCPU", Host.compare_hypervisor_cpu, (NEHALEM,), {"virttype": "test"}),
    Call("virConnectBaselineHypervisorCPU", Host.baseline_hypervisor_cpu, ([NEHALEM],)),
    Call("virNodeGetMemoryStats", Host.memory_stats),
    Call("virNodeGetMemoryParameters", Host.memory_parameters),
    Call("virNodeSetMemoryParameters", Host.set_memory_parameters, keywords={"shm_pages_to_scan": 100}),
    Call("virNodeAllocPages", Host.alloc_pages, ({BIG: 1},)),
    Call("virConnectGetDomainCapabilities", Host.domain_capabilities),
    Call("virNodeSuspendForDuration", Host.suspend, (NodeSuspendTarget.DISK, 60)),
]
TABLE = [*SUPPORTED, *UNSUPPORTED]


@pytest.fixture
def host() -> Iterator[Host]:
    with pyvirt.connect("test:///default") as conn:
        yield conn.host


def node(path: Path, cpu: str, memory_kib: int = 1 << 20) -> str:
    path.write_text(f"<node><cpu>{cpu}</cpu><memory>{memory_kib}</memory></node>")
    return host_uri(path)


def test_all_methods_are_in_the_table() -> None:
    assert {call.name for call in TABLE} | {"Host.free_pages"} == public_names(Host)


@pytest.mark.parametrize("call", still_lacking(UNSUPPORTED, "virConnectGetDomainCapabilities"), ids=str)
def test_calls_that_the_driver_lacks_raise_unsupported(host: Host, call: Call) -> None:
    with pytest.raises(OperationUnsupportedError, match=re.escape(call.function)) as caught:
        call(host)
    assert (caught.value.code, caught.value.function) == (ErrorNumber.NO_SUPPORT, call.function)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    with pyvirt.connect("test:///default") as conn:
        host = conn.host
    with pytest.raises(ClosedError):
        call(host)


@pytest.mark.parametrize("call", TABLE, ids=str)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert functions_named(call.method) == {call.function}


def test_repr_outlives_the_connection() -> None:
    with pyvirt.connect("test:///default") as conn:
        host = conn.host
        assert conn.host is host
    assert repr(host) == "<pyvirt.Host of <pyvirt.Connection 'test:///default' closed>>"


def test_hostname_is_that_of_this_machine(host: Host) -> None:
    assert host.hostname().partition(".")[0] == socket.gethostname().partition(".")[0]


def test_info_has_each_figure_in_its_place(tmp_path: Path) -> None:
    cpu = (
        "<mhz>2345</mhz><model>riscv64</model><active>50</active>"
        "<nodes>2</nodes><sockets>3</sockets><cores>5</cores><threads>4</threads>"
    )
    with pyvirt.connect(node(tmp_path / "node.xml", cpu, memory_kib=7 << 32)) as conn:
        assert conn.host.info() == NodeInfo(
            model="riscv64", memory=7 << 42, cpus=50, mhz=2345, nodes=2, sockets=3, cores=5, threads=4
        )


def test_info_keeps_a_model_name_that_fills_its_field(tmp_path: Path) -> None:
    with pyvirt.connect(node(tmp_path / "node.xml", f"<model>{'m' * 31}</model>")) as conn:
        assert conn.host.info().model == "m" * 31


@since("virNodeGetSecurityModel")
def test_security_model_has_its_name(host: Host) -> None:
    assert host.security_model() == SecurityModel(model="testSecurity", doi="")


def test_sysinfo_is_a_document(host: Host) -> None:
    assert parse(host.sysinfo()).tag == "sysinfo"


def test_capabilities_keep_their_document(host: Host) -> None:
    found = host.capabilities()
    root = parse(found.xml)
    assert root.tag == "capabilities"
    assert len(found.guests) == len(root.findall("guest")) == 2
    assert {guest.os_type for guest in found.guests} == {"hvm", "xen"}
    assert sum(cell.memory or 0 for cell in found.host.cells) == 6 << 30
    assert [cell.id for cell in found.host.cells] == [0, 1]
    assert [cpu.id for cell in found.host.cells for cpu in cell.cpus] == list(range(16))


def test_cpu_map_has_the_online_cpus(host: Host) -> None:
    # The driver's map is fixed, in an array that ends with its last bit.
    assert host.cpu_map() == NodeCPUMap(present=8, online=frozenset({0, 2, 4}))


def test_cpu_stats_are_nanoseconds_by_kind(host: Host) -> None:
    stats = host.cpu_stats()
    assert set(stats) == {"user", "kernel", "idle", "iowait"}
    assert all(value > 10**6 for value in stats.values())
    assert host.cpu_stats(0) == stats  # the driver makes no difference
    with pytest.raises(InvalidArgumentError, match="cpuNum") as caught:
        host.cpu_stats(-5)
    assert caught.value.function == "virNodeGetCPUStats"


def test_cpu_models_are_listed_by_architecture(host: Host) -> None:
    models = host.cpu_models("x86_64")
    assert {"qemu64", "Nehalem", "EPYC"} <= set(models)
    assert len(set(models)) == len(models)
    assert host.cpu_models("aarch64") == []  # libvirt does not limit them
    with pytest.raises(InvalidArgumentError, match="nope"):
        host.cpu_models("nope")
    with pytest.raises(InvalidArgumentError, match="NUL"):
        host.cpu_models("x86\0_64")


def test_baseline_cpu_returns_the_common_cpu(host: Host) -> None:
    baseline = parse(host.baseline_cpu(iter([NEHALEM, PENRYN])))
    assert baseline.findtext("model") == "Penryn"
    assert baseline.find("feature") is None
    expanded = parse(host.baseline_cpu([PENRYN], flags=ConnectBaselineCPUFlags.EXPAND_FEATURES))
    assert "sse4.1" in {feature.get("name") for feature in expanded.iterfind("feature")}


@pytest.mark.parametrize(
    ("xmls", "error"),
    [
        ([], InvalidArgumentError),
        (["no XML"], XMLError),
        ([NEHALEM, "<cpu>"], XMLError),
        (["<cpu\0/>"], InvalidArgumentError),
        (["\ud800"], InvalidArgumentError),
        ([b"<cpu/>"], XMLError),
        ([5], TypeError),
    ],
)
def test_baseline_cpu_refuses_other_documents(host: Host, xmls: list[XML], error: type[Exception]) -> None:
    with pytest.raises(error):
        host.baseline_cpu(xmls)


def test_free_memory_is_less_than_all_memory(host: Host) -> None:
    assert 0 < host.free_memory() < host.info().memory


def test_cells_free_memory_returns_a_range_of_cells(host: Host) -> None:
    cells = host.cells_free_memory()
    assert list(cells) == [0, 1]
    assert all(cells.values())
    assert host.cells_free_memory(1) == {1: cells[1]}
    assert host.cells_free_memory(0, 1) == {0: cells[0]}
    assert host.cells_free_memory(0, 1025) == cells  # in process there is no limit


@pytest.mark.parametrize(("start", "most"), [(2, 1), (0, 0), (0, -1), (-1, 1)])
def test_cells_free_memory_refuses_missing_cells(host: Host, start: int, most: int) -> None:
    with pytest.raises(InvalidArgumentError):
        host.cells_free_memory(start, most)


@pytest.mark.parametrize("size", [0, -4096, 1, 4097, 1 << 42])
def test_invalid_page_sizes_are_refused(host: Host, size: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: host.free_pages([4096, size]),
        lambda: host.cells_free_pages([size]),
        lambda: host.alloc_pages({size: 1}),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=f"invalid page size: {size} bytes"):
            call()


def test_an_empty_list_of_page_sizes_is_refused(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match="npages"):
        host.free_pages([])
    with pytest.raises(InvalidArgumentError, match="npages"):
        host.cells_free_pages(iter([]))


def test_max_vcpus_is_that_of_the_driver(host: Host) -> None:
    assert host.max_vcpus() == host.max_vcpus("test") == 32


def test_memory_parameters_that_c_cannot_hold_are_refused(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match="shm_pages_to_scan"):
        host.set_memory_parameters(shm_pages_to_scan=1 << 32)
    with pytest.raises(InvalidArgumentError, match="NUL"):
        host.set_memory_parameters({"shm\0": 1})
    with pytest.raises(InvalidArgumentError):
        host.set_memory_parameters({})


def test_a_read_only_connection_refuses_changes() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        for call in (
            lambda: conn.host.set_memory_parameters({"shm_pages_to_scan": 1}),
            lambda: conn.host.alloc_pages({BIG: 1}),
            lambda: conn.host.suspend(NodeSuspendTarget.MEM, 60),
        ):
            with pytest.raises(AccessDeniedError):
                call()
        assert conn.host.info().cpus == 16


# Unfreed, so many results would take 16 MiB at the least.
@pytest.mark.parametrize(
    ("method", "times"),
    [("cpu_map", 500_000), ("cpu_models", 6_000), ("sysinfo", 60_000), ("capabilities", 4_000)],
)
def test_results_do_not_leak(host: Host, method: str, times: int) -> None:
    call: Callable[..., object] = getattr(host, method)
    arguments = ("x86_64",) if method == "cpu_models" else ()
    for _ in range(500):
        call(*arguments)
    before = resident_memory()
    for _ in range(times):
        call(*arguments)
    assert resident_memory() - before < 4 << 20
