# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a driver implements, and that asking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import pyvirt
from pyvirt._core.lib import ffi, lib
from pyvirt._model import supports as _supports
from pyvirt.enums import NodeSuspendTarget
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.api_facts import RAW, SECTIONS, release, resolve
from tests.support.xml import domain_xml

FACTS = {name: facts for section in SECTIONS.values() for name, facts in section["functions"].items()}
OURS = {name: facts for name, facts in FACTS.items() if not name.startswith("virAdm")}

SNAPSHOT = "<domainsnapshot><name>before</name></domainsnapshot>"
VOLUME = "<volume><name>disk</name><capacity>1048576</capacity></volume>"
SECRET = "<secret ephemeral='no' private='yes'><usage type='volume'><volume>/disk</volume></usage></secret>"


@pytest.fixture
def conn() -> Iterator[pyvirt.Connection]:
    """A host with an object of each kind that the test driver supports."""
    with pyvirt.connect("test:///default") as conn:
        conn.domains["test"].snapshots.create(SNAPSHOT)
        conn.storage_pools["default-pool"].volumes.create(VOLUME)
        yield conn


def everything(conn: pyvirt.Connection) -> list[object]:
    """Return everything visible of a host."""
    seen: list[object] = []
    for domain in conn.domains:
        seen += [domain.xml_desc(), domain.state(), domain.autostart(), domain.id, domain.is_persistent()]
        seen += [(snapshot.xml_desc(), snapshot.is_current()) for snapshot in domain.snapshots]
    for network in conn.networks:
        seen += [network.xml_desc(), network.is_active(), network.autostart()]
    for pool in conn.storage_pools:
        seen += [pool.xml_desc(), pool.info(), pool.autostart()]
        seen += [volume.xml_desc() for volume in pool.volumes]
    for interface in conn.interfaces:
        seen += [interface.xml_desc(), interface.is_active()]
    return [*seen, sorted(device.name for device in conn.node_devices), conn.host.info()]


def test_supports_changes_nothing(conn: pyvirt.Connection) -> None:
    before = everything(conn)

    answers = {name: conn.supports(name) for name in FACTS}

    assert everything(conn) == before
    assert len(before) > 10
    assert len(answers) > 560
    told = {answer: sum(one is answer for one in answers.values()) for answer in (True, False, None)}
    assert told[True] > 300
    assert told[False] > 100
    assert told[None] < 110


@pytest.mark.parametrize("kind", ["domain", "snapshot", "network", "pool", "volume", "interface", "device"])
def test_supports_of_one_object_changes_nothing(conn: pyvirt.Connection, kind: str) -> None:
    domain, pool = conn.domains["test"], conn.storage_pools["default-pool"]
    obj = {
        "domain": domain,
        "snapshot": domain.snapshots["before"],
        "network": conn.networks["default"],
        "pool": pool,
        "volume": pool.volumes["disk"],
        "interface": conn.interfaces["eth1"],
        "device": conn.node_devices["computer"],
    }[kind]
    before = everything(conn)
    answers = {}

    for name in OURS:
        try:
            answers[name] = conn.supports(name, obj)
        except pyvirt.InvalidArgumentError as error:
            refused = str(error)

    assert everything(conn) == before
    assert True in answers.values()
    assert f"object of type {type(obj).__name__}" in refused


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("virDomainGetState", True),
        ("virConnectListAllDomains", True),
        ("virDomainLookupByUUIDString", True),
        ("virDomainDestroyFlags", True),
        ("virDomainDefineXML", True),
        ("virDomainSetMetadata", True),
        ("virDomainSnapshotDelete", True),
        ("virStorageVolDelete", True),
        ("virNetworkGetXMLDesc", True),
        ("virNodeGetFreeMemory", True),
        ("virNodeDeviceGetParent", True),
        ("virDomainCreateLinux", True),
        ("virDomainLookupByName", True),
        ("virGetVersion", True),  # independent of the driver
        ("virDomainGetName", True),
        ("virDomainCreateXMLWithFiles", True),
        ("virDomainBackupBegin", False),
        ("virDomainPMWakeup", False),
        ("virDomainMigrateGetMaxSpeed", False),
        ("virNWFilterDefineXML", False),
        ("virConnectListAllNWFilters", False),
        ("virNWFilterGetXMLDesc", False),  # the driver has no filters
        ("virDomainQemuMonitorCommand", False),
        ("virDomainLxcOpenNamespace", False),
        ("virAdmConnectListServers", False),
        ("virDomainDestroy", None),  # takes no flags to refuse
        ("virDomainSetVcpus", None),
        ("virNetworkUndefine", None),
        ("virDomainMigrate3", None),
        ("virConnectDomainEventRegisterAny", None),
        ("virConnectSetKeepAlive", None),
        ("virStreamSend", None),
        ("virDomainCheckpointDelete", None),  # the test driver has none
    ],
)
def test_supports_gives_the_expected_answers(conn: pyvirt.Connection, name: str, answer: bool | None) -> None:
    assert conn.supports(name) is answer
    assert conn.supports(name) is answer  # cached or not


