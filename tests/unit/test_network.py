# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks on libvirt's test driver, in process; tests/daemon has real networks."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable

import pytest

import pyvirt
from pyvirt import xmldesc
from pyvirt._model.object import Autostarting
from pyvirt.enums import (
    ConnectListAllNetworksFlags,
    ErrorDomain,
    ErrorNumber,
    NetworkCreateFlags,
    NetworkDefineFlags,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
)
from pyvirt.errors import (
    AccessDeniedError,
    ClosedError,
    Error,
    InvalidArgumentError,
    MetadataNotFoundError,
    NetworkNotFoundError,
    NotSupportedError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.network import Network, NetworkMetadata, Networks
from pyvirt.testing.hosts import object_uuid
from pyvirt.testing.pytest_plugin import HostFactory
from tests.support.bad_input import other_root

XML = "<network><name>{}</name><forward/><bridge name='{}'/><ip address='10.9.8.1' prefix='24'>{}</ip></network>"
LAB = XML.format("lab", "br-lab", "<dhcp><range start='10.9.8.10' end='10.9.8.99'/></dhcp>")
LEASE_FOR_ONE = "<host mac='52:54:00:00:00:77' ip='10.9.8.77'/>"
URI = "http://example.com/pyvirt"
UNKNOWN = uuid.UUID(int=77)

Flags = ConnectListAllNetworksFlags


@pytest.fixture
def networks(conn: pyvirt.Connection) -> Networks:
    return Networks(conn)


@pytest.fixture
def default(networks: Networks) -> Network:
    return networks["default"]


def kinds(networks: Networks, network: Network) -> Flags:
    """Return all flags that list *network*."""
    return Flags(sum(flag for flag in Flags if network in networks.list(flag)))


# ---- the collection ----


def test_the_collection_lists_and_finds_networks(libvirt_host: HostFactory) -> None:
    with pyvirt.connect(libvirt_host(domains=1, networks=3)) as conn:
        networks = Networks(conn)
        names = [network.name for network in networks]

        assert len(networks) == len(names) == 3
        assert [network.name for network in networks.list()] == names
        assert [networks[name].name for name in names] == names
        assert all(network.uuid == object_uuid(network.name) for network in networks)
        assert all(network.connection is conn for network in networks)
        assert names[1] in networks
        assert networks[names[1]] in networks
        assert "nobody" not in networks
        assert UNKNOWN not in networks
        assert repr(networks) == f"<pyvirt.Networks of {conn!r}>"


@pytest.mark.parametrize("form", [lambda u: u, str, lambda u: u.hex, lambda u: u.bytes])
def test_get_finds_a_network_by_uuid(
    networks: Networks, default: Network, form: Callable[[uuid.UUID], str | bytes | uuid.UUID]
) -> None:
    assert networks.get(uuid=form(default.uuid)) == default


def test_get_finds_a_network_by_name(networks: Networks, default: Network) -> None:
    assert networks.get("default") == networks.get(name="default") == default


def test_lookup_of_a_missing_network_raises_not_found(networks: Networks) -> None:
    with pytest.raises(NetworkNotFoundError, match="nobody"):
        networks["nobody"]
    with pytest.raises(NetworkNotFoundError, match="nobody"):
        networks.get("nobody")
    with pytest.raises(NetworkNotFoundError, match=str(UNKNOWN)):
        networks.get(uuid=UNKNOWN)
    assert networks.get("nobody", default=None) is None
    assert networks.get(uuid=UNKNOWN, default=0) == 0


def test_get_takes_exactly_one_key(networks: Networks) -> None:
    with pytest.raises(TypeError, match="exactly one of name and uuid"):
        networks.get()
    with pytest.raises(TypeError, match="exactly one of name and uuid"):
        networks.get("default", uuid=UNKNOWN)
    with pytest.raises(TypeError, match="expected str, got bytes"):
        networks.get(b"default")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="is not a valid UUID"):
        networks.get(uuid="default", default=None)


# ---- identity ----


def test_handles_of_one_network_are_equal(networks: Networks, default: Network) -> None:
    again = networks["default"]

    assert again is not default
    assert again == default
    assert len({again, default}) == 1
    assert networks.define(LAB) != default
    with pyvirt.connect("test:///default") as other:
        assert Networks(other)["default"] != default


def test_a_repr_needs_no_open_connection(networks: Networks) -> None:
    network = networks["default"]
    unread = networks["default"]
    assert repr(network) == f"<pyvirt.Network 'default' {network.uuid}>"
    network.close()
    unread.close()
    assert repr(network).startswith("<pyvirt.Network 'default'")
    assert repr(unread) == "<pyvirt.Network closed>"


def enter_edit(network: Network) -> None:
    with network.edit():
        pass


