# SPDX-License-Identifier: LGPL-2.1-or-later
"""The devices of domains: for :func:`~pyvirt.xmldesc.domain`, or to attach to one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc._build import Element, add, adopt, node, secret_reference
from pyvirt.xmldesc.nwfilters import filterref

AGENT_CHANNEL = "org.qemu.guest_agent.0"
"""The channel that QEMU's guest agent listens on."""

DISK_BUSES = ("virtio", "sata", "scsi", "ide", "usb", "fdc", "sd", "xen", "uml")
_TARGET_BUSES = {"vd": "virtio", "sd": "sata", "hd": "ide", "fd": "fdc", "xvd": "xen", "ubd": "uml"}
_TARGET = re.compile(r"(fd|hd|sd|vd|xvd|ubd)[a-zA-Z0-9_]+")
_FORMATS = ("raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "iso", "bochs", "cloop", "cow", "dmg", "fat", "dir")
_CACHES = ("default", "none", "writeback", "writethrough", "directsync", "unsafe")
_PROTOCOLS = ("nbd", "rbd", "iscsi", "gluster", "http", "https", "ftp", "ftps", "tftp", "ssh", "nfs", "sheepdog")
_PROTOCOLS_WITHOUT_NAME = ("nbd",)
_WAYS = ("total", "read", "write")
_RATES = [f"{way}_{unit}_sec{peak}" for unit in ("bytes", "iops") for peak in ("", "_max") for way in _WAYS]
IO_TUNE = (*_RATES, *(f"{one}_length" for one in _RATES if one.endswith("_max")), "size_iops_sec")
"""What ``io_tune`` of a disk may have."""

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

    It is on one of *file*, *block*, *volume* and *network*; only a drive for removable media may be empty.

    :param target: its name in the domain, e.g. ``vda``; the guest may see another one
    :param file: a path of an image on the host
    :param block: a path of a block device on the host
    :param volume: a storage pool and a volume in it
    :param network: a :func:`network_source`
    :param device: ``disk``, ``cdrom``, ``floppy`` or ``lun``
    :param format: what is in it; by default qcow2 if the image or volume is called ``….qcow2``, or else raw
    :param bus: by default what *target* suggests: virtio for ``vd``, SATA for ``sd``, IDE for ``hd``
    :param readonly: by default, CD-ROMs are
    :param boot: its place, from 1, among the devices that the guest tries to boot from
    :param io_tune: limits, e.g. ``{"read_bytes_sec": 10 << 20}``
    :param encryption: the secret with the passphrase of a LUKS image, by its UUID or usage
    """
    valid.one_of("device", device, ("disk", "cdrom", "floppy", "lun"))
    valid.matching("target", target, _TARGET, "a name such as vda, sdb or hdc")
    removable = device in ("cdrom", "floppy")
    if removable and (file, block, volume, network) == (None, None, None, None):
        kind = "file"
        source = None
    else:
        kind = valid.exactly_one(f"disk {target}", file=file, block=block, volume=volume, network=network)
        source = _disk_source(file, block, volume, network)
    if device == "lun" and file is not None:
        raise InvalidArgumentError("a lun passes SCSI commands on to a device: it cannot be in a file")
    if format is None:
        format = "qcow2" if str(file if volume is None else volume[1]).endswith(".qcow2") else "raw"
    valid.one_of("format", format, _FORMATS)
    if bus is None:
        bus = next(known for prefix, known in _TARGET_BUSES.items() if target.startswith(prefix))
    valid.one_of("bus", bus, DISK_BUSES)
    element = node("disk", type=kind, device=device)
    add(
        element,
        "driver",
        type=format,
        cache=None if cache is None else valid.one_of("cache", cache, _CACHES),
        io=None if io is None else valid.one_of("io", io, ("threads", "native", "io_uring")),
        discard=None if discard is None else valid.one_of("discard", discard, ("unmap", "ignore")),
        detect_zeroes=None
        if detect_zeroes is None
        else valid.one_of("detect_zeroes", detect_zeroes, ("off", "on", "unmap")),
        iothread=None if iothread is None else valid.whole("iothread", iothread, least=1, most=(1 << 32) - 1),
        queues=None if queues is None else valid.whole("queues", queues, least=1, most=(1 << 32) - 1),
    )
    if source is not None:
        if encryption is not None:
            source.append(node("encryption", secret_reference(encryption), format="luks"))
        element.append(source)
    elif encryption is not None:
        raise InvalidArgumentError("an empty drive has no encryption")
    element.append(node("target", dev=target, bus=bus))
    if io_tune:
        for key in io_tune:
            valid.one_of("io_tune", key, IO_TUNE)
        tuned = (node(key, valid.whole(key, value)) for key, value in io_tune.items())
        element.append(node("iotune", *tuned))
    if readonly or (readonly is None and device == "cdrom"):
        element.append(node("readonly"))
    if shareable:
        element.append(node("shareable"))
    if serial is not None:
        meaning = "letters, digits, blanks and any of _.+-"
        element.append(node("serial", valid.matching("serial", serial, _SERIAL_NUMBER, meaning)))
    _add_boot(element, boot)
    return element


def _disk_source(
    file: valid.StrPath | None, block: valid.StrPath | None, volume: tuple[str, str] | None, network: Element | None
) -> Element:
    if file is not None:
        return node("source", file=valid.path("file", file))
    if block is not None:
        return node("source", dev=valid.path("block", block))
    if volume is not None:
        pool, one = volume
        return node("source", pool=valid.name("pool", pool), volume=valid.name("volume", one))
    assert network is not None
    return adopt(network)


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
    """Return a source for a :func:`disk` that another machine serves.

    :param protocol: ``nbd``, ``rbd``, ``iscsi``, ``gluster``, ``https``, …
    :param name: the export, ``pool/image``, ``iqn/lun`` or ``volume/image`` there
    :param hosts: names or addresses, or pairs of them with a port
    :param socket: a UNIX socket in place of a host
    :param user: whom *secret* belongs to
    :param secret: the secret to log in with, by its UUID or usage
    """
    valid.one_of("protocol", protocol, _PROTOCOLS)
    if name is None and protocol not in _PROTOCOLS_WITHOUT_NAME:
        raise InvalidArgumentError(f"a source of protocol {protocol} needs a name")
    element = node("source", protocol=protocol, name=name, tls=tls)
    for one in hosts:
        at, number = (one, None) if isinstance(one, str) else one
        element.append(
            node("host", name=valid.host("hosts", at), port=None if number is None else valid.port("port", number))
        )
    if socket is not None:
        element.append(node("host", transport="unix", socket=valid.path("socket", socket)))
    if (user is None) != (secret is None):
        raise InvalidArgumentError("user and secret go together")
    if user is not None and secret is not None:
        kind = {"rbd": "ceph", "iscsi": "iscsi"}.get(protocol)
        if kind is None:
            raise InvalidArgumentError(f"protocol {protocol} takes no user and secret, only rbd and iscsi do")
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
    """Return a network interface, which is on exactly one of *network*, *bridge*, *direct* and *user*.

    :param network: a network of libvirt's
    :param bridge: a bridge of the host's
    :param direct: a device of the host's, which macvtap shares as *mode* says
    :param user: QEMU's own network, which needs no privileges and lets nobody in
    :param mode: ``bridge``, ``vepa``, ``private`` or ``passthrough``
    :param mac: by default libvirt makes one
    :param model: ``None`` leaves it to the hypervisor
    :param target: the name of its device on the host, by default one that is free
    :param filter: the network filter that its traffic goes through
    :param link: whether the cable is plugged in
    :param inbound: what it may receive on average, in bytes per second
    :param outbound: what it may send on average, in bytes per second
    :param boot: its place, from 1, among the devices that the guest tries to boot from
    """
    kind = valid.exactly_one("an interface", network=network, bridge=bridge, direct=direct, user=user)
    element = node("interface", type=kind)
    _add_mac(element, mac)
    if network is not None:
        group = None if portgroup is None else valid.device_name("portgroup", portgroup)
        element.append(node("source", network=valid.name("network", network), portgroup=group))
    elif portgroup is not None:
        raise InvalidArgumentError("only an interface on a network has a portgroup")
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
        element.append(node("driver", name="vhost", queues=valid.whole("queues", queues, least=1, most=(1 << 32) - 1)))
    if filter is not None:
        element.append(filterref(filter, filter_parameters or {}))
    elif filter_parameters:
        raise InvalidArgumentError("filter_parameters need a filter")
    if vlan is not None:
        element.append(node("vlan", node("tag", id=valid.whole("vlan", vlan, most=4095))))
    limits = bandwidth(inbound, outbound)
    if limits is not None:
        element.append(limits)
    if mtu is not None:
        element.append(node("mtu", size=valid.whole("mtu", mtu, least=68, most=65535)))
    if link is not None:
        element.append(node("link", state="up" if link else "down"))
    _add_boot(element, boot)
    return element


def _add_mac(element: Element, value: str | None) -> None:
    if value is not None:
        element.append(node("mac", address=valid.mac("mac", value)))


def bandwidth(inbound: int | None, outbound: int | None) -> Element | None:
    """Return limits of traffic, of bytes per second; libvirt counts in units of 1,000 bytes per second."""
    limits = node("bandwidth")
    for way, value in (("inbound", inbound), ("outbound", outbound)):
        if value is not None:
            most = ((1 << 32) - 1) * 1000
            kilobytes = valid.whole(f"{way} (in bytes per second)", value, least=1000, most=most) // 1000
            limits.append(node(way, average=kilobytes))
    return limits if len(limits) else None


def _add_boot(element: Element, place: int | None) -> None:
    if place is not None:
        element.append(node("boot", order=valid.whole("boot", place, least=1, most=(1 << 31) - 1)))


# ---- where characters go ----


def _character(
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
        raise InvalidArgumentError(f"a {tag} of type {type} has no path")
    if (type == "tcp") != (tcp is not None):
        raise InvalidArgumentError("type='tcp' and an address tcp=(host, port) go together")
    if append is not None and type != "file":
        raise InvalidArgumentError(f"a {tag} of type {type} cannot append")
    mode = ("bind" if listen else "connect") if type == "tcp" or (type == "unix" and path is not None) else None
    if tcp is not None:
        at, number = tcp
        element.append(node("source", mode=mode, host=valid.host("tcp", at), service=valid.port("tcp", number)))
        element.append(node("protocol", type="raw"))
    elif path is not None:
        more = None if append is None else ("on" if append else "off")
        element.append(node("source", mode=mode, path=valid.path("path", path), append=more))
    if log is not None:
        element.append(node("log", file=valid.path("log", log), append="on"))
    return element


def console(type: str = "pty", *, target: str | None = None, log: valid.StrPath | None = None) -> Element:
    """Return a console, which is what ``Domain.open_console`` opens; for QEMU the first one is the first serial port.

    :param type: ``pty`` or ``null``
    :param target: ``serial``, ``virtio``, ``lxc``, …; by default what the hypervisor has
    :param log: a file on the host to which the output also goes
    """
    valid.one_of("type", type, ("pty", "null"))
    element = _character("console", type, None, None, False, None, log)
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
    :param path: of the file, socket, device or pipe on the host
    :param tcp: a host and a port; without encryption, so mind who can reach it
    :param listen: whether QEMU makes the socket and waits there, or connects to it
    :param port: its number in the guest, by default the next one
    """
    element = _character("serial", type, path, tcp, listen, append, log)
    if port is not None:
        element.append(node("target", port=valid.whole("port", port, most=3)))
    return element


def channel(
    name: str = AGENT_CHANNEL, *, type: str = "unix", path: valid.StrPath | None = None, listen: bool = True
) -> Element:
    """Return a channel between guest and host, by default that of the guest agent.

    :param name: what the guest finds it by
    :param type: ``unix``, ``pty``, ``file``, ``null``, ``spicevmc``, …
    :param path: by default libvirt chooses one for the socket
    """
    element = _character("channel", type, path, None, listen, None, None)
    element.append(node("target", type="virtio", name=valid.name("name", name, forbidden="")))
    return element


# ---- screens and smaller things ----


def graphics(
    type: str = "vnc",
    *,
    listen: str = "127.0.0.1",
    port: int | None = None,
    socket: valid.StrPath | None = None,
    password: str | None = None,
    keymap: str | None = None,
) -> Element:
    """Return a display for viewers elsewhere, which listens on the host's loopback only unless *listen* says more.

    :param type: ``vnc`` or ``spice``
    :param listen: the address; on any other one set a password, and better tunnel the connection
    :param port: by default libvirt finds one that is free when the domain starts
    :param socket: a UNIX socket, in place of address and port
    :param password: it stands in the document as it is, and in VNC has eight characters
    """
    valid.one_of("type", type, ("vnc", "spice"))
    if socket is not None:
        if port is not None:
            raise InvalidArgumentError("a display has a socket or a port, not both")
        element = node("graphics", node("listen", type="socket", socket=valid.path("socket", socket)), type=type)
    else:
        element = node("graphics", node("listen", type="address", address=valid.host("listen", listen)), type=type)
        element.set("autoport", "yes" if port is None else "no")
        if port is not None:
            element.set("port", str(valid.whole("port", port, least=1, most=65535)))
    for key, value in (("passwd", password), ("keymap", keymap)):
        if value is not None:
            try:
                element.set(key, value)
            except ValueError:  # without the value: it may be the password
                raise InvalidArgumentError(f"{key} has a character that no XML can hold") from None
    return element


def video(model: str = "virtio", *, vram: int | None = None, heads: int | None = None) -> Element:
    """Return a graphics card.

    :param vram: its memory in bytes, of which libvirt takes whole KiB
    """
    known = ("virtio", "vga", "qxl", "bochs", "cirrus", "ramfb", "none", "vmvga", "xen", "vbox", "gop")
    valid.one_of("model", model, known)
    kilobytes = None if vram is None else valid.whole("vram (in bytes)", vram, least=1024, most=(1 << 42) - 1) // 1024
    screens = None if heads is None else valid.whole("heads", heads, least=1, most=16)
    return node("video", node("model", type=model, vram=kilobytes, heads=screens))


def controller(type: str, *, model: str | None = None, index: int | None = None) -> Element:
    """Return a controller: ``scsi`` with model ``virtio-scsi``, ``usb`` with model ``none`` for no USB at all, …"""
    valid.one_of("type", type, ("scsi", "usb", "sata", "ide", "fdc", "ccid", "virtio-serial"))
    models = _CONTROLLER_MODELS.get(type, ())
    if model is not None:
        valid.one_of(f"model of a {type} controller", model, models)
    number = None if index is None else valid.whole("index", index, most=(1 << 31) - 1)
    return node("controller", type=type, index=number, model=model)


_CONTROLLER_MODELS = {
    "scsi": ("auto", "virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi", "buslogic", "ibmvscsi"),
    "usb": ("none", "qemu-xhci", "nec-xhci", "ehci", "ich9-ehci1", "piix3-uhci", "piix4-uhci", "pci-ohci"),
    "ide": ("piix3", "piix4", "ich6"),
}


def filesystem(source: valid.StrPath, target: str, *, readonly: bool = False, driver: str | None = None) -> Element:
    """Return a directory of the host that the guest can mount, or that a container has.

    :param target: the tag that a guest mounts it by, or the directory in the container
    :param driver: ``path`` for 9p or ``virtiofs``, which needs shared memory; by default the hypervisor's own
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
    """Return a source of randomness for the guest.

    :param rate: the most bytes per second
    """
    element = node("rng", model="virtio")
    if rate is not None:
        element.append(node("rate", bytes=valid.whole("rate", rate, least=1, most=(1 << 32) - 1), period=1000))
    element.append(node("backend", valid.path("source", source), model="random"))
    return element


def tpm(*, model: str | None = None, version: str = "2.0", device: valid.StrPath | None = None) -> Element:
    """Return a TPM, emulated by swtpm or the host's own.

    :param model: ``tpm-crb``, ``tpm-tis`` or ``tpm-spapr``; by default what fits the machine
    :param device: the host's device to pass through
    """
    if model is not None:
        valid.one_of("model", model, ("tpm-tis", "tpm-crb", "tpm-spapr"))
    if device is not None:
        backend = node("backend", node("device", path=valid.path("device", device)), type="passthrough")
    else:
        backend = node("backend", type="emulator", version=valid.one_of("version", version, ("1.2", "2.0")))
    return node("tpm", backend, model=model)


def memballoon(model: str = "virtio", *, stats_period: int | None = None) -> Element:
    """Return a balloon, by which memory moves between guest and host; model ``none`` for none.

    :param stats_period: how often the guest reports its use of memory, in seconds
    """
    known = ("virtio", "virtio-transitional", "virtio-non-transitional", "xen", "none")
    element = node("memballoon", model=valid.one_of("model", model, known))
    if stats_period is not None:
        if model == "none":
            raise InvalidArgumentError("no balloon, no statistics")
        element.append(node("stats", period=valid.whole("stats_period", stats_period, least=1, most=(1 << 31) - 1)))
    return element
