# SPDX-License-Identifier: LGPL-2.1-or-later
"""XML of cheap real guests: small, quick to start, and emulated (never KVM, which not every machine has).

- :func:`paused_guest`: a QEMU without an operating system, to be started with ``DomainCreateFlags.PAUSED``; for tests
  that do not need a running guest
- :func:`tiny_guest`: boots from :func:`write_boot_disk`, prints :data:`READY` on its serial port and echoes its input
- :func:`container`: an LXC container that runs one program of the host
"""

from __future__ import annotations

import os
import uuid as _uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from xml.sax.saxutils import escape, quoteattr

from pyvirt.testing._bootsector import boot_sector

if TYPE_CHECKING:
    from typing_extensions import Unpack  # typing's own needs Python 3.11

__all__ = [
    "READY",
    "DiskConfig",
    "GuestOptions",
    "Nic",
    "container",
    "paused_guest",
    "tiny_guest",
    "write_boot_disk",
]

READY = "PYVIRT-READY"
"""The text that a tiny guest prints, with CR LF, as soon as it runs."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DiskConfig:
    """A disk of a guest in a file."""

    path: str | os.PathLike[str]
    format: str = "raw"
    target: str | None = None
    """The name of the device in the guest, e.g. ``vdb``; by default the next free one."""
    bus: str = "virtio"
    readonly: bool = False
    shareable: bool = False


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface of a guest; without a network or bridge, it uses QEMU's user-mode network."""

    network: str | None = None
    bridge: str | None = None
    mac: str | None = None
    model: str = "virtio"


class GuestOptions(TypedDict, total=False):
    """The keyword arguments of :func:`paused_guest`."""

    memory: int
    vcpus: int
    disks: Iterable[DiskConfig | str | os.PathLike[str]]
    nics: Iterable[Nic]
    uuid: _uuid.UUID | None
    machine: str
    acpi: bool
    agent: bool
    serial: str | os.PathLike[str] | None
    devices: str
    elements: str


def paused_guest(
    name: str = "paused",
    *,
    memory: int = 16 * _MIB,
    vcpus: int = 1,
    disks: Iterable[DiskConfig | str | os.PathLike[str]] = (),
    nics: Iterable[Nic] = (),
    uuid: _uuid.UUID | None = None,
    machine: str = "pc",
    acpi: bool = False,
    agent: bool = False,
    serial: str | os.PathLike[str] | None = None,
    devices: str = "",
    elements: str = "",
) -> str:
    """Return the XML of a QEMU guest without an operating system.

    :param memory: bytes
    :param disks: disks, or paths of raw images
    :param acpi: needed to plug devices in and out
    :param agent: add the channel of the guest agent
    :param serial: a file for the output of the serial port; by default a pseudo-terminal, which is also the console
    :param devices: further elements within ``<devices>``
    :param elements: further elements within ``<domain>``
    """
    if serial is None:
        port = "<serial type='pty'/><console type='pty'/>"
    else:
        port = f"<serial type='file'><source path={_quoted(serial)}/></serial>"
    if agent:
        port += "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    return (
        f"<domain type='qemu'><name>{escape(name)}</name>{_uuid_element(uuid)}"
        f"<memory unit='bytes'>{memory}</memory>"
        f"<vcpu>{vcpus}</vcpu><os><type arch='x86_64' machine={quoteattr(machine)}>hvm</type></os>"
        f"<features>{'<acpi/>' if acpi else ''}</features>{elements}"
        "<devices><controller type='usb' model='none'/><memballoon model='none'/>"
        f"{port}{_disks(disks)}{''.join(map(_nic, nics))}{devices}</devices></domain>"
    )


def tiny_guest(name: str, disk: str | os.PathLike[str], **options: Unpack[GuestOptions]) -> str:
    """Return the XML of a guest that runs: it prints :data:`READY` on its serial port, then echoes its input.

    It ignores requests to shut down.  The options are those of :func:`paused_guest`.

    :param disk: an image of :func:`write_boot_disk`; guests may share it
    """
    boot = DiskConfig(disk, target="hda", bus="ide", shareable=True)  # QEMU has no read-only IDE disks
    options["disks"] = [boot, *options.get("disks", ())]
    return paused_guest(name, **options)


def container(
    name: str = "container",
    *,
    init: str = "/bin/sleep",
    arguments: Sequence[str] = ("infinity",),
    memory: int = 64 * _MIB,
    vcpus: int = 1,
    nics: Iterable[Nic] = (),
    root: str | os.PathLike[str] | None = None,
    uuid: _uuid.UUID | None = None,
    devices: str = "",
) -> str:
    """Return the XML of an LXC container.

    :param init: the program to run
    :param memory: bytes
    :param root: the root file system; by default that of the host
    """
    filesystem = "" if root is None else f"<filesystem><source dir={_quoted(root)}/><target dir='/'/></filesystem>"
    words = "".join(f"<initarg>{escape(word)}</initarg>" for word in arguments)
    return (
        f"<domain type='lxc'><name>{escape(name)}</name>{_uuid_element(uuid)}"
        f"<memory unit='bytes'>{memory}</memory>"
        f"<vcpu>{vcpus}</vcpu><os><type>exe</type><init>{escape(init)}</init>{words}</os>"
        f"<devices><console type='pty'/>{filesystem}{''.join(map(_nic, nics))}{devices}</devices></domain>"
    )


def write_boot_disk(path: str | os.PathLike[str], *, message: str = READY, busy: bool = False) -> Path:
    """Write the 1 MiB raw disk from which a tiny guest boots, and return its path.

    :param busy: keep the virtual processor busy, instead of halting it while it waits for input
    """
    with open(path, "wb") as disk:
        disk.write(boot_sector(message + "\r\n", busy=busy))
        disk.truncate(_MIB)
    return Path(path)


def _quoted(path: str | os.PathLike[str]) -> str:
    return quoteattr(os.path.abspath(path))


def _uuid_element(uuid: _uuid.UUID | None) -> str:
    return "" if uuid is None else f"<uuid>{uuid}</uuid>"


def _disks(disks: Iterable[DiskConfig | str | os.PathLike[str]]) -> str:
    chosen = [disk if isinstance(disk, DiskConfig) else DiskConfig(disk) for disk in disks]
    taken = {disk.target for disk in chosen}
    free = (name for name in (f"vd{chr(letter)}" for letter in range(ord("a"), ord("z") + 1)) if name not in taken)
    return "".join(_disk(disk, disk.target or next(free)) for disk in chosen)


def _disk(disk: DiskConfig, target: str) -> str:
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type={quoteattr(disk.format)}/>"
        f"<source file={_quoted(disk.path)}/><target dev={quoteattr(target)} bus={quoteattr(disk.bus)}/>"
        f"{'<readonly/>' if disk.readonly else ''}{'<shareable/>' if disk.shareable else ''}</disk>"
    )


def _nic(nic: Nic) -> str:
    if nic.network is not None:
        source = f"type='network'><source network={quoteattr(nic.network)}/>"
    elif nic.bridge is not None:
        source = f"type='bridge'><source bridge={quoteattr(nic.bridge)}/>"
    else:
        source = "type='user'>"
    mac = f"<mac address={quoteattr(nic.mac)}/>" if nic.mac else ""
    return f"<interface {source}{mac}<model type={quoteattr(nic.model)}/></interface>"
