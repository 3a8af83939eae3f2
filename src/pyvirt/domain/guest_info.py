# SPDX-License-Identifier: LGPL-2.1-or-later
"""The types of what an agent reports about its guest: plain data.

libvirt sends it flat: ``fs.count`` is 2 and ``fs.1.mountpoint`` is ``"/home"``.  Here that is
``info["fs"][1]["mountpoint"]``: numbered fields become a list, grouped fields a dictionary, under libvirt's own names.
Fields that the guest does not report are absent, so read them with ``get``.

The classes are for type checkers.  At run time the values are dictionaries and lists, which ``json.dumps`` accepts.
They also contain fields that newer versions of libvirt add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from pyvirt._core.params import TypedValue

    Node: TypeAlias = "TypedValue | list[Node] | dict[str, Node]"


class GuestTimezone(TypedDict, total=False):
    """The time zone of the guest."""

    name: str
    offset: int
    """Seconds east of UTC."""


class GuestFilesystemDisk(TypedDict, total=False):
    """A disk that contains a file system."""

    alias: str
    """Its name in the domain's configuration: ``"vda"``."""
    serial: str
    device: str


class GuestDependency(TypedDict, total=False):
    """A disk that another one is built on: a physical volume of a volume group, the disk below an encrypted one."""

    name: str


class GuestDisk(TypedDict, total=False):
    """A disk, or a partition of one."""

    name: str
    partition: bool
    dependency: list[GuestDependency]
    serial: str
    alias: str
    """Its name in the domain's configuration: ``"vda"``."""
    guest_alias: str
    guest_bus: str


class GuestAddress(TypedDict, total=False):
    """An address of a network interface."""

    type: str
    """``"ipv4"`` or ``"ipv6"``."""
    addr: str
    prefix: int


class GuestInterface(TypedDict, total=False):
    """A network interface."""

    name: str
    hwaddr: str
    addr: list[GuestAddress]


class GuestDevice(TypedDict, total=False):
    """A device and its driver, of Windows."""

    driverName: str
    driverDate: int
    driverVersion: str
    idType: str
    pciVendor: int
    pciDevice: int


# The names of the other fields are not identifiers.
GuestUser = TypedDict(
    "GuestUser",
    {
        "name": str,
        "domain": str,  # of Windows
        "login-time": int,  # milliseconds since 1970
    },
    total=False,
)
GuestOS = TypedDict(
    "GuestOS",
    {
        "id": str,
        "name": str,
        "pretty-name": str,
        "version": str,
        "version-id": str,
        "kernel-release": str,
        "kernel-version": str,
        "machine": str,
        "variant": str,
        "variant-id": str,
    },
    total=False,
)
GuestFilesystem = TypedDict(
    "GuestFilesystem",
    {
        "mountpoint": str,
        "name": str,
        "fstype": str,
        "total-bytes": int,
        "used-bytes": int,
        "disk": list[GuestFilesystemDisk],
    },
    total=False,
)
GuestLoad = TypedDict("GuestLoad", {"1m": float, "5m": float, "15m": float}, total=False)
GuestInfo = TypedDict(
    "GuestInfo",
    {
        "user": list[GuestUser],
        "os": GuestOS,
        "timezone": GuestTimezone,
        "hostname": str,
        "fs": list[GuestFilesystem],
        "disk": list[GuestDisk],
        "if": list[GuestInterface],
        "load": GuestLoad,
        "device": list[GuestDevice],
    },
    total=False,
)


def nest(values: Mapping[str, TypedValue]) -> GuestInfo:
    """Return the nested form of fields whose names have dots."""
    root: dict[str, Node] = {}
    # Short names first: a field whose name is the prefix of others is then found before them.
    for name, value in sorted(values.items(), key=lambda item: item[0].count(".")):
        node = root
        *path, last = name.split(".")
        while path:
            inner = node.setdefault(path[0], {})
            if not isinstance(inner, dict):  # the prefix is a field itself: keep the rest of the name in one piece
                break
            node = inner
            del path[0]
        node[".".join([*path, last])] = value
    return cast("GuestInfo", {name: _numbered(node) for name, node in root.items()})


def _numbered(node: Node) -> Node:
    """Return numbered fields, which have a count, as a list."""
    if not isinstance(node, dict):
        return node
    inside = {name: _numbered(inner) for name, inner in node.items()}
    numbers = inside.keys() - {"count"}
    if len(numbers) < len(inside) and all(name.isdecimal() for name in numbers):
        return [inside[number] for number in sorted(numbers, key=int)]
    return inside
