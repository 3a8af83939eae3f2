# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input for each kind of object that libvirt's test driver has, and for the parts of a domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyvirt
from pyvirt.errors import (
    Error,
    InvalidArgumentError,
    MetadataNotFoundError,
    NotSupportedError,
    OperationInvalidError,
    OperationUnsupportedError,
    StorageVolumeNotFoundError,
    XMLError,
)
from tests.support.bad_input import LONG, NUL, SURROGATE, UNKNOWN, Case, Kind, cases, check_case, check_closed
from tests.support.drivers import check_closes, unless_lacking

KINDS = {
    "domains": Kind(lambda conn: conn.domains, "domain", ("define", "create"), ("uuid",)),
    "snapshots": Kind(lambda conn: conn.domains["test"].snapshots, "domainsnapshot", ("create",)),
    "checkpoints": Kind(lambda conn: conn.domains["test"].checkpoints, "domaincheckpoint", ("create",)),
    "networks": Kind(lambda conn: conn.networks, "network", ("define", "create"), ("uuid",)),
    "pools": Kind(lambda conn: conn.storage_pools, "pool", ("define", "create"), ("uuid", "target_path")),
    "volumes": Kind(lambda conn: conn.storage_pools["default-pool"].volumes, "volume", ("create",), flags=False),
    "node devices": Kind(lambda conn: conn.node_devices, "device", ("create",), ("wwnn", "wwpn")),
    "interfaces": Kind(lambda conn: conn.interfaces, "interface", ("define",), ("mac_string",)),
}
CASES = {f"{name}: {what}": (kind, case) for name, kind in KINDS.items() for what, case in cases(kind)}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_raises_a_clear_error_and_changes_nothing(
    name: str, conn: pyvirt.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    kind, case = CASES[name]
    held = check_case(case, kind.collection(conn), capfd)
    check_closes(conn)
    del held


@pytest.mark.parametrize("name", KINDS)
def test_every_use_of_a_closed_connection_raises_closed_error(name: str, conn: pyvirt.Connection) -> None:
    them = KINDS[name].collection(conn)
    conn.close()
    check_closed(KINDS[name], them)


# ---- edits ----


def other_root(root: Any) -> None:
    root.tag = "other"


def no_name(root: Any) -> None:
    root.remove(root.find("name"))


@pytest.mark.parametrize("change", [other_root, no_name])
def test_an_invalid_edit_is_refused(change: Callable[[Any], None], conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    before = domain.xml_desc()
    with pytest.raises(XMLError), domain.edit() as root:
        change(root)
    assert domain.xml_desc() == before


# ---- the parts of a domain ----

# Each gets a domain.
SIDES = {
    "disk: unknown": Case(InvalidArgumentError, "nobody", lambda domain: domain.disks["nobody"].info()),
    "disk: no name": Case(InvalidArgumentError, "empty", lambda domain: domain.disks[""].info()),
    "disk: 10,000 characters": Case(InvalidArgumentError, "invalid path n", lambda domain: domain.disks[LONG].info()),
    "disk: NUL": Case(InvalidArgumentError, "NUL at byte 4", lambda domain: domain.disks[NUL].basic_stats()),
    "disk: surrogate": Case(InvalidArgumentError, "surrogate", lambda domain: domain.disks[SURROGATE].pull()),
    "disk: bytes": Case(TypeError, "got bytes", lambda domain: domain.disks[b"vda"].resize(1)),
    "disk: number": Case(TypeError, "got int", lambda domain: domain.disks[5].job.abort()),
    "disk: limit as text": Case(
        InvalidArgumentError, "'total_iops_sec'", lambda domain: domain.disks["vda"].set_io_tune(total_iops_sec="x")
    ),
    "disk: limit below zero": Case(
        InvalidArgumentError, "'total_iops_sec'", lambda domain: domain.disks["vda"].set_io_tune(total_iops_sec=-1)
    ),
    "disk: huge limit": Case(
        InvalidArgumentError, "too big", lambda domain: domain.disks["vda"].set_io_tune(total_iops_sec=1 << 70)
    ),
    "disk: unknown limit": Case(
        NotSupportedError, "'unknown'", lambda domain: domain.disks["vda"].set_io_tune(unknown=3)
    ),
    "interface: unknown": Case(InvalidArgumentError, "'nobody'", lambda domain: domain.interfaces["nobody"].stats()),
    "interface: 10,000": Case(InvalidArgumentError, "'nnn", lambda domain: domain.interfaces[LONG].parameters()),
    "interface: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.interfaces[NUL].stats()),
    "interface: surrogate": Case(
        InvalidArgumentError, "surrogate", lambda domain: domain.interfaces[SURROGATE].stats()
    ),
    "interface: number": Case(TypeError, "got int", lambda domain: domain.interfaces[5].stats()),
    "interface: unknown parameter": Case(
        NotSupportedError, "'nobody'", lambda domain: domain.interfaces["testnet0"].set_parameters({"nobody": 3})
    ),
    "interface: parameter as text": Case(
        TypeError, "average", lambda domain: domain.interfaces["testnet0"].set_parameters({"inbound.average": "x"})
    ),
    "interface: unknown source": Case(
        NotSupportedError, "source 99", lambda domain: domain.interfaces.addresses(source=99)
    ),
    "vcpus: none": Case(InvalidArgumentError, "zero", lambda domain: domain.vcpus.set(0)),
    "vcpus: below zero": Case(OverflowError, "negative", lambda domain: domain.vcpus.set(-1)),
    "vcpus: huge": Case(OverflowError, str(1 << 40), lambda domain: domain.vcpus.set(1 << 40)),
    "vcpus: text": Case(TypeError, "integer", lambda domain: domain.vcpus.set("2")),
    "vcpus: unknown": Case(InvalidArgumentError, "'99'", lambda domain: domain.vcpus.pin(99, {0})),
    "vcpus: unknown CPU": Case(InvalidArgumentError, "99999", lambda domain: domain.vcpus.pin(0, {99999})),
    "vcpus: CPU below zero": Case(InvalidArgumentError, "-1", lambda domain: domain.vcpus.pin(0, {-1})),
    "vcpus: CPU as text": Case(TypeError, "integer", lambda domain: domain.vcpus.pin(0, {"0"})),
    "vcpus: no set of CPUs": Case(TypeError, "iterable", lambda domain: domain.vcpus.pin(0, 0)),
    "memory: none": Case(InvalidArgumentError, "zero", lambda domain: domain.memory.set(0)),
    "memory: below zero": Case(OverflowError, "negative", lambda domain: domain.memory.set(-1)),
    "memory: text": Case(TypeError, "integer", lambda domain: domain.memory.set("1")),
    "memory: unknown limit": Case(
        NotSupportedError, "'nobody'", lambda domain: domain.memory.set_parameters({"nobody": 1})
    ),
    "memory: limit as text": Case(
        TypeError, "integer", lambda domain: domain.memory.set_parameters({"hard_limit": "x"})
    ),
    "memory: a look at less than nothing": Case(
        ValueError, "negative", lambda domain: domain.memory.peek(0, -1, flags=1)
    ),
    "iothreads: unknown": Case(
        *unless_lacking("virDomainDelIOThread", InvalidArgumentError, "'99'"),
        lambda domain: domain.iothreads.remove(99),
    ),
    "iothreads: text": Case(TypeError, "integer", lambda domain: domain.iothreads.add("1")),
    "numa: unknown": Case(NotSupportedError, "'nobody'", lambda domain: domain.numa.set_parameters({"nobody": 1})),
    "scheduler: unknown": Case(
        NotSupportedError, "'nobody'", lambda domain: domain.scheduler.set_parameters({"nobody": 1})
    ),
    "scheduler: text": Case(TypeError, "'weight'", lambda domain: domain.scheduler.set_parameters({"weight": "x"})),
    "blkio: unknown": Case(
        *unless_lacking("virDomainSetBlkioParameters", NotSupportedError, "'nobody'"),
        lambda domain: domain.blkio.set_parameters({"nobody": 1}),
    ),
    "perf: unknown": Case(NotSupportedError, "'nobody'", lambda domain: domain.perf.set_events({"nobody": True})),
    "perf: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.perf.set_events({NUL: True})),
    "metadata: unknown": Case(
        MetadataNotFoundError, "not present", lambda domain: domain.metadata.get("http://nobody")
    ),
    "metadata: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.metadata.get(NUL)),
    "metadata: number": Case(TypeError, "got int", lambda domain: domain.metadata.set_title(5)),
    "metadata: not XML": Case(
        XMLError, "Start tag expected", lambda domain: domain.metadata.set("http://x", "just text", key="k")
    ),
    "metadata: no prefix": Case(Error, "prefix", lambda domain: domain.metadata.set("http://x", "<a/>", key="1 2")),
    "metadata: two lines": Case(InvalidArgumentError, "newlines", lambda domain: domain.metadata.set_title("a\nb")),
    "metadata: unknown flag": Case(
        InvalidArgumentError, "0x8000000", lambda domain: domain.metadata.title(flags=UNKNOWN)
    ),
    "keys: none": Case(InvalidArgumentError, "greater than zero", lambda domain: domain.send_key([])),
    "keys: too many": Case(InvalidArgumentError, "<= 16", lambda domain: domain.send_key([1] * 99)),
    "keys: text": Case(TypeError, "integer", lambda domain: domain.send_key(["a"])),
    "agent: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.agent.set_user_password(NUL, "x")),
    "agent: number": Case(TypeError, "got int", lambda domain: domain.agent.fs_freeze([5])),
    "agent: one text": Case(TypeError, "'/mnt'", lambda domain: domain.agent.fs_freeze("/mnt")),
    "agent: time as text": Case(TypeError, "integer", lambda domain: domain.agent.set_time("now")),
    "devices: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.devices.attach(NUL)),
    "devices: a list": Case(TypeError, "got list", lambda domain: domain.devices.detach(["<disk/>"])),
    "devices: surrogate": Case(
        InvalidArgumentError, "surrogate", lambda domain: domain.devices.detach_alias(SURROGATE)
    ),
    "migration: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.migration.to(NUL)),
    "migration: to a number": Case(TypeError, "URI as the destination, got int", lambda domain: domain.migration.to(5)),
    "migration: unknown": Case(
        TypeError, "'unknown'", lambda domain: domain.migration.to(domain.connection, unknown=5)
    ),
    "migration: text": Case(
        TypeError, "'bandwidth'", lambda domain: domain.migration.to(domain.connection, bandwidth="x")
    ),
    "migration: speed below zero": Case(OverflowError, "negative", lambda domain: domain.migration.set_max_speed(-1)),
    "backup: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.backup.begin(NUL)),
    "throttle: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.throttle_groups.remove(NUL)),
    "monitor: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.qemu.monitor_command(NUL)),
    "monitor: no QEMU": Case(
        OperationUnsupportedError, "virDomainQemuMonitorCommand", lambda domain: domain.qemu.monitor_command("{}")
    ),
    "dirty rate: text": Case(TypeError, "integer", lambda domain: domain.dirty_rate.start("x")),
    "descriptors: text": Case(TypeError, "integer", lambda domain: domain.fd_associate("x", ["a"])),
    "name: nothing": Case(InvalidArgumentError, "empty", lambda domain: domain.rename("")),
    "name: of one that runs": Case(OperationInvalidError, "active", lambda domain: domain.rename("other")),
    "snapshot: NUL": Case(InvalidArgumentError, "NUL", lambda domain: domain.snapshots.create(name=NUL)),
    "snapshot: surrogate": Case(
        InvalidArgumentError, "surrogate", lambda domain: domain.snapshots.create(description=SURROGATE)
    ),
    "snapshot: both": Case(TypeError, "expected xml, or", lambda domain: domain.snapshots.create("<x/>", name="x")),
    "checkpoint: both": Case(TypeError, "expected xml, or", lambda domain: domain.checkpoints.create("<x/>", name="x")),
    "native: NUL": Case(
        InvalidArgumentError, "NUL", lambda domain: domain.connection.domains.xml_from_native(NUL, "x")
    ),
}


@pytest.mark.parametrize("name", SIDES)
def test_bad_input_to_a_part_of_a_domain_is_refused(
    name: str, conn: pyvirt.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    case, domain = SIDES[name], conn.domains["test"]
    before = domain.xml_desc(), domain.state(), domain.snapshots.names()
    for _ in range(2):
        with pytest.raises(case.cls, match=case.message) as caught:
            case.call(domain)
        assert type(caught.value) is case.cls
        str(caught.value).encode()
    assert (domain.xml_desc(), domain.state(), domain.snapshots.names()) == before
    check_closes(conn)
    assert capfd.readouterr() == ("", "")


# ---- other objects ----

OTHERS = {
    "network: no element": Case(XMLError, "Start tag", lambda conn: conn.networks["default"].update(3, 4, "just text")),
    "network: NUL": Case(InvalidArgumentError, "NUL", lambda conn: conn.networks["default"].update(3, 4, NUL)),
    "network: MAC with NUL": Case(InvalidArgumentError, "NUL", lambda conn: conn.networks["default"].dhcp_leases(NUL)),
    "volume: unknown key": Case(
        StorageVolumeNotFoundError, "'nobody'", lambda conn: conn.storage_pools.volume(key="nobody")
    ),
    "volume: unknown path": Case(
        StorageVolumeNotFoundError, "'nobody'", lambda conn: conn.storage_pools.volume(path="nobody")
    ),
    "volume: NUL": Case(InvalidArgumentError, "NUL", lambda conn: conn.storage_pools.volume(path=NUL)),
    "volume: number": Case(TypeError, "got int", lambda conn: conn.storage_pools.volume(key=5, default=None)),
    "volume: nothing": Case(TypeError, "exactly one of key and path", lambda conn: conn.storage_pools.volume()),
    "sources: unknown": Case(
        OperationUnsupportedError, "'nobody'", lambda conn: conn.storage_pools.find_sources("nobody")
    ),
    "sources: NUL": Case(InvalidArgumentError, "NUL", lambda conn: conn.storage_pools.find_sources("logical", NUL)),
    "node devices: NUL": Case(InvalidArgumentError, "NUL", lambda conn: conn.node_devices.names(NUL)),
    "node devices: half a key": Case(TypeError, "wwnn and wwpn", lambda conn: conn.node_devices.get(wwnn="x")),
    "node devices: too much": Case(TypeError, "wwpn", lambda conn: conn.node_devices.get("x", wwnn="x", wwpn="y")),
}


@pytest.mark.parametrize("name", OTHERS)
def test_bad_input_to_other_objects_is_refused(
    name: str, conn: pyvirt.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    case = OTHERS[name]
    with pytest.raises(case.cls, match=case.message) as caught:
        case.call(conn)
    assert type(caught.value) is case.cls
    check_closes(conn)
    assert capfd.readouterr() == ("", "")