LACKING: dict[str, Callable[[pyvirt.Domain], object]] = {
    "virConnectListAllNWFilters": lambda domain: list(domain.connection.nwfilters),
    "virConnectListAllSecrets": lambda domain: list(domain.connection.secrets),
    "virDomainBackupGetXMLDesc": lambda domain: domain.backup.xml_desc(),
    "virDomainBlockPeek": lambda domain: domain.disks["vda"].peek(0, 1),
    "virDomainManagedSaveGetXMLDesc": lambda domain: domain.managed_save_xml_desc(),
    "virDomainMigrateGetMaxSpeed": lambda domain: domain.migration.max_speed(),
    "virDomainPMWakeup": lambda domain: domain.pm_wakeup(),
    "virDomainQemuMonitorCommand": lambda domain: domain.qemu.monitor_command("{}"),
    "virNodeSuspendForDuration": lambda domain: domain.connection.host.suspend(NodeSuspendTarget.MEM, 60),
}


@pytest.mark.parametrize("function", sorted(LACKING))
def test_a_function_reported_as_unsupported_raises_unsupported(conn: pyvirt.Connection, function: str) -> None:
    assert conn.supports(function) is False
    with pytest.raises(pyvirt.OperationUnsupportedError) as caught:
        LACKING[function](conn.domains["test"])
    assert caught.value.code == 3


@pytest.mark.parametrize(
    ("code", "name", "answer"),
    [
        (3, "virDomainGetState", False),
        (8, "virDomainGetState", True),
        (29, "virDomainGetState", None),
        (42, "virDomainGetState", True),
        (74, "virDomainGetState", True),
        (74, "virDomainCreateWithFiles", False),  # a file cannot be passed over TCP
        (74, "virDomainOpenGraphicsFD", False),
        (0, "virDomainGetSecurityLabelList", None),  # a daemon that lacks it fails without a reason
    ],
)
def test_errors_of_a_probe_are_interpreted(code: int, name: str, answer: bool | None) -> None:
    assert _supports._verdict(name, pyvirt.Error("no", code=code), False) is answer


def test_a_lost_connection_is_raised_and_not_interpreted() -> None:
    with pytest.raises(pyvirt.ConnectionLostError):
        _supports._verdict("virDomainGetState", pyvirt.ConnectionLostError("gone", code=38), False)


def test_a_function_newer_than_the_library_is_not_supported(conn: pyvirt.Connection) -> None:
    newer = [name for name, facts in OURS.items() if release(facts["since"]) > pyvirt.library_version()]
    answers = {name: conn.supports(name) for name in newer}

    assert True not in answers.values()
    if newer:
        assert False in answers.values()


def test_without_an_object_the_answer_is_none(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=0)) as conn:
        assert conn.supports("virDomainGetState") is None
        assert conn.supports("virConnectListAllDomains") is True
        conn.domains.define(domain_xml("new"))
        assert conn.supports("virDomainGetState") is True


def test_a_read_only_connection_answers_only_for_functions_that_read() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        assert conn.supports("virDomainGetState") is True
        assert conn.supports("virDomainDestroyFlags") is None
        assert conn.supports("virDomainBackupGetXMLDesc") is False


