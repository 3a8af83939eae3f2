# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``<capabilities>`` document: a host, and the kinds of guests that it can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from pyvirt.capabilities import _read as read

if TYPE_CHECKING:
    from lxml.etree import _Element

    from pyvirt.xmldesc import XML


@dataclass(frozen=True, slots=True)
class CPUTopology:
    """The numbers of sockets, dies, cores and threads of a host; :class:`LogicalCPU` is more exact."""

    sockets: int | None
    dies: int | None
    cores: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class HostCPU:
    """The CPU of a host."""

    arch: str | None
    #: the closest model that libvirt knows; the CPU has ``features`` in addition to those of the model
    model: str | None
    vendor: str | None
    #: the version of the microcode
    microcode: int | None
    topology: CPUTopology | None
    features: frozenset[str]
    #: the possible sizes of memory pages, in bytes
    page_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogicalCPU:
    """One CPU as the kernel numbers them, and its place in the topology."""

    id: int
    socket_id: int | None
    die_id: int | None
    cluster_id: int | None
    core_id: int | None
    #: the CPUs of the same core, including this one
    siblings: frozenset[int]


@dataclass(frozen=True, slots=True)
class NUMACell:
    """One NUMA node."""

    id: int
    #: bytes
    memory: int | None
    #: the number of memory pages, by their size in bytes
    pages: Mapping[int, int]
    #: the distance to each cell, by its id; 10 to the cell itself
    distances: Mapping[int, int]
    cpus: tuple[LogicalCPU, ...]


@dataclass(frozen=True, slots=True)
class CacheBank:
    """A cache that several CPUs share."""

    id: int | None
    level: int | None
    #: ``"both"``, ``"code"`` or ``"data"``
    type: str | None
    #: bytes
    size: int | None
    cpus: frozenset[int]


