# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a host can do, and what a hypervisor on it offers to guests: libvirt's two documents as plain data.

What a document does not say is ``None`` or empty; what these classes do not know is still in ``xml``.  Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from lxml import etree

from pyvirt.errors import XMLError
from pyvirt.xmldesc import parse

# ---- the host ----


@dataclass(frozen=True, slots=True)
class CPUTopology:
    """How the CPUs of a host are put together."""

    sockets: int | None
    dies: int | None
    cores: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class HostCPU:
    """The kind of CPU a host has."""

    arch: str | None
    #: the nearest model that libvirt knows, to which ``features`` adds
    model: str | None
    vendor: str | None
    #: version of the microcode
    microcode: int | None
    topology: CPUTopology | None
    features: frozenset[str]
    #: sizes of memory pages, in bytes
    page_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogicalCPU:
    """One CPU as the kernel counts them, and where it sits."""

    id: int
    socket_id: int | None
    die_id: int | None
    #: since libvirt 10.1
    cluster_id: int | None
    core_id: int | None
    #: the CPUs of the same core, itself among them
    siblings: frozenset[int]


@dataclass(frozen=True, slots=True)
class NUMACell:
    """One NUMA node."""

    id: int
    #: bytes
    memory: int | None
    #: how many pages there are, by their size in bytes
    pages: Mapping[int, int]
    #: the distance to each cell, 10 to itself
    distances: Mapping[int, int]
    cpus: tuple[LogicalCPU, ...]


@dataclass(frozen=True, slots=True)
class CacheBank:
    """One cache that several CPUs share."""

    id: int
    level: int | None
    #: ``"both"``, ``"code"`` or ``"data"``
    type: str | None
    #: bytes
    size: int | None
    cpus: frozenset[int]


@dataclass(frozen=True, slots=True)
class SecurityLabels:
    """A security model, and the label guests get by default, by the type of domain."""

    model: str
    doi: str
    base_labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """What there is on a host."""

    uuid: UUID | None
    cpu: HostCPU | None
    #: how it can sleep: ``"suspend_mem"``, ``"suspend_disk"``, ``"suspend_hybrid"``
    power_management: frozenset[str]
    iommu: bool | None
    live_migration: bool
    #: the schemes of the URIs it migrates to
    migration_transports: tuple[str, ...]
    cells: tuple[NUMACell, ...]
    caches: tuple[CacheBank, ...]
    security: tuple[SecurityLabels, ...]


# ---- guests ----


@dataclass(frozen=True, slots=True)
class Machine:
    """One type of machine that an emulator knows."""

    name: str
    #: what it stands for, where it is an alias
    canonical: str | None
    max_cpus: int | None
    deprecated: bool


@dataclass(frozen=True, slots=True)
class GuestDomain:
    """One type of domain (``<domain type=…>``), with what differs from the guest it belongs to."""

    type: str
    emulator: str | None
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class GuestFeature:
    """A feature that guests of a kind can have."""

    #: whether they have it unless told otherwise
    default: bool | None
    #: whether they can be told otherwise
    toggle: bool | None


