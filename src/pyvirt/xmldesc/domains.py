# SPDX-License-Identifier: LGPL-2.1-or-later
"""Build the documents of domains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lxml import etree

from pyvirt.errors import InvalidArgumentError
from pyvirt.xmldesc import _valid as valid
from pyvirt.xmldesc import devices as build
from pyvirt.xmldesc._build import Element, add, add_uuid, copy_element, copy_elements, node

_OS = {"kvm": "hvm", "qemu": "hvm", "test": "hvm", "hvf": "hvm", "lxc": "exe"}
_BOOT = ("hd", "cdrom", "network", "fd")
_CPU_MODES = ("host-passthrough", "host-model", "maximum")
_X86 = ("x86_64", "i686")
_OTHER_ARCHS = ("aarch64", "armv7l", "ppc64", "ppc64le", "riscv64", "riscv32", "s390x", "mips64", "sparc64")
_ARCHS = (*_X86, *_OTHER_ARCHS)


def domain(
    name: str,
    *,
    memory: int,
    vcpus: int = 1,
    type: str = "kvm",
    arch: str | None = None,
    machine: str | None = None,
    uuid: valid.UUID | None = None,
    title: str | None = None,
    description: str | None = None,
    metadata: Element | Iterable[Element] = (),
    current_memory: int | None = None,
    current_vcpus: int | None = None,
    iothreads: int | None = None,
    firmware: str | None = None,
    secure_boot: bool | None = None,
    boot: str | Sequence[str] = (),
    kernel: valid.StrPath | None = None,
    initrd: valid.StrPath | None = None,
    cmdline: str | None = None,
    init: valid.StrPath | None = None,
    arguments: Sequence[str] = (),
    cpu: str | Element | None = None,
    topology: tuple[int, int, int] | None = None,
    clock: str = "utc",
    emulator: valid.StrPath | None = None,
    disks: Element | Iterable[Element] = (),
    interfaces: Element | Iterable[Element] = (),
    devices: Element | Iterable[Element] = (),
    console: Element | bool = True,
    agent: bool = False,
    graphics: Element | None = None,
    video: Element | None = None,
    rng: Element | bool = False,
    tpm: Element | bool = False,
    memballoon: Element | bool | None = None,
) -> Element:
    """Return a domain: a virtual machine or a container.

    It has a console on a pseudo-terminal, ACPI on x86, the devices that the arguments request, and those that its
    hypervisor always adds.

    :param memory: bytes, which libvirt rounds to whole KiB
    :param type: ``kvm``, ``qemu`` (emulated), ``lxc`` or ``test``
    :param arch: by default the host's
    :param machine: e.g. ``q35``; by default the hypervisor's, or q35 for secure boot
    :param metadata: elements of your program, each in its own namespace
    :param current_memory: the memory that the balloon leaves to the guest at first, in bytes
    :param current_vcpus: how many of the vCPUs are plugged in at first
    :param firmware: ``efi`` or ``bios``; libvirt finds the file when the domain is defined or started
    :param secure_boot: whether UEFI starts only signed programs, with Microsoft's keys enrolled; ``None`` for either
    :param boot: what to try, in order: ``hd``, ``cdrom``, ``network``, ``fd``; or give ``boot`` to the devices instead
    :param init: the program that a container runs; *arguments* are its arguments
    :param cpu: ``host-passthrough``, ``host-model`` or ``maximum``, the name of a model, or a ``<cpu>`` element
    :param topology: the numbers of sockets, cores per socket, and threads per core
    :param clock: the time of the hardware clock when the domain starts, ``utc`` or ``localtime``
    :param disks: results of :func:`disk`
    :param interfaces: results of :func:`interface`
    :param devices: results of the functions for other devices, or elements of any kind
    :param agent: whether to add the channel of the guest agent
    :param graphics: result of :func:`graphics`; without *video*, it adds a virtio graphics card
    :param rng: result of :func:`rng`, or ``True`` for the default one
    :param tpm: result of :func:`tpm`, or ``True`` for the default one
    :param memballoon: result of :func:`memballoon`, or ``False`` for none; by default the hypervisor decides
    """
    valid.one_of("type", type, _OS)
    root = node("domain", node("name", valid.name("the name of the domain", name)), type=type)
    add_uuid(root, uuid)
    if title is not None:
        add(root, "title", valid.name("title", title, forbidden=""))
    add(root, "description", description)
    elements = copy_elements(metadata)
    if elements:
        root.append(node("metadata", *elements))
    _add_memory(root, memory, current_memory)
    _add_vcpus(root, vcpus, current_vcpus, iothreads)
    if type == "lxc":
        if firmware or secure_boot is not None or boot or kernel or initrd or cmdline is not None:
            raise InvalidArgumentError("a container has no firmware, kernel or boot order; give init= only")
        root.append(_os_of_container(arch, init, arguments))
    else:
        if init is not None or arguments:
            raise InvalidArgumentError("only a container (type='lxc') has init and arguments")
        root.append(_os(_OS[type], arch, machine, firmware, secure_boot, boot, kernel, initrd, cmdline))
        if arch in (None, *_X86) and type != "test":
            root.append(node("features", node("acpi"), node("apic")))
    if cpu is not None or topology is not None:
        root.append(_cpu(cpu, topology))
    root.append(node("clock", offset=valid.one_of("clock", clock, ("utc", "localtime"))))
    within = node("devices")
    add(within, "emulator", None if emulator is None else valid.path("emulator", emulator))
    within.extend(copy_elements(disks))
    within.extend(copy_elements(interfaces))
    _add_optional_devices(within, console, agent, graphics, video, tpm, rng, memballoon)
    within.extend(copy_elements(devices))
    root.append(within)
    _check_targets(within)
    if boot and within.find("*/boot") is not None:
        raise InvalidArgumentError("give a boot order either for the domain or for its devices, not both")
    return root


def _add_memory(root: Element, memory: int, current_memory: int | None) -> None:
    root.append(_bytes("memory", memory))
    if current_memory is not None:
        root.append(_bytes("currentMemory", current_memory))
        if current_memory > memory:
            raise InvalidArgumentError(f"current_memory must not exceed memory: {current_memory} > {memory}")


def _add_vcpus(root: Element, vcpus: int, current_vcpus: int | None, iothreads: int | None) -> None:
    valid.integer("vcpus", vcpus, least=1, most=65535)
    if current_vcpus is not None:
        valid.integer("current_vcpus", current_vcpus, least=1, most=vcpus)
    root.append(node("vcpu", vcpus, current=current_vcpus))
    if iothreads is not None:
        root.append(node("iothreads", valid.integer("iothreads", iothreads, most=(1 << 31) - 1)))


def _add_optional_devices(
    devices: Element,
    console: Element | bool,
    agent: bool,
    graphics: Element | None,
    video: Element | None,
    tpm: Element | bool,
    rng: Element | bool,
    memballoon: Element | bool | None,
) -> None:
    _add_device(devices, console, build.console)
    if agent:
        devices.append(build.channel())
    if graphics is not None:
        devices.append(copy_element(graphics))
    if video is not None or graphics is not None:
        devices.append(build.video() if video is None else copy_element(video))
    _add_device(devices, tpm, build.tpm)
    _add_device(devices, rng, build.rng)
    if isinstance(memballoon, bool):
        devices.append(build.memballoon("virtio" if memballoon else "none"))
    elif memballoon is not None:
        devices.append(copy_element(memballoon))


def _add_device(devices: Element, device: Element | bool, make_default: Callable[[], Element]) -> None:
    """Append *device*, or the default one for ``True``."""
    if device is not False:
        devices.append(make_default() if device is True else copy_element(device))


def _bytes(tag: str, value: int) -> Element:
    return node(tag, valid.size(tag, value), unit="bytes")


def _os_of_container(arch: str | None, init: valid.StrPath | None, arguments: Sequence[str]) -> Element:
    if init is None:
        raise InvalidArgumentError("a container needs init, the program that it runs")
    if isinstance(arguments, str):
        raise InvalidArgumentError("arguments must be a sequence of str, not a single str")
    element = node("os", node("type", "exe", arch=None if arch is None else valid.one_of("arch", arch, _ARCHS)))
    element.append(node("init", valid.path("init", init)))
    for one in arguments:
        element.append(node("initarg", one))
    return element


def _os(
    kind: str,
    arch: str | None,
    machine: str | None,
    firmware: str | None,
    secure_boot: bool | None,
    boot: str | Sequence[str],
    kernel: valid.StrPath | None,
    initrd: valid.StrPath | None,
    cmdline: str | None,
) -> Element:
    if secure_boot is not None:
        firmware = firmware or "efi"
        if firmware != "efi":
            raise InvalidArgumentError("secure boot needs firmware='efi'")
        if secure_boot and machine is None and arch in (None, *_X86):
            machine = "q35"  # secure boot needs system management mode, which only q35 has
    if arch is not None:
        valid.one_of("arch", arch, _ARCHS)
    if machine is not None:
        valid.machine("machine", machine)
    if firmware is not None:
        valid.one_of("firmware", firmware, ("efi", "bios"))
    element = node("os", node("type", kind, arch=arch, machine=machine), firmware=firmware)
    if secure_boot is not None:
        features = (node("feature", enabled=secure_boot, name=one) for one in ("secure-boot", "enrolled-keys"))
        element.append(node("firmware", *features))
    if (initrd is not None or cmdline is not None) and kernel is None:
        raise InvalidArgumentError("initrd and cmdline need a kernel")
    add(element, "kernel", None if kernel is None else valid.path("kernel", kernel))
    add(element, "initrd", None if initrd is None else valid.path("initrd", initrd))
    add(element, "cmdline", cmdline)
    for one in (boot,) if isinstance(boot, str) else boot:
        element.append(node("boot", dev=valid.one_of("boot", one, _BOOT)))
    return element


def _cpu(cpu: str | Element | None, topology: tuple[int, int, int] | None) -> Element:
    if cpu is None:
        element = node("cpu")
    elif isinstance(cpu, etree._Element):
        element = copy_element(cpu)
    elif cpu in _CPU_MODES:
        element = node("cpu", mode=cpu)
    else:
        model = node("model", valid.name("cpu", cpu), fallback="forbid")
        element = node("cpu", model, mode="custom", match="exact")
    if topology is not None:
        sockets, cores, threads = (valid.integer("topology", one, least=1, most=(1 << 31) - 1) for one in topology)
        element.append(node("topology", sockets=sockets, cores=cores, threads=threads))
    return element


def _check_targets(devices: Element) -> None:
    seen: set[str] = set()
    for one in devices.iterfind("disk/target"):
        target = one.get("dev", "")
        if target in seen:
            raise InvalidArgumentError(f"two disks have the same target: {target}")
        seen.add(target)
