# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add_uuid, adopted, node
from pyvirt.xmldesc.devices import bandwidth

_FORWARD = ("nat", "route", "open", "bridge", "private", "vepa", "passthrough")
_OTHERS_BRIDGE = ("bridge", "private", "vepa", "passthrough")
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

    :param forward: how it reaches others: ``nat``, ``route``, ``open``, or ``bridge`` and its kin for a bridge or
        device that is there already; by default not at all
    :param forward_device: the host's device that traffic may leave by
    :param bridge: the name of the bridge, by default ``virbr`` and a number
    :param ips: of :func:`network_ip`: the host's own addresses in it
    :param nat_ipv6: whether NAT is for IPv6 too
    :param domain: the DNS domain of its guests
    :param domain_local: whether names of that domain are never asked for elsewhere
    :param dns: whether the host answers DNS in it; by default it does
    :param dns_forwarders: who is asked for other names, by default whom the host asks
    :param dns_hosts: addresses and the names that they have
    :param portgroups: of :func:`portgroup`
    """
    root = node("network", node("name", valid.name("the network's name", name)))
    add_uuid(root, uuid)
    own = adopted(metadata)
    if own:
        root.append(node("metadata", *own))
    addresses = adopted(ips)
    device = None if forward_device is None else valid.device_name("forward_device", forward_device)
    if forward is not None:
        valid.one_of("forward", forward, _FORWARD)
        way = node("forward", mode=forward)
        if device is not None:
            if forward in _OTHERS_BRIDGE:
                way.append(node("interface", dev=device))
            else:
                way.set("dev", device)
        if nat_ipv6 is not None:
            if forward != "nat":
                raise InvalidArgumentError("nat_ipv6 needs forward='nat'")
            way.append(node("nat", ipv6=nat_ipv6))
        root.append(way)
    elif device is not None or nat_ipv6 is not None:
        raise InvalidArgumentError("forward_device and nat_ipv6 need a forward")
    if forward in _OTHERS_BRIDGE:
        _check_others_bridge(forward, bridge, device, bool(addresses or domain or dns is not None or mac))
    if bridge is not None:
        root.append(node("bridge", name=valid.device_name("bridge", bridge)))
    if mtu is not None:
        root.append(node("mtu", size=valid.whole("mtu", mtu, least=68, most=65535)))
    if mac is not None:
        root.append(node("mac", address=valid.mac("mac", mac)))
    if domain is not None:
        root.append(node("domain", name=_dns_name("domain", domain), localOnly=domain_local))
    elif domain_local is not None:
        raise InvalidArgumentError("domain_local needs a domain")
    names = _dns(dns, dns_forwarders, dns_hosts or {}, dns_txt or {})
    if names is not None:
        root.append(names)
    root.extend(addresses)
    root.extend(adopted(portgroups))
    return root


def _check_others_bridge(forward: str | None, bridge: str | None, device: str | None, more: bool) -> None:
    if (bridge is None) == (device is None):
        raise InvalidArgumentError(f"forward={forward!r} needs a bridge or a forward_device, and not both")
    if bridge is not None and forward != "bridge":
        raise InvalidArgumentError(f"forward={forward!r} needs a forward_device, not a bridge")
    if more:
        raise InvalidArgumentError(f"with forward={forward!r} libvirt serves no addresses and no DNS")


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
        element.append(node("txt", name=_dns_name("a DNS text's name", key), value=value))
    for address, names in hosts.items():
        listed = [node("hostname", _dns_name("a host's name", one)) for one in _several(names)]
        if not listed:
            raise InvalidArgumentError(f"{address} needs a name")
        element.append(node("host", *listed, ip=valid.address("a host's address", address)))
    if enable is False and len(element):
        raise InvalidArgumentError("dns=False leaves nobody to answer for forwarders, hosts and texts")
    return element if len(element) or enable is not None else None


def _several(names: str | Iterable[str]) -> Iterable[str]:
    return (names,) if isinstance(names, str) else names


def _dns_name(what: str, value: str) -> str:
    return valid.matching(what, value, _DNS_NAME, "letters, digits and any of .-")


def network_ip(
    address: str | ipaddress.IPv4Interface | ipaddress.IPv6Interface,
    *,
    dhcp: tuple[AddressLike, AddressLike] | Iterable[tuple[AddressLike, AddressLike]] = (),
    hosts: Element | Iterable[Element] = (),
    tftp: valid.StrPath | None = None,
    bootp: str | None = None,
) -> Element:
    """Return an address of the host in a network, and what DHCP hands out there.

    >>> from pyvirt.xmldesc import network_ip, serialize
    >>> print(serialize(network_ip("10.0.0.1/24", dhcp=("10.0.0.10", "10.0.0.99"))))
    <ip address="10.0.0.1" prefix="24" family="ipv4"><dhcp><range start="10.0.0.10" end="10.0.0.99"/></dhcp></ip>

    :param address: with the length of the prefix, ``10.0.0.1/24`` or ``fd00::1/64``
    :param dhcp: the first and the last address of a range, or several such pairs
    :param hosts: of :func:`dhcp_host`: who always gets the same address
    :param tftp: a directory of the host that TFTP serves
    :param bootp: the file there that guests boot
    """
    try:
        own = ipaddress.ip_interface(address)
    except ValueError:
        raise InvalidArgumentError(f"an address with its prefix is needed, 10.0.0.1/24, not {address!r}") from None
    if own.network.prefixlen == own.network.max_prefixlen or (isinstance(address, str) and "/" not in address):
        raise InvalidArgumentError(f"{address} has no prefix, as in 10.0.0.1/24")
    if isinstance(own, ipaddress.IPv6Interface) and own.scope_id:
        raise InvalidArgumentError(f"{address} has a scope, which libvirt does not take")
    element = node("ip", address=own.ip, prefix=own.network.prefixlen, family=f"ipv{own.version}")
    if tftp is not None:
        element.append(node("tftp", root=valid.path("tftp", tftp)))
    served = node("dhcp")
    for start, end in _ranges(dhcp):
        first, last = (_inside(own, one) for one in (start, end))
        if int(first) > int(last):
            raise InvalidArgumentError(f"a range of addresses goes upwards, not from {first} to {last}")
        served.append(node("range", start=first, end=last))
    for host in adopted(hosts):
        _inside(own, host.get("ip", ""))
        served.append(host)
    if bootp is not None:
        served.append(node("bootp", file=valid.name("bootp", bootp, forbidden="")))
    if len(served):
        element.append(served)
    return element


def _ranges(
    dhcp: tuple[AddressLike, AddressLike] | Iterable[tuple[AddressLike, AddressLike]],
) -> Iterable[tuple[AddressLike, AddressLike]]:
    given: list[object] = list(dhcp)
    if len(given) == 2 and not any(isinstance(one, (tuple, list)) for one in given):
        given = [given]
    for pair in given:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidArgumentError(f"dhcp needs the first and the last address, not {pair!r}")
        yield pair[0], pair[1]


def _inside(own: ipaddress.IPv4Interface | ipaddress.IPv6Interface, value: AddressLike) -> valid.Address:
    found = valid.address("an address for DHCP", value)
    if found not in own.network:
        raise InvalidArgumentError(f"{found} is not in {own.network}")
    return found


def dhcp_host(ip: AddressLike, *, mac: str | None = None, name: str | None = None) -> Element:
    """Return who always gets a certain address, known by its MAC address or the name it asks with.

    IPv6 has no MAC addresses in its DHCP: there give a name alone.
    """
    if mac is None and name is None:
        raise InvalidArgumentError(f"who gets {ip}? give a mac or a name")
    own = None if name is None else valid.name("name", name)
    return node("host", mac=None if mac is None else valid.mac("mac", mac), name=own, ip=valid.address("ip", ip))


def portgroup(
    name: str,
    *,
    default: bool | None = None,
    vlan: int | Iterable[int] | None = None,
    inbound: int | None = None,
    outbound: int | None = None,
) -> Element:
    """Return a group of ports of a network, which interfaces name.

    :param default: whether it is for interfaces that name none
    :param vlan: a tag, or several for a trunk; only Open vSwitch and SR-IOV have it
    :param inbound: what each may receive on average, in bytes per second
    :param outbound: what each may send on average, in bytes per second
    """
    element = node("portgroup", name=valid.device_name("the port group's name", name), default=default)
    if vlan is not None:
        tags = [vlan] if isinstance(vlan, int) else list(vlan)
        listed = [node("tag", id=valid.whole("vlan", one, most=4095)) for one in tags]
        if not listed:
            raise InvalidArgumentError("vlan must be a tag, or some tags")
        element.append(node("vlan", *listed, trunk=True if len(listed) > 1 else None))
    limits = bandwidth(inbound, outbound)
    if limits is not None:
        element.append(limits)
    return element