def test_an_object_is_asked_about_itself(conn: pyvirt.Connection) -> None:
    domain = conn.domains["test"]
    assert conn.supports("virDomainGetState", domain) is True
    assert conn.supports("virDomainPMWakeup", domain) is False
    with pytest.raises(pyvirt.InvalidArgumentError, match=r"virNetworkGetXMLDesc does not take .* Domain"):
        conn.supports("virNetworkGetXMLDesc", domain)
    with (
        pyvirt.connect("test:///default") as other,
        pytest.raises(pyvirt.InvalidArgumentError, match="does not belong to this connection"),
    ):
        other.supports("virDomainGetState", domain)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("virDomainGetSate", "did you mean virDomainGetState\\?"),
        ("virDomainQemuMonitorComand", "did you mean virDomainQemuMonitorCommand\\?"),
        ("free", "no function 'free'"),
        ("virConnectAuthPtrDefault", "no function"),  # a variable
        ("pv_error_take", "no function"),
        ("", "no function ''"),
    ],
)
def test_an_unknown_function_name_is_refused(conn: pyvirt.Connection, name: str, hint: str) -> None:
    with pytest.raises(pyvirt.InvalidArgumentError, match=hint):
        conn.supports(name)


def test_a_closed_connection_raises_closed_error(conn: pyvirt.Connection) -> None:
    assert conn.supports("virDomainGetInfo") is True
    conn.close()
    for name in ("virDomainGetState", "virGetVersion"):
        with pytest.raises(pyvirt.ClosedError):
            conn.supports(name)


def test_supports_does_not_keep_the_connection_open(conn: pyvirt.Connection) -> None:
    for name in OURS:
        conn.supports(name)
    pointer = lib.virDomainGetConnect(conn.domains["test"]._ptr)
    domains = list(conn.domains)
    lib.virConnectRef(pointer)
    try:
        conn.close()
        del domains
        assert lib.virConnectClose(pointer) == 0  # it was the last reference
    finally:
        lib.pv_error_free(lib.pv_error_take())


# ---- the tables, compared with libvirt's API ----


def test_no_flag_of_libvirt_is_the_unknown_one() -> None:
    used = [name for name in RAW if resolve(str(RAW[name])) & _supports.UNKNOWN_FLAG and resolve(str(RAW[name])) > 0]
    assert used == []


def test_flags_are_recognised_by_the_signature() -> None:
    """A last argument of type unsigned int is flags, except for functions that are never called."""
    for name in sorted(OURS):
        home, types = _supports._find(name)
        arguments = types.typeof(getattr(home, name)).args
        last = FACTS[name]["args"][-1:]
        if not (_supports._NOT_PROBED.fullmatch(name) or name.startswith("virTypedParams")):
            looks_like_flags = bool(arguments) and arguments[-1] is types.typeof("unsigned int")
            assert looks_like_flags == (bool(last) and last[0][0] == "flags"), name


def test_functions_answered_without_a_call_exist_in_every_libvirt() -> None:
    """Functions answered without a call exist in every supported libvirt."""
    of_library = [name for name in OURS if _supports._LIBRARY.fullmatch(name)]
    assert len(of_library) > 60
    assert [name for name in of_library if release(FACTS[name]["since"]) > (6, 0, 0)] == []


def test_functions_probed_without_flags_only_read() -> None:
    without_flags = {name for name in OURS if (FACTS[name]["args"] or [["", ""]])[-1][0] != "flags"}
    verbs = ("Set", "Create", "Destroy", "Undefine", "Pin", "Attach", "Save", "Abort", "Suspend", "Resume", "Reset")
    for name in filter(_supports._ONLY_READS.fullmatch, without_flags):
        rest = name.removeprefix("vir")
        assert not any(verb in rest for verb in verbs), name


# ---- objects that a probe returns ----


def test_objects_returned_by_a_probe_are_freed(conn: pyvirt.Connection) -> None:
    arguments = _supports.Arguments(conn, None)
    signature = ffi.typeof(lib.virConnectListAllDomains)
    values = [arguments.value(kind, 0) for kind in signature.args]
    count = lib.virConnectListAllDomains(*values)
    assert count == 1
    domain = values[1][0][0]
    lib.virDomainRef(domain)  # so that it can be inspected afterwards

    arguments.release(signature.result, count)
    arguments.close()

    assert ffi.string(lib.virDomainGetName(domain)) == b"test"
    assert lib.virDomainFree(domain) == 0