@dataclass(frozen=True, slots=True)
class GuestCapabilities:
    """One kind of guest: an architecture, and what boots on it."""

    #: ``"hvm"``, ``"exe"``, ``"xen"``
    os_type: str
    arch: str
    #: bits
    wordsize: int | None
    emulator: str | None
    loader: str | None
    machines: tuple[Machine, ...]
    domains: tuple[GuestDomain, ...]
    features: Mapping[str, GuestFeature]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A host and the kinds of guests it runs."""

    host: HostCapabilities
    guests: tuple[GuestCapabilities, ...]
    #: the document all this was read from
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: str) -> Capabilities:
        """Read a ``<capabilities>`` document.

        :raises XMLError: it is none
        """
        root = _root(xml, "capabilities")
        host = root.find("host")
        return cls(
            _host(etree.Element("host") if host is None else host), tuple(map(_guest, root.findall("guest"))), xml
        )


# ---- what a hypervisor offers ----


@dataclass(frozen=True, slots=True)
class Support:
    """Whether something is there for guests, and the values that its attributes take."""

    supported: bool | None
    #: ``{"bus": ("ide", "virtio", …), …}``
    enums: Mapping[str, tuple[str, ...]]
    #: values of the thing itself, such as the paths of firmware images
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CPUModel:
    """A named CPU model."""

    name: str
    #: whether it runs on this host as it is
    usable: bool | None
    vendor: str | None
    deprecated: bool
    #: what it stands for, where it is an alias
    canonical: str | None
    #: the features that keep it from being usable, since libvirt 10.2
    blockers: frozenset[str]


@dataclass(frozen=True, slots=True)
class CPUMode:
    """One way to give a guest a CPU (``<cpu mode=…>``)."""

    supported: bool | None
    enums: Mapping[str, tuple[str, ...]]
    #: for ``host-model`` the one it becomes, for ``custom`` those to choose from
    models: tuple[CPUModel, ...]
    vendor: str | None
    #: for ``host-model``, policies by feature: ``{"vmx": "require", …}``
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """What one emulator offers to guests of one machine type."""

    #: the emulator
    path: str | None
    #: the type of domain, ``"kvm"`` or ``"qemu"``
    domain: str | None
    machine: str | None
    arch: str | None
    max_vcpus: int | None
    iothreads: bool | None
    os: Support | None
    loader: Support | None
    cpu_modes: Mapping[str, CPUMode]
    memory_backing: Support | None
    #: by the element's name: ``devices["disk"].enums["bus"]``
    devices: Mapping[str, Support]
    #: by the element's name: ``features["sev"].supported``
    features: Mapping[str, Support]
    #: the document all this was read from
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: str) -> DomainCapabilities:
        """Read a ``<domainCapabilities>`` document.

        :raises XMLError: it is none
        """
        root = _root(xml, "domainCapabilities")
        return cls(
            path=_text(root, "path"),
            domain=_text(root, "domain"),
            machine=_text(root, "machine"),
            arch=_text(root, "arch"),
            max_vcpus=_number(_attribute(root, "vcpu", "max")),
            iothreads=_yes(_attribute(root, "iothreads", "supported")),
            os=_support_of(root, "os"),
            loader=_support_of(root, "os/loader"),
            cpu_modes={mode.get("name", ""): _cpu_mode(mode) for mode in root.iterfind("cpu/mode")},
            memory_backing=_support_of(root, "memoryBacking"),
            devices={str(device.tag): _support(device) for device in root.iterfind("devices/*")},
            features={str(feature.tag): _support(feature) for feature in root.iterfind("features/*")},
            xml=xml,
        )


# ---- reading ----

_UNITS = {"b": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_MOST_CPUS = 1 << 16  # a range beyond is nonsense, and would only fill our memory


def _root(xml: str, tag: str) -> etree._Element:
    root = parse(xml)
    if root.tag != tag:
        raise XMLError(f"expected a <{tag}> document, got <{root.tag}>")
    return root


def _text(parent: etree._Element, path: str) -> str | None:
    return (parent.findtext(path) or "").strip() or None


def _attribute(parent: etree._Element, path: str, name: str) -> str | None:
    element = parent.find(path)
    return None if element is None else element.get(name)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _yes(text: str | None) -> bool | None:
    return None if text is None else text in ("yes", "on")


def _scaled(text: str | None, unit: str | None) -> int | None:
    number, factor = _number(text), _UNITS.get(unit or "bytes")
    return None if number is None or factor is None else number * factor


def _cpu_set(text: str | None) -> frozenset[int]:
    cpus: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        start, end = _number(first), _number(last or first)
        if start is not None and end is not None and end < _MOST_CPUS:
            cpus.update(range(start, end + 1))
    return frozenset(cpus)


def _numbers(elements: Iterator[etree._Element], key: str, value: str | None = None) -> Iterator[tuple[int, int]]:
    """Yield pairs of an attribute in each element, and another one or the element's text."""
    for element in elements:
        first = _number(element.get(key))
        second = _number(element.text if value is None else element.get(value))
        if first is not None and second is not None:
            yield first, second


def _page_size(pages: etree._Element) -> int | None:
    return _scaled(pages.get("size"), pages.get("unit"))


def _host(host: etree._Element) -> HostCapabilities:
    cpu = host.find("cpu")
    uuid = _text(host, "uuid")
    try:
        known = UUID(uuid) if uuid else None
    except ValueError:
        known = None
    return HostCapabilities(
        uuid=known,
        cpu=None if cpu is None else _host_cpu(cpu),
        power_management=frozenset(str(element.tag) for element in host.iterfind("power_management/*")),
        iommu=_yes(_attribute(host, "iommu", "support")),
        live_migration=host.find("migration_features/live") is not None,
        migration_transports=_texts(host, "migration_features/uri_transports/uri_transport"),
        cells=tuple(_cells(host)),
        caches=tuple(_caches(host)),
        security=tuple(map(_security, host.findall("secmodel"))),
    )


def _host_cpu(cpu: etree._Element) -> HostCPU:
    topology = cpu.find("topology")
    return HostCPU(
        arch=_text(cpu, "arch"),
        model=_text(cpu, "model"),
        vendor=_text(cpu, "vendor"),
        microcode=_number(_attribute(cpu, "microcode", "version")),
        topology=None
        if topology is None
        else CPUTopology(*(_number(topology.get(name)) for name in ("sockets", "dies", "cores", "threads"))),
        features=frozenset(_names(cpu, "feature")),
        page_sizes=tuple(size for pages in cpu.iterfind("pages") if (size := _page_size(pages)) is not None),
    )


