# SPDX-License-Identifier: LGPL-2.1-or-later
from __future__ import annotations

from collections.abc import Callable

import pytest

import pyvirt
from pyvirt.enums import ConnectListAllInterfacesFlags, ErrorNumber, InterfaceDefineFlags, InterfaceXMLFlags
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    Error,
    InterfaceNotFoundError,
    InvalidArgumentError,
    OperationInvalidError,
    XMLError,
)
from pyvirt.interface import Interface, Interfaces
from pyvirt.xmldesc import XML, parse
from tests.support.method_tables import Call, functions_named

MAC = "aa:bb:cc:dd:ee:01"


def ethernet(name: str, mac: str | None = None) -> str:
    return f"<interface type='ethernet' name='{name}'>" + (f"<mac address='{mac}'/>" if mac else "") + "</interface>"


CALLS = [
    Call("virConnectListAllInterfaces", Interfaces.list),
    Call("virConnectListInterfaces", Interfaces.names),
    Call("virConnectListDefinedInterfaces", Interfaces.defined_names),
    Call("virInterfaceLookupByName", Interfaces.get, ("eth1",)),
    Call("virInterfaceLookupByMACString", Interfaces.get, keywords={"mac_string": MAC}),
    Call("virInterfaceDefineXML", Interfaces.define, (ethernet("eth7"),)),
    Call("virInterfaceChangeBegin", Interfaces.change_begin),
    Call("virInterfaceChangeCommit", Interfaces.change_commit),
    Call("virInterfaceChangeRollback", Interfaces.change_rollback),
]
CALLS_OF_INTERFACE = [
    Call("virInterfaceGetMACString", Interface.mac_string),
    Call("virInterfaceIsActive", Interface.is_active),
    Call("virInterfaceGetXMLDesc", Interface.xml_desc),
    Call("virInterfaceCreate", Interface.start),
    Call("virInterfaceDestroy", Interface.destroy),
    Call("virInterfaceUndefine", Interface.undefine),
]


@pytest.fixture
def interfaces(conn: pyvirt.Connection) -> Interfaces:
    return Interfaces(conn)


def names(found: list[Interface]) -> list[str]:
    return sorted(interface.name for interface in found)


def all_names(interfaces: Interfaces) -> list[str]:
    return names(interfaces.list())


@pytest.mark.parametrize(
    "call",
    [
        *CALLS,
        *CALLS_OF_INTERFACE,
        Call("virInterfaceGetName", Interface.name),
        Call("virInterfaceChangeRollback", Interfaces.change),
    ],
    ids=str,
)
def test_docstrings_name_the_c_function(call: Call) -> None:
    assert call.function in functions_named(call.method)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_every_call_on_a_closed_connection_raises_closed_error(call: Call) -> None:
    with pyvirt.connect("test:///default") as conn:
        interfaces = Interfaces(conn)
    with pytest.raises(ClosedError):
        call(interfaces)


@pytest.mark.parametrize("call", CALLS_OF_INTERFACE, ids=str)
def test_a_closed_interface_raises_closed_error(interfaces: Interfaces, call: Call) -> None:
    [interface] = interfaces
    interface.close()
    with pytest.raises(ClosedError):
        call(interface)
    assert repr(interface) == "<pyvirt.Interface closed>"


def test_the_collection_lists_and_finds_interfaces(conn: pyvirt.Connection, interfaces: Interfaces) -> None:
    [interface] = interfaces
    assert len(interfaces) == 1
    assert (interface.name, interface.mac_string) == ("eth1", "aa:bb:cc:dd:ee:ff")
    assert interface.connection is conn
    assert "eth1" in interfaces
    assert interface in interfaces
    assert "eth2" not in interfaces
    assert interface == interfaces["eth1"] == interfaces.get(mac_string="aa:bb:cc:dd:ee:ff")
    assert len({interface, interfaces["eth1"]}) == 1
    assert repr(interface) == "<pyvirt.Interface 'eth1'>"
    root = parse(interface.xml_desc())
    assert (root.tag, root.get("name")) == ("interface", "eth1")
    assert parse(interface.xml_desc(flags=InterfaceXMLFlags(0))).get("name") == "eth1"