@dataclass(frozen=True, slots=True)
class SecurityLabels:
    """A security model, and its default labels for guests, by type of domain."""

    model: str
    doi: str
    base_labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """The hardware and features of a host."""

    uuid: UUID | None = None
    cpu: HostCPU | None = None
    #: the supported sleep states: ``"suspend_mem"``, ``"suspend_disk"``, ``"suspend_hybrid"``
    power_management: frozenset[str] = frozenset()
    iommu: bool | None = None
    live_migration: bool = False
    #: the URI schemes for the migration of guests
    migration_transports: tuple[str, ...] = ()
    cells: tuple[NUMACell, ...] = ()
    caches: tuple[CacheBank, ...] = ()
    security: tuple[SecurityLabels, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type of an emulator."""

    name: str
    #: the machine type that it stands for, if it is an alias
    canonical: str | None
    max_cpus: int | None
    deprecated: bool


@dataclass(frozen=True, slots=True)
class GuestDomain:
    """A type of domain, with those of its properties that differ from the guest's."""

    type: str
    emulator: str | None
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class GuestFeature:
    """A feature that guests can have."""

    #: whether guests have it by default
    default: bool | None
    #: whether the default can be changed
    toggle: bool | None


@dataclass(frozen=True, slots=True)
class GuestCapabilities:
    """A kind of guest: an architecture and a type of operating system."""

    #: ``"hvm"``, ``"exe"``, ``"xen"``
    os_type: str
    arch: str
    #: in bits
    wordsize: int | None
    emulator: str | None
    loader: str | None
    machines: tuple[Machine, ...]
    domains: tuple[GuestDomain, ...]
    features: Mapping[str, GuestFeature]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A host, and the kinds of guests that it can run."""

    host: HostCapabilities
    guests: tuple[GuestCapabilities, ...]
    #: the whole document
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: XML) -> Capabilities:
        """Read a ``<capabilities>`` document.

        :raises XMLError: *xml* is not such a document
        """
        root, text = read.document(xml, "capabilities")
        host = root.find("host")
        return cls(
            host=HostCapabilities() if host is None else _host(host),
            guests=tuple(_guests(root)),
            xml=text,
        )


def _host(host: _Element) -> HostCapabilities:
    cpu = host.find("cpu")
    return HostCapabilities(
        uuid=_uuid(read.text(host, "uuid")),
        cpu=None if cpu is None else _host_cpu(cpu),
        power_management=frozenset(read.tags(host, "power_management/*")),
        iommu=read.yes(read.attribute(host, "iommu", "support")),
        live_migration=host.find("migration_features/live") is not None,
        migration_transports=read.texts(host, "migration_features/uri_transports/uri_transport"),
        cells=tuple(_cells(host)),
        caches=tuple(_caches(host)),
        security=tuple(_security(host)),
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _host_cpu(cpu: _Element) -> HostCPU:
    topology = cpu.find("topology")
    sizes = (_page_size(pages) for pages in cpu.iterfind("pages"))
    return HostCPU(
        arch=read.text(cpu, "arch"),
        model=read.text(cpu, "model"),
        vendor=read.text(cpu, "vendor"),
        microcode=read.number(read.attribute(cpu, "microcode", "version")),
        topology=None if topology is None else _topology(topology),
        features=frozenset(read.attributes(cpu, "feature", "name")),
        page_sizes=tuple(size for size in sizes if size is not None),
    )


def _topology(topology: _Element) -> CPUTopology:
    return CPUTopology(
        sockets=read.number(topology.get("sockets")),
        dies=read.number(topology.get("dies")),
        cores=read.number(topology.get("cores")),
        threads=read.number(topology.get("threads")),
    )


def _page_size(pages: _Element) -> int | None:
    return read.size(pages.get("size"), pages.get("unit"))


def _cells(host: _Element) -> Iterator[NUMACell]:
    for cell in host.iterfind("topology/cells/cell"):
        number = read.number(cell.get("id"))
        if number is None:
            continue
        pages = ((_page_size(page), read.number(page.text)) for page in cell.iterfind("pages"))
        distances = (
            (read.number(other.get("id")), read.number(other.get("value")))
            for other in cell.iterfind("distances/sibling")
        )
        yield NUMACell(
            id=number,
            memory=read.size(read.text(cell, "memory"), read.attribute(cell, "memory", "unit")),
            pages=read.known(pages),
            distances=read.known(distances),
            cpus=tuple(_cpus(cell)),
        )


def _cpus(cell: _Element) -> Iterator[LogicalCPU]:
    for cpu in cell.iterfind("cpus/cpu"):
        number = read.number(cpu.get("id"))
        if number is None:
            continue
        yield LogicalCPU(
            id=number,
            socket_id=read.number(cpu.get("socket_id")),
            die_id=read.number(cpu.get("die_id")),
            cluster_id=read.number(cpu.get("cluster_id")),
            core_id=read.number(cpu.get("core_id")),
            siblings=read.cpu_set(cpu.get("siblings")),
        )


def _caches(host: _Element) -> Iterator[CacheBank]:
    for bank in host.iterfind("cache/bank"):
        yield CacheBank(
            id=read.number(bank.get("id")),
            level=read.number(bank.get("level")),
            type=bank.get("type"),
            size=read.size(bank.get("size"), bank.get("unit")),
            cpus=read.cpu_set(bank.get("cpus")),
        )


def _security(host: _Element) -> Iterator[SecurityLabels]:
    for model in host.iterfind("secmodel"):
        yield SecurityLabels(
            model=read.text(model, "model") or "",
            doi=read.text(model, "doi") or "",
            base_labels={label.get("type", ""): label.text or "" for label in model.iterfind("baselabel")},
        )


def _guests(root: _Element) -> Iterator[GuestCapabilities]:
    for guest in root.iterfind("guest"):
        features = {
            str(feature.tag): GuestFeature(read.yes(feature.get("default")), read.yes(feature.get("toggle")))
            for feature in guest.iterfind("features/*")
        }
        yield GuestCapabilities(
            os_type=read.text(guest, "os_type") or "",
            arch=read.attribute(guest, "arch", "name") or "",
            wordsize=read.number(read.text(guest, "arch/wordsize")),
            emulator=read.text(guest, "arch/emulator"),
            loader=read.text(guest, "arch/loader"),
            machines=_machines(guest, "arch/machine"),
            domains=tuple(
                GuestDomain(domain.get("type", ""), read.text(domain, "emulator"), _machines(domain, "machine"))
                for domain in guest.iterfind("arch/domain")
            ),
            features=features,
        )


def _machines(parent: _Element, path: str) -> tuple[Machine, ...]:
    return tuple(
        Machine(
            name=machine.text or "",
            canonical=machine.get("canonical"),
            max_cpus=read.number(machine.get("maxCpus")),
            deprecated=read.yes(machine.get("deprecated")) is True,
        )
        for machine in parent.iterfind(path)
    )
