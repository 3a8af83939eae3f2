# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks with bridges, dnsmasq and firewall rules, and filters with rules of their own, inside a private daemon."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyvirt
from pyvirt.enums import (
    DomainCreateFlags,
    ErrorNumber,
    IPAddrType,
    NetworkPortCreateFlags,
    NetworkUpdateCommand,
    NetworkUpdateFlags,
    NetworkUpdateSection,
    NetworkXMLFlags,
    NWFilterBindingCreateFlags,
    NWFilterDefineFlags,
)
from pyvirt.errors import (
    AlreadyExistsError,
    ClosedError,
    Error,
    InvalidArgumentError,
    NetworkNotFoundError,
    NetworkPortNotFoundError,
    NotSupportedError,
    NWFilterBindingNotFoundError,
    NWFilterNotFoundError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    XMLError,
)
from pyvirt.models import NetworkDHCPLease
from pyvirt.network import Network, NetworkPort, NetworkPorts, Networks
from pyvirt.nwfilter import NWFilter, NWFilterBinding, NWFilterBindings, NWFilters
from pyvirt.testing._system import TestbedUnavailable, require
from pyvirt.testing.daemon import Isolation, PrivateDaemon
from pyvirt.testing.guests import paused_guest
from pyvirt.testing.pytest_plugin import DaemonFactory, skip_unless_in_ci

# Every name has a prefix of these tests: all tests of the session share the daemon.
NETWORK = """
<network>
  <name>pvnet</name>
  <bridge name='pvbr' stp='off' delay='0'/>
  <ip address='10.71.0.1' prefix='24'><dhcp>
    <range start='10.71.0.10' end='10.71.0.99'/>
    <host mac='52:54:00:71:00:01' name='hourly' ip='10.71.0.201'/>
    <host mac='52:54:00:71:00:02' ip='10.71.0.202'><lease expiry='0'/></host>
  </dhcp></ip>
  <ip family='ipv6' address='fd00:71::1' prefix='64'><dhcp>
    <range start='fd00:71::10' end='fd00:71::ff'/>
  </dhcp></ip>
</network>
"""
PLAIN = "<network><name>pvplain</name><bridge name='pvbr2' stp='off' delay='0'/></network>"
RESERVATION = "<host mac='52:54:00:71:00:03' ip='10.71.0.203'/>"
OWNER = f"<owner><name>owner</name><uuid>{uuid.UUID(int=71)}</uuid></owner>"
UNKNOWN = uuid.UUID(int=77)

# A DHCPv6 client: solicit, and request what is offered.  Arguments: device, hardware address, interface id.
DHCPV6 = """
import socket, struct, sys
device, mac, iaid = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), int(sys.argv[3])
def option(code, data): return struct.pack("!HH", code, len(data)) + data
def options(data):
    while data:
        code, length = struct.unpack_from("!HH", data)
        yield code, data[4:4 + length]
        data = data[4 + length:]
client = option(1, struct.pack("!HH", 3, 1) + mac) + option(8, bytes(2))
near = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
near.settimeout(0.3)
near.bind(("::", 546))
server = "ff02::1:2", 547, 0, socket.if_nametoindex(device)
def ask(kind, data):
    for attempt in range(50):
        near.sendto(bytes([kind, 0, 7, kind]) + client + data, server)
        try:
            return dict(options(near.recv(2000)[4:]))
        except TimeoutError:
            pass
    sys.exit("no answer")
offer = ask(1, option(3, struct.pack("!III", iaid, 0, 0)))
reply = ask(3, option(2, offer[2]) + option(3, offer[3]))
address = dict(options(reply[3][12:]))[5][:16]
print(socket.inet_ntop(socket.AF_INET6, address))
"""


@pytest.fixture(scope="module")
def daemon(qemu_daemon: PrivateDaemon) -> PrivateDaemon:
    with skip_unless_in_ci():
        require("dnsmasq", "busybox", "iptables", "ebtables")
        if qemu_daemon.isolation is Isolation.SESSION:
            raise TestbedUnavailable("a session daemon has no networks")
    return qemu_daemon