def test_a_failed_lookup_raises_not_found(interfaces: Interfaces) -> None:
    look_ups: list[Callable[[], object]] = [
        lambda: interfaces["eth2"],
        lambda: interfaces.get("eth2"),
        lambda: interfaces.get(mac_string=MAC),
        lambda: interfaces.get(mac_string="no address"),
    ]
    for look_up in look_ups:
        with pytest.raises(InterfaceNotFoundError) as caught:
            look_up()
        assert caught.value.code == ErrorNumber.NO_INTERFACE
    assert interfaces.get("eth2", default=None) is None
    assert interfaces.get(mac_string=MAC, default=None) is None
    with pytest.raises(TypeError, match="exactly one"):
        interfaces.get()
    with pytest.raises(TypeError, match="exactly one"):
        interfaces.get("eth1", mac_string=MAC)
    with pytest.raises(InvalidArgumentError, match="NUL"):
        interfaces.get("eth\0")


def test_lookup_of_an_ambiguous_mac_raises(interfaces: Interfaces) -> None:
    interfaces.define(ethernet("eth7", MAC))
    assert interfaces.get(mac_string=MAC).name == "eth7"
    interfaces.define(ethernet("eth8", MAC))
    with pytest.raises(Error, match="multiple") as caught:
        interfaces.get(mac_string=MAC, default=None)
    assert caught.value.code == ErrorNumber.MULTIPLE_INTERFACES


def test_an_interface_lives_from_define_to_undefine(interfaces: Interfaces) -> None:
    flags = ConnectListAllInterfacesFlags
    interface = interfaces.define(ethernet("eth7"))
    assert (interface.name, interface.mac_string) == ("eth7", "")
    assert not interface.is_active()
    assert (interfaces.names(), interfaces.defined_names()) == (["eth1"], ["eth7"])
    assert names(interfaces.list(flags.INACTIVE)) == ["eth7"]
    assert names(interfaces.list(flags.ACTIVE)) == ["eth1"]
    assert len(interfaces) == 2
    interface.start()
    assert interface.is_active()
    assert (sorted(interfaces.names()), interfaces.defined_names()) == (["eth1", "eth7"], [])
    assert names(interfaces.list(flags.ACTIVE | flags.INACTIVE)) == ["eth1", "eth7"]
    with pytest.raises(OperationInvalidError):
        interface.start()
    interface.destroy()
    with pytest.raises(OperationInvalidError):
        interface.destroy()
    interface.undefine()
    assert all_names(interfaces) == ["eth1"]
    for call in (interface.is_active, interface.xml_desc, interface.start, interface.destroy, interface.undefine):
        with pytest.raises(InterfaceNotFoundError, match="eth7"):
            call()


def test_defining_again_replaces_the_interface(interfaces: Interfaces) -> None:
    interfaces.define(ethernet("eth7"))
    assert interfaces.define(ethernet("eth7", MAC)).mac_string == MAC
    assert interfaces["eth7"].mac_string == MAC
    assert all_names(interfaces) == ["eth1", "eth7"]


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        ("no XML", XMLError),
        ("<interface/>", XMLError),
        ("<interface type='ethernet'/>", XMLError),
        ("<network/>", Error),
        ("<interface\0/>", InvalidArgumentError),
        ("\ud800", InvalidArgumentError),
        (b"<interface/>", XMLError),
        (5, TypeError),
    ],
)
def test_an_invalid_document_defines_nothing(interfaces: Interfaces, xml: XML, error: type[Exception]) -> None:
    with pytest.raises(error):
        interfaces.define(xml)
    assert all_names(interfaces) == ["eth1"]