METHODS: dict[str, Callable[[Network], object]] = {
    "is_active": lambda network: network.is_active(),
    "is_persistent": lambda network: network.is_persistent(),
    "bridge_name": lambda network: network.bridge_name(),
    "dhcp_leases": lambda network: network.dhcp_leases(),
    "start": lambda network: network.start(),
    "destroy": lambda network: network.destroy(),
    "undefine": lambda network: network.undefine(),
    "autostart": lambda network: network.autostart(),
    "set_autostart": lambda network: network.set_autostart(True),
    "xml_desc": lambda network: network.xml_desc(),
    "edit": enter_edit,
    "update": lambda network: network.update(3, 4, LEASE_FOR_ONE),  # type: ignore[arg-type]
    "ports": lambda network: len(network.ports),
    "metadata": lambda network: network.metadata.title(),
}


def test_all_methods_are_in_the_table() -> None:
    assert set(METHODS) == {name for cls in (Network, Autostarting) for name in vars(cls) if not name.startswith("_")}


@pytest.mark.parametrize("call", METHODS.values(), ids=list(METHODS))
def test_a_closed_network_raises_closed_error(default: Network, call: Callable[[Network], object]) -> None:
    default.close()
    with pytest.raises(ClosedError, match="this Network is closed"):
        call(default)


@pytest.mark.parametrize("call", METHODS.values(), ids=list(METHODS))
def test_a_closed_connection_raises_closed_error(call: Callable[[Network], object]) -> None:
    with pyvirt.connect("test:///default") as conn:
        networks = Networks(conn)
        network = networks["default"]
    assert network.closed
    with pytest.raises(ClosedError, match="the connection is closed"):
        call(network)
    with pytest.raises(ClosedError):
        list(networks)


@pytest.mark.parametrize("call", METHODS.values(), ids=list(METHODS))
def test_a_removed_network_raises_not_found(networks: Networks, call: Callable[[Network], object]) -> None:
    network = networks.create(LAB)
    network.destroy()
    with pytest.raises((NetworkNotFoundError, OperationUnsupportedError, NotSupportedError)) as caught:
        call(network)
    if caught.type is not NetworkNotFoundError:  # the driver, or this libvirt, does not look it up
        assert (caught.value.function or "").startswith(
            ("virNetworkGetDHCPLeases", "virNetworkListAllPorts", "virNetworkGetMetadata")
        )


# ---- life cycle ----


def test_a_persistent_network_lives_from_define_to_undefine(networks: Networks) -> None:
    network = networks.define(LAB)
    assert (network.is_persistent(), network.is_active()) == (True, False)
    assert kinds(networks, network) == Flags.PERSISTENT | Flags.INACTIVE | Flags.NO_AUTOSTART

    network.start()
    assert network.is_active()
    assert kinds(networks, network) == Flags.PERSISTENT | Flags.ACTIVE | Flags.NO_AUTOSTART
    with pytest.raises(OperationInvalidError):
        network.start()

    network.destroy()
    assert (network.is_persistent(), network.is_active()) == (True, False)

    network.undefine()
    assert "lab" not in networks


def test_a_transient_network_disappears_when_destroyed(networks: Networks) -> None:
    network = networks.create(LAB)
    assert (network.is_persistent(), network.is_active()) == (False, True)
    assert kinds(networks, network) == Flags.TRANSIENT | Flags.ACTIVE | Flags.NO_AUTOSTART

    network.destroy()
    assert "lab" not in networks


def test_a_transient_network_becomes_persistent(networks: Networks) -> None:
    network = networks.create(LAB)
    assert networks.define(network.xml_desc()) == network
    assert (network.is_persistent(), network.is_active()) == (True, True)

    network.destroy()
    assert not network.is_active()
    network.undefine()
    assert "lab" not in networks


def test_autostart_is_set_and_cleared(networks: Networks) -> None:
    network = networks.define(LAB)
    assert network.autostart() is False
    network.set_autostart(True)
    assert network.autostart() is True
    assert Flags.AUTOSTART in kinds(networks, network)
    network.set_autostart(False)
    assert network.autostart() is False


def test_bridge_name_raises_for_a_network_without_a_bridge(default: Network, networks: Networks) -> None:
    assert default.bridge_name() == "virbr0"
    direct = networks.define("<network><name>direct</name><forward mode='private' dev='eth0'/></network>")
    with pytest.raises(Error, match="does not have a bridge name"):
        direct.bridge_name()


# ---- configuration ----


def test_defining_again_changes_the_network(networks: Networks) -> None:
    network = networks.define(LAB)
    assert networks.define(network.xml_desc().replace("10.9.8.99", "10.9.8.88")) == network
    assert "10.9.8.88" in network.xml_desc()
    assert len(networks) == 2