@pytest.fixture
def conn(daemon: PrivateDaemon) -> Iterator[pyvirt.Connection]:
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        yield conn


def remove(network: Network) -> None:
    persistent = network.is_persistent()
    if network.is_active():
        network.destroy()
    if persistent:
        network.undefine()


@pytest.fixture
def networks(conn: pyvirt.Connection) -> Iterator[Networks]:
    networks = Networks(conn)
    before = networks.list()
    yield networks
    for network in networks:
        if network not in before:
            remove(network)


@pytest.fixture(scope="module")
def lasting(daemon: PrivateDaemon) -> Iterator[str]:
    """The name of a network that runs for all tests of this module: starting one takes half a second."""
    with pyvirt.connect(daemon.uri("qemu")) as conn:
        network = Networks(conn).create(NETWORK)
        yield network.name
        network.destroy()


@pytest.fixture
def up(conn: pyvirt.Connection, lasting: str) -> Network:
    return Networks(conn)[lasting]


def port_xml(number: int, more: str = "") -> str:
    mac = f"<mac address='52:54:00:72:00:{number:02}'/>"
    return f"<networkport><uuid>{uuid.UUID(int=number)}</uuid>{OWNER}{mac}{more}</networkport>"


def dnsmasq_of(daemon: PrivateDaemon, name: str) -> list[int]:
    return [pid for pid, argv in daemon.processes().items() if f"/{name}.conf" in " ".join(argv)]


def links(daemon: PrivateDaemon) -> list[str]:
    lines = daemon.run_inside(["ip", "-brief", "link"]).stdout.splitlines()
    return [line.split()[0].partition("@")[0] for line in lines]


# ---- networks ----


def test_a_persistent_network_starts_and_stops(daemon: PrivateDaemon, networks: Networks) -> None:
    network = networks.define(PLAIN.replace("</network>", "<ip address='10.73.0.1' prefix='24'/></network>"))
    assert (network.is_persistent(), network.is_active()) == (True, False)
    assert "pvbr2" not in links(daemon)
    with pytest.raises(OperationInvalidError, match="not active"):
        network.destroy()

    network.start()
    assert network.bridge_name() in links(daemon)
    assert dnsmasq_of(daemon, "pvplain")
    with pytest.raises(OperationInvalidError, match="already active"):
        network.start()

    network.destroy()
    assert "pvbr2" not in links(daemon)
    assert not dnsmasq_of(daemon, "pvplain")
    assert not network.is_active()
    network.undefine()
    with pytest.raises(NetworkNotFoundError):
        network.is_active()


def test_a_transient_network_becomes_persistent_and_transient_again(networks: Networks) -> None:
    network = networks.create(PLAIN)
    assert (network.is_persistent(), network.is_active()) == (False, True)
    with pytest.raises(OperationInvalidError, match="transient"):
        network.set_autostart(True)

    assert networks.define(network.xml_desc()) == network
    network.set_autostart(True)
    assert (network.is_persistent(), network.autostart()) == (True, True)

    network.undefine()
    assert (network.is_persistent(), network.is_active(), network.autostart()) == (False, True, False)
    network.destroy()
    assert "pvplain" not in networks


def test_autostart_networks_run_after_a_boot(
    private_daemon_factory: DaemonFactory, daemon: PrivateDaemon, tmp_path: Path
) -> None:
    first = private_daemon_factory(tmp_path / "daemon")
    with pyvirt.connect(first.uri("network")) as conn:
        for name, bridge, start in (("pvwith", "pvwith", True), ("pvwithout", "pvwithout", False)):
            network = Networks(conn).define(PLAIN.replace("pvplain", name).replace("pvbr2", bridge))
            network.set_autostart(start)
    first.stop()

    second = private_daemon_factory(tmp_path / "daemon")
    with pyvirt.connect(second.uri("network")) as conn:
        assert {network.name: network.is_active() for network in Networks(conn)} == {"pvwith": True, "pvwithout": False}


