# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of virtual networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add_uuid, copy_elements, node
from pyvirt.xmldesc.devices import bandwidth

_FORWARD = ("nat", "route", "open", "bridge", "private", "vepa", "passthrough")
_EXISTING_DEVICE = ("bridge", "private", "vepa", "passthrough")  # modes that use a bridge or device of the host
_DNS_NAME = re.compile(r"[a-zA-Z0-9.-]+")

AddressLike = str | ipaddress.IPv4Address | ipaddress.IPv6Address


def network(
    name: str,
    *,
    forward: str | None = None,
    forward_device: str | None = None,
    bridge: str | None = None,
    ips: Element | Iterable[Element] = (),
    nat_ipv6: bool | None = None,
    domain: str | None = None,
    domain_local: bool | None = None,
    dns: bool | None = None,
    dns_forwarders: Iterable[AddressLike] = (),
    dns_hosts: Mapping[AddressLike, str | Iterable[str]] | None = None,
    dns_txt: Mapping[str, str] | None = None,
    portgroups: Element | Iterable[Element] = (),
    mtu: int | None = None,
    mac: str | None = None,
    uuid: valid.UUID | None = None,
    metadata: Element | Iterable[Element] = (),
) -> Element:
    """Return a network.

    :param forward: how it is connected to other networks: ``nat``, ``route`` or ``open``; or ``bridge``, ``private``,
        ``vepa`` or ``passthrough`` for an existing bridge or device; by default the network is isolated
    :param forward_device: the only device of the host for outgoing traffic
    :param bridge: the name of the bridge, by default ``virbr`` and a number
    :param ips: results of :func:`network_ip`: the addresses of the host in the network
    :param nat_ipv6: whether to use NAT for IPv6 too
    :param domain: the DNS domain of the guests
    :param domain_local: whether DNS requests for that domain are never forwarded
    :param dns: whether the host is a DNS server for the network, by default ``True``
    :param dns_forwarders: the DNS servers for other names, by default those of the host
    :param dns_hosts: addresses and their names
    :param dns_txt: names and the text of their TXT records
    :param portgroups: results of :func:`portgroup`
    """
    root = node("network", node("name", valid.name("the name of the network", name)))
    add_uuid(root, uuid)
    elements = copy_elements(metadata)
    if elements:
        root.append(node("metadata", *elements))
    addresses = copy_elements(ips)
    device = None if forward_device is None else valid.device_name("forward_device", forward_device)
    if forward is not None:
        root.append(_forward(forward, device, nat_ipv6))
    elif device is not None or nat_ipv6 is not None:
        raise InvalidArgumentError("forward_device and nat_ipv6 need forward")
    if forward in _EXISTING_DEVICE:
        _check_existing_device(forward, bridge, device, bool(addresses or domain or dns is not None or mac))
    if bridge is not None:
        root.append(node("bridge", name=valid.device_name("bridge", bridge)))
    if mtu is not None:
        root.append(node("mtu", size=valid.integer("mtu", mtu, least=68, most=65535)))
    if mac is not None:
        root.append(node("mac", address=valid.mac("mac", mac)))
    if domain is not None:
        root.append(node("domain", name=_dns_name("domain", domain), localOnly=domain_local))
    elif domain_local is not None:
        raise InvalidArgumentError("domain_local needs domain")
    dns_element = _dns(dns, dns_forwarders, dns_hosts or {}, dns_txt or {})
    if dns_element is not None:
        root.append(dns_element)
    root.extend(addresses)
    root.extend(copy_elements(portgroups))
    return root


def _forward(mode: str, device: str | None, nat_ipv6: bool | None) -> Element:
    valid.one_of("forward", mode, _FORWARD)
    element = node("forward", mode=mode)
    if device is not None:
        if mode in _EXISTING_DEVICE:
            element.append(node("interface", dev=device))
        else:
            element.set("dev", device)
    if nat_ipv6 is not None:
        if mode != "nat":
            raise InvalidArgumentError("nat_ipv6 needs forward='nat'")
        element.append(node("nat", ipv6=nat_ipv6))
    return element


def _check_existing_device(forward: str | None, bridge: str | None, device: str | None, has_services: bool) -> None:
    if (bridge is None) == (device is None):
        raise InvalidArgumentError(f"forward={forward!r} needs either bridge or forward_device")
    if bridge is not None and forward != "bridge":
        raise InvalidArgumentError(f"forward={forward!r} needs forward_device, not bridge")
    if has_services:
        raise InvalidArgumentError(f"forward={forward!r} cannot have ips, domain, dns or mac")


def _dns(
    enable: bool | None,
    forwarders: Iterable[AddressLike],
    hosts: Mapping[AddressLike, str | Iterable[str]],
    texts: Mapping[str, str],
) -> Element | None:
    element = node("dns", enable=enable)
    for one in forwarders:
        element.append(node("forwarder", addr=valid.address("a DNS forwarder", one)))
    for key, value in texts.items():
        element.append(node("txt", name=_dns_name("the name of a TXT record", key), value=value))
    for address, names in hosts.items():
        listed = [node("hostname", _dns_name("the name of a host", one)) for one in _as_iterable(names)]
        if not listed:
            raise InvalidArgumentError(f"{address} in dns_hosts needs a name")
        element.append(node("host", *listed, ip=valid.address("the address of a host", address)))
    if enable is False and len(element):
        raise InvalidArgumentError(
            "dns=False disables the DNS server, which dns_forwarders, dns_hosts and dns_txt need"
        )
    return element if len(element) or enable is not None else None


