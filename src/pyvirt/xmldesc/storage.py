# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of storage pools and volumes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, add_uuid, node, secret_reference

_T = TypeVar("_T")

_IQN = re.compile(r"iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-zA-Z0-9.-]+(:.+)?")


class _PoolType(NamedTuple):
    """The arguments that a type of pool requires and allows, and its formats; the first one is libvirt's default."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    def allows(self, name: str) -> bool:
        return name in self.required or name in self.optional or (name == "format" and bool(self.formats))


_FILE_SYSTEMS = ("auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2")
_PARTITION_TABLES = ("unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2")

_POOL_TYPES = {
    "dir": _PoolType(("target",)),
    "fs": _PoolType(("target", "devices"), formats=_FILE_SYSTEMS),
    "netfs": _PoolType(("target", "hosts", "directory"), formats=("auto", "nfs", "glusterfs", "cifs")),
    "logical": _PoolType(("source",), ("target", "devices"), formats=("lvm2",)),
    "disk": _PoolType(("target", "devices"), formats=_PARTITION_TABLES),
    "iscsi": _PoolType(("target", "hosts", "devices"), ("initiator", "user", "secret")),
    "iscsi-direct": _PoolType(("hosts", "devices", "initiator"), ("user", "secret")),
    "scsi": _PoolType(("target", "adapter")),
    "mpath": _PoolType(("target",)),
    "rbd": _PoolType(("hosts", "source"), ("user", "secret")),
    "gluster": _PoolType(("hosts", "source"), ("directory",)),
    "zfs": _PoolType(("source",), ("devices",)),
}


def pool(
    name: str,
    type: str = "dir",
    *,
    target: valid.StrPath | None = None,
    source: str | None = None,
    devices: Iterable[str] = (),
    directory: valid.StrPath | None = None,
    hosts: Iterable[str | tuple[str, int]] = (),
    adapter: str | None = None,
    format: str | None = None,
    initiator: str | None = None,
    user: str | None = None,
    secret: valid.UUID | None = None,
    mode: int | None = None,
    owner: int | None = None,
    group: int | None = None,
    uuid: valid.UUID | None = None,
) -> Element:
    """Return a storage pool.

    :param type: ``dir``, ``fs``, ``netfs``, ``logical``, ``disk``, ``iscsi``, ``iscsi-direct``, ``scsi``, ``mpath``,
        ``rbd``, ``gluster`` or ``zfs``
    :param target: the directory of the pool, its mount point, or the directory of its devices: ``/dev/disk/by-path``
    :param source: the volume group, the RBD pool or the Gluster volume
    :param devices: the devices of the pool, or the name of the iSCSI target
    :param directory: the directory that the server exports, or a directory in the Gluster volume
    :param hosts: names or addresses of servers, or pairs of these with a port
    :param adapter: the SCSI adapter, e.g. ``scsi_host1``
    :param format: the format of the file system or partition table
    :param initiator: the iSCSI name of this host
    :param user: the user name for *secret*
    :param secret: the secret for the login, by its UUID or usage
    :param mode: permissions of the directory if libvirt creates it, ``0o711``; *owner* and *group* are numbers
    """
    valid.one_of("type", type, _POOL_TYPES)
    pool_type = _POOL_TYPES[type]
    devices, hosts = list(_not_text("devices", devices)), list(_not_text("hosts", hosts))
    given = {
        "target": target,
        "source": source,
        "devices": devices or None,
        "directory": directory,
        "hosts": hosts or None,
        "adapter": adapter,
        "initiator": initiator,
        "user": user,
        "secret": secret,
        "format": format,
    }
    _check_given(type, given)
    if len(devices) > 1 and type != "logical":
        raise InvalidArgumentError(f"a pool of type {type} has only one device, not {len(devices)}")
    root = node("pool", node("name", valid.name("the name of the pool", name)), type=type)
    add_uuid(root, uuid)
    origin = node("source")
    _add_location(origin, type, hosts, devices, directory, adapter, source)
    _add_login(origin, type, initiator, user, secret)
    if format is not None:
        origin.append(node("format", type=valid.one_of("format", format, pool_type.formats)))
    if len(origin):
        root.append(origin)
    if target is None and (mode, owner, group) != (None, None, None):
        raise InvalidArgumentError("mode, owner and group need target, because they apply to its directory")
    if "target" in (*pool_type.required, *pool_type.optional):
        target_element = node("target")
        add(target_element, "path", None if target is None else valid.path("target", target))
        _add_permissions(target_element, mode, owner, group)
        root.append(target_element)
    return root


def _check_given(type: str, given: Mapping[str, object]) -> None:
    """Check that all arguments that a type of pool requires are given, and only those that it can have."""
    pool_type = _POOL_TYPES[type]
    for name, value in given.items():
        if value is None and name in pool_type.required:
            raise InvalidArgumentError(f"a pool of type {type} needs {name}")
        if value is not None and not pool_type.allows(name):
            raise InvalidArgumentError(f"a pool of type {type} cannot have {name}")


def _add_location(
    origin: Element,
    type: str,
    hosts: Iterable[str | tuple[str, int]],
    devices: Iterable[str],
    directory: valid.StrPath | None,
    adapter: str | None,
    source: str | None,
) -> None:
    for one in hosts:
        host, port = (one, None) if isinstance(one, str) else one
        number = None if port is None else valid.port("port", port)
        origin.append(node("host", name=valid.host("hosts", host), port=number))
    for device in devices:
        origin.append(node("device", path=_device(type, device)))
    if directory is not None:
        origin.append(node("dir", path=valid.directory("directory", directory)))
    if adapter is not None:
        origin.append(node("adapter", name=valid.name("adapter", adapter)))
    if source is not None:
        origin.append(node("name", valid.name("source", source, forbidden="")))


def _add_login(origin: Element, type: str, initiator: str | None, user: str | None, secret: valid.UUID | None) -> None:
    if initiator is not None:
        iqn = valid.matching("initiator", initiator, _IQN, "a name such as iqn.2026-01.org.example:host")
        origin.append(node("initiator", node("iqn", name=iqn)))
    if (user is None) != (secret is None):
        raise InvalidArgumentError("user and secret must be given together")
    if user is not None and secret is not None:
        auth = "ceph" if type == "rbd" else "chap"
        origin.append(node("auth", _login_secret(secret), type=auth, username=user))


def _not_text(what: str, values: Iterable[_T]) -> Iterable[_T]:
    """Reject a single str, which is a sequence of its characters."""
    if isinstance(values, str):
        raise InvalidArgumentError(f"{what} must be a sequence of str, not a single str: {values!r}")
    return values


def _device(type: str, device: str) -> str:
    if type in ("iscsi", "iscsi-direct"):
        return valid.matching("devices", device, _IQN, "the name of a target such as iqn.2026-01.org.example:disks")
    return valid.generic("devices", device) if type == "zfs" and "/" not in device else valid.path("devices", device)


def _login_secret(value: valid.UUID) -> Element:
    element = secret_reference(value)
    del element.attrib["type"]
    return element


def _add_permissions(parent: Element, mode: int | None, owner: int | None, group: int | None) -> None:
    if (mode, owner, group) == (None, None, None):
        return
    element = node("permissions")
    if mode is not None:
        element.append(node("mode", f"0{valid.integer('mode', mode, most=0o7777):03o}"))
    for tag, value in (("owner", owner), ("group", group)):
        if value is not None:
            element.append(node(tag, valid.integer(tag, value, most=(1 << 32) - 2)))
    parent.append(element)


_IMAGE_FORMATS = ("raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "iso", "bochs", "cloop", "cow", "dmg", "dir")
_PARTITION_FORMATS = ("none", "linux", "fat16", "fat32", "linux-swap", "linux-lvm", "linux-raid", "extended")


def volume(
    name: str,
    capacity: int,
    *,
    allocation: int | None = None,
    format: str | None = None,
    backing: valid.StrPath | None = None,
    backing_format: str | None = None,
    encryption: valid.UUID | None = None,
    cluster_size: int | None = None,
    mode: int | None = None,
    owner: int | None = None,
    group: int | None = None,
) -> Element:
    """Return a volume.

    :param capacity: the size that the guest sees, in bytes
    :param allocation: the space that it takes in the pool at first, in bytes; 0 for a thin volume, by default libvirt
        decides
    :param format: by default qcow2 if *name* ends in ``.qcow2``, otherwise the default of the pool
    :param backing: the image that the volume is an overlay of; *backing_format*, its format, is then required
    :param encryption: the secret with the passphrase for LUKS, by its UUID or usage; the format is still raw or qcow2
    :param cluster_size: the cluster size of a qcow2 image, in bytes
    :param mode: permissions, ``0o600``; *owner* and *group* are numbers
    """
    root = node("volume", node("name", _volume_name(name)))
    root.append(node("capacity", valid.size("capacity", capacity, least=0), unit="bytes"))
    if allocation is not None:
        root.append(node("allocation", valid.size("allocation", allocation, least=0), unit="bytes"))
    if format is None and name.endswith(".qcow2"):
        format = "qcow2"
    if format is None and encryption is not None:
        format = "raw"
    target = node("target")
    if format is not None:
        target.append(node("format", type=valid.one_of("format", format, (*_IMAGE_FORMATS, *_PARTITION_FORMATS))))
    _add_permissions(target, mode, owner, group)
    if encryption is not None:
        target.append(node("encryption", secret_reference(encryption), format="luks"))
    if format == "qcow2":
        target.append(node("compat", "1.1"))  # libvirt's default is the version before QEMU 1.1 (2012), without bitmaps
    if cluster_size is not None:
        target.append(node("clusterSize", valid.size("cluster_size", cluster_size), unit="B"))
    root.append(target)
    if (backing is None) != (backing_format is None):
        raise InvalidArgumentError(
            "backing and backing_format must be given together: a guest could fool QEMU if it guessed"
        )
    if backing is not None and backing_format is not None:
        backing_store = node("backingStore", node("path", valid.path("backing", backing)))
        backing_store.append(node("format", type=valid.one_of("backing_format", backing_format, _IMAGE_FORMATS)))
        root.append(backing_store)
    return root


def _volume_name(value: str) -> str:
    if value.strip() in (".", ".."):  # also with spaces around them, because the schema ignores these
        raise InvalidArgumentError(f"the name of the volume must not be {value!r}")
    return valid.name("the name of the volume", value)
