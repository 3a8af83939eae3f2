# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of network filters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add_uuid, copy_elements, node

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]*")
_CHAIN = re.compile(r"root|(mac|stp|arp)[a-zA-Z0-9_.:-]{0,9}|(vlan|rarp|ipv4|ipv6)[a-zA-Z0-9_.:-]{0,8}")
_PARAMETER = re.compile(r"[a-zA-Z0-9_]+")
_VALUE = re.compile(r"[a-zA-Z0-9_.:]+")

_MAC = ("srcmacaddr", "srcmacmask", "dstmacaddr", "dstmacmask")
_IP = ("srcipaddr", "srcipmask", "dstipaddr", "dstipmask")
_FLOW = ("srcipfrom", "srcipto", "dstipfrom", "dstipto", "dscp")
_FLOW4 = ("connlimit-above", "state", "ipset", "ipsetflags")  # for IPv4 only in libvirt's schema
_PORTS = ("srcportstart", "srcportend", "dstportstart", "dstportend")
_ALWAYS = ("match", "comment")
_TRANSPORT6 = (*_ALWAYS, "srcmacaddr", *_IP, *_FLOW)
_TRANSPORT = (*_TRANSPORT6, *_FLOW4)
_ARP_ADDRESSES = ("arpsrcmacaddr", "arpdstmacaddr", "arpsrcipaddr", "arpdstipaddr")
_ARP = ("hwtype", "protocoltype", "opcode", *_ARP_ADDRESSES, "gratuitous")
_ICMP = ("type", "code")

# Protocol -> the attributes that a rule can match.
PROTOCOLS: Mapping[str, tuple[str, ...]] = {
    "mac": (*_ALWAYS, *_MAC, "protocolid"),
    "vlan": (*_ALWAYS, *_MAC, "vlanid", "encap-protocol"),
    "arp": (*_ALWAYS, *_MAC, *_ARP),
    "rarp": (*_ALWAYS, *_MAC, *_ARP),
    "ip": (*_ALWAYS, *_MAC, *_IP, *_PORTS, "protocol", "dscp"),
    "ipv6": (*_ALWAYS, *_MAC, *_IP, *_PORTS, "protocol", "type", "typeend", "code", "codeend"),
    "tcp": (*_TRANSPORT, *_PORTS, "flags"),
    "tcp-ipv6": (*_TRANSPORT6, *_PORTS, "flags"),
    **dict.fromkeys(("udp", "sctp"), (*_TRANSPORT, *_PORTS)),
    **dict.fromkeys(("udp-ipv6", "sctp-ipv6"), (*_TRANSPORT6, *_PORTS)),
    **dict.fromkeys(("all", "esp", "ah", "udplite"), _TRANSPORT),
    **dict.fromkeys(("all-ipv6", "esp-ipv6", "ah-ipv6", "udplite-ipv6"), _TRANSPORT6),
    "icmp": (*_TRANSPORT, *_ICMP),
    "icmpv6": (*_TRANSPORT6, *_ICMP),
    "igmp": _TRANSPORT,
}


def nwfilter(
    name: str,
    entries: Element | Iterable[Element] = (),
    *,
    chain: str | None = None,
    priority: int | None = None,
    uuid: valid.UUID | None = None,
) -> Element:
    """Return a network filter.

    :param entries: results of :func:`rule` and :func:`filterref`
    :param chain: ``root``, or a chain whose name begins with ``mac``, ``arp``, ``ipv4``, …
    :param priority: the priority of its chain, from -1000 (first) to 1000
    """
    root = node(
        "filter", name=valid.matching("the name of the filter", name, _NAME, "letters, digits and the characters _.-")
    )
    if chain is not None:
        root.set("chain", valid.matching("chain", chain, _CHAIN, "root, or a name such as arp or ipv4-mine"))
    if priority is not None:
        root.set("priority", str(_priority(priority)))
    add_uuid(root, uuid)
    root.extend(copy_elements(entries))
    return root


def rule(
    action: str,
    direction: str,
    protocol: str | None = None,
    /,
    *,
    priority: int | None = None,
    statematch: bool | None = None,
    **match: str | int | bool,
) -> Element:
    """Return a rule of a filter.

    >>> from pyvirt.xmldesc import rule, serialize
    >>> print(serialize(rule("accept", "in", "tcp", dstportstart=22)))
    <rule action="accept" direction="in"><tcp dstportstart="22"/></rule>

    :param action: ``accept``, ``drop``, ``reject``, ``return`` or ``continue``
    :param direction: ``in`` (to the guest), ``out`` or ``inout``
    :param protocol: ``tcp``, ``udp-ipv6``, ``icmp``, ``arp``, ``mac``, …; without it, the rule applies to all traffic
    :param priority: from -1000 (first) to 1000, by default 500
    :param statematch: ``False`` for a rule that ignores the state of connections
    :param match: attributes with libvirt's names, underscores instead of hyphens
    """
    valid.one_of("action", action, ("accept", "drop", "reject", "return", "continue"))
    valid.one_of("direction", direction, ("in", "out", "inout"))
    element = node("rule", action=action, direction=direction)
    if priority is not None:
        element.set("priority", str(_priority(priority)))
    if statematch is not None:
        element.set("statematch", "true" if statematch else "false")
    if protocol is not None:
        valid.one_of("protocol", protocol, PROTOCOLS)
    if match:
        known = PROTOCOLS[protocol] if protocol else ()
        traffic = {
            valid.one_of("the name of a match", key.replace("_", "-"), known): value for key, value in match.items()
        }
    else:
        traffic = {}
    if protocol is not None:
        element.append(node(protocol, **traffic))
    return element


def filterref(filter: str, parameters: Mapping[str, str | Iterable[str]] | None = None) -> Element:
    """Return a reference to another filter.

    :param parameters: the values of its variables, e.g. ``{"IP": "10.0.0.5"}``; a variable may have several values
    """
    name = valid.matching("filter", filter, _NAME, "letters, digits and the characters _.-")
    element = node("filterref", filter=name)
    for key, values in (parameters or {}).items():
        valid.matching("the name of a parameter", key, _PARAMETER, "letters, digits and _")
        for value in (values,) if isinstance(values, str) else values:
            valid.matching(f"parameter {key}", value, _VALUE, "letters, digits and the characters _.:")
            element.append(node("parameter", name=key, value=value))
    return element


def _priority(value: int) -> int:
    return valid.integer("priority", value, least=-1000, most=1000)
