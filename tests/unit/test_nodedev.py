# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pyvirt
from pyvirt._core.lib import ffi, lib
from pyvirt.enums import ConnectListAllNodeDeviceFlags, ErrorNumber
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    Error,
    InvalidArgumentError,
    NodeDeviceNotFoundError,
    NotSupportedError,
    XMLError,
)
from pyvirt.nodedev import NodeDevice, NodeDevices
from pyvirt.xmldesc import XML, parse
from tests.support.drivers import NEWER, unless_lacking
from tests.support.method_tables import Call, functions_named, still_lacking
from tests.support.resources import resident_memory

# The test driver's devices by the names of their parents.
TREE = {None: {"computer"}, "computer": {"scsi_host1", "scsi_host2"}, "scsi_host1": {"scsi_host11"}}
NAMES = {"computer", "scsi_host1", "scsi_host2", "scsi_host11"}
VHBA = """<device><parent>scsi_host1</parent><capability type='scsi_host'><capability type='fc_host'>
<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn></capability></capability></device>"""

SUPPORTED = [
    Call("virConnectListAllNodeDevices", NodeDevices.list),
    Call("virNodeListDevices", NodeDevices.names),
    Call("virNodeDeviceLookupByName", NodeDevices.get, ("computer",)),
    Call("virNodeDeviceCreateXML", NodeDevices.create, (VHBA,)),
]
UNSUPPORTED = [
    Call("virNodeDeviceLookupSCSIHostByWWN", NodeDevices.get, keywords={"wwnn": "20" * 8, "wwpn": "10" * 8}),
    Call("virNodeDeviceDefineXML", NodeDevices.define, (VHBA,)),
]
NAME = Call("virNodeDeviceGetName", NodeDevice.name)
SUPPORTED_OF_DEVICE = [
    Call("virNodeDeviceGetParent", NodeDevice.parent_name),
    Call("virNodeDeviceListCaps", NodeDevice.caps),
    Call("virNodeDeviceGetXMLDesc", NodeDevice.xml_desc),
    Call("virNodeDeviceDestroy", NodeDevice.destroy),
]
UNSUPPORTED_OF_DEVICE = [
    Call("virNodeDeviceIsActive", NodeDevice.is_active),
    Call("virNodeDeviceIsPersistent", NodeDevice.is_persistent),
    Call("virNodeDeviceGetAutostart", NodeDevice.autostart),
    Call("virNodeDeviceSetAutostart", NodeDevice.set_autostart, (True,)),
    Call("virNodeDeviceDetachFlags", NodeDevice.detach),
    Call("virNodeDeviceReAttach", NodeDevice.reattach),
    Call("virNodeDeviceReset", NodeDevice.reset),
    Call("virNodeDeviceCreate", NodeDevice.start),
    Call("virNodeDeviceUndefine", NodeDevice.undefine),
    Call("virNodeDeviceUpdate", NodeDevice.update, ("<device/>",)),
]


@pytest.fixture
def devices(conn: pyvirt.Connection) -> NodeDevices:
    return NodeDevices(conn)


def names(found: list[NodeDevice]) -> set[str]:
    assert len({device.name for device in found}) == len(found)
    return {device.name for device in found}


@pytest.mark.parametrize("call", UNSUPPORTED, ids=str)
def test_calls_that_the_driver_lacks_raise_unsupported(devices: NodeDevices, call: Call) -> None:
    with pytest.raises(NotSupportedError, match=call.function) as caught:
        call(devices)
    assert (caught.value.code, caught.value.function) == (ErrorNumber.NO_SUPPORT, call.function)


@pytest.mark.parametrize(
    "call", still_lacking(UNSUPPORTED_OF_DEVICE, "virNodeDeviceIsActive", "virNodeDeviceIsPersistent"), ids=str
)
def test_calls_of_a_device_that_the_driver_lacks_raise_unsupported(devices: NodeDevices, call: Call) -> None:
    with pytest.raises(NotSupportedError, match=call.function) as caught:
        call(devices["computer"])
    assert (caught.value.code, caught.value.function) == (ErrorNumber.NO_SUPPORT, call.function)


@pytest.mark.parametrize(
    "call", [*SUPPORTED, *UNSUPPORTED, NAME, *SUPPORTED_OF_DEVICE, *UNSUPPORTED_OF_DEVICE], ids=str
)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert call.function in functions_named(call.method)


