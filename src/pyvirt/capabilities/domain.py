# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``<domainCapabilities>`` document: the features that a hypervisor offers to guests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyvirt.capabilities import _read as read

if TYPE_CHECKING:
    from lxml.etree import _Element

    from pyvirt.xmldesc import XML


@dataclass(frozen=True, slots=True)
class Support:
    """Whether guests can have a device or feature, and the allowed values of its attributes."""

    supported: bool | None
    #: ``{"bus": ("ide", "virtio"), …}``
    enums: Mapping[str, tuple[str, ...]]
    #: allowed values of the device or feature itself, such as the paths of firmware images
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CPUModel:
    """A named CPU model."""

    name: str
    #: whether it can be used on this host unchanged; ``None`` if the hypervisor does not know
    usable: bool | None
    vendor: str | None
    deprecated: bool
    #: the model that it stands for, if it is an alias
    canonical: str | None
    #: the features of the model that a guest cannot have on this host
    blockers: frozenset[str]


@dataclass(frozen=True, slots=True)
class CPUMode:
    """A way to give CPUs to a guest: ``custom``, ``host-model``, ``host-passthrough`` or ``maximum``."""

    supported: bool | None
    enums: Mapping[str, tuple[str, ...]]
    #: the models to choose from; for ``host-model`` the model that it stands for
    models: tuple[CPUModel, ...]
    #: for ``host-model``
    vendor: str | None
    #: for ``host-model``: ``{"vmx": "require", "hle": "disable", …}``
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """The features that one emulator offers to guests with one machine type."""

    #: the path of the emulator
    path: str | None
    #: ``"kvm"``, ``"qemu"``, …
    domain: str | None
    machine: str | None
    arch: str | None
    max_vcpus: int | None
    iothreads: bool | None
    os: Support | None
    loader: Support | None
    cpu_modes: Mapping[str, CPUMode]
    memory_backing: Support | None
    #: by element: ``devices["disk"].enums["bus"]``
    devices: Mapping[str, Support]
    #: by element: ``features["sev"].supported``
    features: Mapping[str, Support]
    #: the whole document
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: XML) -> DomainCapabilities:
        """Read a ``<domainCapabilities>`` document.

        :raises XMLError: *xml* is not such a document
        """
        root, text = read.document(xml, "domainCapabilities")
        return cls(
            path=read.text(root, "path"),
            domain=read.text(root, "domain"),
            machine=read.text(root, "machine"),
            arch=read.text(root, "arch"),
            max_vcpus=read.number(read.attribute(root, "vcpu", "max")),
            iothreads=read.yes(read.attribute(root, "iothreads", "supported")),
            os=_support_of(root, "os"),
            loader=_support_of(root, "os/loader"),
            cpu_modes={mode.get("name", ""): _cpu_mode(mode) for mode in root.iterfind("cpu/mode")},
            memory_backing=_support_of(root, "memoryBacking"),
            devices={str(device.tag): _support(device) for device in root.iterfind("devices/*")},
            features={str(feature.tag): _support(feature) for feature in root.iterfind("features/*")},
            xml=text,
        )


def _support_of(parent: _Element, path: str) -> Support | None:
    element = parent.find(path)
    return None if element is None else _support(element)


def _support(element: _Element) -> Support:
    return Support(read.yes(element.get("supported")), _enums(element), read.texts(element, "value"))


def _enums(element: _Element) -> dict[str, tuple[str, ...]]:
    return {enum.get("name", ""): read.texts(enum, "value") for enum in element.iterfind("enum")}


def _cpu_mode(mode: _Element) -> CPUMode:
    # libvirt writes them beside the model that they belong to, not inside it.
    blockers = {
        element.get("model", ""): frozenset(read.attributes(element, "feature", "name"))
        for element in mode.iterfind("blockers")
    }
    return CPUMode(
        supported=read.yes(mode.get("supported")),
        enums=_enums(mode),
        models=tuple(
            CPUModel(
                name=model.text or "",
                usable=read.yes(model.get("usable")),
                vendor=model.get("vendor"),
                deprecated=read.yes(model.get("deprecated")) is True,
                canonical=model.get("canonical"),
                blockers=blockers.get(model.text or "", frozenset()),
            )
            for model in mode.iterfind("model")
        ),
        vendor=read.text(mode, "vendor"),
        features={feature.get("name", ""): feature.get("policy", "") for feature in mode.iterfind("feature")},
    )