def test_edit_changes_the_stored_configuration_only(networks: Networks) -> None:
    network = networks.create(PLAIN)
    networks.define(network.xml_desc())
    with network.edit() as root:
        for bridge in root.findall("bridge"):
            bridge.set("name", "pvbr3")
    assert network.bridge_name() == "pvbr2"
    assert "pvbr3" in network.xml_desc(flags=NetworkXMLFlags.INACTIVE)

    stored = network.xml_desc(flags=NetworkXMLFlags.INACTIVE)
    with pytest.raises(XMLError), network.edit() as root:
        root.tag = "domain"
    with pytest.raises(ZeroDivisionError), network.edit() as root:
        root.tag = str(1 // 0)
    assert network.xml_desc(flags=NetworkXMLFlags.INACTIVE) == stored


@pytest.mark.parametrize(
    ("flags", "live", "stored"),
    [
        (NetworkUpdateFlags.CURRENT, True, False),
        (NetworkUpdateFlags.CONFIG, False, True),
        (NetworkUpdateFlags.LIVE | NetworkUpdateFlags.CONFIG, True, True),
    ],
)
def test_update_changes_the_running_or_the_stored_network(
    daemon: PrivateDaemon, up: Network, flags: NetworkUpdateFlags, live: bool, stored: bool
) -> None:
    change = NetworkUpdateSection.IP_DHCP_HOST, RESERVATION
    Networks(up.connection).define(up.xml_desc())
    try:
        up.update(NetworkUpdateCommand.ADD_FIRST, *change, parent_index=0, flags=flags)

        assert ("10.71.0.203" in up.xml_desc()) is live
        assert ("10.71.0.203" in up.xml_desc(flags=NetworkXMLFlags.INACTIVE)) is stored
        hosts = daemon.path("/var/lib/libvirt/dnsmasq/pvnet.hostsfile").read_text()
        assert ("52:54:00:71:00:03,10.71.0.203" in hosts) is live
        with pytest.raises(OperationInvalidError, match="existing dhcp host entry"):
            up.update(NetworkUpdateCommand.ADD_LAST, *change, parent_index=0, flags=flags)

        up.update(NetworkUpdateCommand.DELETE, *change, parent_index=0, flags=flags)
        assert "10.71.0.203" not in up.xml_desc() + up.xml_desc(flags=NetworkXMLFlags.INACTIVE)
    finally:
        up.undefine()
    with pytest.raises(OperationInvalidError, match="transient"):
        up.update(NetworkUpdateCommand.ADD_LAST, *change, parent_index=0, flags=NetworkUpdateFlags.CONFIG)


def test_invalid_documents_define_nothing(networks: Networks) -> None:
    before = len(networks)
    for make in (networks.define, networks.create):
        with pytest.raises(XMLError, match="Premature end"):
            make("<network>")
        with pytest.raises(XMLError, match="'network'"):
            make("<domain/>")
    with pytest.raises(Error, match="bridge interface lo: File exists"):
        networks.create(PLAIN.replace("pvbr2", "lo"))
    vf = "<driver name='vfio'/><address type='pci' domain='0' bus='255' slot='0' function='1'/>"
    with pytest.raises(NotSupportedError, match="SR-IOV"):
        networks.define(f"<network><name>pvhostdev</name><forward mode='hostdev'>{vf}</forward></network>")
    assert len(networks) == before


# ---- leases ----


@pytest.fixture
def client(daemon: PrivateDaemon, up: Network) -> Iterator[str]:
    """The name of a device that is connected to the network."""
    # Duplicate address detection would make an IPv6 address unusable for seconds.
    script = """
        ip link add pvplug type veth peer name pvclient
        for device in pvbr pvclient; do echo 0 > /proc/sys/net/ipv6/conf/$device/accept_dad; done
        ip link set pvplug master pvbr up
    """
    daemon.run_inside(["sh", "-e", "-c", script])
    yield "pvclient"
    daemon.run_inside(["ip", "link", "del", "pvplug"])


def set_mac(daemon: PrivateDaemon, device: str, mac: str) -> None:
    # Down and up again, so that the link-local address changes too.
    for change in (["down"], ["address", mac], ["up"]):
        daemon.run_inside(["ip", "link", "set", device, *change])


def lease_of(network: Network, mac: str) -> NetworkDHCPLease:
    """Wait for a lease: dnsmasq answers its client first, and then informs libvirt."""
    end = time.monotonic() + 30
    while not (leases := network.dhcp_leases(mac)):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert len(leases) == 1
    return leases[0]


def ask_for_address(daemon: PrivateDaemon, device: str, mac: str, hostname: str) -> None:
    set_mac(daemon, device, mac)
    client = ["busybox", "udhcpc", "-i", device, "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", "/bin/true"]
    daemon.run_inside([*client, "-x", f"hostname:{hostname}"])


def test_dhcp_leases_are_listed(daemon: PrivateDaemon, up: Network, client: str) -> None:
    assert up.dhcp_leases() == []
    before = int(time.time())
    ask_for_address(daemon, client, "52:54:00:71:00:01", "tired")
    lease = lease_of(up, "52:54:00:71:00:01")

    assert before + 3500 < lease.expiry_time < time.time() + 3700
    assert lease == NetworkDHCPLease(
        iface="pvbr",
        expiry_time=lease.expiry_time,
        type=IPAddrType.IPV4,
        mac="52:54:00:71:00:01",
        iaid=None,
        ipaddr="10.71.0.201",
        prefix=24,
        hostname="hourly",
        client_id="01:52:54:00:71:00:01",
    )

    ask_for_address(daemon, client, "52:54:00:71:00:02", "tireless")
    endless = lease_of(up, "52:54:00:71:00:02")
    assert (endless.expiry_time, endless.ipaddr, endless.hostname) == (0, "10.71.0.202", "tireless")
    assert set(up.dhcp_leases()) == {lease, endless}
    assert up.dhcp_leases("52:54:00:71:00:99") == []


def test_an_ipv6_lease_has_its_iaid_and_client_id(daemon: PrivateDaemon, up: Network, client: str) -> None:
    mac = "52:54:00:71:00:06"
    set_mac(daemon, client, mac)
    address = daemon.run_inside([sys.executable, "-c", DHCPV6, client, mac, "4711"]).stdout.strip()
    lease = lease_of(up, mac)

    assert address.startswith("fd00:71::")
    assert (lease.type, lease.ipaddr, lease.prefix) == (IPAddrType.IPV6, address, 64)
    assert (lease.iaid, lease.client_id) == ("4711", "00:03:00:01:52:54:00:71:00:06")
    assert lease.hostname is None


def test_leases_of_an_invalid_mac_raise(networks: Networks, up: Network) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid MAC address") as caught:
        up.dhcp_leases("nobody")
    assert (caught.value.code, caught.value.function) == (ErrorNumber.INVALID_MAC, "virNetworkGetDHCPLeases")
    down = networks.define(PLAIN)
    assert down.dhcp_leases() == []


# ---- ports ----


@pytest.fixture
def port(networks: Networks, up: Network) -> Iterator[NetworkPort]:
    yield up.ports.create(port_xml(1))
    for port in networks["pvnet"].ports:
        port.delete()


def test_ports_are_created_and_found(networks: Networks, up: Network, port: NetworkPort) -> None:
    ports = up.ports
    other = ports.create(port_xml(2))

    assert port.uuid == uuid.UUID(int=1)
    assert {one.uuid for one in ports} == {one.uuid for one in ports.list()} == {port.uuid, other.uuid}
    assert len(ports) == 2
    assert ports[port.uuid] == ports[str(port.uuid)] == ports.get(port.uuid.bytes) == port
    assert port.uuid in ports
    assert str(port.uuid) in ports
    assert port in ports
    assert UNKNOWN not in ports
    assert "nobody" not in ports
    assert len({port, other, ports[port.uuid]}) == 2
    assert repr(port) == f"<pyvirt.NetworkPort {port.uuid}>"
    assert "52:54:00:72:00:01" in port.xml_desc()

    assert len(networks.create(PLAIN).ports) == 0
    assert port not in networks["pvplain"].ports


def test_the_same_uuid_in_another_network_is_another_port(networks: Networks, port: NetworkPort) -> None:
    other = networks.create(PLAIN).ports.create(port_xml(1))
    assert other.uuid == port.uuid
    assert other != port
    other.delete()


def test_a_port_returns_its_network(up: Network, port: NetworkPort) -> None:
    assert port.network == up
    up.close()
    assert port.network.name == "pvnet"
    network = port.network
    for _ in range(1000):  # if the reference were borrowed, the network would have been freed long before
        assert port.network is not network
    port.close()
    assert network.is_active()
    with pytest.raises(ClosedError, match="this NetworkPort is closed"):
        port.xml_desc()


def test_bandwidth_of_a_port_is_set_and_cleared(port: NetworkPort) -> None:
    assert port.parameters() == {}
    port.set_parameters({"inbound.average": 500, "inbound.burst": 50, "outbound.peak": 900, "outbound.average": 300})
    limits = {name: value for name, value in port.parameters().items() if value}
    assert limits == {"inbound.average": 500, "inbound.burst": 50, "outbound.peak": 900, "outbound.average": 300}

    port.set_parameters({"outbound.average": 100})
    assert {name: value for name, value in port.parameters().items() if value} == {"outbound.average": 100}

    for bad in ({"inbound.avarage": 1}, {"inbound.average": -1}, {"inbound.average": 1 << 32}):
        with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
            port.set_parameters(bad)
    with pytest.raises(TypeError, match=r"inbound\.average"):
        port.set_parameters({"inbound.average": "much"})
    with pytest.raises(OperationUnsupportedError, match="floor"):
        port.set_parameters({"inbound.floor": 5})
    assert {name: value for name, value in port.parameters().items() if value} == {"outbound.average": 100}

    port.set_parameters({})
    assert port.parameters() == {}


def test_a_deleted_port_raises_not_found(up: Network, port: NetworkPort) -> None:
    port.delete()
    for call in (port.delete, port.xml_desc, port.parameters, lambda: up.ports[port.uuid]):
        with pytest.raises(NetworkPortNotFoundError, match=str(port.uuid)):
            call()
    assert up.ports.get(port.uuid, default=None) is None


def test_invalid_ports_are_refused(networks: Networks, up: Network, port: NetworkPort) -> None:
    ports = up.ports
    with pytest.raises(AlreadyExistsError, match=str(port.uuid)):
        ports.create(port_xml(1))
    with pytest.raises(XMLError, match="Premature end"):
        ports.create("<networkport>")
    with pytest.raises(XMLError, match="'networkport'"):
        ports.create("<network/>")
    with pytest.raises(Error, match="no uuid"):
        ports.create("<networkport/>")
    with pytest.raises(InvalidArgumentError, match="plug type is none"):
        ports.create(port_xml(3), flags=NetworkPortCreateFlags.RECLAIM)
    with pytest.raises(XMLError, match="schema"):
        ports.create(port_xml(3, "<odd/>"), flags=NetworkPortCreateFlags.VALIDATE)
    assert ports.list() == [port]

    down = networks.define(PLAIN).ports
    for call in (down.list, lambda: len(down), lambda: down.create(port_xml(1)), lambda: down[UNKNOWN]):
        with pytest.raises((OperationInvalidError, NetworkPortNotFoundError)):
            call()


def test_a_running_guest_has_a_port(conn: pyvirt.Connection, up: Network, nwfilter: NWFilter) -> None:
    interface = f"""<interface type='network'><source network='pvnet'/><target dev='pvguest'/>
        <mac address='52:54:00:71:00:09'/><filterref filter='{nwfilter.name}'/></interface>"""
    guest = conn.domains.create(paused_guest("pvguest", devices=interface), flags=DomainCreateFlags.PAUSED)
    try:
        (port,) = up.ports
        assert "52:54:00:71:00:09" in port.xml_desc()
        assert str(guest.uuid) in port.xml_desc()
        binding = NWFilterBindings(conn)["pvguest"]
        assert binding.filter_name == nwfilter.name
        with pytest.raises(OperationInvalidError, match="in use"):
            nwfilter.undefine()
    finally:
        guest.destroy()
    assert len(up.ports) == 0
    assert "pvguest" not in NWFilterBindings(conn)


# ---- filters ----

FILTER = """
<filter name='{}' chain='root'>
  <rule action='drop' direction='out' priority='500'><ip srcipaddr='192.0.2.71'/></rule>
  <rule action='accept' direction='inout'><tcp dstportstart='4711'/></rule>
</filter>
"""


@pytest.fixture
def filters(conn: pyvirt.Connection) -> NWFilters:
    return NWFilters(conn)


@pytest.fixture
def bindings(conn: pyvirt.Connection) -> NWFilterBindings:
    return NWFilterBindings(conn)


@pytest.fixture
def nwfilter(filters: NWFilters) -> Iterator[NWFilter]:
    nwfilter = filters.define(FILTER.format("pvfilter"))
    yield nwfilter
    nwfilter.undefine()


def binding_xml(device: str, nwfilter: str) -> str:
    return f"""<filterbinding>{OWNER}<portdev name='{device}'/><mac address='52:54:00:71:00:07'/>
        <filterref filter='{nwfilter}'/></filterbinding>"""


@pytest.fixture
def tap(daemon: PrivateDaemon) -> Iterator[str]:
    daemon.run_inside(["ip", "tuntap", "add", "pvtap", "mode", "tap"])
    yield "pvtap"
    daemon.run_inside(["ip", "link", "del", "pvtap"])


@pytest.fixture
def binding(bindings: NWFilterBindings, nwfilter: NWFilter, tap: str) -> Iterator[NWFilterBinding]:
    binding = bindings.create(binding_xml(tap, nwfilter.name))
    yield binding
    if tap in bindings:
        binding.delete()


def rules(daemon: PrivateDaemon) -> str:
    ethernet = daemon.run_inside(["ebtables", "-t", "nat", "-L"]).stdout
    return ethernet + daemon.run_inside(["iptables", "-S"]).stdout


def test_filters_are_defined_and_found(filters: NWFilters, nwfilter: NWFilter) -> None:
    other = filters.define("<filter name='pvother'/>")
    try:
        assert {"pvfilter", "pvother"} <= {one.name for one in filters}
        assert len(filters) == len(filters.list())
        assert filters["pvfilter"] == filters.get("pvfilter") == filters.get(uuid=str(nwfilter.uuid)) == nwfilter
        assert len({nwfilter, other, filters["pvfilter"]}) == 2
        assert nwfilter in filters
        assert "pvother" in filters
        assert nwfilter.connection is filters._conn
        assert repr(nwfilter) == f"<pyvirt.NWFilter 'pvfilter' {nwfilter.uuid}>"
        assert "192.0.2.71" in nwfilter.xml_desc()
    finally:
        other.undefine()
    for call in (other.undefine, other.xml_desc, lambda: filters["pvother"], lambda: filters.get(uuid=other.uuid)):
        with pytest.raises(NWFilterNotFoundError, match=r"pvother|with matching uuid"):
            call()
    assert "pvother" not in filters
    assert filters.get("pvother", default=None) is None


def test_invalid_filters_are_refused(filters: NWFilters, nwfilter: NWFilter) -> None:
    before = len(filters)
    with pytest.raises(XMLError, match="Start Tag filter"):
        filters.define("<filter")
    with pytest.raises(XMLError, match="'filter'"):
        filters.define("<domain/>")
    with pytest.raises(Error, match="no name"):
        filters.define("<filter/>")
    with pytest.raises(NotSupportedError, match="rule action"):
        filters.define(FILTER.format("pvbad").replace("drop", "shred"))
    with pytest.raises(XMLError, match="schema") as caught:
        filters.define(FILTER.format("pvbad").replace("drop", "shred"), flags=NWFilterDefineFlags.VALIDATE)
    assert caught.value.function == "virNWFilterDefineXMLFlags"
    with pytest.raises(OperationFailedError, match="'pvfilter' already exists with uuid"):
        filters.define(FILTER.format("pvfilter"))
    assert len(filters) == before


def test_a_binding_applies_the_rules_of_its_filter(
    daemon: PrivateDaemon, bindings: NWFilterBindings, nwfilter: NWFilter, binding: NWFilterBinding
) -> None:
    applied = rules(daemon)
    assert "-i pvtap -j libvirt-I-pvtap" in applied
    assert "--ip-src 192.0.2.71 -j DROP" in applied
    assert "-A FI-pvtap -p tcp -m tcp --sport 4711 -j RETURN" in applied

    with nwfilter.edit() as root:
        root.remove(root.findall("rule")[0])
    applied = rules(daemon)
    assert "192.0.2.71" not in nwfilter.xml_desc() + applied
    assert "-A FI-pvtap" in applied

    binding.delete()
    assert "pvtap" not in rules(daemon)
    for call in (binding.delete, binding.xml_desc, lambda: bindings["pvtap"]):
        with pytest.raises(NWFilterBindingNotFoundError, match="pvtap"):
            call()
    assert bindings.get("pvtap", default=None) is None


def test_bindings_are_created_and_found(
    bindings: NWFilterBindings, nwfilter: NWFilter, binding: NWFilterBinding
) -> None:
    assert (binding.port_dev, binding.filter_name) == ("pvtap", "pvfilter")
    assert bindings["pvtap"] == bindings.get("pvtap") == binding
    assert len({binding, bindings["pvtap"]}) == 1
    assert binding in bindings
    assert "pvtap" in bindings
    assert "eth0" not in bindings
    assert len(bindings) == len(bindings.list())
    assert "52:54:00:71:00:07" in binding.xml_desc()
    assert repr(binding) == "<pyvirt.NWFilterBinding 'pvtap'>"
    with pytest.raises(OperationInvalidError, match="in use"):
        nwfilter.undefine()
    with pytest.raises(OperationFailedError, match="'pvtap' already exists"):
        bindings.create(binding_xml("pvtap", nwfilter.name))
    assert bindings.list().count(binding) == 1


def test_a_binding_may_exist_before_its_device(
    daemon: PrivateDaemon, bindings: NWFilterBindings, nwfilter: NWFilter, request: pytest.FixtureRequest
) -> None:
    early = bindings.create(binding_xml("pvtap", nwfilter.name))
    assert early in bindings
    request.getfixturevalue("tap")
    assert "pvtap" not in rules(daemon)
    with nwfilter.edit() as root:
        root.remove(root.findall("rule")[0])
    assert "-A FI-pvtap" in rules(daemon)
    early.delete()
    assert early not in bindings


def test_invalid_bindings_are_refused(bindings: NWFilterBindings, nwfilter: NWFilter, tap: str) -> None:
    before = bindings.list()
    odd = binding_xml(tap, nwfilter.name).replace("<mac", "<odd/><mac")
    with pytest.raises(XMLError, match="Premature end"):
        bindings.create("<filterbinding>")
    with pytest.raises(XMLError, match="'filterbinding'"):
        bindings.create("<filter/>")
    with pytest.raises(Error, match="no port dev name"):
        bindings.create("<filterbinding/>")
    with pytest.raises(Error, match="'pvnobody' is missing"):
        bindings.create(binding_xml(tap, "pvnobody"))
    with pytest.raises(XMLError, match="schema"):
        bindings.create(odd, flags=NWFilterBindingCreateFlags.VALIDATE)
    assert bindings.list() == before


def test_closed_handles_raise_closed_error(up: Network, nwfilter: NWFilter, binding: NWFilterBinding) -> None:
    unread = NWFilterBindings(up.connection)["pvtap"]
    unread.close()
    assert repr(unread) == "<pyvirt.NWFilterBinding closed>"
    with pytest.raises(ClosedError, match="this NWFilterBinding is closed"):
        unread.xml_desc()
    closed = NWFilters(up.connection)["pvfilter"]
    closed.close()
    assert repr(closed) == "<pyvirt.NWFilter closed>"
    with pytest.raises(ClosedError, match="this NWFilter is closed"):
        closed.undefine()
    ports = NetworkPorts(up)
    up.close()
    with pytest.raises(ClosedError, match="this Network is closed"):
        ports.list()
