# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ``<storagepoolCapabilities>`` document: the types of storage pools that a daemon supports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyvirt.capabilities import _read as read

if TYPE_CHECKING:
    from pyvirt.xmldesc import XML


@dataclass(frozen=True, slots=True)
class StoragePoolSupport:
    """Whether a type of pool is supported, and its formats."""

    supported: bool | None
    #: formats of the source of a pool: file systems, partition tables, …
    source_formats: tuple[str, ...]
    default_source_format: str | None
    #: formats of its volumes
    volume_formats: tuple[str, ...]
    default_volume_format: str | None


@dataclass(frozen=True, slots=True)
class StoragePoolCapabilities:
    """The types of storage pools that libvirt knows."""

    #: by type: ``pools["dir"].volume_formats``
    pools: Mapping[str, StoragePoolSupport]
    #: the whole document
    xml: str = field(repr=False)

    @classmethod
    def parse(cls, xml: XML) -> StoragePoolCapabilities:
        """Read a ``<storagepoolCapabilities>`` document.

        :raises XMLError: *xml* is not such a document
        """
        root, text = read.document(xml, "storagepoolCapabilities")
        pools = {
            pool.get("type", ""): StoragePoolSupport(
                supported=read.yes(pool.get("supported")),
                source_formats=read.texts(pool, "poolOptions/enum[@name='sourceFormatType']/value"),
                default_source_format=read.attribute(pool, "poolOptions/defaultFormat", "type"),
                volume_formats=read.texts(pool, "volOptions/enum[@name='targetFormatType']/value"),
                default_volume_format=read.attribute(pool, "volOptions/defaultFormat", "type"),
            )
            for pool in root.iterfind("pool")
        }
        return cls(pools, text)