def _cells(host: etree._Element) -> Iterator[NUMACell]:
    for cell in host.iterfind("topology/cells/cell"):
        number = _number(cell.get("id"))
        if number is None:
            continue
        memory = cell.find("memory")
        pages = ((_page_size(page), _number(page.text)) for page in cell.iterfind("pages"))
        yield NUMACell(
            id=number,
            memory=None if memory is None else _scaled(memory.text, memory.get("unit", "KiB")),
            pages={size: count for size, count in pages if size is not None and count is not None},
            distances=dict(_numbers(cell.iterfind("distances/sibling"), "id", "value")),
            cpus=tuple(_logical_cpus(cell)),
        )


def _logical_cpus(cell: etree._Element) -> Iterator[LogicalCPU]:
    for cpu in cell.iterfind("cpus/cpu"):
        number = _number(cpu.get("id"))
        if number is not None:
            places = [_number(cpu.get(f"{kind}_id")) for kind in ("socket", "die", "cluster", "core")]
            yield LogicalCPU(number, *places, siblings=_cpu_set(cpu.get("siblings")))


def _caches(host: etree._Element) -> Iterator[CacheBank]:
    for bank in host.iterfind("cache/bank"):
        number = _number(bank.get("id"))
        if number is not None:
            size = _scaled(bank.get("size"), bank.get("unit"))
            yield CacheBank(number, _number(bank.get("level")), bank.get("type"), size, _cpu_set(bank.get("cpus")))


def _security(model: etree._Element) -> SecurityLabels:
    labels = {label.get("type", ""): label.text or "" for label in model.iterfind("baselabel")}
    return SecurityLabels(_text(model, "model") or "", _text(model, "doi") or "", labels)


def _guest(guest: etree._Element) -> GuestCapabilities:
    found = guest.find("arch")
    arch = etree.Element("arch") if found is None else found
    return GuestCapabilities(
        os_type=_text(guest, "os_type") or "",
        arch=arch.get("name", ""),
        wordsize=_number(_text(arch, "wordsize")),
        emulator=_text(arch, "emulator"),
        loader=_text(arch, "loader"),
        machines=_machines(arch),
        domains=tuple(
            GuestDomain(domain.get("type", ""), _text(domain, "emulator"), _machines(domain))
            for domain in arch.iterfind("domain")
        ),
        features={
            str(feature.tag): GuestFeature(_yes(feature.get("default")), _yes(feature.get("toggle")))
            for feature in guest.iterfind("features/*")
        },
    )


def _machines(parent: etree._Element) -> tuple[Machine, ...]:
    return tuple(
        Machine(
            machine.text or "",
            machine.get("canonical"),
            _number(machine.get("maxCpus")),
            _yes(machine.get("deprecated")) is True,
        )
        for machine in parent.iterfind("machine")
    )


def _texts(parent: etree._Element, path: str) -> tuple[str, ...]:
    return tuple(element.text or "" for element in parent.iterfind(path))


def _names(parent: etree._Element, path: str) -> Iterator[str]:
    return (name for element in parent.iterfind(path) if (name := element.get("name")) is not None)


def _enums(element: etree._Element) -> dict[str, tuple[str, ...]]:
    return {enum.get("name", ""): _texts(enum, "value") for enum in element.iterfind("enum")}


def _support(element: etree._Element) -> Support:
    return Support(_yes(element.get("supported")), _enums(element), _texts(element, "value"))


def _support_of(parent: etree._Element, path: str) -> Support | None:
    element = parent.find(path)
    return None if element is None else _support(element)


def _cpu_mode(mode: etree._Element) -> CPUMode:
    blockers = {
        element.get("model", ""): frozenset(_names(element, "feature")) for element in mode.iterfind("blockers")
    }
    features = ((element.get("name"), element.get("policy")) for element in mode.iterfind("feature"))
    return CPUMode(
        supported=_yes(mode.get("supported")),
        enums=_enums(mode),
        models=tuple(
            CPUModel(
                name=model.text or "",
                usable={"yes": True, "no": False}.get(model.get("usable", "")),
                vendor=model.get("vendor"),
                deprecated=_yes(model.get("deprecated")) is True,
                canonical=model.get("canonical"),
                blockers=blockers.get(model.text or "", frozenset()),
            )
            for model in mode.iterfind("model")
        ),
        vendor=_text(mode, "vendor"),
        features={name: policy or "" for name, policy in features if name is not None},
    )
