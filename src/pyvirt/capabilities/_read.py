# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read elements, attributes and numbers of a document, each of which may be missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyvirt.errors import XMLError
from pyvirt.xmldesc import serialize
from pyvirt.xmldesc._read import tree_of

if TYPE_CHECKING:
    from lxml.etree import _Element

    from pyvirt.xmldesc import XML

_UNITS = {"B": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_LAST_CPU = (1 << 16) - 1  # a higher number cannot be right, and would only fill memory


def document(xml: XML, tag: str) -> tuple[_Element, str]:
    """Return the root of a document, which must be *tag*, and the text of the document."""
    root = tree_of(xml)
    if root.tag != tag:
        raise XMLError(f"expected a <{tag}> document, got <{root.tag}>")
    return root, xml if isinstance(xml, str) else serialize(root)


def text(parent: _Element, path: str) -> str | None:
    """Return the text of the element at *path*, or ``None``."""
    return (parent.findtext(path) or "").strip() or None


def texts(parent: _Element, path: str) -> tuple[str, ...]:
    """Return the texts of all elements at *path*."""
    return tuple(element.text or "" for element in parent.iterfind(path))


def attribute(parent: _Element, path: str, name: str) -> str | None:
    """Return an attribute of the element at *path*, or ``None``."""
    element = parent.find(path)
    return None if element is None else element.get(name)


def attributes(parent: _Element, path: str, name: str) -> tuple[str, ...]:
    """Return an attribute of all elements at *path* that have it."""
    return tuple(value for element in parent.iterfind(path) if (value := element.get(name)) is not None)


def tags(parent: _Element, path: str) -> tuple[str, ...]:
    """Return the tags of all elements at *path*."""
    return tuple(str(element.tag) for element in parent.iterfind(path))


def number(value: str | None) -> int | None:
    """Return a non-negative integer, or ``None`` for any other text."""
    value = (value or "").strip()
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 21 else None


def yes(value: str | None) -> bool | None:
    """Return ``True`` for ``yes`` and ``on``, ``False`` for ``no`` and ``off``, otherwise ``None``."""
    return {"yes": True, "on": True, "no": False, "off": False}.get(value or "")


def size(value: str | None, unit: str | None) -> int | None:
    """Return a size in bytes; the default unit is KiB."""
    count, factor = number(value), _UNITS.get(unit or "KiB")
    return None if count is None or factor is None else count * factor


def cpu_set(value: str | None) -> frozenset[int]:
    """Return the CPUs in a list such as ``0-3,8``."""
    cpus: set[int] = set()
    for part in (value or "").split(","):
        first, _, last = part.partition("-")
        start, end = number(first), number(last or first)
        if start is not None and end is not None and end <= _LAST_CPU:
            cpus.update(range(start, end + 1))
    return frozenset(cpus)


def known(pairs: Iterable[tuple[int | None, int | None]]) -> dict[int, int]:
    """Return the pairs without ``None`` as a dict."""
    return {key: value for key, value in pairs if key is not None and value is not None}