def test_a_transient_network_cannot_be_edited(networks: Networks) -> None:
    network = networks.create(LAB)
    with pytest.raises(OperationInvalidError, match="'lab' is transient") as caught, network.edit():
        pass
    assert caught.value.code == ErrorNumber.OPERATION_INVALID
    assert not network.is_persistent()


def test_edit_needs_a_driver_that_returns_the_stored_configuration(default: Network) -> None:
    with pytest.raises(InvalidArgumentError, match="unsupported flags"), default.edit():
        pass


# Without a daemon, older releases swap section and command.
in_order = pytest.mark.libvirt("7.2", "hands the section and the command to a driver as it got them")


@in_order
@pytest.mark.parametrize("flags", [NetworkUpdateFlags.CURRENT, NetworkUpdateFlags.CONFIG])
def test_update_adds_and_deletes_in_a_section(networks: Networks, flags: NetworkUpdateFlags) -> None:
    network = networks.define(LAB)
    network.update(NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST, LEASE_FOR_ONE, flags=flags)
    assert "10.9.8.77" in network.xml_desc()
    network.update(NetworkUpdateCommand.DELETE, NetworkUpdateSection.IP_DHCP_HOST, LEASE_FOR_ONE, flags=flags)
    assert "10.9.8.77" not in network.xml_desc()


@in_order
def test_update_changes_the_chosen_parent(networks: Networks) -> None:
    two = "<ip address='10.9.9.1' prefix='24'/></network>"
    network = networks.define(LAB.replace("</network>", two))
    host = LEASE_FOR_ONE.replace("10.9.8.77", "10.9.9.77")
    section = NetworkUpdateSection.IP_DHCP_RANGE, "<range start='10.9.8.5' end='10.9.8.6'/>"

    with pytest.raises(OperationInvalidError, match="index 7"):
        network.update(NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST, host, parent_index=7)
    network.update(NetworkUpdateCommand.ADD_LAST, *section, parent_index=0)
    network.update(NetworkUpdateCommand.DELETE, *section)
    assert "10.9.8.5" not in network.xml_desc()


@in_order
def test_an_invalid_update_changes_nothing(networks: Networks) -> None:
    network = networks.define(LAB)
    add, hosts = NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.IP_DHCP_HOST
    before = network.xml_desc()

    with pytest.raises(OperationUnsupportedError, match="'bridge' section"):
        network.update(NetworkUpdateCommand.MODIFY, NetworkUpdateSection.BRIDGE, "<bridge name='x'/>")
    with pytest.raises(OperationUnsupportedError, match="unrecognized"):
        network.update(NetworkUpdateCommand(99), hosts, LEASE_FOR_ONE)
    with pytest.raises(OperationUnsupportedError, match="unrecognized"):
        network.update(add, NetworkUpdateSection(99), LEASE_FOR_ONE)
    with pytest.raises(OperationInvalidError, match="couldn't locate"):
        network.update(NetworkUpdateCommand.DELETE, hosts, LEASE_FOR_ONE)
    with pytest.raises(OperationInvalidError, match="not running"):
        network.update(add, hosts, LEASE_FOR_ONE, flags=NetworkUpdateFlags.LIVE)
    with pytest.raises(XMLError):
        network.update(add, hosts, "<host")
    with pytest.raises(InvalidArgumentError, match="flags"):
        network.update(add, hosts, LEASE_FOR_ONE, flags=NetworkUpdateFlags(64))
    assert network.xml_desc() == before


# ---- metadata ----


def test_metadata_needs_a_newer_libvirt(default: Network) -> None:
    metadata = default.metadata
    assert repr(metadata) == f"<pyvirt.NetworkMetadata of {default!r}>"
    if pyvirt.library_version() < (9, 7, 0):
        with pytest.raises(NotSupportedError, match=r"virNetworkGetMetadata needs libvirt >= 9\.7\.0"):
            metadata.title()
        with pytest.raises(NotSupportedError, match=r"virNetworkSetMetadata needs libvirt >= 9\.7\.0"):
            metadata.set(URI, "<note/>", key="pv")
        return
    assert_no_metadata(metadata)
    metadata.set_title("a title")
    metadata.set_description("a\ndescription")
    metadata.set(URI, "<note>Ä</note>", key="pv")
    assert (metadata.title(), metadata.description()) == ("a title", "a\ndescription")
    assert metadata.get(URI) == "<note>Ä</note>"
    assert f'<pv:note xmlns:pv="{URI}">' in default.xml_desc().replace("'", '"')

    with pytest.raises(InvalidArgumentError, match="newline"):
        metadata.set_title("two\nlines")
    with pytest.raises(XMLError):
        metadata.set(URI, "<note>", key="pv")
    assert (metadata.title(), metadata.get(URI)) == ("a title", "<note>Ä</note>")

    metadata.set_title(None)
    metadata.set_description(None)
    metadata.delete(URI)
    assert_no_metadata(metadata)


