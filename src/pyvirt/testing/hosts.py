# SPDX-License-Identifier: LGPL-2.1-or-later
"""Generated hosts for libvirt's test driver: thousands of domains in the process, without a daemon.

>>> with temporary_host(domains=3, running=1 / 3) as uri:
...     print(uri.partition("///")[0])
test:

The same arguments always give the same host.  The domains are ``vm-00001``, ``vm-00002``, … with UUIDs, MAC addresses
and disk paths that are derived from these names.  The running domains come first, then the paused ones, then those that
are shut off.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from xml.sax.saxutils import escape, quoteattr

from pyvirt.uri import URI

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own needs Python 3.11

__all__ = [
    "HostOptions",
    "domain_name",
    "host_uri",
    "host_xml",
    "object_uuid",
    "temporary_host",
    "write_host",
]

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "pyvirt.testing.hosts")
_TEST_DRIVER = "http://libvirt.org/schemas/domain/test/1.0"
_RUNNING, _PAUSED, _SHUTOFF = 1, 3, 5  # virDomainState


class HostOptions(TypedDict, total=False):
    """The keyword arguments of :func:`host_xml`."""

    domains: int
    networks: int
    pools: int
    volumes: int
    running: float
    paused: float
    vcpus: int | Sequence[int]
    memory: int | Sequence[int]
    disks: int | Sequence[int]
    interfaces: int | Sequence[int]
    credentials: Mapping[str, str] | None


def domain_name(number: int) -> str:
    """Return the name of a generated domain, counted from 1."""
    return f"vm-{number:05}"


def object_uuid(name: str) -> uuid.UUID:
    """Return the UUID of the generated domain ``vm-…``, network ``net-…`` or pool ``pool-…`` of this name."""
    return uuid.uuid5(_NAMESPACE, name)


def host_xml(
    *,
    domains: int = 1000,
    networks: int = 2,
    pools: int = 2,
    volumes: int = 4,
    running: float = 1.0,
    paused: float = 0.0,
    vcpus: int | Sequence[int] = (1, 2, 4),
    memory: int | Sequence[int] = (1 << 30, 2 << 30, 4 << 30),
    disks: int | Sequence[int] = (1, 2),
    interfaces: int | Sequence[int] = (1, 2),
    credentials: Mapping[str, str] | None = None,
) -> str:
    """Return the ``<node>`` document of a host.

    *vcpus*, *memory*, *disks* and *interfaces* are one number for all domains, or several numbers that the domains
    use in turn.

    :param running: the fraction of domains that run
    :param paused: the fraction of domains that are paused; the others are shut off
    :param volumes: the number of volumes in each pool
    :param memory: bytes
    :param credentials: passwords by user name; opening the host then needs one of these users and its password
    """
    last_running = round(domains * running)
    last_paused = last_running + round(domains * paused)
    if not 0 <= last_running <= last_paused <= domains:
        raise ValueError(f"running and paused must be fractions with a sum of 0 to 1, not {running} and {paused}")
    parts = [_NODE]
    if credentials:
        users = "".join(f"<user password={quoteattr(key)}>{escape(user)}</user>" for user, key in credentials.items())
        parts.append(f"<auth>{users}</auth>")
    parts.extend(_network(number) for number in range(1, networks + 1))
    parts.extend(_pool(number, volumes) for number in range(1, pools + 1))
    shapes = zip(_cycle(vcpus), _cycle(memory), _cycle(disks), _cycle(interfaces), strict=False)  # infinite
    for number, shape in enumerate(itertools.islice(shapes, domains), 1):
        state = _RUNNING if number <= last_running else _PAUSED if number <= last_paused else _SHUTOFF
        network = (number - 1) % networks + 1 if networks else None
        parts.append(_domain(number, state, *shape, network=network))
    parts.append("</node>\n")
    return "".join(parts)


def host_uri(path: str | os.PathLike[str]) -> str:
    """Return the URI of the host in the file *path*."""
    return str(URI("test", str(Path(path).absolute())))


def write_host(path: str | os.PathLike[str], **options: Unpack[HostOptions]) -> str:
    """Write a generated host to the file *path* and return its URI; the options are those of :func:`host_xml`."""
    Path(path).write_text(host_xml(**options), encoding="utf-8")
    return host_uri(path)


@contextlib.contextmanager
def temporary_host(**options: Unpack[HostOptions]) -> Iterator[str]:
    """Yield the URI of a generated host that is removed afterwards; the options are those of :func:`host_xml`."""
    with tempfile.TemporaryDirectory(prefix="pyvirt-host-") as directory:
        yield write_host(Path(directory, "host.xml"), **options)


_NODE = """<node>
<cpu><mhz>2400</mhz><model>x86_64</model><active>64</active>
<nodes>2</nodes><sockets>2</sockets><cores>16</cores><threads>1</threads></cpu>
<memory>536870912</memory>
"""


def _cycle(values: int | Sequence[int]) -> Iterator[int]:
    return itertools.cycle([values] if isinstance(values, int) else values)


def _mac(number: int, index: int) -> str:
    return f"52:54:{index:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def _domain(
    number: int, state: int, vcpus: int, memory: int, disks: int, interfaces: int, *, network: int | None
) -> str:
    name = domain_name(number)
    source = f"type='network'><source network='net-{network}'/>" if network else "type='user'>"
    return (
        f"<domain type='test' xmlns:test='{_TEST_DRIVER}'><name>{name}</name><uuid>{object_uuid(name)}</uuid>"
        f"<memory unit='bytes'>{memory}</memory><vcpu>{vcpus}</vcpu>"
        "<os><type arch='x86_64'>hvm</type></os><devices>"
        + "".join(
            f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            f"<source file='/var/lib/libvirt/images/{name}-{index}.qcow2'/>"
            f"<target dev='vd{chr(ord('a') + index)}' bus='virtio'/></disk>"
            for index in range(disks)
        )
        + "".join(
            f"<interface {source}<mac address='{_mac(number, index)}'/><model type='virtio'/></interface>"
            for index in range(interfaces)
        )
        + f"</devices><test:runstate>{state}</test:runstate></domain>\n"
    )


def _network(number: int) -> str:
    name = f"net-{number}"
    subnet = f"10.{100 + (number >> 8)}.{number & 255}"
    return (
        f"<network><name>{name}</name><uuid>{object_uuid(name)}</uuid><forward mode='nat'/>"
        f"<bridge name='virbr{number}'/><ip address='{subnet}.1' netmask='255.255.255.0'>"
        f"<dhcp><range start='{subnet}.10' end='{subnet}.200'/></dhcp></ip></network>\n"
    )


def _pool(number: int, volumes: int) -> str:
    name = f"pool-{number}"
    path = f"/var/lib/libvirt/{name}"
    return (
        f"<pool type='dir'><name>{name}</name><uuid>{object_uuid(name)}</uuid>"
        f"<target><path>{path}</path></target>"
        + "".join(
            f"<volume type='file'><name>volume-{index}.raw</name><capacity unit='bytes'>{1 << 30}</capacity>"
            f"<target><path>{path}/volume-{index}.raw</path></target></volume>"
            for index in range(1, volumes + 1)
        )
        + "</pool>\n"
    )
