# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots, checkpoints and backups of domains."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, adopted, node

_DISK = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+|/.+")
_TARGET = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+")
_CHECKPOINT = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
_FORMATS = ("qcow2", "qed", "raw")
_OVERLAYS = ("qcow2", "qed", "qcow", "vmdk")  # those that can be a file over another one


def snapshot(
    name: str | None = None,
    *,
    description: str | None = None,
    memory: str | os.PathLike[str] | None = None,
    disks: Element | Iterable[Element] = (),
) -> Element:
    """Return a snapshot.

    :param name: by default the time, in seconds
    :param memory: ``no``, ``internal`` or a path of a file to write it to; by default it goes with the disks
    :param disks: of :func:`snapshot_disk`; libvirt decides for those that are not listed
    """
    root = node("domainsnapshot")
    add(root, "name", None if name is None else valid.name("the snapshot's name", name))
    add(root, "description", description)
    if memory in ("no", "internal"):
        root.append(node("memory", snapshot=memory))
    elif memory is not None:
        root.append(node("memory", snapshot="external", file=valid.path("memory", memory)))
    listed = adopted(disks)
    if listed:
        root.append(node("disks", *listed))
    return root


def snapshot_disk(
    name: str, snapshot: str = "external", *, file: valid.StrPath | None = None, format: str | None = None
) -> Element:
    """Return what a snapshot does with one disk.

    :param name: its target, or the path that it is on
    :param snapshot: ``external`` (a new file over it), ``internal`` (within its qcow2 image), ``no`` or ``manual``
    :param file: the new file, by default beside the old one
    :param format: of the new file, by default qcow2
    """
    valid.one_of("snapshot", snapshot, ("external", "internal", "no", "manual"))
    element = node("disk", name=_disk(name), snapshot=snapshot)
    if snapshot != "external":
        if file is not None or format is not None:
            raise InvalidArgumentError(f"only an external snapshot makes a file, not {snapshot!r}")
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
    """Return a checkpoint, from which incremental backups start.

    :param name: by default the time, in seconds
    :param disks: those to watch from now on, by target; a mapping may name the bitmap of each.  By default all
    """
    root = node("domaincheckpoint")
    if name is not None:
        add(root, "name", valid.matching("the checkpoint's name", name, _CHECKPOINT, "letters, digits and any of _.-"))
    add(root, "description", description)
    chosen = _by_disk(disks)
    if chosen is not None:
        listed = [
            node(
                "disk",
                name=_disk(one),
                checkpoint="bitmap",
                bitmap=None if bitmap is None else valid.name("a bitmap", os.fspath(bitmap)),
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

    :param disks: those to back up, by target; a mapping may name the file for each.  By default all
    :param incremental: the checkpoint since which changes are wanted
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
    """Return a backup that programs fetch from the hypervisor over NBD, from either *socket* or *tcp*.

    :param disks: those to offer, by target; a mapping may name the scratch file for each.  By default all
    :param socket: a UNIX socket for the NBD server
    :param tcp: the address and port of the NBD server; without *tls* anybody who reaches it can read the disks
    :param incremental: the checkpoint since which changes are wanted
    """
    root = node("domainbackup", mode="pull")
    _add_incremental(root, incremental)
    valid.exactly_one("a pull backup", socket=socket, tcp=tcp)
    if tcp is not None:
        at, number = tcp
        where = {"transport": "tcp", "name": valid.host("tcp", at), "port": valid.port("tcp", number)}
    else:
        assert socket is not None
        where = {"transport": "unix", "socket": valid.path("socket", socket)}
    root.append(node("server", tls=tls, **where))
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
        valid.matching("a disk", target, _TARGET, "a target such as vda")
        element = node("disk", name=target, backup=True, type="file")
        if format is not None:
            element.append(node("driver", type=format))
        if file is not None:
            element.append(node(tag, file=valid.path(tag, file)))
        listed.append(element)
    root.append(listed)


def _disk(name: str) -> str:
    return valid.matching("a disk", name, _DISK, "a target such as vda, or the path that it is on")


def _by_disk(
    disks: Mapping[str, valid.StrPath | None] | Iterable[str] | None,
) -> dict[str, valid.StrPath | None] | None:
    if disks is None:
        return None
    if isinstance(disks, str):
        raise InvalidArgumentError(f"disks must be several, not one text: {disks!r}")
    chosen = dict(disks) if isinstance(disks, Mapping) else dict.fromkeys(disks)
    if not chosen:
        raise InvalidArgumentError("disks must name one at least, or be left out")
    return chosen
