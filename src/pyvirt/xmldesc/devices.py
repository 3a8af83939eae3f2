# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the devices of domains, for :func:`~pyvirt.xmldesc.domain`, or to attach to a domain."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, copy_element, node, secret_reference
from pyvirt.xmldesc.nwfilters import filterref

AGENT_CHANNEL = "org.qemu.guest_agent.0"
"""The name of the channel on which QEMU's guest agent listens."""

DISK_BUSES = ("virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "xen", "uml")
_TARGET_BUSES = {"vd": "virtio", "sd": "sata", "hd": "ide", "fd": "fdc", "xvd": "xen", "ubd": "uml"}
_TARGET = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+")
_FORMATS = ("raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "iso", "bochs", "cloop", "cow", "dmg", "fat", "dir")
_CACHES = ("default", "none", "writeback", "writethrough", "directsync", "unsafe")
_PROTOCOLS = ("nbd", "rbd", "iscsi", "gluster", "http", "https", "ftp", "ftps", "tftp", "ssh", "nfs", "sheepdog")
_PROTOCOLS_WITHOUT_NAME = ("nbd",)
_OPERATIONS = ("total", "read", "write")
_RATES = [f"{one}_{unit}_sec{peak}" for unit in ("bytes", "iops") for peak in ("", "_max") for one in _OPERATIONS]
IO_TUNE = (*_RATES, *(f"{one}_length" for one in _RATES if one.endswith("_max")), "size_iops_sec")
"""The keys that ``io_tune`` of a disk may have."""

_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9_.+ -]+")
_MODEL = re.compile(r"[a-zA-Z0-9_-]+")


def disk(
    target: str,
    *,
    file: valid.StrPath | None = None,
    block: valid.StrPath | None = None,
    volume: tuple[str, str] | None = None,
    network: Element | None = None,
    device: str = "disk",
    format: str | None = None,
    bus: str | None = None,
    readonly: bool | None = None,
    shareable: bool = False,
    cache: str | None = None,
    io: str | None = None,
    discard: str | None = None,
    detect_zeroes: str | None = None,
    iothread: int | None = None,
    queues: int | None = None,
    serial: str | None = None,
    boot: int | None = None,
    io_tune: Mapping[str, int] | None = None,
    encryption: valid.UUID | None = None,
) -> Element:
    """Return a disk, a CD-ROM drive or a floppy drive.

    Its data is in exactly one of *file*, *block*, *volume* and *network*; only a CD-ROM or floppy drive may be empty.

    :param target: the name of the disk in the domain, e.g. ``vda``; the guest may use another name
    :param file: the path of an image on the host
    :param block: the path of a block device on the host
    :param volume: the names of a storage pool and of a volume in it
    :param network: result of :func:`network_source`
    :param device: ``disk``, ``cdrom``, ``floppy`` or ``lun``
    :param format: the format of the data; by default qcow2 if the name of the file or volume ends in it, otherwise raw
    :param bus: by default the bus that fits *target*: virtio for ``vd``, SATA for ``sd``, IDE for ``hd``
    :param readonly: by default ``True`` for CD-ROMs
    :param boot: its place, from 1, in the order in which the guest tries to boot from its devices
    :param io_tune: limits, e.g. ``{"read_bytes_sec": 10 << 20}``
    :param encryption: the secret with the passphrase of a LUKS image, by its UUID or usage
    """
    valid.one_of("device", device, ("disk", "cdrom", "floppy", "lun"))
    valid.matching("target", target, _TARGET, "a name such as vda, sdb or hdc")
    if device in ("cdrom", "floppy") and (file, block, volume, network) == (None, None, None, None):
        kind = "file"
        source = None
    else:
        kind = valid.exactly_one(f"disk {target}", file=file, block=block, volume=volume, network=network)
        source = _disk_source(file, block, volume, network)
    if device == "lun" and file is not None:
        raise InvalidArgumentError("device='lun' cannot use a file: it passes SCSI commands to a device; give block=")
    if format is None:
        format = _format_by_name(file, volume)
    valid.one_of("format", format, _FORMATS)
    if bus is None:
        bus = next(known for prefix, known in _TARGET_BUSES.items() if target.startswith(prefix))
    valid.one_of("bus", bus, DISK_BUSES)
    element = node("disk", type=kind, device=device)
    element.append(_disk_driver(format, cache, io, discard, detect_zeroes, iothread, queues))
    if source is not None:
        if encryption is not None:
            source.append(node("encryption", secret_reference(encryption), format="luks"))
        element.append(source)
    elif encryption is not None:
        raise InvalidArgumentError("an empty drive cannot have encryption")
    element.append(node("target", dev=target, bus=bus))
    if io_tune:
        element.append(_io_tune(io_tune))
    if readonly or (readonly is None and device == "cdrom"):
        element.append(node("readonly"))
    if shareable:
        element.append(node("shareable"))
    if serial is not None:
        meaning = "letters, digits, spaces and the characters _.+-"
        element.append(node("serial", valid.matching("serial", serial, _SERIAL_NUMBER, meaning)))
    _add_boot(element, boot)
    return element


def _format_by_name(file: valid.StrPath | None, volume: tuple[str, str] | None) -> str:
    name = str(file if volume is None else volume[1])
    return "qcow2" if name.endswith(".qcow2") else "raw"


def _disk_driver(
    format: str,
    cache: str | None,
    io: str | None,
    discard: str | None,
    detect_zeroes: str | None,
    iothread: int | None,
    queues: int | None,
) -> Element:
    if cache is not None:
        valid.one_of("cache", cache, _CACHES)
    if io is not None:
        valid.one_of("io", io, ("threads", "native", "io_uring"))
    if discard is not None:
        valid.one_of("discard", discard, ("unmap", "ignore"))
    if detect_zeroes is not None:
        valid.one_of("detect_zeroes", detect_zeroes, ("off", "on", "unmap"))
    if iothread is not None:
        valid.integer("iothread", iothread, least=1, most=(1 << 32) - 1)
    if queues is not None:
        valid.integer("queues", queues, least=1, most=(1 << 32) - 1)
    return node(
        "driver",
        type=format,
        cache=cache,
        io=io,
        discard=discard,
        detect_zeroes=detect_zeroes,
        iothread=iothread,
        queues=queues,
    )


def _io_tune(limits: Mapping[str, int]) -> Element:
    for key in limits:
        valid.one_of("io_tune", key, IO_TUNE)
    return node("iotune", *(node(key, valid.integer(key, value)) for key, value in limits.items()))


def _disk_source(
    file: valid.StrPath | None, block: valid.StrPath | None, volume: tuple[str, str] | None, network: Element | None
) -> Element:
    if file is not None:
        return node("source", file=valid.path("file", file))
    if block is not None:
        return node("source", dev=valid.path("block", block))
    if volume is not None:
        pool, name = volume
        return node("source", pool=valid.name("pool", pool), volume=valid.name("volume", name))
    assert network is not None
    return copy_element(network)


def network_source(
    protocol: str,
    name: str | None = None,
    *,
    hosts: Iterable[str | tuple[str, int]] = (),
    socket: valid.StrPath | None = None,
    user: str | None = None,
    secret: valid.UUID | None = None,
    tls: bool | None = None,
) -> Element:
    """Return a network source for a :func:`disk`.

    :param protocol: ``nbd``, ``rbd``, ``iscsi``, ``gluster``, ``https``, …
    :param name: the name of the export, ``pool/image``, ``iqn/lun`` or ``volume/image``
    :param hosts: names or addresses of servers, or pairs of these with a port
    :param socket: the path of a UNIX socket, instead of *hosts*
    :param user: the user name for *secret*
    :param secret: the secret for the login, by its UUID or usage
    """
    valid.one_of("protocol", protocol, _PROTOCOLS)
    if name is None and protocol not in _PROTOCOLS_WITHOUT_NAME:
        raise InvalidArgumentError(f"a source with protocol {protocol} needs a name")
    element = node("source", protocol=protocol, name=name, tls=tls)
    for one in hosts:
        host, port = (one, None) if isinstance(one, str) else one
        number = None if port is None else valid.port("port", port)
        element.append(node("host", name=valid.host("hosts", host), port=number))
    if socket is not None:
        element.append(node("host", transport="unix", socket=valid.path("socket", socket)))
    if (user is None) != (secret is None):
        raise InvalidArgumentError("user and secret must be given together")
    if user is not None and secret is not None:
        kind = {"rbd": "ceph", "iscsi": "iscsi"}.get(protocol)
        if kind is None:
            raise InvalidArgumentError(f"user and secret need protocol rbd or iscsi, not {protocol}")
        element.append(node("auth", secret_reference(secret, kind), username=valid.generic("user", user)))
    return element


def interface(
    *,
    network: str | None = None,
    bridge: str | None = None,
    direct: str | None = None,
    user: bool = False,
    mode: str = "bridge",
    portgroup: str | None = None,
    mac: str | None = None,
    model: str | None = "virtio",
    target: str | None = None,
    filter: str | None = None,
    filter_parameters: Mapping[str, str | Iterable[str]] | None = None,
    vlan: int | None = None,
    mtu: int | None = None,
    link: bool | None = None,
    queues: int | None = None,
    inbound: int | None = None,
    outbound: int | None = None,
    boot: int | None = None,
) -> Element:
    """Return a network interface, which is connected to exactly one of *network*, *bridge*, *direct* and *user*.

    :param network: the name of a libvirt network
    :param bridge: the name of a bridge on the host
    :param direct: the name of a device on the host that the guest shares through macvtap, in the way of *mode*
    :param user: QEMU's user-mode network, which needs no privileges and accepts no incoming connections
    :param mode: ``bridge``, ``vepa``, ``private`` or ``passthrough``
    :param mac: by default libvirt generates a MAC address
    :param model: ``None`` lets the hypervisor choose
    :param target: the name of its device on the host, by default one that is not in use
    :param filter: the network filter for its traffic
    :param link: whether the cable is plugged in
    :param inbound: the average limit for received data, in bytes per second
    :param outbound: the average limit for sent data, in bytes per second
    :param boot: its place, from 1, in the order in which the guest tries to boot from its devices
    """
    kind = valid.exactly_one("an interface", network=network, bridge=bridge, direct=direct, user=user)
    element = node("interface", type=kind)
    _add_mac(element, mac)
    if network is not None:
        group = None if portgroup is None else valid.device_name("portgroup", portgroup)
        element.append(node("source", network=valid.name("network", network), portgroup=group))
    elif portgroup is not None:
        raise InvalidArgumentError("portgroup needs network")
    elif bridge is not None:
        element.append(node("source", bridge=valid.device_name("bridge", bridge)))
    elif direct is not None:
        valid.one_of("mode", mode, ("bridge", "vepa", "private", "passthrough"))
        element.append(node("source", dev=valid.device_name("direct", direct), mode=mode))
    if target is not None:
        element.append(node("target", dev=valid.device_name("target", target)))
    if model is not None:
        element.append(node("model", type=valid.matching("model", model, _MODEL, "a name such as virtio or e1000e")))
    if queues is not None:
        element.append(
            node("driver", name="vhost", queues=valid.integer("queues", queues, least=1, most=(1 << 32) - 1))
        )
    if filter is not None:
        element.append(filterref(filter, filter_parameters or {}))
    elif filter_parameters:
        raise InvalidArgumentError("filter_parameters needs filter")
    if vlan is not None:
        element.append(node("vlan", node("tag", id=valid.integer("vlan", vlan, most=4095))))
    limits = bandwidth(inbound, outbound)
    if limits is not None:
        element.append(limits)
    if mtu is not None:
        element.append(node("mtu", size=valid.integer("mtu", mtu, least=68, most=65535)))
    if link is not None:
        element.append(node("link", state="up" if link else "down"))
    _add_boot(element, boot)
    return element


def _add_mac(element: Element, value: str | None) -> None:
    if value is not None:
        element.append(node("mac", address=valid.mac("mac", value)))


def bandwidth(inbound: int | None, outbound: int | None) -> Element | None:
    """Return limits for traffic in bytes per second; libvirt counts in units of 1,000 bytes per second."""
    limits = node("bandwidth")
    for direction, value in (("inbound", inbound), ("outbound", outbound)):
        if value is not None:
            most = ((1 << 32) - 1) * 1000
            kilobytes = valid.integer(f"{direction} (in bytes per second)", value, least=1000, most=most) // 1000
            limits.append(node(direction, average=kilobytes))
    return limits if len(limits) else None


def _add_boot(element: Element, place: int | None) -> None:
    if place is not None:
        element.append(node("boot", order=valid.integer("boot", place, least=1, most=(1 << 31) - 1)))


# ---- character devices ----


def _character_device(
    tag: str,
    type: str,
    path: valid.StrPath | None,
    tcp: tuple[str, int] | None,
    listen: bool,
    append: bool | None,
    log: valid.StrPath | None,
) -> Element:
    valid.one_of("type", type, ("pty", "file", "unix", "tcp", "null", "dev", "pipe", "spicevmc"))
    element = node(tag, type=type)
    needs_path = type in ("file", "dev", "pipe")
    if needs_path and path is None:
        raise InvalidArgumentError(f"a {tag} of type {type} needs a path")
    if path is not None and not (needs_path or type == "unix"):
        raise InvalidArgumentError(f"a {tag} of type {type} cannot have a path")
    if (type == "tcp") != (tcp is not None):
        raise InvalidArgumentError("type='tcp' and the address tcp=(host, port) must be given together")
    if append is not None and type != "file":
        raise InvalidArgumentError(f"append needs type='file', not {type!r}")
    mode = ("bind" if listen else "connect") if type == "tcp" or (type == "unix" and path is not None) else None
    if tcp is not None:
        host, port = tcp
        element.append(node("source", mode=mode, host=valid.host("tcp", host), service=valid.port("tcp", port)))
        element.append(node("protocol", type="raw"))
    elif path is not None:
        on_or_off = None if append is None else ("on" if append else "off")
        element.append(node("source", mode=mode, path=valid.path("path", path), append=on_or_off))
    if log is not None:
        element.append(node("log", file=valid.path("log", log), append="on"))
    return element


def console(type: str = "pty", *, target: str | None = None, log: valid.StrPath | None = None) -> Element:
    """Return a console, which ``Domain.open_console`` opens.  In QEMU, the first console is the first serial port.

    :param type: ``pty`` or ``null``
    :param target: ``serial``, ``virtio``, ``lxc``, …; by default the hypervisor's own
    :param log: the path of a file on the host to which the output is also written
    """
    valid.one_of("type", type, ("pty", "null"))
    element = _character_device("console", type, None, None, False, None, log)
    if target is not None:
        known = ("serial", "virtio", "lxc", "xen", "uml", "openvz", "sclp", "sclplm")
        element.append(node("target", type=valid.one_of("target", target, known)))
    return element


def serial(
    type: str = "pty",
    *,
    path: valid.StrPath | None = None,
    tcp: tuple[str, int] | None = None,
    listen: bool = True,
    append: bool | None = None,
    port: int | None = None,
    log: valid.StrPath | None = None,
) -> Element:
    """Return a serial port.

    :param type: ``pty``, ``file``, ``unix``, ``tcp``, ``null``, ``dev`` or ``pipe``
    :param path: the path of the file, socket, device or pipe on the host
    :param tcp: a host and a port; the connection is not encrypted, so every program that can connect can use it
    :param listen: whether QEMU creates the socket and listens there; otherwise QEMU connects to it
    :param port: the number of the port in the guest, by default the next one
    """
    element = _character_device("serial", type, path, tcp, listen, append, log)
    if port is not None:
        element.append(node("target", port=valid.integer("port", port, most=3)))
    return element


def channel(
    name: str = AGENT_CHANNEL, *, type: str = "unix", path: valid.StrPath | None = None, listen: bool = True
) -> Element:
    """Return a channel between guest and host, by default the channel of the guest agent.

    :param name: the name of the channel in the guest
    :param type: ``unix``, ``pty``, ``file``, ``null``, ``spicevmc``, …
    :param path: by default libvirt chooses the path of the socket
    """
    element = _character_device("channel", type, path, None, listen, None, None)
    element.append(node("target", type="virtio", name=valid.name("name", name, forbidden="")))
    return element


# ---- displays and other devices ----


def graphics(
    type: str = "vnc",
    *,
    listen: str = "127.0.0.1",
    port: int | None = None,
    socket: valid.StrPath | None = None,
    password: str | None = None,
    keymap: str | None = None,
) -> Element:
    """Return a display for remote viewers.  By default it listens on the host's loopback interface only.

    :param type: ``vnc`` or ``spice``
    :param listen: the address; if it is not a loopback address, set a password, and preferably use a tunnel
    :param port: by default libvirt finds a free port when the domain starts
    :param socket: the path of a UNIX socket, instead of address and port
    :param password: written into the document in plain text; VNC uses at most eight characters
    """
    valid.one_of("type", type, ("vnc", "spice"))
    if socket is not None:
        if port is not None:
            raise InvalidArgumentError("give either socket or port, not both")
        element = node("graphics", node("listen", type="socket", socket=valid.path("socket", socket)), type=type)
    else:
        element = node("graphics", node("listen", type="address", address=valid.host("listen", listen)), type=type)
        element.set("autoport", "yes" if port is None else "no")
        if port is not None:
            element.set("port", str(valid.integer("port", port, least=1, most=65535)))
    for key, value in (("passwd", password), ("keymap", keymap)):
        if value is not None:
            try:
                element.set(key, value)
            except ValueError:  # the message omits the value, which may be the password
                raise InvalidArgumentError(f"{key} contains a character that XML does not allow") from None
    return element


def video(model: str = "virtio", *, vram: int | None = None, heads: int | None = None) -> Element:
    """Return a graphics card.

    :param vram: its memory in bytes, rounded down to whole KiB
    """
    known = ("virtio", "vga", "qxl", "bochs", "cirrus", "ramfb", "none", "vmvga", "xen", "vbox", "gop")
    valid.one_of("model", model, known)
    kilobytes = None if vram is None else valid.integer("vram (in bytes)", vram, least=1024, most=(1 << 42) - 1) // 1024
    screens = None if heads is None else valid.integer("heads", heads, least=1, most=16)
    return node("video", node("model", type=model, vram=kilobytes, heads=screens))


def controller(type: str, *, model: str | None = None, index: int | None = None) -> Element:
    """Return a controller: e.g. ``scsi`` with model ``virtio-scsi``, or ``usb`` with model ``none`` to disable USB."""
    valid.one_of("type", type, ("scsi", "usb", "sata", "ide", "fdc", "ccid", "virtio-serial"))
    models = _CONTROLLER_MODELS.get(type, ())
    if model is not None:
        valid.one_of(f"model of a {type} controller", model, models)
    number = None if index is None else valid.integer("index", index, most=(1 << 31) - 1)
    return node("controller", type=type, index=number, model=model)


_CONTROLLER_MODELS = {
    "scsi": ("auto", "virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi", "buslogic", "ibmvscsi"),
    "usb": ("none", "qemu-xhci", "nec-xhci", "ehci", "ich9-ehci1", "piix3-uhci", "piix4-uhci", "pci-ohci"),
    "ide": ("piix3", "piix4", "ich6"),
}


def filesystem(source: valid.StrPath, target: str, *, readonly: bool = False, driver: str | None = None) -> Element:
    """Return a directory of the host that a guest can mount, or that is mounted in a container.

    :param target: the mount tag for a guest, or the directory in a container
    :param driver: ``path`` for 9p, or ``virtiofs``, which needs shared memory; by default the hypervisor's own
    """
    element = node("filesystem", type="mount", accessmode="passthrough")
    if driver is not None:
        element.append(node("driver", type=valid.one_of("driver", driver, ("path", "virtiofs"))))
    element.append(node("source", dir=valid.directory("source", source)))
    element.append(node("target", dir=valid.name("target", target, forbidden="")))
    if readonly:
        element.append(node("readonly"))
    return element


def rng(source: valid.StrPath = "/dev/urandom", *, rate: int | None = None) -> Element:
    """Return a random number generator.

    :param rate: the maximum number of bytes per second
    """
    element = node("rng", model="virtio")
    if rate is not None:
        element.append(node("rate", bytes=valid.integer("rate", rate, least=1, most=(1 << 32) - 1), period=1000))
    element.append(node("backend", valid.path("source", source), model="random"))
    return element


def tpm(*, model: str | None = None, version: str = "2.0", device: valid.StrPath | None = None) -> Element:
    """Return a TPM, which swtpm emulates, or the TPM of the host.

    :param model: ``tpm-crb``, ``tpm-tis`` or ``tpm-spapr``; by default the one that fits the machine
    :param device: the path of the host's TPM, to pass it through
    """
    if model is not None:
        valid.one_of("model", model, ("tpm-tis", "tpm-crb", "tpm-spapr"))
    if device is not None:
        backend = node("backend", node("device", path=valid.path("device", device)), type="passthrough")
    else:
        backend = node("backend", type="emulator", version=valid.one_of("version", version, ("1.2", "2.0")))
    return node("tpm", backend, model=model)


def memballoon(model: str = "virtio", *, stats_period: int | None = None) -> Element:
    """Return a memory balloon, which moves memory between guest and host; the model ``none`` disables it.

    :param stats_period: the interval of the guest's reports about its memory, in seconds
    """
    known = ("virtio", "virtio-transitional", "virtio-non-transitional", "xen", "none")
    element = node("memballoon", model=valid.one_of("model", model, known))
    if stats_period is not None:
        if model == "none":
            raise InvalidArgumentError("stats_period needs a balloon, but the model is 'none'")
        element.append(node("stats", period=valid.integer("stats_period", stats_period, least=1, most=(1 << 31) - 1)))
    return element
