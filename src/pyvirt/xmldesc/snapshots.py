# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of snapshots, checkpoints and backups."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, copy_elements, node

_DISK = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+|/.+")
_TARGET = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+")
_CHECKPOINT = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
_FORMATS = ("qcow2", "qed", "raw")
_OVERLAYS = ("qcow2", "qed", "qcow", "vmdk")  # formats that can have a backing file


def snapshot(
    name: str | None = None,
    *,
    description: str | None = None,
    memory: str | os.PathLike[str] | None = None,
    disks: Element | Iterable[Element] = (),
) -> Element:
    """Return a snapshot.

    :param name: by default the time in seconds
    :param memory: ``no``, ``internal``, or the path of a file for the memory; by default it follows the disks
    :param disks: results of :func:`snapshot_disk`; libvirt decides for disks that are not listed
    """
    root = node("domainsnapshot")
    add(root, "name", None if name is None else valid.name("the name of the snapshot", name))
    add(root, "description", description)
    if memory in ("no", "internal"):
        root.append(node("memory", snapshot=memory))
    elif memory is not None:
        root.append(node("memory", snapshot="external", file=valid.path("memory", memory)))
    listed = copy_elements(disks)
    if listed:
        root.append(node("disks", *listed))
    return root


def snapshot_disk(
    name: str, snapshot: str = "external", *, file: valid.StrPath | None = None, format: str | None = None
) -> Element:
    """Return the part of a snapshot for one disk.

    :param name: the target of the disk, or the path of its image or device
    :param snapshot: ``external`` (a new overlay file), ``internal`` (inside its qcow2 image), ``no`` or ``manual``
    :param file: the new file, by default in the same directory as the current one
    :param format: the format of the new file, by default qcow2
    """
    valid.one_of("snapshot", snapshot, ("external", "internal", "no", "manual"))
    element = node("disk", name=_disk(name), snapshot=snapshot)
    if snapshot != "external":
        if file is not None or format is not None:
            raise InvalidArgumentError(f"file and format need snapshot='external', not {snapshot!r}")
        return element
    if format is not None:
        element.append(node("driver", type=valid.one_of("format", format, _OVERLAYS)))
    if file is not None:
        element.set("type", "file")
        element.append(node("source", file=valid.path("file", file)))
    return element


def checkpoint(
    name: str | None = None,
    *,
    description: str | None = None,
    disks: Mapping[str, str | None] | Iterable[str] | None = None,
) -> Element:
    """Return a checkpoint, the starting point of incremental backups.

    :param name: by default the time in seconds
    :param disks: the targets of the disks to track, by default all; a mapping may give the name of each bitmap
    """
    root = node("domaincheckpoint")
    if name is not None:
        add(
            root,
            "name",
            valid.matching("the name of the checkpoint", name, _CHECKPOINT, "letters, digits and the characters _.-"),
        )
    add(root, "description", description)
    chosen = _by_disk(disks)
    if chosen is not None:
        listed = [
            node(
                "disk",
                name=_disk(one),
                checkpoint="bitmap",
                bitmap=None if bitmap is None else valid.name("the name of a bitmap", os.fspath(bitmap)),
            )
            for one, bitmap in chosen.items()
        ]
        root.append(node("disks", *listed))
    return root


def push_backup(
    disks: Mapping[str, valid.StrPath | None] | Iterable[str] | None = None,
    *,
    format: str = "qcow2",
    incremental: str | None = None,
) -> Element:
    """Return a backup that the hypervisor writes to files.

    :param disks: the targets of the disks to back up, by default all; a mapping may give the file for each
    :param incremental: the checkpoint since which to back up changes; by default everything is backed up
    """
    root = node("domainbackup", mode="push")
    _add_incremental(root, incremental)
    valid.one_of("format", format, _FORMATS)
    _add_disks(root, disks, "target", format)
    return root


def pull_backup(
    disks: Mapping[str, valid.StrPath | None] | Iterable[str] | None = None,
    *,
    socket: valid.StrPath | None = None,
    tcp: tuple[str, int] | None = None,
    tls: bool | None = None,
    incremental: str | None = None,
) -> Element:
    """Return a backup that programs read from the hypervisor's NBD server, at either *socket* or *tcp*.

    :param disks: the targets of the disks to offer, by default all; a mapping may give the scratch file for each
    :param socket: the path of a UNIX socket for the NBD server
    :param tcp: address and port of the NBD server; without *tls*, every program that can connect can read the disks
    :param incremental: the checkpoint since which to offer changes; by default everything is offered
    """
    root = node("domainbackup", mode="pull")
    _add_incremental(root, incremental)
    valid.exactly_one("a pull backup", socket=socket, tcp=tcp)
    if tcp is not None:
        host, port = tcp
        address = {"transport": "tcp", "name": valid.host("tcp", host), "port": valid.port("tcp", port)}
    else:
        assert socket is not None
        address = {"transport": "unix", "socket": valid.path("socket", socket)}
    root.append(node("server", tls=tls, **address))
    _add_disks(root, disks, "scratch", None)
    return root


def _add_incremental(root: Element, since: str | None) -> None:
    if since is not None:
        add(root, "incremental", valid.matching("incremental", since, _CHECKPOINT, "the name of a checkpoint"))


def _add_disks(
    root: Element, disks: Mapping[str, valid.StrPath | None] | Iterable[str] | None, tag: str, format: str | None
) -> None:
    chosen = _by_disk(disks)
    if chosen is None:
        return
    listed = node("disks")
    for target, file in chosen.items():
        valid.matching("disks", target, _TARGET, "targets such as vda")
        element = node("disk", name=target, backup=True, type="file")
        if format is not None:
            element.append(node("driver", type=format))
        if file is not None:
            element.append(node(tag, file=valid.path(tag, file)))
        listed.append(element)
    root.append(listed)


def _disk(name: str) -> str:
    return valid.matching("the name of a disk", name, _DISK, "a target such as vda, or an absolute path")


def _by_disk(
    disks: Mapping[str, valid.StrPath | None] | Iterable[str] | None,
) -> dict[str, valid.StrPath | None] | None:
    if disks is None:
        return None
    if isinstance(disks, str):
        raise InvalidArgumentError(f"disks must be a mapping or a sequence of str, not a single str: {disks!r}")
    chosen = dict(disks) if isinstance(disks, Mapping) else dict.fromkeys(disks)
    if not chosen:
        raise InvalidArgumentError("disks must contain at least one disk; omit it for all disks")
    return chosen