@pytest.mark.parametrize("call", [*SUPPORTED, *UNSUPPORTED], ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    with pyvirt.connect("test:///default") as conn:
        devices = NodeDevices(conn)
    with pytest.raises(ClosedError):
        call(devices)


@pytest.mark.parametrize("call", [*SUPPORTED_OF_DEVICE, *UNSUPPORTED_OF_DEVICE], ids=str)
def test_a_closed_device_raises_closed_error(devices: NodeDevices, call: Call) -> None:
    device = devices["computer"]
    device.close()
    with pytest.raises(ClosedError):
        call(device)
    assert repr(device) == "<pyvirt.NodeDevice closed>"


def test_a_closed_device_keeps_a_name_that_was_read_before(devices: NodeDevices) -> None:
    read, unread = devices["computer"], devices["computer"]
    assert read.name == "computer"
    read.close()
    unread.close()
    assert read.name == "computer"
    with pytest.raises(ClosedError):
        NAME(unread)


def test_the_collection_lists_and_finds_devices(conn: pyvirt.Connection, devices: NodeDevices) -> None:
    assert names(list(devices)) == names(devices.list()) == NAMES
    assert len(devices) == 4
    assert "computer" in devices
    assert devices["computer"] in devices
    assert "nobody" not in devices
    with pyvirt.connect("test:///default") as other:
        assert NodeDevices(other)["computer"] not in devices
    device = devices["scsi_host2"]
    assert device.connection is conn
    assert device == devices.get("scsi_host2")
    assert len({device, devices["scsi_host2"], devices["scsi_host1"]}) == 2
    assert repr(device) == "<pyvirt.NodeDevice 'scsi_host2'>"
    device.close()
    assert repr(device) == "<pyvirt.NodeDevice 'scsi_host2'>"


def test_flags_filter_by_capability(devices: NodeDevices) -> None:
    flags = ConnectListAllNodeDeviceFlags
    assert names(devices.list(flags.CAP_SCSI_HOST)) == NAMES - {"computer"}
    assert names(devices.list(flags.CAP_SYSTEM | flags.CAP_SCSI_HOST)) == NAMES
    assert devices.list(flags.CAP_NET) == []
    assert set(devices.names()) == NAMES
    assert set(devices.names("scsi_host")) == NAMES - {"computer"}
    assert devices.names("system") == ["computer"]
    assert devices.names("nothing") == []
    assert devices["computer"].caps() == ["system"]
    assert devices["scsi_host1"].caps() == ["scsi_host"]


def test_unknown_flags_are_refused(devices: NodeDevices) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        devices.list(ConnectListAllNodeDeviceFlags(1 << 27))
    assert caught.value.function == "virConnectListAllNodeDevices"


def test_the_tree_equals_parents_and_children(devices: NodeDevices) -> None:
    assert {parent: names(children) for parent, children in devices.tree().items()} == TREE
    for parent, children in TREE.items():
        for child in children:
            assert devices[child].parent_name() == parent
            assert devices[child].parent() == (None if parent is None else devices[parent])
    for name in NAMES:
        assert names(devices[name].children()) == TREE.get(name, set())


def test_the_top_device_has_no_parent_whatever_failed_before(conn: pyvirt.Connection, devices: NodeDevices) -> None:
    top = devices["computer"]
    for _ in range(3):  # no test asks for these
        assert not lib.virNodeDeviceLookupByName(conn._ptr, b"nobody")
    assert top.parent_name() is None


def test_parent_of_an_orphan_raises_not_found(devices: NodeDevices) -> None:
    device = devices["scsi_host11"]
    devices["scsi_host1"].destroy()
    with pytest.raises(NodeDeviceNotFoundError, match="scsi_host1"):
        device.parent()
    assert device.parent_name() == "scsi_host1"


def test_xml_desc_returns_the_document(devices: NodeDevices) -> None:
    root = parse(devices["scsi_host1"].xml_desc())
    assert (root.findtext("name"), root.findtext("parent")) == ("scsi_host1", "computer")


def test_a_virtual_hba_is_created_and_destroyed(devices: NodeDevices) -> None:
    device = devices.create(VHBA)
    assert device.name not in NAMES
    assert device.parent() == devices["scsi_host1"]
    assert device in devices["scsi_host1"].children()
    assert names(devices.list()) == NAMES | {device.name}
    device.destroy()
    assert names(devices.list()) == NAMES
    for call in (device.destroy, device.caps, device.xml_desc):
        with pytest.raises(NodeDeviceNotFoundError):
            call()


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("no XML", XMLError),
        ("", Error),
        ("<domain/>", Error),
        ("<device/>", Error),
        (VHBA.replace("scsi_host1", "nobody"), Error),
        *([] if NEWER else [(VHBA.replace("wwnn", "nnww"), Error)]),  # later releases invent what is missing
        ("<device\0/>", InvalidArgumentError),
        ("\ud800", InvalidArgumentError),
        (b"<device/>", Error),
        (5, TypeError),
    ],
)
def test_an_invalid_document_creates_nothing(devices: NodeDevices, xml: XML, error: type[Exception]) -> None:
    with pytest.raises(error):
        devices.create(xml)
    assert names(devices.list()) == NAMES