def _as_iterable(names: str | Iterable[str]) -> Iterable[str]:
    return (names,) if isinstance(names, str) else names


def _dns_name(what: str, value: str) -> str:
    return valid.matching(what, value, _DNS_NAME, "letters, digits and the characters .-")


def network_ip(
    address: str | ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    *,
    dhcp: tuple[AddressLike, AddressLike] | Iterable[tuple[AddressLike, AddressLike]] = (),
    hosts: Element | Iterable[Element] = (),
    tftp: valid.StrPath | None = None,
    bootp: str | None = None,
) -> Element:
    """Return an address of the host in a network, and the addresses that DHCP assigns there.

    >>> from pyvirt.xmldesc import network_ip, serialize
    >>> print(serialize(network_ip("10.0.0.1/24", dhcp=("10.0.0.10", "10.0.0.99"))))
    <ip address="10.0.0.1" prefix="24" family="ipv4"><dhcp><range start="10.0.0.10" end="10.0.0.99"/></dhcp></ip>

    :param address: the address with the prefix length, ``10.0.0.1/24`` or ``fd00::1/64``
    :param dhcp: the first and the last address of a range, or several such pairs
    :param hosts: results of :func:`dhcp_host`, for guests with a fixed address
    :param tftp: the path of a directory on the host for the TFTP server
    :param bootp: the file in that directory that guests boot
    """
    try:
        own = ipaddress.ip_interface(address)
    except ValueError:
        raise InvalidArgumentError(f"address must have a prefix length, such as 10.0.0.1/24, not {address!r}") from None
    if own.network.prefixlen == own.network.max_prefixlen or (isinstance(address, str) and "/" not in address):
        raise InvalidArgumentError(f"address must have a prefix length, such as 10.0.0.1/24, not {address}")
    if isinstance(own, ipaddress.IPv6Interface) and own.scope_id:
        raise InvalidArgumentError(f"libvirt does not accept an address with a scope: {address}")
    element = node("ip", address=own.ip, prefix=own.network.prefixlen, family=f"ipv{own.version}")
    if tftp is not None:
        element.append(node("tftp", root=valid.path("tftp", tftp)))
    dhcp_element = node("dhcp")
    for start, end in _ranges(dhcp):
        first, last = (_inside(own, one) for one in (start, end))
        if int(first) > int(last):
            raise InvalidArgumentError(f"the first address of a range must not exceed the last: {first} > {last}")
        dhcp_element.append(node("range", start=first, end=last))
    for host in copy_elements(hosts):
        _inside(own, host.get("ip", ""))
        dhcp_element.append(host)
    if bootp is not None:
        dhcp_element.append(node("bootp", file=valid.name("bootp", bootp, forbidden="")))
    if len(dhcp_element):
        element.append(dhcp_element)
    return element


def _ranges(
    dhcp: tuple[AddressLike, AddressLike] | Iterable[tuple[AddressLike, AddressLike]],
) -> Iterable[tuple[AddressLike, AddressLike]]:
    given: list[object] = list(dhcp)
    if len(given) == 2 and not any(isinstance(one, (tuple, list)) for one in given):
        given = [given]
    for pair in given:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidArgumentError(f"dhcp must be pairs of the first and the last address, not {pair!r}")
        yield pair[0], pair[1]


def _inside(own: ipaddress.IPv4Interface | ipaddress.IPv6Interface, value: AddressLike) -> valid.Address:
    found = valid.address("an address of dhcp or hosts", value)
    if found not in own.network:
        raise InvalidArgumentError(f"{found} is not in {own.network}")
    return found


def dhcp_host(ip: AddressLike, *, mac: str | None = None, name: str | None = None) -> Element:
    """Return a fixed address for a guest, which DHCP recognises by its MAC address or the name that it sends.

    DHCP for IPv6 does not use MAC addresses: give only a name there.
    """
    if mac is None and name is None:
        raise InvalidArgumentError(f"the host with the address {ip} needs mac or name")
    checked_name = None if name is None else valid.name("name", name)
    return node(
        "host", mac=None if mac is None else valid.mac("mac", mac), name=checked_name, ip=valid.address("ip", ip)
    )


def portgroup(
    name: str,
    *,
    default: bool | None = None,
    vlan: int | Iterable[int] | None = None,
    inbound: int | None = None,
    outbound: int | None = None,
) -> Element:
    """Return a port group of a network, which interfaces select by its name.

    :param default: whether it is used for interfaces without a port group
    :param vlan: a VLAN tag, or several for a trunk; only Open vSwitch and SR-IOV support it
    :param inbound: the average limit for received data of each interface, in bytes per second
    :param outbound: the average limit for sent data of each interface, in bytes per second
    """
    element = node("portgroup", name=valid.device_name("the name of the port group", name), default=default)
    if vlan is not None:
        tags = [vlan] if isinstance(vlan, int) else list(vlan)
        listed = [node("tag", id=valid.integer("vlan", one, most=4095)) for one in tags]
        if not listed:
            raise InvalidArgumentError("vlan must contain at least one tag")
        element.append(node("vlan", *listed, trunk=True if len(listed) > 1 else None))
    limits = bandwidth(inbound, outbound)
    if limits is not None:
        element.append(limits)
    return element
