# SPDX-License-Identifier: LGPL-2.1-or-later
"""Documents for libvirt's test driver."""

from __future__ import annotations

from uuid import UUID


def domain_xml(name: str, *, uuid: UUID | str | None = None, memory: int = 1 << 20, elements: str = "") -> str:
    """Return the document of a small domain.

    :param name: the name as it stands in XML; the caller escapes it
    :param memory: in bytes
    :param elements: more elements of ``<domain>``
    """
    number = "" if uuid is None else f"<uuid>{uuid}</uuid>"
    return (
        f"<domain type='test'><name>{name}</name>{number}<memory unit='b'>{memory}</memory>"
        f"<os><type>hvm</type></os>{elements}</domain>"
    )