def test_a_failed_lookup_raises_not_found(devices: NodeDevices) -> None:
    with pytest.raises(NodeDeviceNotFoundError, match="nobody") as caught:
        devices["nobody"]
    assert caught.value.code == ErrorNumber.NO_NODE_DEVICE
    assert devices.get("nobody", default=None) is None
    assert devices.get("computer", default=None) == devices["computer"]
    for name in ("com\0puter", "\ud800"):
        with pytest.raises(InvalidArgumentError):
            devices[name]
        assert name not in devices


@pytest.mark.parametrize(
    "wanted", [{}, {"wwnn": "1"}, {"wwpn": "1"}, {"name": "a", "wwnn": "1", "wwpn": "1"}, {"name": "a", "wwpn": "1"}]
)
def test_get_takes_exactly_one_kind_of_key(devices: NodeDevices, wanted: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="wwnn and wwpn"):
        devices.get(**wanted)


def test_a_read_only_connection_refuses_changes() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        devices = NodeDevices(conn)
        device = devices["scsi_host2"]
        changes: dict[str, Callable[[], object]] = {
            "virNodeDeviceCreateXML": lambda: devices.create(VHBA),
            "virNodeDeviceDefineXML": lambda: devices.define(VHBA),
            "virNodeDeviceDestroy": device.destroy,
            "virNodeDeviceUndefine": device.undefine,
            "virNodeDeviceCreate": device.start,
            "virNodeDeviceDetachFlags": device.detach,
            "virNodeDeviceReAttach": device.reattach,
            "virNodeDeviceReset": device.reset,
            "virNodeDeviceSetAutostart": lambda: device.set_autostart(True),
        }
        for function, change in changes.items():
            with pytest.raises(Error) as caught:
                change()
            assert type(caught.value) is unless_lacking(function, AccessDeniedError)[0]
            assert caught.value.function == function
        assert names(devices.list()) == NAMES
        assert device.parent_name() == "computer"


def test_a_kept_error_does_not_keep_the_connection_open(conn: pyvirt.Connection, devices: NodeDevices) -> None:
    kept: list[Error] = []
    device = devices["scsi_host2"]
    device.destroy()
    calls: list[Callable[[], object]] = [device.caps, device.xml_desc, lambda: devices["scsi_host2"]]
    for call in calls:
        with pytest.raises(NodeDeviceNotFoundError) as caught:
            call()
        kept.append(caught.value)
    conn.close()
    with pyvirt.connect("test:///default") as again:
        assert "scsi_host2" in NodeDevices(again)  # the driver is reset when the last connection is closed


def test_names_added_after_counting_are_listed(conn: pyvirt.Connection) -> None:
    rooms: list[int] = []

    def fill(pointer: Any, array: Any, room: int) -> int:
        rooms.append(room)
        return lib.virNodeListDevices(pointer, ffi.NULL, array, room, 0)

    assert set(conn._call_names(lambda _: 0, fill)) == NAMES
    assert rooms == [1, 2, 4, 8]


def test_names_do_not_leak(devices: NodeDevices) -> None:
    for _ in range(500):
        devices.names()
    before = resident_memory()
    for _ in range(100_000):  # unfreed, 12 MiB at the least
        devices.names()
    assert resident_memory() - before < 4 << 20
