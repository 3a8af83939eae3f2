# SPDX-License-Identifier: LGPL-2.1-or-later
"""Storage pools and volumes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, add_uuid, node, secret_reference

_Given = TypeVar("_Given")

_IQN = re.compile(r"iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-zA-Z0-9.-]+(:.+)?")


class _Kind(NamedTuple):
    """What a kind of pool needs, what else it may have, and which formats it knows; the first is libvirt's default."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


_FILE_SYSTEMS = ("auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2")
_TABLES = ("unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2")

_KINDS = {
    "dir": _Kind(("target",)),
    "fs": _Kind(("target", "devices"), formats=_FILE_SYSTEMS),
    "netfs": _Kind(("target", "hosts", "directory"), formats=("auto", "nfs", "glusterfs", "cifs")),
    "logical": _Kind(("source",), ("target", "devices"), formats=("lvm2",)),
    "disk": _Kind(("target", "devices"), formats=_TABLES),
    "iscsi": _Kind(("target", "hosts", "devices"), ("initiator", "user", "secret")),
    "iscsi-direct": _Kind(("hosts", "devices", "initiator"), ("user", "secret")),
    "scsi": _Kind(("target", "adapter")),
    "mpath": _Kind(("target",)),
    "rbd": _Kind(("hosts", "source"), ("user", "secret")),
    "gluster": _Kind(("hosts", "source"), ("directory",)),
    "zfs": _Kind(("source",), ("devices",)),
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
    :param target: the directory that it is, or is mounted at, or that has its devices: ``/dev/disk/by-path``
    :param source: the volume group, the RBD pool or the Gluster volume
    :param devices: the devices that it is made of, or the name of the iSCSI target
    :param directory: what the server exports, or a directory in the Gluster volume
    :param hosts: names or addresses of servers, or pairs of them with a port
    :param adapter: the SCSI adapter, e.g. ``scsi_host1``
    :param format: of the file system or partition table
    :param initiator: the iSCSI name that we log in with
    :param user: whom *secret* belongs to
    :param secret: the secret to log in with, by its UUID or usage
    :param mode: permissions of the directory if libvirt makes it, ``0o711``; *owner* and *group* are numbers
    """
    valid.one_of("type", type, _KINDS)
    kind = _KINDS[type]
    devices, hosts = list(_several(devices)), list(_several(hosts))
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
    for one, value in given.items():
        if value is None and one in kind.needs:
            raise InvalidArgumentError(f"a pool of type {type} needs {one}")
        if value is not None and one not in (*kind.needs, *kind.may, *(("format",) if kind.formats else ())):
            raise InvalidArgumentError(f"a pool of type {type} has no {one}")
    if len(devices) > 1 and type != "logical":
        raise InvalidArgumentError(f"a pool of type {type} has one of devices, not {len(devices)}")
    root = node("pool", node("name", valid.name("the pool's name", name)), type=type)
    add_uuid(root, uuid)
    origin = node("source")
    for host in hosts:
        at, port = (host, None) if isinstance(host, str) else host
        number = None if port is None else valid.port("port", port)
        origin.append(node("host", name=valid.host("hosts", at), port=number))
    for device in devices:
        origin.append(node("device", path=_device(type, device)))
    if directory is not None:
        origin.append(node("dir", path=valid.directory("directory", directory)))
    if adapter is not None:
        origin.append(node("adapter", name=valid.name("adapter", adapter)))
    if source is not None:
        origin.append(node("name", valid.name("source", source, forbidden="")))
    if initiator is not None:
        iqn = valid.matching("initiator", initiator, _IQN, "a name such as iqn.2026-01.org.example:host")
        origin.append(node("initiator", node("iqn", name=iqn)))
    if (user is None) != (secret is None):
        raise InvalidArgumentError("user and secret go together")
    if user is not None and secret is not None:
        auth = "ceph" if type == "rbd" else "chap"
        origin.append(node("auth", _login_secret(secret), type=auth, username=user))
    if format is not None:
        origin.append(node("format", type=valid.one_of("format", format, kind.formats)))
    if len(origin):
        root.append(origin)
    if target is None and (mode, owner, group) != (None, None, None):
        raise InvalidArgumentError("permissions are those of the target")
    if "target" in (*kind.needs, *kind.may):
        where = node("target")
        add(where, "path", None if target is None else valid.path("target", target))
        _add_permissions(where, mode, owner, group)
        root.append(where)
    return root


def _several(values: Iterable[_Given]) -> Iterable[_Given]:
    """Refuse one text, which would be taken for its letters."""
    if isinstance(values, str):
        raise InvalidArgumentError(f"a sequence is needed, not one text: {values!r}")
    return values


def _device(type: str, device: str) -> str:
    if type in ("iscsi", "iscsi-direct"):
        return valid.matching("devices", device, _IQN, "a target's name such as iqn.2026-01.org.example:disks")
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
        element.append(node("mode", f"0{valid.whole('mode', mode, most=0o7777):03o}"))
    for tag, value in (("owner", owner), ("group", group)):
        if value is not None:
            element.append(node(tag, valid.whole(tag, value, most=(1 << 32) - 2)))
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

    :param capacity: what the guest sees, in bytes
    :param allocation: what is taken of the pool at first, in bytes; 0 for a thin one, by default libvirt decides
    :param format: by default qcow2 if it is called ``….qcow2``, or else what the pool has
    :param backing: the image that it starts as a copy of, and *backing_format* what that is, which must be said
    :param encryption: the secret with the passphrase for LUKS, by its UUID or usage; the format is raw or qcow2 still
    :param cluster_size: of a qcow2 image, in bytes
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
        target.append(node("compat", "1.1"))  # libvirt's default is what QEMU wrote before 2012, without bitmaps
    if cluster_size is not None:
        target.append(node("clusterSize", valid.size("cluster_size", cluster_size), unit="B"))
    root.append(target)
    if (backing is None) != (backing_format is None):
        raise InvalidArgumentError("say what the backing image is: QEMU must not guess, a guest could fool it")
    if backing is not None and backing_format is not None:
        below = node("backingStore", node("path", valid.path("backing", backing)))
        below.append(node("format", type=valid.one_of("backing_format", backing_format, _IMAGE_FORMATS)))
        root.append(below)
    return root


def _volume_name(value: str) -> str:
    if value.strip() in (".", ".."):  # with blanks around them, too: the schema does not count blanks
        raise InvalidArgumentError(f"a volume cannot be called {value!r}")
    return valid.name("the volume's name", value)