def assert_no_metadata(metadata: NetworkMetadata) -> None:
    with pytest.raises(MetadataNotFoundError):
        metadata.title()
    with pytest.raises(MetadataNotFoundError):
        metadata.description()
    with pytest.raises(MetadataNotFoundError):
        metadata.get(URI)


# ---- what the test driver lacks ----


def test_calls_that_the_driver_lacks_raise_unsupported(default: Network) -> None:
    port = default.ports
    calls: dict[str, Callable[[], object]] = {
        "virNetworkGetDHCPLeases": default.dhcp_leases,
        "virNetworkListAllPorts": port.list,
        "virNetworkPortLookupByUUID": lambda: port[UNKNOWN],
        "virNetworkPortCreateXML": lambda: port.create("<networkport/>"),
    }
    for function, call in calls.items():
        with pytest.raises(OperationUnsupportedError, match=function) as caught:
            call()
        assert caught.value.function == function
    with pytest.raises(InvalidArgumentError, match="is not a valid UUID"):
        port["nobody"]
    assert repr(port) == f"<pyvirt.NetworkPorts of {default!r}>"


# ---- bad input ----

BAD: dict[str, tuple[xmldesc.XML, type[Exception], str]] = {
    "no XML": ("network", XMLError, "Start tag expected"),
    "unfinished": ("<network><name>lab</name>", XMLError, "Premature end"),
    "something else": ("<domain><name>lab</name></domain>", XMLError, other_root("network", "domain")),
    "no name": ("<network/>", XMLError, "name"),
    "a NUL": (LAB + "\0", InvalidArgumentError, "NUL"),
    "half a character": (LAB.replace("lab", "\ud800"), InvalidArgumentError, "surrogate"),
    "bytes of something else": (b"<domain/>", XMLError, other_root("network", "domain")),
    "a bad address": (LAB.replace("10.9.8.1'", "10.9.8'"), Error, "10.9.8"),
}


@pytest.mark.parametrize(("xml", "error", "message"), BAD.values(), ids=list(BAD))
def test_invalid_documents_define_nothing(
    networks: Networks, xml: xmldesc.XML, error: type[Exception], message: str
) -> None:
    for make in (networks.define, networks.create):
        with pytest.raises(error, match=message):
            make(xml)
    assert [network.name for network in networks] == ["default"]


def test_defining_a_taken_name_is_refused(networks: Networks) -> None:
    lab = networks.create(LAB)
    for make in (networks.define, networks.create):
        with pytest.raises(OperationFailedError, match="'lab' already exists with uuid"):
            make(LAB)
    with pytest.raises(OperationInvalidError, match="already active"):
        networks.create(lab.xml_desc())
    assert len(networks) == 2


def test_flags_choose_the_c_function(networks: Networks) -> None:
    odd = LAB.replace("<forward/>", "<odd/>")
    calls: dict[str, Callable[[], object]] = {
        "virNetworkDefineXMLFlags": lambda: networks.define(odd, flags=NetworkDefineFlags.VALIDATE),
        "virNetworkCreateXMLFlags": lambda: networks.create(odd, flags=NetworkCreateFlags.VALIDATE),
        "virNetworkDefineXML": lambda: networks.define("<odd/>"),
        "virNetworkCreateXML": lambda: networks.create("<odd/>"),
    }
    for function, call in calls.items():
        with pytest.raises((XMLError, NotSupportedError)) as caught:
            call()
        assert caught.value.function == function
    assert len(networks) == 1


def test_lookup_by_any_unknown_name_raises(networks: Networks) -> None:
    for name in ("x" * 10_000, "ä\N{SNOWMAN}", "", "a b"):
        assert name not in networks
        with pytest.raises((NetworkNotFoundError, InvalidArgumentError)):
            networks[name]
    with pytest.raises(InvalidArgumentError, match="NUL"):
        networks["default\0"]


def test_a_read_only_connection_refuses_changes() -> None:
    with pyvirt.connect("test:///default", readonly=True) as conn:
        networks = Networks(conn)
        network = networks["default"]
        for call in (lambda: networks.define(LAB), lambda: networks.create(LAB), network.destroy, network.undefine):
            with pytest.raises(AccessDeniedError) as caught:
                call()
            assert caught.value.domain == ErrorDomain.NETWORK
        assert network.is_active()
        assert len(networks) == 1


def test_handles_are_listed_and_freed_repeatedly(networks: Networks) -> None:
    for _ in range(3):
        for network in networks.list():
            assert network.xml_desc()
    gc.collect()
    assert len(networks) == 1