def test_unknown_flags_are_refused(interfaces: Interfaces) -> None:
    for call in (
        lambda: interfaces.list(ConnectListAllInterfacesFlags(1 << 30)),
        lambda: interfaces.define(ethernet("eth7"), flags=InterfaceDefineFlags(1 << 30)),
        lambda: interfaces["eth1"].xml_desc(flags=InterfaceXMLFlags(1 << 30)),
    ):
        with pytest.raises(InvalidArgumentError):
            call()
    assert all_names(interfaces) == ["eth1"]


def test_the_change_block_commits_at_its_end(interfaces: Interfaces) -> None:
    with interfaces.change():
        interfaces.define(ethernet("eth7"))
        interfaces["eth1"].destroy()
    assert (interfaces.names(), sorted(interfaces.defined_names())) == ([], ["eth1", "eth7"])
    with pytest.raises(OperationInvalidError):  # no transaction is open any more
        interfaces.change_rollback()


def change_and_raise(interfaces: Interfaces, error: BaseException) -> None:
    with interfaces.change():
        interfaces.define(ethernet("eth7"))
        interfaces["eth1"].undefine()
        assert all_names(interfaces) == ["eth7"]
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_exception_in_the_change_block_rolls_back(interfaces: Interfaces, error: type[BaseException]) -> None:
    before = interfaces["eth1"].xml_desc()
    with pytest.raises(error, match="this one"):
        change_and_raise(interfaces, error("this one"))
    assert all_names(interfaces) == ["eth1"]
    assert interfaces["eth1"].xml_desc() == before
    with interfaces.change():  # no transaction is open any more
        pass


def change_within_change(interfaces: Interfaces) -> None:
    with interfaces.change():
        interfaces.define(ethernet("eth7"))
        with interfaces.change():
            interfaces.define(ethernet("eth8"))


def test_nested_change_blocks_are_refused(interfaces: Interfaces) -> None:
    with pytest.raises(OperationInvalidError, match="another transaction"):
        change_within_change(interfaces)
    assert all_names(interfaces) == ["eth1"]


def commit_within_change(interfaces: Interfaces) -> None:
    with interfaces.change():
        interfaces.define(ethernet("eth7"))
        interfaces.change_commit()


def test_a_failed_commit_and_rollback_raises(interfaces: Interfaces) -> None:
    with pytest.raises(OperationInvalidError, match="rollback") as caught:
        commit_within_change(interfaces)
    assert caught.value.function == "virInterfaceChangeRollback"
    assert isinstance(caught.value.__context__, OperationInvalidError)
    assert caught.value.__context__.function == "virInterfaceChangeCommit"
    assert all_names(interfaces) == ["eth1", "eth7"]


def test_closing_the_connection_in_a_change_block_raises() -> None:
    with pyvirt.connect("test:///default") as conn, pytest.raises(ClosedError), Interfaces(conn).change():
        conn.close()


def test_changes_are_begun_and_ended_explicitly(interfaces: Interfaces) -> None:
    for end in (interfaces.change_commit, interfaces.change_rollback):
        with pytest.raises(OperationInvalidError):
            end()
    interfaces.change_begin()
    interfaces.define(ethernet("eth7"))
    with pytest.raises(OperationInvalidError):
        interfaces.change_begin()
    interfaces.change_rollback()
    assert all_names(interfaces) == ["eth1"]
    interfaces.change_begin()
    interfaces.define(ethernet("eth8"))
    interfaces.change_commit()
    assert all_names(interfaces) == ["eth1", "eth8"]


def test_a_read_only_connection_refuses_changes() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        interfaces = Interfaces(conn)
        interface = interfaces["eth1"]
        changes: list[Callable[[], object]] = [
            lambda: interfaces.define(ethernet("eth7")),
            interfaces.change_begin,
            interfaces.change_commit,
            interfaces.change_rollback,
            interface.start,
            interface.destroy,
            interface.undefine,
        ]
        for change in changes:
            with pytest.raises(AccessDeniedError):
                change()
        entered = False
        with pytest.raises(AccessDeniedError), interfaces.change():
            entered = True
        assert not entered
        assert interface.is_active()
