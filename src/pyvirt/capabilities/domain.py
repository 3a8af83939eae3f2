# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``<domainCapabilities>`` document: what a hypervisor offers to guests."""

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
    """Whether guests can have something, and the values that its attributes may take."""

    supported: bool | None
    #: ``{"bus": ("ide", "virtio"), …}``
    enums: Mapping[str, tuple[str, ...]]
    #: values of the thing itself, such as the paths of firmware images
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CPUModel:
    """A named CPU model."""

    name: str
    #: whether it runs here as it is; ``None`` where the hypervisor does not know
    usable: bool | None
    vendor: str | None
    deprecated: bool
    #: what it stands for, where it is an alias
    canonical: str | None
    #: the features that a guest would have to do without
    blockers: frozenset[str]


@dataclass(frozen=True, slots=True)
class CPUMode:
    """A way to give CPUs to a guest: ``custom``, ``host-model``, ``host-passthrough`` or ``maximum``."""

    supported: bool | None
    enums: Mapping[str, tuple[str, ...]]
    #: those to choose from, or for ``host-model`` the one it means
    models: tuple[CPUModel, ...]
    #: for ``host-model``
    vendor: str | None
    #: for ``host-model``: ``{"vmx": "require", "hle": "disable", …}``
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DomainCapabilities:
    """What one emulator offers to guests with one type of machine."""

    #: of the emulator
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
    #: the document all this was read from
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: XML) -> DomainCapabilities:
        """Read a ``<domainCapabilities>`` document.

        :raises XMLError: it is none
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
    # Not inside the model they belong to, but beside it.
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
