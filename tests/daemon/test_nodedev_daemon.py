# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's devices and interfaces as a daemon sees them, compared with the kernel; mediated devices by mdevctl."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

import pyvirt
from pyvirt.enums import ConnectListAllInterfacesFlags, ConnectListAllNodeDeviceFlags, ErrorNumber
from pyvirt.errors import (
    ClosedError,
    Error,
    InterfaceNotFoundError,
    InvalidArgumentError,
    NodeDeviceNotFoundError,
    NotSupportedError,
    OperationInvalidError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.interface import Interface, Interfaces
from pyvirt.nodedev import NodeDevice, NodeDevices
from pyvirt.testing._system import require
from pyvirt.testing.daemon import PrivateDaemon
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci
from pyvirt.xmldesc import parse

VHBA = """<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>
<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>"""
PCI = Path("/sys/bus/pci/devices")
MDEV = UUID("c7e8a1f0-0000-4000-8000-000000000001")


@pytest.fixture
def devices(private_daemon: PrivateDaemon) -> Iterator[NodeDevices]:
    with pyvirt.connect(private_daemon.uri("nodedev")) as conn:
        yield NodeDevices(conn)


@pytest.fixture
def interfaces(private_daemon: PrivateDaemon) -> Iterator[Interfaces]:
    with pyvirt.connect(private_daemon.uri("interface")) as conn:
        yield Interfaces(conn)


@pytest.fixture
def of_test_driver(private_daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    """The test driver behind a daemon: its answers are sent as messages."""
    with pyvirt.connect(private_daemon.uri()) as conn:
        yield conn


def pci_name(address: str) -> str:
    return "pci_" + address.replace(":", "_").replace(".", "_")


def by_name(found: list[NodeDevice]) -> dict[str, NodeDevice]:
    assert len({device.name for device in found}) == len(found)
    return {device.name: device for device in found}


# ---- the host ----


def test_pci_devices_are_those_of_the_kernel(devices: NodeDevices) -> None:
    expected = {pci_name(path.name) for path in PCI.glob("*")}
    assert by_name(devices.list(ConnectListAllNodeDeviceFlags.CAP_PCI_DEV)).keys() == expected
    assert set(devices.names("pci")) == expected
    for name in expected:
        device = devices[name]
        assert "pci" in device.caps()
        assert device.is_active()
        assert not device.is_persistent()
        assert not device.autostart()


def test_disks_hang_where_the_kernel_has_them(devices: NodeDevices) -> None:
    for device in devices.list(ConnectListAllNodeDeviceFlags.CAP_STORAGE):
        path = parse(device.xml_desc()).findtext("path")
        assert path is not None
        disk = Path(path)
        assert (disk / "dev").exists()
        above = [pci_name(part.name) for part in disk.parents if part.name and (PCI / part.name).exists()]
        line: list[str] = []
        while (parent := device.parent()) is not None:
            line.append(parent.name)
            device = parent
        assert [name for name in line if name.startswith("pci_")] == above


def test_the_tree_holds_every_device_once(devices: NodeDevices) -> None:
    names = set(by_name(devices.list()))
    assert names
    assert len(devices) == len(names)
    assert set(devices.names()) == names
    tree = devices.tree()
    [top] = tree[None]
    assert (top.name, top.caps(), top.parent_name(), top.parent()) == ("computer", ["system"], None, None)
    seen: list[str] = []
    todo = [top]
    while todo:
        device = todo.pop()
        seen.append(device.name)
        todo += tree.get(device.name, [])
    assert sorted(seen) == sorted(names)
    assert by_name(top.children()).keys() == by_name(tree["computer"]).keys()
    assert all(device.parent() == top for device in top.children())


def test_a_device_is_found_by_name_or_wwn(devices: NodeDevices) -> None:
    assert devices["computer"] == devices.get("computer")
    with pytest.raises(NodeDeviceNotFoundError, match="nobody"):
        devices["nobody"]
    with pytest.raises(NodeDeviceNotFoundError, match="WWNN '20' and WWPN '10'") as caught:
        devices.get(wwnn="20", wwpn="10")
    assert caught.value.code == ErrorNumber.NO_NODE_DEVICE
    assert caught.value.function == "virNodeDeviceLookupSCSIHostByWWN"
    assert devices.get(wwnn="20", wwpn="10", default=None) is None
    with pytest.raises(ClosedError):
        NodeDevices(closed(devices)).get(wwnn="20", wwpn="10", default=None)


def closed(devices: NodeDevices) -> pyvirt.Connection:
    conn = devices["computer"].connection
    conn.close()
    return conn


def test_real_devices_cannot_be_made_or_removed(devices: NodeDevices) -> None:
    computer = devices["computer"]
    before = set(devices.names())
    with pytest.raises(OperationInvalidError):
        computer.start()
    for call in (computer.destroy, computer.undefine):
        with pytest.raises(NotSupportedError):
            call()
    assert computer.is_persistent()
    for xml, error in (("no XML", XMLError), ("<device/>", Error), ("<device\0/>", InvalidArgumentError)):
        for make in (devices.create, devices.define):
            with pytest.raises(error):
                make(xml)
    assert set(devices.names()) == before


def test_detach_and_reset_need_a_pci_device(private_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(private_daemon.uri("qemu")) as conn:
        computer = NodeDevices(conn)["computer"]
        for call in (computer.reattach, computer.reset):
            with pytest.raises(InvalidArgumentError, match="not a PCI device"):
                call()
        with pytest.raises(Error, match="vfoi"):
            computer.detach("vfoi")


# ---- through messages ----


def test_parent_of_a_removed_device_raises_not_found(of_test_driver: pyvirt.Connection) -> None:
    devices = NodeDevices(of_test_driver)
    made = devices.create(VHBA)
    forgetful = devices[made.name]
    assert made.parent() == devices["scsi_host1"]
    made.destroy()
    for call in (forgetful.parent_name, forgetful.parent, forgetful.caps, forgetful.xml_desc):
        with pytest.raises(NodeDeviceNotFoundError, match=made.name):
            call()
    assert made.parent_name() == "scsi_host1"  # the name that was read before
    assert devices["computer"].parent_name() is None


def test_a_device_removed_during_the_listing_is_not_in_the_tree(of_test_driver: pyvirt.Connection) -> None:
    class Unplugging(NodeDevices):
        """A device is removed between the listing and the calls for each device."""

        __slots__ = ()

        def _list(self, flags: int) -> list[NodeDevice]:
            made = self.create(VHBA)
            found = super()._list(flags)
            assert made in found
            made.destroy()
            return found

    tree = Unplugging(of_test_driver).tree()
    assert {parent: len(children) for parent, children in tree.items()} == {None: 1, "computer": 2, "scsi_host1": 1}


def test_interface_changes_are_committed_or_rolled_back(of_test_driver: pyvirt.Connection) -> None:
    interfaces = Interfaces(of_test_driver)
    xml = "<interface type='ethernet' name='eth7'/>"
    with pytest.raises(XMLError):
        change_and_fail(interfaces, xml)
    assert "eth7" not in interfaces
    with interfaces.change():
        interfaces.define(xml)
    assert "eth7" in interfaces.defined_names()
    interfaces["eth7"].undefine()
    assert len(interfaces) == 1


def change_and_fail(interfaces: Interfaces, xml: str) -> None:
    with interfaces.change():
        assert interfaces.define(xml) in interfaces
        interfaces.define("<interface/>")


# ---- the host's interfaces ----


def test_interfaces_are_those_of_the_kernel(private_daemon_factory: DaemonFactory) -> None:
    daemon = private_daemon_factory(network_namespace=True)
    commands = ("add one type veth peer name other", "set one up", "set other up", "add idle type bridge")
    for command in commands:
        daemon.run_inside(["ip", "link", *command.split()])
    shown = daemon.run_inside(["ip", "-oneline", "link", "show"]).stdout.splitlines()
    addresses = {line.split(":")[1].strip().partition("@")[0]: line.split()[-3] for line in shown}
    assert addresses.keys() >= {"lo", "one", "other", "idle"}
    with pyvirt.connect(daemon.uri("interface")) as conn:
        interfaces = Interfaces(conn)
        assert {interface.name: interface.mac_string for interface in interfaces} == addresses
        assert len(interfaces) == len(addresses)
        assert set(interfaces.names()) == {"one", "other"}
        assert {interface.name for interface in interfaces.list(ConnectListAllInterfacesFlags.ACTIVE)} == {
            "one",
            "other",
        }
        assert "idle" in interfaces.defined_names()
        assert (interfaces["one"].is_active(), interfaces["idle"].is_active()) == (True, False)
        assert parse(interfaces["idle"].xml_desc()).get("type") == "bridge"
        assert interfaces.get(mac_string=addresses["one"]) == interfaces["one"]
        with pytest.raises(InterfaceNotFoundError, match="nobody"):
            interfaces["nobody"]


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("virInterfaceChangeBegin", lambda interface: Interfaces(interface.connection).change().__enter__()),
        ("virInterfaceChangeCommit", lambda interface: Interfaces(interface.connection).change_commit()),
        ("virInterfaceChangeRollback", lambda interface: Interfaces(interface.connection).change_rollback()),
        ("virInterfaceDefineXML", lambda interface: Interfaces(interface.connection).define("<interface/>")),
        ("virInterfaceCreate", lambda interface: interface.start()),
        ("virInterfaceDestroy", lambda interface: interface.destroy()),
        ("virInterfaceUndefine", lambda interface: interface.undefine()),
    ],
)
def test_the_udev_backend_refuses_changes(
    interfaces: Interfaces, function: str, call: Callable[[Interface], object]
) -> None:
    with pytest.raises(OperationUnsupportedError, match=function) as caught:
        call(interfaces["lo"])
    assert caught.value.function == function


# ---- mediated devices ----


@pytest.fixture
def mdevctl_daemon(private_daemon_factory: DaemonFactory) -> PrivateDaemon:
    """A daemon with its own definitions of mediated devices; those of the machine are hidden from it."""
    with skip_unless_in_ci():
        require("mdevctl")
    daemon = private_daemon_factory(session=False)
    folders = [f"/etc/mdevctl.d/scripts.d/{name}" for name in ("callouts", "notifiers")]
    daemon.run_inside(["mount", "-t", "tmpfs", "tmpfs", "/etc/mdevctl.d"])
    daemon.run_inside(["mkdir", "-p", *folders])
    daemon.restart()  # libvirtd looks for them when it starts
    # A read at start-up, or after a change, may come late and undo changes in between. So two changes are made, and
    # the fixture waits for both.
    definition = ["--uuid", str(MDEV), "--parent", min(path.name for path in PCI.glob("*"))]
    with pyvirt.connect(daemon.uri("nodedev")) as conn:
        devices = NodeDevices(conn)
        daemon.run_inside(["mdevctl", "define", *definition, "--type", "mtty-1"])
        until(lambda: bool(devices.list(ConnectListAllNodeDeviceFlags.INACTIVE)))
        daemon.run_inside(["mdevctl", "undefine", *definition])
        until(lambda: not devices.list(ConnectListAllNodeDeviceFlags.INACTIVE))
    return daemon


def until(happened: Callable[[], bool], timeout: float = 30) -> None:
    """Wait until the daemon has noticed the change: it watches a directory and sends no event."""
    end = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < end


def mdev_xml(parent: str) -> str:
    return (
        f"<device><parent>{parent}</parent><capability type='mdev'><type id='mtty-1'/><uuid>{MDEV}</uuid>"
        "<attr name='answer' value='42'/></capability></device>"
    )


def test_a_mediated_device_is_defined_and_undefined(mdevctl_daemon: PrivateDaemon) -> None:
    def definitions() -> list[str]:
        return mdevctl_daemon.run_inside(["mdevctl", "list", "--defined"]).stdout.split()

    with pyvirt.connect(mdevctl_daemon.uri("nodedev")) as conn:
        devices = NodeDevices(conn)
        flags = ConnectListAllNodeDeviceFlags
        parent = devices.list(flags.CAP_PCI_DEV)[0]
        active = set(devices.names())
        assert definitions() == []

        device = devices.define(mdev_xml(parent.name))

        address = parent.name.removeprefix("pci_")
        assert device.name == f"mdev_{str(MDEV).replace('-', '_')}_{address}"
        assert (device.is_active(), device.is_persistent(), device.autostart()) == (False, True, False)
        assert device.caps() == ["mdev"]
        assert device.parent() == parent
        assert device in parent.children()
        root = parse(device.xml_desc())
        assert root.findtext("capability/uuid") == str(MDEV)
        assert [dict(attr.attrib) for attr in root.iterfind("capability/attr")] == [{"name": "answer", "value": "42"}]
        assert definitions()[0] == str(MDEV)
        assert definitions()[-1] == "manual"
        assert by_name(devices.list(flags.INACTIVE)).keys() == {device.name}
        assert by_name(devices.list(flags.ACTIVE)).keys() == active
        assert by_name(devices.list(flags.CAP_MDEV)).keys() == set(devices.names("mdev")) == {device.name}
        assert len(devices) == len(active) + 1

        # A read that began before a change may end after it; the next read is current.
        device.set_autostart(True)
        assert definitions()[-1] == "auto"
        until(device.autostart)
        device.set_autostart(False)
        assert definitions()[-1] == "manual"
        until(lambda: not device.autostart())

        with pytest.raises(Error, match="Unable to define"):
            devices.define(mdev_xml(parent.name))
        with pytest.raises(OperationInvalidError, match="not active"):
            device.destroy()

        device.undefine()
        assert definitions() == []
        until(lambda: device not in devices)
        with pytest.raises(NodeDeviceNotFoundError):
            device.undefine()
        assert set(devices.names()) == active


def test_a_mediated_device_without_hardware_does_not_start(mdevctl_daemon: PrivateDaemon) -> None:
    with pyvirt.connect(mdevctl_daemon.uri("nodedev")) as conn:
        devices = NodeDevices(conn)
        parent = devices.list(ConnectListAllNodeDeviceFlags.CAP_PCI_DEV)[0]
        before = set(devices.names())
        with pytest.raises(Error, match="Unable to start"):
            devices.create(mdev_xml(parent.name))
        with pytest.raises(NotSupportedError, match="nobody"):
            devices.define(mdev_xml("nobody"))
        assert set(devices.names()) == before
        device = devices.define(mdev_xml(parent.name))
        with pytest.raises(Error, match="Unable to create"):
            device.start()
        assert not device.is_active()
        device.undefine()
