# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text to trees and back."""

from __future__ import annotations

from typing import TypeAlias

from lxml import etree

from pyvirt.errors import XMLError

XML: TypeAlias = str | bytes | etree._Element
"""What is taken for a document: text, the bytes of a file in whatever encoding they declare, or an element."""

MAX_SIZE = 4 << 20
"""How many bytes of a document are read by default: libvirt's protocol carries no longer text than this."""

# libxml2's words for its limits speak to those who program with it.
_LIMITS = {
    "Excessive depth": "its elements are more than 256 deep",
    "amplification factor": "its entities stand for far more text than it has",
    "entity reference loop": "its entities stand for each other",
    "Text node too long": "a text in it is longer than 10,000,000 bytes",
}


def parse(text: str | bytes, *, max_size: int = MAX_SIZE) -> etree._Element:
    """Parse a document.  No entity is expanded, no file or network read, no size or depth without bound allowed.

    As with libvirt a namespace may have any name, and a prefix none.  Elements may be 256 deep.  4 MiB of text
    become some 150 MiB of tree at worst.

    :param text: for ``str`` an encoding that the document declares does not count
    :param max_size: the most bytes that the text may have
    :raises XMLError: this is no XML, or too large, or too deep
    """
    try:
        _check_size(len(text), max_size)  # as characters, which are at least as many bytes
        data, encoding = (text.encode(), "utf-8") if isinstance(text, str) else (text, None)
        _check_size(len(data), max_size)
        parser = _parser(encoding)
        try:
            return etree.fromstring(data, parser)
        except etree.XMLSyntaxError:
            if any(entry.domain != etree.ErrorDomains.NAMESPACE for entry in parser.error_log):
                raise
            return etree.fromstring(data, _parser(encoding, recover=True))  # there is nothing else to recover from
    except UnicodeEncodeError as error:
        raise XMLError(f"this is no XML: {error}") from None
    except etree.XMLSyntaxError as error:
        said = str(error.msg)
        said = next((words for sign, words in _LIMITS.items() if sign in said), said)
        raise XMLError(f"this is no XML: {said}") from None


def tree_of(xml: XML, *, max_size: int = MAX_SIZE) -> etree._Element:
    """Return the element that *xml* is, or what :func:`parse` makes of it.

    :raises TypeError: it is none of the three
    """
    if isinstance(xml, etree._Element):
        return xml
    if isinstance(xml, (str, bytes)):
        return parse(xml, max_size=max_size)
    raise TypeError(f"expected XML as str, bytes or an lxml element, got {type(xml).__name__}")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise XMLError(f"this document is too large: {size:,} bytes, and max_size is {most:,}")


def _parser(encoding: str | None, *, recover: bool = False) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=encoding, recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def serialize(element: etree._Element) -> str:
    """Return the text of an element and all that is in it."""
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return text
